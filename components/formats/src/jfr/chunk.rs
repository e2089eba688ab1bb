//! The chunks that a recording consists of.

use super::cursor::Cursor;
use crate::error::Error;
use crate::stacks::Timing;

/// How a recording begins.
pub const MAGIC: &[u8; 4] = b"FLR\0";

/// Bytes of a header.
const HEADER: usize = 68;

/// A chunk: a recording of its own, with its own types and constants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'a> {
    bytes: &'a [u8],
    /// Offset in the recording.
    base: usize,
    compact: bool,
    pools: usize,
    metadata: usize,
    timing: Timing,
}

/// The chunks of a recording, one after the other.
pub(super) fn chunks(recording: &[u8]) -> impl Iterator<Item = Result<Chunk<'_>, Error>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = recording.get(at..).filter(|rest| !rest.is_empty())?;
        let chunk = Chunk::read(rest, at);
        at = match &chunk {
            Ok(chunk) => at.saturating_add(chunk.bytes.len()),
            Err(_) => recording.len(),
        };
        Some(chunk)
    })
}

impl<'a> Chunk<'a> {
    fn read(rest: &'a [u8], base: usize) -> Result<Self, Error> {
        let mut header = Cursor::new(rest, base, false);
        let magic = header.take(MAGIC.len(), "a chunk")?;
        if magic != MAGIC {
            return Err(Error::bytes(
                base,
                format_args!(
                    "a chunk begins with \"FLR\\0\", not with \"{}\"",
                    magic.escape_ascii()
                ),
            ));
        }
        let major = header.take(2, "the version")?;
        header.skip(2, "the version")?;
        if !matches!(major, [0, 1 | 2]) {
            return Err(Error::bytes(
                base.saturating_add(MAGIC.len()),
                "the version of the chunk is neither 1 nor 2: recordings of Java 8 by Oracle cannot be read",
            ));
        }
        let size_at = header;
        let size = header.long()?;
        let offsets = [header.long()?, header.long()?];
        let timing = Timing {
            time_ns: header.long()?.cast_signed(),
            duration_ns: header.long()?.cast_signed(),
        };
        // Start in ticks, ticks per second: nobody needs them.
        header.skip(2 * 8, "times")?;
        let features = header.int()?;
        let bytes = usize::try_from(size)
            .ok()
            .filter(|size| *size >= HEADER)
            .and_then(|size| rest.get(..size));
        let Some(bytes) = bytes else {
            let left = rest.len();
            return Err(size_at.error(match size {
                0 => "the chunk was never finished: its size is 0".to_owned(),
                size => format!("the chunk has {size} bytes, of which {left} are there"),
            }));
        };
        let inside = |offset: u64, what: &str| {
            usize::try_from(offset)
                .ok()
                .filter(|offset| (HEADER..bytes.len()).contains(offset))
                .ok_or_else(|| {
                    size_at.error(format_args!("{what} at {offset} are outside of the chunk"))
                })
        };
        let [pools, metadata] = offsets;
        Ok(Self {
            bytes,
            base,
            compact: features & 1 == 1,
            pools: inside(pools, "the constants")?,
            metadata: inside(metadata, "the types")?,
            timing,
        })
    }

    /// When it was recorded.
    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    /// Offset of the event with the types.
    pub(super) fn metadata(&self) -> usize {
        self.metadata
    }

    /// Offset of the last event with constants.
    pub(super) fn pools(&self) -> usize {
        self.pools
    }

    /// The event at an offset.
    pub(super) fn event(&self, offset: usize) -> Result<Event<'a>, Error> {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let base = self.base.saturating_add(offset);
        let mut body = Cursor::new(rest, base, self.compact);
        let claimed = body.int()?;
        let bytes = usize::try_from(claimed)
            .ok()
            .and_then(|size| rest.get(..size));
        let header = body.position().saturating_sub(base);
        let Some(bytes) = bytes.filter(|bytes| bytes.len() > header) else {
            let left = rest.len();
            return Err(Error::bytes(
                base,
                format_args!("an event has {claimed} bytes, of which {left} are there"),
            ));
        };
        let mut body = Cursor::new(bytes, base, self.compact);
        body.int()?;
        let kind = body.long()?;
        Ok(Event {
            kind,
            body,
            offset,
            size: bytes.len(),
        })
    }

    /// All events, in the order of the file.
    pub(super) fn events(&self) -> impl Iterator<Item = Result<Event<'a>, Error>> {
        let mut at = HEADER;
        std::iter::from_fn(move || {
            if at >= self.bytes.len() {
                return None;
            }
            let event = self.event(at);
            at = match &event {
                Ok(event) => at.saturating_add(event.size),
                Err(_) => self.bytes.len(),
            };
            Some(event)
        })
    }
}

/// An event: what it is, and its fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    /// Id of its type; 0 for types, 1 for constants.
    pub(super) kind: u64,
    /// Its fields.
    pub(super) body: Cursor<'a>,
    /// Where it begins in the chunk.
    pub(super) offset: usize,
    /// Bytes, with its own size.
    pub(super) size: usize,
}
