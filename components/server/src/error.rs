//! Why the server cannot start or go on.

use std::io;

use phlare_model::{Classify, ErrorKind};

/// A failure of the server itself, not of a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the port.
    #[error(
        "{address} is in use by another process: stop it, or choose another port with -server.http-listen-port"
    )]
    PortInUse {
        /// What was to be listened on.
        address: String,
    },
    /// The address cannot be listened on.
    #[error("listen on {address} (-server.http-listen-address, -server.http-listen-port)")]
    Listen {
        /// What was to be listened on.
        address: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::PortInUse { .. } | Self::Listen { .. } => ErrorKind::FailedPrecondition,
        }
    }
}
