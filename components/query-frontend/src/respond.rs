//! Answers of the plain HTTP routes.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use phlare_model::ErrorKind;
use phlare_server::Status;

/// JSON, as far as it could be encoded.
pub(crate) fn json(encoded: Result<Vec<u8>, serde_json::Error>) -> Result<Response, Status> {
    let bytes = encoded
        .map_err(|error| Status::new(ErrorKind::Internal, format!("encode the answer: {error}")))?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes).into_response())
}

pub(crate) fn text(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// An encoded pprof: a file to be saved, or to be opened with `go tool pprof URL`.
pub(crate) fn pprof(bytes: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CONTENT_DISPOSITION, "attachment; filename=\"profile.pb\""),
    ];
    (headers, bytes).into_response()
}
