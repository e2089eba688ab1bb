//! The one frame of a unary gRPC request: flags, length, message.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use http::HeaderMap;

use crate::inbound::{BodyLimit, Inbound, Received};
use crate::status::Status;

/// One byte of flags, four of length.
pub(super) const HEADER_BYTES: usize = 5;

const COMPRESSED: u8 = 1;

/// Undoes the compression inside the frame, within the limits for all bodies.
///
/// Anything odd (another encoding, several frames, a wrong length) stays as it is: it is
/// `connectrpc` that answers it, and it refuses it without unpacking.
pub(super) async fn inflate(
    inbound: &Inbound,
    headers: &HeaderMap,
    received: Received,
    limit: BodyLimit,
) -> Result<Received, Status> {
    let gzip = headers
        .get("grpc-encoding")
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let compressed = match received.bytes.split_first_chunk::<HEADER_BYTES>() {
        Some(([COMPRESSED, length @ ..], message)) => {
            u32::from_be_bytes(*length) as usize == message.len()
        }
        Some(_) | None => false,
    };
    if !gzip || !compressed {
        return Ok(received);
    }
    let inflated = inbound
        .inflate(received, HEADER_BYTES, limit, vec![0; HEADER_BYTES])
        .await?;
    let (bytes, reservation) = inflated.into_parts();
    let mut bytes = Vec::from(bytes);
    let length = u32::try_from(bytes.len().saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX);
    if let Some(header) = bytes.first_chunk_mut::<HEADER_BYTES>() {
        let [a, b, c, d] = length.to_be_bytes();
        *header = [0, a, b, c, d];
    }
    Ok(Received::new(bytes.into(), reservation))
}
