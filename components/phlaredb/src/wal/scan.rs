//! Reads a segment of any content: every intact frame in order, and where the damage lies.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::{self, Read};

use super::frame::{self, FRAME_HEADER, FRAME_MAGIC, Header, SEGMENT_HEADER};
use super::{Record, SegmentId};

/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// What a segment consists of, besides its intact frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Intact frames.
    pub(super) records: u64,
    /// Bytes of their payloads.
    pub(super) bytes: u64,
    /// Damaged ranges with intact frames behind them.
    pub(super) damage: Vec<Range>,
    /// A damaged range up to the end of the file.
    pub(super) tail: Option<Range>,
    /// The version, if it is not ours. Nothing was read then.
    pub(super) foreign: Option<u32>,
    /// The segment that the header names, if that is another one.
    pub(super) renamed_from: Option<SegmentId>,
}

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Reads a segment from its first byte on. Memory: one frame, and never more than there is to read.
pub(super) fn scan(
    reader: impl Read,
    segment: SegmentId,
    replay: &mut dyn FnMut(Record<'_>),
) -> io::Result<Scan> {
    let mut window = Window::new(reader);
    let mut found = Scan::default();
    let mut sealed_as = segment;
    match frame::parse_segment_header(window.at_least(SEGMENT_HEADER)?) {
        Header::Segment(id) => {
            found.renamed_from = (id != segment).then_some(id);
            sealed_as = id;
            window.skip(SEGMENT_HEADER);
        }
        Header::Foreign(version) => {
            found.foreign = Some(version);
            return Ok(found);
        }
        Header::Damaged => {}
    }
    let mut damaged_from = None;
    loop {
        let offset = window.offset;
        let bytes = window.at_least(FRAME_HEADER)?;
        if bytes.is_empty() {
            break;
        }
        let Some(header) = frame::parse(bytes, sealed_as, offset) else {
            damaged_from.get_or_insert(offset);
            window.seek_frame()?;
            continue;
        };
        let whole = FRAME_HEADER.saturating_add(header.length);
        let payload = window.at_least(whole)?.get(FRAME_HEADER..whole);
        match payload.filter(|payload| frame::checksum(payload) == header.checksum) {
            Some(payload) => {
                found.close_damage(damaged_from.take(), offset);
                found.records = found.records.saturating_add(1);
                found.bytes = found.bytes.saturating_add(header.length as u64);
                replay(Record {
                    payload,
                    offset,
                    after_damage: !found.damage.is_empty(),
                });
            }
            None => {
                damaged_from.get_or_insert(offset);
            }
        }
        window.skip(whole);
    }
    found.tail = damaged_from.map(|from| Range {
        offset: from,
        bytes: window.offset.saturating_sub(from),
    });
    Ok(found)
}

impl Scan {
    fn close_damage(&mut self, from: Option<u64>, to: u64) {
        if let Some(offset) = from {
            self.damage.push(Range {
                offset,
                bytes: to.saturating_sub(offset),
            });
        }
    }
}

/// A file seen through a buffer that only moves forward.
struct Window<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that lie behind.
    passed: usize,
    /// Where in the file the window begins.
    offset: u64,
    ended: bool,
}

impl<R: Read> Window<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            passed: 0,
            offset: 0,
            ended: false,
        }
    }

    /// What lies ahead: `wanted` bytes or more, fewer only at the end of the file.
    fn at_least(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.ahead().len() < wanted && !self.ended {
            self.buffer.drain(..self.passed);
            self.passed = 0;
            let got = self
                .reader
                .by_ref()
                .take(CHUNK as u64)
                .read_to_end(&mut self.buffer)?;
            self.ended = got == 0;
        }
        Ok(self.ahead())
    }

    fn ahead(&self) -> &[u8] {
        self.buffer.get(self.passed..).unwrap_or_default()
    }

    /// Moves forward, at most to the end of what [`Window::at_least`] gave.
    fn skip(&mut self, bytes: usize) {
        let bytes = bytes.min(self.ahead().len());
        self.passed = self.passed.saturating_add(bytes);
        self.offset = self.offset.saturating_add(bytes as u64);
    }

    /// Moves at least one byte forward, to the next thing that begins like a frame, or to the end.
    fn seek_frame(&mut self) -> io::Result<()> {
        self.skip(1);
        loop {
            let ahead = self.at_least(FRAME_MAGIC.len())?;
            let (length, found) = (
                ahead.len(),
                ahead
                    .windows(FRAME_MAGIC.len())
                    .position(|bytes| bytes == FRAME_MAGIC),
            );
            if let Some(at) = found {
                self.skip(at);
                return Ok(());
            }
            if length < FRAME_MAGIC.len() {
                self.skip(length);
                return Ok(());
            }
            // The last bytes may be the beginning of one.
            self.skip(length.saturating_sub(FRAME_MAGIC.len()).saturating_add(1));
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests;
