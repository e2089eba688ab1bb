//! What can be wrong with the files of a block.

use std::error::Error as StdError;

/// Why a block cannot be read or written. Messages name the file and, where one is at fault, the byte.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The storage did not give the bytes: it may later.
    #[error("read {file}")]
    Read {
        /// The file, with the block it belongs to.
        file: String,
        /// What the storage said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The file is not there.
    #[error("{file} is missing")]
    Missing {
        /// The file, with the block it belongs to.
        file: String,
    },
    /// The bytes are not what they should be, and never will be.
    #[error("{file} is damaged at byte {offset}: {problem}")]
    Corrupt {
        /// The file, with the block it belongs to.
        file: String,
        /// Where the damage was noticed.
        offset: u64,
        /// What is wrong there.
        problem: String,
    },
    /// A version or feature that this program does not know.
    #[error("{file}: {problem}")]
    Unsupported {
        /// The file, with the block it belongs to.
        file: String,
        /// What is not known.
        problem: String,
    },
    /// A file could not be written.
    #[error("write {file}")]
    Write {
        /// The file.
        file: String,
        /// What the storage said.
        source: std::io::Error,
    },
    /// What was to be written would not be a block: nobody could read it.
    #[error("{file} cannot hold what was given: {problem}")]
    Unwritable {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A table has no id left: 2³² − 1 rows or bytes.
    #[error("{table} of a block are limited to 2^32 - 1 rows and bytes")]
    Full {
        /// Which table.
        table: &'static str,
    },
}

impl Error {
    /// Bytes that can never be read right: trying again is of no use.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Unsupported { .. })
    }

    pub(crate) fn corrupt(
        file: impl Into<String>,
        offset: u64,
        problem: impl Into<String>,
    ) -> Self {
        Self::Corrupt {
            file: file.into(),
            offset,
            problem: problem.into(),
        }
    }
}
