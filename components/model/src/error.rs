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
