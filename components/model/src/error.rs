//! What kind of failure an error is: the vocabulary from which `server` derives
//! Connect codes, gRPC codes and HTTP statuses.

use std::error::Error;
use std::time::Duration;

/// A kind of failure, named as in the Connect protocol (api.md 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The client went away.
    Canceled,
    /// A failure of unknown cause.
    Unknown,
    /// The request makes no sense, whatever the state of the system.
    InvalidArgument,
    /// The deadline passed.
    DeadlineExceeded,
    /// The thing asked for does not exist.
    NotFound,
    /// The thing to make exists already, or a newer one does.
    AlreadyExists,
    /// The caller may not do this.
    PermissionDenied,
    /// A limit is reached: rate, series, memory, queue.
    ResourceExhausted,
    /// The body of the request is larger than allowed.
    PayloadTooLarge,
    /// The body of the request cannot be processed (plain HTTP routes only).
    Unprocessable,
    /// The system is not in the state that the call needs.
    FailedPrecondition,
    /// A conflict with another call.
    Aborted,
    /// Past the end of a valid range.
    OutOfRange,
    /// Not a part of this system.
    Unimplemented,
    /// A broken invariant, a failed disk: an operator must act.
    Internal,
    /// Not now: starting, draining, overloaded, disk stalled.
    Unavailable,
    /// Stored data is damaged.
    DataLoss,
    /// No or invalid tenant or credentials.
    Unauthenticated,
}

impl ErrorKind {
    const ALL: [Self; 18] = [
        Self::Canceled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::PayloadTooLarge,
        Self::Unprocessable,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// Its name, as processes tell each other: Connect's word where there is one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::PayloadTooLarge => "payload_too_large",
            Self::Unprocessable => "unprocessable",
            Self::FailedPrecondition => "failed_precondition",
            Self::Aborted => "aborted",
            Self::OutOfRange => "out_of_range",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DataLoss => "data_loss",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// An error that knows its [`ErrorKind`].
pub trait Classify {
    /// The kind of this error. Implementations match without a `_` arm.
    fn kind(&self) -> ErrorKind;

    /// When trying again may succeed, if that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// An error and its causes in one line: `cut the head: write profiles.parquet: No space left on device`.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}
