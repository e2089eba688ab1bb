//! gzip for answers, at the fastest level and off the async threads.
//!
//! Covers plain routes and unary Connect calls, which compress alike. What gRPC sends
//! is compressed inside its frames by `connectrpc`.

use std::io::Write;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Body as _;

use crate::offload::Offload;

/// Smaller answers cost more than they save.
const MIN_BYTES: u64 = 1024;

/// Compresses the answer if the client takes gzip and it is worth it.
pub(crate) async fn layer(
    State(offload): State<Offload>,
    request: Request,
    next: Next,
) -> Response {
    let accepted = accepts_gzip(request.headers());
    let response = next.run(request).await;
    if accepted && is_worth_it(&response) {
        compress(&offload, response).await
    } else {
        response
    }
}

/// Whether `Accept-Encoding` names gzip (or everything) and does not give it the weight 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|part| {
            let (coding, parameters) = part.split_once(';').unwrap_or((part, ""));
            let coding = coding.trim();
            let weight = parameters
                .trim()
                .strip_prefix("q=")
                .and_then(|q| q.trim().parse::<f32>().ok())
                .unwrap_or(1.0);
            (coding.eq_ignore_ascii_case("gzip") || coding == "*") && weight > 0.0
        })
}

fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    let compressible = kind.starts_with("text/")
        || matches!(
            kind,
            "application/json"
                | "application/proto"
                | "application/openmetrics-text"
                | "application/yaml"
        );
    let size = response.body().size_hint().exact();
    compressible
        && size.is_some_and(|size| size >= MIN_BYTES)
        && !headers.contains_key(CONTENT_ENCODING)
}

async fn compress(offload: &Offload, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let plain = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => {
            return Response::from_parts(
                parts,
                Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(error)])),
            );
        }
    };
    let input = plain.clone();
    // No room on the pool: the answer goes out as it is.
    let Ok(Some(packed)) = offload.run(move || gzip(&input)).await else {
        return Response::from_parts(parts, Body::from(plain));
    };
    parts
        .headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts
        .headers
        .append(VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(packed))
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_accept_encoding_means() {
        let check = |header: &'static str, expected: bool| {
            let headers =
                HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(header))]);
            assert_eq!(accepts_gzip(&headers), expected, "{header}");
        };
        check("gzip", true);
        check("br, GZIP;q=0.5", true);
        check("*", true);
        check("gzip;q=0", false);
        check("identity", false);
        check("", false);
    }
}
