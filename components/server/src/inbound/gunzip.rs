//! Decompression that stops at the limit instead of finding out afterwards.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::BodyLimit;
use crate::budget::Reservation;
use crate::status::Status;

const STEP: usize = 64 << 10;
/// Deflate expands no more than this.
const MAX_RATIO: usize = 1032;

/// Appends the content of a gzip stream (one or more members) to `out`. At most `limit.bytes` are
/// decompressed, and every step is taken from `reservation` before it is made.
pub(super) fn gunzip(
    compressed: &[u8],
    limit: BodyLimit,
    mut out: Vec<u8>,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, Status> {
    let prefix = out.len();
    // A stream ends with the size of its last member: no less comes out. What deflate cannot make of these
    // bytes is not believed; the stream is damaged then, and reading it says so.
    let promised = compressed
        .last_chunk::<4>()
        .map_or(0, |size| u32::from_le_bytes(*size) as usize);
    if promised > limit.bytes && promised <= compressed.len().saturating_mul(MAX_RATIO) {
        return Err(limit.exceeded());
    }
    let mut decoder = MultiGzDecoder::new(compressed);
    loop {
        let filled = out.len();
        // One byte more than allowed tells a body at the limit from one beyond it.
        let room = limit
            .bytes
            .saturating_sub(filled.saturating_sub(prefix))
            .saturating_add(1);
        let step = STEP.max(filled / 2).min(room);
        reservation.grow(step)?;
        out.resize(filled.saturating_add(step), 0);
        let read = fill(&mut decoder, out.get_mut(filled..).unwrap_or_default())?;
        out.truncate(filled.saturating_add(read));
        reservation.shrink(step.saturating_sub(read));
        if out.len().saturating_sub(prefix) > limit.bytes {
            return Err(limit.exceeded());
        }
        if read < step {
            return Ok(out);
        }
    }
}

/// Reads until the buffer is full or the stream ends.
fn fill(decoder: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Status> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match decoder.read(rest) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) => {
                return Err(Status::invalid_argument(format!(
                    "the body is not valid gzip: {error}"
                )));
            }
        }
    }
    Ok(filled)
}
