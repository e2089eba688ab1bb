//! What can go wrong in a tenant's database.

use std::path::PathBuf;
use std::time::Duration;

use crate::flush::FlushError;
use phlare_block::BlockId;
use phlare_model::{Classify, ErrorKind, TenantId};

/// Why a profile was not taken, a database not opened, or a query not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be made or read.
    #[error("data directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The log refuses or fails.
    #[error("write-ahead log of tenant {tenant}")]
    Wal {
        /// Whose log.
        tenant: TenantId,
        /// What the log says.
        source: crate::wal::Error,
    },
    /// One more series would pass the tenant's limit.
    #[error(
        "Maximum active series limit exceeded ({active}/{limit}) of tenant {tenant}: raise `max_global_series_per_tenant`, or send fewer distinct label sets"
    )]
    SeriesLimit {
        /// Whose limit.
        tenant: TenantId,
        /// Series with a profile in the last ten minutes.
        active: usize,
        /// The limit.
        limit: usize,
    },
    /// The tenant's head has as much memory as it may have.
    #[error(
        "the head of tenant {tenant} holds {used} bytes and may hold {limit}: raise `-pyroscopedb.head-max-bytes-per-tenant`, or send less"
    )]
    TenantMemory {
        /// Whose head.
        tenant: TenantId,
        /// Bytes now.
        used: usize,
        /// The limit.
        limit: usize,
    },
    /// The heads of all tenants have as much memory as they may have.
    #[error(
        "the heads of all tenants hold {used} bytes and may hold {limit}: raise `-pyroscopedb.head-max-bytes`, or add ingesters"
    )]
    ProcessMemory {
        /// Bytes now.
        used: usize,
        /// The limit.
        limit: usize,
    },
    /// The head could not be written as a block.
    #[error("cut the head of tenant {tenant}")]
    Flush {
        /// Whose head.
        tenant: TenantId,
        /// What failed.
        source: FlushError,
    },
    /// A block could not be read.
    #[error("block {block}")]
    Block {
        /// Which.
        block: BlockId,
        /// What failed.
        source: phlare_block::Error,
    },
    /// A query that several stores answer matches too many profiles in one of them.
    #[error(
        "more than {limit} profiles match: ask for a shorter time or a narrower selector, or raise `-querier.max-profile-keys`"
    )]
    TooManyKeys {
        /// How many may match.
        limit: usize,
    },
    /// 2³² − 1 distinct symbols, or bytes of their text, are in an answer.
    #[error("the answer has more than 4 billion symbols of a kind: ask for less")]
    AnswerSymbols,
    /// 2³² − 1 distinct symbols, or bytes of their text, are in the head.
    #[error(
        "the head of tenant {tenant} has no id left for a new symbol: more than 4 billion of a kind"
    )]
    Symbols {
        /// Whose head.
        tenant: TenantId,
    },
}

impl Error {
    /// Upstream's reason for a discarded profile (api.md 7).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SeriesLimit { .. } => "series_limit",
            Self::TenantMemory { .. } | Self::ProcessMemory { .. } => "ingest_limit_reached",
            Self::Directory { .. }
            | Self::Wal { .. }
            | Self::Flush { .. }
            | Self::Block { .. }
            | Self::TooManyKeys { .. }
            | Self::AnswerSymbols
            | Self::Symbols { .. } => "unknown",
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Directory { .. } | Self::Flush { .. } | Self::Block { .. } => {
                ErrorKind::Unavailable
            }
            Self::Wal { source, .. } => source.kind(),
            Self::SeriesLimit { .. }
            | Self::TenantMemory { .. }
            | Self::ProcessMemory { .. }
            | Self::AnswerSymbols
            | Self::Symbols { .. } => ErrorKind::ResourceExhausted,
            Self::TooManyKeys { .. } => ErrorKind::InvalidArgument,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Wal { source, .. } => source.retry_after(),
            Self::SeriesLimit { .. } => Some(Duration::from_secs(60)),
            Self::TenantMemory { .. } | Self::ProcessMemory { .. } => Some(Duration::from_secs(30)),
            Self::Directory { .. } | Self::Flush { .. } | Self::Block { .. } => {
                Some(Duration::from_secs(5))
            }
            Self::Symbols { .. } | Self::TooManyKeys { .. } | Self::AnswerSymbols => None,
        }
    }
}
