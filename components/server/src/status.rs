//! How a failure looks on the wire: the one table from [`ErrorKind`] to Connect
//! code, gRPC code and HTTP status.
//!
//! Source: api.md 2.4. Nobody else writes a status code for an error.

use std::error::Error;
use std::time::Duration;

use connectrpc::{ConnectError, ErrorCode};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use phlare_model::{Classify, ErrorKind};
use tracing::error;

use crate::trace;

/// A failure on its way to a client.
///
/// Made from any error that knows its kind; the whole chain of causes is in the message.
/// The message of an `Internal` one is logged and replaced before it leaves the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Decides the codes.
    pub kind: ErrorKind,
    /// What was wrong, where, and what to do.
    pub message: String,
    /// When trying again may succeed; becomes a `Retry-After` header.
    pub retry_after: Option<Duration>,
}

impl Status {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The request makes no sense.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// Not a part of this server.
    pub fn unimplemented(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unimplemented, message)
    }

    /// Says when trying again may succeed.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The Connect code, as on the wire.
    #[must_use]
    pub fn code(&self) -> &'static str {
        row(self.kind).0.as_str()
    }

    /// The HTTP status of plain routes and of unary Connect calls.
    #[must_use]
    pub fn http_status(&self) -> StatusCode {
        http_status(self.kind)
    }

    /// What the client may see: of an internal failure only the trace id, while the log gets the rest.
    pub(crate) fn concealed(self) -> Self {
        if self.kind != ErrorKind::Internal {
            return self;
        }
        let trace_id = trace::current_id();
        error!(error = %self.message, "internal error");
        Self {
            message: format!("internal error; the server's log has more under trace id {trace_id}"),
            ..self
        }
    }

    /// The value of `Retry-After`: whole seconds, at least one.
    pub(crate) fn retry_after_header(&self) -> Option<HeaderValue> {
        let after = self.retry_after?;
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        Some(HeaderValue::from(seconds.max(1)))
    }

    /// The error that `connectrpc` renders for the protocol at hand. Expects a concealed status.
    pub(crate) fn into_connect(self) -> ConnectError {
        let kind = self.kind;
        let (code, http) = row(kind);
        let retry_after = self.retry_after_header();
        let mut error = ConnectError::new(code, self.message);
        if http != code.http_status().as_u16() {
            error = error.with_http_status(http_status(kind));
        }
        if let Some(value) = retry_after {
            error.response_headers_mut().insert(RETRY_AFTER, value);
        }
        error
    }
}

/// Connect code (which has its gRPC number) and HTTP status of a kind.
fn row(kind: ErrorKind) -> (ErrorCode, u16) {
    match kind {
        ErrorKind::Canceled => (ErrorCode::Canceled, 499),
        ErrorKind::Unknown => (ErrorCode::Unknown, 500),
        ErrorKind::InvalidArgument => (ErrorCode::InvalidArgument, 400),
        ErrorKind::DeadlineExceeded => (ErrorCode::DeadlineExceeded, 504),
        ErrorKind::NotFound => (ErrorCode::NotFound, 404),
        ErrorKind::AlreadyExists => (ErrorCode::AlreadyExists, 409),
        ErrorKind::PermissionDenied => (ErrorCode::PermissionDenied, 403),
        ErrorKind::ResourceExhausted => (ErrorCode::ResourceExhausted, 429),
        // Not 429: a client that is told so sends the same body again for ever.
        ErrorKind::PayloadTooLarge => (ErrorCode::ResourceExhausted, 413),
        ErrorKind::Unprocessable => (ErrorCode::Unknown, 422),
        ErrorKind::FailedPrecondition => (ErrorCode::FailedPrecondition, 400),
        ErrorKind::Aborted => (ErrorCode::Aborted, 409),
        ErrorKind::OutOfRange => (ErrorCode::OutOfRange, 400),
        ErrorKind::Unimplemented => (ErrorCode::Unimplemented, 501),
        ErrorKind::Internal => (ErrorCode::Internal, 500),
        ErrorKind::Unavailable => (ErrorCode::Unavailable, 503),
        ErrorKind::DataLoss => (ErrorCode::DataLoss, 500),
        ErrorKind::Unauthenticated => (ErrorCode::Unauthenticated, 401),
    }
}

fn http_status(kind: ErrorKind) -> StatusCode {
    StatusCode::from_u16(row(kind).1).expect("the table holds three-digit numbers")
}

impl<E: Classify + Error> From<E> for Status {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self {
            kind: error.kind(),
            message,
            retry_after: error.retry_after(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_reference() {
        let rows = [
            (ErrorKind::Canceled, "canceled", 499, 1),
            (ErrorKind::Unknown, "unknown", 500, 2),
            (ErrorKind::InvalidArgument, "invalid_argument", 400, 3),
            (ErrorKind::DeadlineExceeded, "deadline_exceeded", 504, 4),
            (ErrorKind::NotFound, "not_found", 404, 5),
            (ErrorKind::AlreadyExists, "already_exists", 409, 6),
            (ErrorKind::PermissionDenied, "permission_denied", 403, 7),
            (ErrorKind::ResourceExhausted, "resource_exhausted", 429, 8),
            (ErrorKind::PayloadTooLarge, "resource_exhausted", 413, 8),
            (ErrorKind::Unprocessable, "unknown", 422, 2),
            (ErrorKind::FailedPrecondition, "failed_precondition", 400, 9),
            (ErrorKind::Aborted, "aborted", 409, 10),
            (ErrorKind::OutOfRange, "out_of_range", 400, 11),
            (ErrorKind::Unimplemented, "unimplemented", 501, 12),
            (ErrorKind::Internal, "internal", 500, 13),
            (ErrorKind::Unavailable, "unavailable", 503, 14),
            (ErrorKind::DataLoss, "data_loss", 500, 15),
            (ErrorKind::Unauthenticated, "unauthenticated", 401, 16),
        ];
        for (kind, code, http, grpc) in rows {
            let status = Status::new(kind, "text");
            assert_eq!(
                (status.code(), status.http_status().as_u16()),
                (code, http),
                "{kind:?}"
            );
            let error = status.into_connect();
            assert_eq!(
                (error.code.as_str(), error.code.grpc_code()),
                (code, grpc),
                "{kind:?}"
            );
            assert_eq!(error.http_status().as_u16(), http, "{kind:?}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("write the log")]
    struct Outer(#[source] std::io::Error);

    impl Classify for Outer {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Unavailable
        }

        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_millis(1500))
        }
    }

    #[test]
    fn the_chain_and_the_advice_travel_with_the_error() {
        let status = Status::from(Outer(std::io::Error::other("disk stalled")));
        assert_eq!(status.message, "write the log: disk stalled");
        assert_eq!(status.retry_after_header().unwrap(), "2");
        let error = status.into_connect();
        assert_eq!(error.response_headers().get(RETRY_AFTER).unwrap(), "2");
    }

    #[test]
    fn internal_failures_are_not_shown() {
        let shown = Status::new(ErrorKind::Internal, "secret path").concealed();
        assert!(!shown.message.contains("secret"), "{}", shown.message);
        let kept = Status::new(ErrorKind::DataLoss, "block X is damaged").concealed();
        assert_eq!(kept.message, "block X is damaged");
    }
}
