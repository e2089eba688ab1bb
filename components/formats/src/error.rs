//! What can be wrong with a payload.

use std::fmt;

use phlare_model::{Classify, ErrorKind};

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The suffix of the application name is no profile type.
    #[error(
        "unknown profile type: {suffix}; the part of the name after its last dot selects the type and is one of {known}"
    )]
    UnknownKind {
        /// What stands after the last dot.
        suffix: String,
        /// The suffixes that are known.
        known: String,
    },
    /// A line of text that is no stack.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that do not follow the format.
    #[error("byte {at}: {reason}")]
    Bytes {
        /// Offset in the payload.
        at: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The payload as a whole is not of this format.
    #[error("{0}")]
    Content(String),
    /// The profile would be larger than allowed.
    #[error(
        "the profile would take more than {limit} bytes as pprof, the limit max_profile_size_bytes"
    )]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Something in the payload exceeds one of the limits of profiles.
    #[error("{what} of {actual} exceeds the limit {name} of {limit}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How much there is.
        actual: u64,
        /// Name of the limit.
        name: &'static str,
        /// Its value.
        limit: usize,
    },
}

impl Error {
    pub(crate) fn line(line: usize, reason: impl fmt::Display) -> Self {
        Self::Line {
            line,
            reason: reason.to_string(),
        }
    }

    pub(crate) fn bytes(at: usize, reason: impl fmt::Display) -> Self {
        Self::Bytes {
            at,
            reason: reason.to_string(),
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownKind { .. } => ErrorKind::InvalidArgument,
            Self::Line { .. }
            | Self::Bytes { .. }
            | Self::Content(_)
            | Self::TooLarge { .. }
            | Self::Limit { .. } => ErrorKind::Unprocessable,
        }
    }
}

/// The first bytes of a payload in a form that can be shown: quoted, everything but printable ASCII escaped.
#[must_use]
pub fn preview(payload: &[u8]) -> String {
    const SHOWN: usize = 48;
    let head = payload.get(..SHOWN).unwrap_or(payload);
    let dots = if payload.len() > SHOWN { "…" } else { "" };
    format!("\"{}\"{dots}", head.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_shows_the_first_bytes_escaped() {
        assert_eq!(preview(b"[object FormData]"), "\"[object FormData]\"");
        assert_eq!(preview(b"\x89PNG\r\n"), "\"\\x89PNG\\r\\n\"");
        assert_eq!(preview(b""), "\"\"");
        assert_eq!(preview(&[b'x'; 49]), format!("\"{}\"…", "x".repeat(48)));
    }
}
