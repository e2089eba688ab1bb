//! What plain routes share: errors, what is not found, compression.

pub(crate) mod compress;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use phlare_model::ErrorKind;
use serde::Serialize;

use crate::status::Status;

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
}

/// The answer of a plain route that failed: `{"code", "message"}` as in Connect.
///
/// An internal failure is logged here and answered with its trace id.
#[must_use]
pub fn http_error(status: impl Into<Status>) -> Response {
    let status = shown(status.into());
    let body = ErrorBody {
        code: status.code(),
        message: &status.message,
    };
    let body = serde_json::to_vec(&body).expect("two strings are JSON");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let response = (status.http_status(), headers, body).into_response();
    explained(response, status)
}

/// As [`http_error`], for routes of which clients expect the bare text.
#[must_use]
pub fn text_error(status: impl Into<Status>) -> Response {
    let status = shown(status.into());
    let response = text(status.http_status(), status.message.clone() + "\n");
    explained(response, status)
}

/// What a client gets to see.
fn shown(status: Status) -> Status {
    if status.kind == ErrorKind::Canceled {
        Status {
            message: "the client closed the request".into(),
            ..status
        }
    } else {
        status.concealed()
    }
}

fn explained(mut response: Response, status: Status) -> Response {
    if let Some(after) = status.retry_after_header() {
        response.headers_mut().insert(RETRY_AFTER, after);
    }
    response.extensions_mut().insert(Reason(status.message));
    response
}

/// Why a request failed, for the access log.
#[derive(Clone, Debug)]
pub(crate) struct Reason(pub(crate) String);

/// So that a handler of a plain route can return `Result<_, Status>`.
impl IntoResponse for Status {
    fn into_response(self) -> Response {
        http_error(self)
    }
}

/// A text, never to be taken for anything else by a browser.
pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Response {
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, body.into()).into_response()
}

/// No such route.
pub(crate) fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    async fn answer(status: Status) -> (StatusCode, String, Response) {
        let (parts, body) = http_error(status).into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let status = parts.status;
        (
            status,
            String::from_utf8(body.to_vec()).unwrap(),
            Response::from_parts(parts, axum::body::Body::empty()),
        )
    }

    #[tokio::test]
    async fn errors_are_json_that_no_browser_guesses_at() {
        let status = Status::new(ErrorKind::ResourceExhausted, "too \"fast\"")
            .with_retry_after(Duration::from_secs(3));
        let (code, body, response) = answer(status).await;
        assert_eq!(code.as_u16(), 429);
        assert_eq!(
            body,
            r#"{"code":"resource_exhausted","message":"too \"fast\""}"#
        );
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[RETRY_AFTER], "3");
    }

    #[tokio::test]
    async fn errors_may_be_bare_text() {
        let status = Status::new(ErrorKind::ResourceExhausted, "too fast")
            .with_retry_after(Duration::from_secs(3));
        let (parts, body) = text_error(status).into_parts();
        assert_eq!(parts.status.as_u16(), 429);
        assert_eq!(parts.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(parts.headers[RETRY_AFTER], "3");
        assert_eq!(body.collect().await.unwrap().to_bytes(), "too fast\n");
        let (_, body) = text_error(Status::new(ErrorKind::Internal, "secret")).into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(!body.windows(6).any(|word| word == b"secret"), "{body:?}");
    }

    #[tokio::test]
    async fn internal_errors_keep_their_text_to_the_log() {
        let (code, body, _) = answer(Status::new(ErrorKind::Internal, "secret")).await;
        assert_eq!(code.as_u16(), 500);
        assert!(
            body.contains("trace id") && !body.contains("secret"),
            "{body}"
        );
    }

    #[tokio::test]
    async fn a_client_that_left_gets_499() {
        let (code, body, _) = answer(Status::new(ErrorKind::Canceled, "detail")).await;
        assert_eq!(code.as_u16(), 499);
        assert!(!body.contains("detail"), "{body}");
    }
}
