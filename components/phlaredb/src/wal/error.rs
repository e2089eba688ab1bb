//! Why the log refuses.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use phlare_model::error::{Classify, ErrorKind};

/// A failure of the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or changed.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A segment of a later format.
    #[error("{} has format {version}, a newer program wrote it; start that one, or move the file away to go on without its records", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// A record that no segment may hold.
    #[error(
        "a record of {bytes} bytes is larger than the log takes ({limit} bytes); send fewer samples in one profile"
    )]
    TooLarge {
        /// Bytes of the record.
        bytes: usize,
        /// The most it may have.
        limit: usize,
    },
    /// The disk does not keep up.
    #[error(
        "{pending} bytes wait to be written to the log of {name}, the limit is {limit}; the disk is too slow, try again later"
    )]
    Full {
        /// Whose log.
        name: String,
        /// Bytes that wait.
        pending: usize,
        /// The most that may.
        limit: usize,
    },
    /// The disk fails or does not answer. What was appended is kept and written once it can be.
    #[error("the log of {name} could not be written for {} s: {cause}", waited.as_secs_f64())]
    Stalled {
        /// Whose log.
        name: String,
        /// For how long.
        waited: Duration,
        /// The last failure, in words.
        cause: String,
    },
    /// [`Wal::close`](super::Wal::close) was called.
    #[error("the log of {name} is closed")]
    Closed {
        /// Whose log.
        name: String,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Version { .. } => ErrorKind::Internal,
            Self::TooLarge { .. } => ErrorKind::PayloadTooLarge,
            Self::Full { .. } | Self::Stalled { .. } | Self::Closed { .. } => {
                ErrorKind::Unavailable
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full { .. } => Some(Duration::from_secs(1)),
            Self::Stalled { .. } => Some(Duration::from_secs(5)),
            Self::Io { .. }
            | Self::Version { .. }
            | Self::TooLarge { .. }
            | Self::Closed { .. } => None,
        }
    }
}
