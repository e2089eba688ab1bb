//! Why blocks cannot be merged, and which of them is at fault.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::id::BlockId;

/// Why blocks cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// There is nothing to merge.
    #[error("no blocks were given")]
    NoInput,
    /// A block cannot be read. If it [is damaged](Self::damaged), it never can.
    #[error("read block {block}")]
    Input {
        /// Which one.
        block: BlockId,
        /// What is wrong with it, with file and byte.
        source: Error,
    },
    /// A file of the result.
    #[error("write the merged block")]
    Output(#[source] Error),
    /// A directory of the result, or a file beside.
    #[error("write {}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It was asked to stop.
    #[error("merging was cancelled")]
    Cancelled,
    /// The result is not what it should be: a mistake of this program, or of the disk.
    #[error("the merged block {block} is wrong: {problem}")]
    Wrong {
        /// The result.
        block: BlockId,
        /// What is wrong with it.
        problem: String,
    },
}

impl CompactError {
    /// The input that is damaged or incomplete, if that is the reason: trying again without it helps, with it does not.
    #[must_use]
    pub fn damaged(&self) -> Option<(BlockId, &Error)> {
        match self {
            Self::Input { block, source }
                if source.is_corruption() || matches!(source, Error::Missing { .. }) =>
            {
                Some((*block, source))
            }
            _ => None,
        }
    }

    pub(super) fn input(block: BlockId) -> impl Fn(Error) -> Self {
        move |source| Self::Input { block, source }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
