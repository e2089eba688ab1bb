//! Stack traces and values as we write them: zstd, BYTE_STREAM_SPLIT. Decoded here and not by the `parquet` crate, which
//! takes three times as long: it joins streams byte by byte, though most streams are zeros, and it spells levels out,
//! though all that is wanted is where rows end.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use zstd::bulk::Decompressor;

use super::fetch::Fetched;
use super::footer::Chunk;
use super::page_header::{Kind, PageHeader};
use super::source::Source;
use crate::error::Error;

/// Decodes a column of samples of a row group, forwards.
pub(crate) struct SplitCursor<'a> {
    source: &'a Source,
    chunk: &'a Chunk,
    group_rows: u32,
    fetched: Arc<Fetched>,
    zstd: Decompressor<'static>,
    page: Page,
    /// The page's number, and its rows; none at first.
    at: Option<(usize, Range<u32>)>,
}

/// A page that was decompressed.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    /// Where the streams are in `bytes`.
    streams: Range<usize>,
    /// By row, the value behind its last.
    ends: Vec<u32>,
    /// Where levels are 0: scratch.
    starts: Vec<u32>,
    empty: Vec<u32>,
}

type Read<T> = Result<T, &'static str>;

impl<'a> SplitCursor<'a> {
    /// `None` if the column is encoded otherwise, or there is no memory for zstd.
    pub(crate) fn new(
        source: &'a Source,
        group_rows: u32,
        chunk: &'a Chunk,
        fetched: &Arc<Fetched>,
    ) -> Option<Self> {
        let is_known = |encoding| matches!(encoding, Encoding::RLE | Encoding::BYTE_STREAM_SPLIT);
        let codec = chunk.meta.compression();
        let is_compressed = matches!(codec, Compression::ZSTD(_));
        if !is_compressed || !chunk.meta.encodings().all(is_known) || chunk.dictionary.is_some() {
            return None;
        }
        Some(Self {
            source,
            chunk,
            group_rows,
            fetched: Arc::clone(fetched),
            zstd: Decompressor::new().ok()?,
            page: Page::default(),
            at: None,
        })
    }

    /// Appends the values of rows that lie behind those decoded before; `ends` gets the number of values up to the end
    /// of each row.
    pub(crate) fn read(
        &mut self,
        rows: Range<u32>,
        ends: &mut Vec<usize>,
        values: &mut Vec<u64>,
    ) -> Result<(), Error> {
        let mut next = rows.start;
        while next < rows.end {
            if self
                .at
                .as_ref()
                .is_none_or(|(_, page)| !page.contains(&next))
            {
                self.load(next)?;
            }
            let Some((number, page)) = &self.at else {
                break;
            };
            let end = rows.end.min(page.end);
            let first = next.saturating_sub(page.start) as usize;
            let last = end.saturating_sub(page.start) as usize;
            if !self.page.append(first..last, ends, values) {
                return Err(self.corrupt(*number, "it has fewer values than its levels say"));
            }
            next = end;
        }
        Ok(())
    }

    /// Damage in the page of a row.
    pub(crate) fn corrupt_at(&self, row: u32, problem: &str) -> Error {
        self.corrupt(self.chunk.page_of(row), problem)
    }

    fn corrupt(&self, page: usize, problem: &str) -> Error {
        let path = self.chunk.leaf.path();
        let offset = self.chunk.page_span(page).start;
        self.source
            .corrupt(offset, format!("page of column {path}: {problem}"))
    }

    fn load(&mut self, row: u32) -> Result<(), Error> {
        let number = self.chunk.page_of(row);
        let rows = self.chunk.page_rows(number, self.group_rows);
        self.at = None;
        let start = self.chunk.page_span(number).start;
        let loaded = match self.fetched.page(start) {
            Ok(bytes) => self.page.load(&mut self.zstd, bytes, rows.len()),
            Err(_) => Err("it was not read"),
        };
        loaded.map_err(|problem| self.corrupt(number, problem))?;
        self.at = Some((number, rows));
        Ok(())
    }
}

impl Page {
    fn load(&mut self, zstd: &mut Decompressor<'_>, bytes: &[u8], rows: usize) -> Read<()> {
        let (header, length) = PageHeader::read(bytes)?;
        let body = bytes.get(length..).unwrap_or_default();
        // Fetching has made sure that it is not out of proportion.
        let size = usize::try_from(header.uncompressed).map_err(|_| "its size is negative")?;
        let values = usize::try_from(header.values).map_err(|_| "its size is negative")?;
        let (repetition, definition, streams) = match header.kind {
            Kind::V1 { .. } => {
                decompress(zstd, body, size, &mut self.bytes)?;
                let (repetition, rest) = sized(&self.bytes)?;
                let (definition, rest) = sized(rest)?;
                let streams = self.bytes.len().saturating_sub(rest.len());
                (repetition, definition, streams)
            }
            Kind::V2 {
                level_bytes: [definition, repetition],
                is_compressed,
                ..
            } => {
                let repetition = usize::try_from(repetition).unwrap_or(usize::MAX);
                let definition = usize::try_from(definition).unwrap_or(usize::MAX);
                let levels = repetition.saturating_add(definition);
                let (Some(stored), Some(size)) = (body.get(levels..), size.checked_sub(levels))
                else {
                    return Err("its levels are longer than it is");
                };
                match is_compressed {
                    true => decompress(zstd, stored, size, &mut self.bytes)?,
                    false => self.bytes.clone_from(&stored.to_vec()),
                }
                let repetition_bytes = body.get(..repetition).unwrap_or_default();
                let definition_bytes = body.get(repetition..levels).unwrap_or_default();
                (repetition_bytes, definition_bytes, 0)
            }
            Kind::Dictionary { .. } => return Err("it is a dictionary"),
        };
        zeros(repetition, values, &mut self.starts)?;
        zeros(definition, values, &mut self.empty)?;
        self.streams = streams..self.bytes.len();
        self.find_rows(values, rows)
    }

    /// Finds out where rows end, from where they start and which have no value.
    fn find_rows(&mut self, levels: usize, rows: usize) -> Read<()> {
        if self.starts.len() != rows || self.starts.first().is_some_and(|&first| first != 0) {
            return Err("its rows are not those of the offset index");
        }
        let values = levels.saturating_sub(self.empty.len());
        if self.streams.len() != values.saturating_mul(8) {
            return Err("it has another number of values than its levels say");
        }
        self.ends.clear();
        let ends = self.starts.iter().skip(1).copied();
        let ends = ends.chain(std::iter::once(levels as u32)).take(rows);
        if self.empty.is_empty() {
            self.ends.extend(ends);
        } else {
            let mut empty = self.empty.iter().peekable();
            let mut before = 0u32;
            self.ends.extend(ends.map(|end| {
                while empty.next_if(|&&place| place < end).is_some() {
                    before = before.saturating_add(1);
                }
                end.saturating_sub(before)
            }));
        }
        Ok(())
    }

    /// Appends the values of rows of the page; `false` if there are not so many.
    fn append(&self, rows: Range<usize>, ends: &mut Vec<usize>, values: &mut Vec<u64>) -> bool {
        let before = rows.start.checked_sub(1);
        let start = before
            .and_then(|row| self.ends.get(row))
            .map_or(0, |&end| end as usize);
        let Some(own) = self.ends.get(rows) else {
            return false;
        };
        let end = own.last().map_or(start, |&end| end as usize);
        let base = values.len();
        let end_of = |&end: &u32| (end as usize).saturating_sub(start).saturating_add(base);
        ends.extend(own.iter().map(end_of));
        let streams = self.bytes.get(self.streams.clone()).unwrap_or_default();
        join(streams, start..end, values)
    }
}

fn decompress(
    zstd: &mut Decompressor<'_>,
    stored: &[u8],
    size: usize,
    out: &mut Vec<u8>,
) -> Read<()> {
    out.clear();
    out.reserve(size);
    let length = match stored.is_empty() && size == 0 {
        true => 0,
        false => zstd
            .decompress_to_buffer(stored, out)
            .map_err(|_| "zstd cannot decompress it")?,
    };
    match length == size {
        true => Ok(()),
        false => Err("its uncompressed size is another"),
    }
}

/// Bytes behind their length, and the rest.
fn sized(bytes: &[u8]) -> Read<(&[u8], &[u8])> {
    let split = bytes.split_first_chunk::<4>().and_then(|(length, rest)| {
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        rest.split_at_checked(length)
    });
    split.ok_or("its levels are longer than it is")
}

/// Where levels of one bit, of which there are `count`, are 0. Runs and bit-packed groups: Parquet's RLE.
fn zeros(mut bytes: &[u8], count: usize, places: &mut Vec<u32>) -> Read<()> {
    const SHORT: &str = "its levels end too early";
    places.clear();
    let mut at = 0usize;
    while at < count {
        let mut head = 0usize;
        let mut shift = 0u32;
        loop {
            let (&byte, rest) = bytes.split_first().ok_or(SHORT)?;
            bytes = rest;
            head |= usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(7);
            if byte < 0x80 {
                break;
            }
        }
        let left = count.saturating_sub(at);
        if head & 1 == 0 {
            let (&level, rest) = bytes.split_first().ok_or(SHORT)?;
            bytes = rest;
            let run = (head >> 1).min(left);
            if run == 0 {
                return Err("its levels have an empty run");
            }
            let end = at.saturating_add(run);
            if level == 0 {
                places.extend(at as u32..end as u32);
            }
            at = end;
            continue;
        }
        let (packed, rest) = bytes.split_at_checked(head >> 1).ok_or(SHORT)?;
        bytes = rest;
        for &byte in packed {
            let mut zeros = !byte;
            while zeros != 0 {
                let place = at.saturating_add(zeros.trailing_zeros() as usize);
                if place < count {
                    places.push(place as u32);
                }
                zeros &= zeros.wrapping_sub(1);
            }
            at = at.saturating_add(8);
        }
        if packed.is_empty() {
            return Err("its levels have an empty run");
        }
    }
    Ok(())
}

/// Values that are joined at once: few enough for the first cache.
const BLOCK: usize = 1024;

/// Appends values out of eight streams of their bytes; `false` if there are not so many.
fn join(streams: &[u8], values: Range<usize>, out: &mut Vec<u64>) -> bool {
    let stride = streams.len() / 8;
    if values.end > stride || values.start > values.end {
        return false;
    }
    let base = out.len();
    out.resize(base.saturating_add(values.len()), 0);
    let mut start = values.start;
    for block in out.get_mut(base..).unwrap_or_default().chunks_mut(BLOCK) {
        let end = start.saturating_add(block.len());
        for (shift, stream) in (0u32..).step_by(8).zip(streams.chunks_exact(stride.max(1))) {
            let bytes = stream.get(start..end).unwrap_or_default();
            // Most values are small: most streams hold nothing but zeros.
            if bytes.iter().fold(0, |all, &byte| all | byte) == 0 {
                continue;
            }
            for (value, &byte) in block.iter_mut().zip(bytes) {
                *value |= u64::from(byte) << (shift & 63);
            }
        }
        start = end;
    }
    true
}

#[cfg(test)]
mod tests;
