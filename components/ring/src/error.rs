//! Why a ring cannot answer.

use phlare_model::{Classify, ErrorKind};

/// Why a ring cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No instance has a token.
    #[error("empty ring: no instance has joined")]
    Empty,
    /// Of the instances that own the key, too few are alive.
    #[error(
        "at least {needed} live replicas required, could only find {found} - unhealthy instances: {}",
        unhealthy.join(",")
    )]
    TooFewReplicas {
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
        /// Addresses of owners that cannot be asked.
        unhealthy: Vec<String>,
    },
    /// So many instances are away that an answer could have gaps.
    #[error("too many unhealthy instances in the ring: {}", unhealthy.join(","))]
    TooManyUnhealthy {
        /// Their addresses.
        unhealthy: Vec<String>,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty | Self::TooFewReplicas { .. } | Self::TooManyUnhealthy { .. } => {
                ErrorKind::Unavailable
            }
        }
    }
}
