//! What can go wrong in an ingester.

use std::path::PathBuf;
use std::time::Duration;

use phlare_block::BlockId;
use phlare_model::{Classify, ErrorKind, TenantId};

/// Why the ingester does not start, or does not take a profile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be made, read or written.
    #[error("data directory {} (`-pyroscopedb.data-path`)", path.display())]
    Directory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Two processes would write the same logs.
    #[error("data directory {} (`-pyroscopedb.data-path`) is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Logs are still being read.
    #[error("the ingester is starting: it reads back the logs of {remaining} more tenants")]
    Starting {
        /// Tenants left.
        remaining: usize,
    },
    /// The process ends.
    #[error("the ingester is shutting down")]
    Stopping,
    /// Somebody asked it to prepare for its end.
    #[error(
        "the ingester is to go and takes no profiles; `DELETE /ingester/prepare-shutdown` undoes that"
    )]
    ReadOnly,
    /// Too many tenants.
    #[error(
        "tenant {tenant}: {limit} tenants have a database here, which is the limit; raise `-ingester.max-tenants`"
    )]
    Tenants {
        /// Who is refused.
        tenant: TenantId,
        /// The limit.
        limit: usize,
    },
    /// The disk of the data directory is nearly full.
    #[error(
        "the disk of {} has {free_bytes} bytes left, and {reserve_bytes} are kept for what was accepted: make room, or wait until blocks are uploaded and deleted", path.display()
    )]
    DiskFull {
        /// The data directory.
        path: PathBuf,
        /// Bytes left.
        free_bytes: u64,
        /// Bytes below which profiles are refused.
        reserve_bytes: u64,
    },
    /// Blocks could not be uploaded.
    #[error("upload block {block} of tenant {tenant}")]
    Upload {
        /// Whose block.
        tenant: TenantId,
        /// The block.
        block: BlockId,
        /// What failed.
        source: phlare_bucket::Error,
    },
    /// The tenant's database refuses or fails.
    #[error(transparent)]
    Database(#[from] phlare_phlaredb::Error),
}

impl Error {
    /// Upstream's reason for a discarded profile (api.md 7).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Database(error) => error.reason(),
            Self::Tenants { .. } | Self::DiskFull { .. } => "ingest_limit_reached",
            Self::Directory { .. }
            | Self::Upload { .. }
            | Self::InUse { .. }
            | Self::Starting { .. }
            | Self::ReadOnly
            | Self::Stopping => "unknown",
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Directory { .. }
            | Self::InUse { .. }
            | Self::DiskFull { .. }
            | Self::Upload { .. }
            | Self::Starting { .. }
            | Self::ReadOnly
            | Self::Stopping => ErrorKind::Unavailable,
            Self::Tenants { .. } => ErrorKind::ResourceExhausted,
            Self::Database(error) => error.kind(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Directory { .. }
            | Self::InUse { .. }
            | Self::Upload { .. }
            | Self::Starting { .. }
            | Self::ReadOnly
            | Self::Stopping => Some(Duration::from_secs(5)),
            Self::DiskFull { .. } => Some(Duration::from_secs(30)),
            Self::Tenants { .. } => None,
            Self::Database(error) => error.retry_after(),
        }
    }
}
