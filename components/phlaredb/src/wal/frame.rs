//! The bytes of a segment: a header, then frames.
//!
//! ```text
//! header   magic (8) | version u32 | segment u64 | CRC of the preceding
//! frame    magic (4) | length u32 | CRC of the payload | CRC of segment, offset, length and payload's CRC | payload
//! ```
//!
//! Little-endian, CRC-32C. The second CRC of a frame binds it to its place: bytes that look like a frame inside a
//! payload, or that an older file left behind, are none. It also makes a length trustworthy before its payload is
//! read, so a search for the next frame after damage costs one pass.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crc_fast::{CrcAlgorithm, Digest};

use super::SegmentId;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 24;
/// Bytes of a frame in front of its payload.
pub(super) const FRAME_HEADER: usize = 16;
/// First bytes of every frame.
pub(super) const FRAME_MAGIC: [u8; 4] = [0xf7, b'P', b'W', 0x9e];
/// The format that is written.
pub(super) const VERSION: u32 = 1;
/// No frame has a larger payload, whatever the options say.
pub(super) const MAX_PAYLOAD: usize = 256 << 20;

const SEGMENT_MAGIC: [u8; 8] = *b"\xf7PhlWal\n";

/// What the header of a segment says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Of this version.
    Segment(SegmentId),
    /// Intact, but of another version.
    Foreign(u32),
    /// Not a header.
    Damaged,
}

/// A frame's header, with its checksum verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    /// Bytes of the payload.
    pub(super) length: usize,
    /// What [`checksum`] must give.
    pub(super) checksum: u32,
}

/// The header of segment `id`.
pub(super) fn segment_header(id: SegmentId) -> Vec<u8> {
    let mut header = Vec::with_capacity(SEGMENT_HEADER);
    header.extend_from_slice(&SEGMENT_MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&id.0.to_le_bytes());
    let checksum = checksum(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    header
}

/// Reads the header of a segment.
pub(super) fn parse_segment_header(bytes: &[u8]) -> Header {
    let parse = || {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let (found, _) = rest.split_first_chunk::<4>()?;
        let covered = bytes.get(..SEGMENT_HEADER.checked_sub(4)?)?;
        let intact = *magic == SEGMENT_MAGIC && u32::from_le_bytes(*found) == checksum(covered);
        intact.then(|| match u32::from_le_bytes(*version) {
            VERSION => Header::Segment(SegmentId(u64::from_le_bytes(*id))),
            other => Header::Foreign(other),
        })
    };
    parse().unwrap_or(Header::Damaged)
}

/// CRC-32C of a payload.
pub(super) fn checksum(payload: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(payload);
    narrow(digest.finalize())
}

/// Appends the frame of `payload`, whose [`checksum`] is known, as it stands at `offset` of `segment`.
pub(super) fn put(
    out: &mut Vec<u8>,
    segment: SegmentId,
    offset: u64,
    payload: &[u8],
    checksum: u32,
) {
    let length = u32::try_from(payload.len()).expect("append refuses payloads above MAX_PAYLOAD");
    out.extend_from_slice(&FRAME_MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&place(segment, offset, length, checksum).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads the header of the frame at `offset` of `segment`; `None` if there is none.
pub(super) fn parse(bytes: &[u8], segment: SegmentId, offset: u64) -> Option<FrameHeader> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let (found, _) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    let checksum = u32::from_le_bytes(*checksum);
    let expected = place(segment, offset, length, checksum);
    if *magic != FRAME_MAGIC || u32::from_le_bytes(*found) != expected {
        return None;
    }
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_PAYLOAD)?;
    Some(FrameHeader { length, checksum })
}

/// CRC-32C that ties a frame to its place.
fn place(segment: SegmentId, offset: u64, length: u32, checksum: u32) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&segment.0.to_le_bytes());
    digest.update(&offset.to_le_bytes());
    digest.update(&length.to_le_bytes());
    digest.update(&checksum.to_le_bytes());
    narrow(digest.finalize())
}

fn narrow(crc: u64) -> u32 {
    u32::try_from(crc).expect("a 32-bit CRC fits")
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_frame_is_valid_only_in_its_place() {
        let mut bytes = Vec::new();
        put(
            &mut bytes,
            SegmentId(7),
            24,
            b"payload",
            checksum(b"payload"),
        );
        assert_eq!(bytes.len(), FRAME_HEADER + 7);
        assert_eq!(
            parse(&bytes, SegmentId(7), 24).map(|header| header.length),
            Some(7)
        );
        assert!(parse(&bytes, SegmentId(7), 25).is_none());
        assert!(parse(&bytes, SegmentId(8), 24).is_none());
    }

    #[test]
    fn a_header_names_its_segment_and_version() {
        let header = segment_header(SegmentId(9));
        assert_eq!(header.len(), SEGMENT_HEADER);
        assert_eq!(parse_segment_header(&header), Header::Segment(SegmentId(9)));
        for at in 0..header.len() {
            let mut damaged = header.clone();
            damaged[at] ^= 1;
            assert_eq!(parse_segment_header(&damaged), Header::Damaged);
        }
    }
}
