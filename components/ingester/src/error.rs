//! What can go wrong in an ingester.

use std::path::PathBuf;
use std::time::Duration;

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
            Self::Tenants { .. } => "ingest_limit_reached",
            Self::Directory { .. }
            | Self::InUse { .. }
            | Self::Starting { .. }
            | Self::Stopping => "unknown",
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Directory { .. }
            | Self::InUse { .. }
            | Self::Starting { .. }
            | Self::Stopping => ErrorKind::Unavailable,
            Self::Tenants { .. } => ErrorKind::ResourceExhausted,
            Self::Database(error) => error.kind(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Directory { .. }
            | Self::InUse { .. }
            | Self::Starting { .. }
            | Self::Stopping => Some(Duration::from_secs(5)),
            Self::Tenants { .. } => None,
            Self::Database(error) => error.retry_after(),
        }
    }
}
