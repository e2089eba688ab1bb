//! What can go wrong in a compactor.

use std::path::PathBuf;

use phlare_block::BlockId;
use phlare_block::compact::CompactError;

/// Why blocks were not merged or deleted. The next run tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket does not do what it is asked to.
    #[error(transparent)]
    Bucket(#[from] phlare_bucket::Error),
    /// A directory for what is downloaded and merged.
    #[error("directory {} (`-compactor.data-dir`)", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The inputs and the result don't fit onto the disk.
    #[error(
        "{} (`-compactor.data-dir`) has {available_bytes} bytes free, {needed_bytes} are needed: \
         make room, or lower `-compactor.max-blocks-per-job`",
        path.display()
    )]
    Space {
        /// The directory.
        path: PathBuf,
        /// What is free.
        available_bytes: u64,
        /// What the blocks to be merged take, twice.
        needed_bytes: u64,
    },
    /// The blocks cannot be merged.
    #[error(transparent)]
    Compact(#[from] CompactError),
    /// An input was marked or deleted by somebody else in the meantime: what was made of it may be what nobody wants any more.
    #[error("block {0} was deleted, or marked for deletion, while it was merged")]
    Gone(BlockId),
    /// The thread that merged ended without an answer.
    #[error("merging ended early")]
    Ended(#[source] tokio::task::JoinError),
    /// Jobs of a tenant that failed; each is in the log.
    #[error("{failed} of {jobs} jobs failed, the first: {first}")]
    Jobs {
        /// How many failed.
        failed: usize,
        /// How many there were.
        jobs: usize,
        /// What the first one says.
        first: String,
    },
}
