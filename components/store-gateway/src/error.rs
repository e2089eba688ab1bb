//! Why blocks are not known.

use std::time::Duration;

use phlare_model::{Classify, ErrorKind};

/// Why a list of blocks cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket has not been listed since the start.
    #[error("the bucket has not been listed yet{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    NotListed {
        /// Why the last attempt failed.
        reason: Option<String>,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotListed { .. } => ErrorKind::Unavailable,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotListed { .. } => Some(Duration::from_secs(2)),
        }
    }
}
