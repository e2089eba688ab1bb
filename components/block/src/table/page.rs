//! A page of a column: header, checksum, decompression, levels.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::encoding::hybrid;
use super::footer::{Codec, Column};
use super::thrift::{Compact, Kind};

/// A page that is longer when decompressed was not written by anybody: pages have about a megabyte, dictionaries a few.
const MAX_PAGE: usize = 1 << 28;
/// Values that a page may have however short it is.
const MAX_VALUES: usize = 1 << 22;

/// What is wrong with a page.
pub(super) type Problem = &'static str;

const ENDS: Problem = "a page ends early";

/// What kind of page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageKind {
    Data,
    DataV2,
    Dictionary,
    /// To be skipped.
    Other,
}

/// Header of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: PageKind,
    /// Bytes of the header itself.
    pub(super) length: usize,
    /// Bytes of the page behind the header.
    pub(super) compressed: usize,
    uncompressed: usize,
    crc: Option<u32>,
    values: usize,
    encoding: i64,
    /// Encodings of levels, of the first version of data pages.
    level_encodings: [i64; 2],
    /// Bytes of repetition and definition levels, of the second version.
    level_bytes: [usize; 2],
    is_compressed: bool,
}

impl Header {
    /// Reads the header at the start of `bytes`.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut header = Self {
            kind: PageKind::Other,
            length: 0,
            compressed: 0,
            uncompressed: 0,
            crc: None,
            values: 0,
            encoding: -1,
            level_encodings: [RLE; 2],
            level_bytes: [0; 2],
            is_compressed: true,
        };
        let mut specific = None;
        let mut fields = Compact::new(bytes);
        fields.structure(|fields, number, kind| {
            match (number, kind) {
                (1, Kind::Integer) => {
                    header.kind = match fields.integer()? {
                        0 => PageKind::Data,
                        2 => PageKind::Dictionary,
                        3 => PageKind::DataV2,
                        _ => PageKind::Other,
                    }
                }
                (2, Kind::Integer) => header.uncompressed = size(fields)?,
                (3, Kind::Integer) => header.compressed = size(fields)?,
                (4, Kind::Integer) => header.crc = Some(fields.integer()? as u32),
                (5, Kind::Structure) => specific = Some(header.data(fields)?),
                (7, Kind::Structure) => specific = Some(header.dictionary(fields)?),
                (8, Kind::Structure) => specific = Some(header.data_v2(fields)?),
                _ => return Some(false),
            }
            Some(true)
        })?;
        header.length = fields.position();
        (header.kind == PageKind::Other || specific == Some(header.kind)).then_some(header)
    }

    fn data(&mut self, fields: &mut Compact<'_>) -> Option<PageKind> {
        fields.structure(|fields, number, kind| {
            match (number, kind) {
                (1, Kind::Integer) => self.values = size(fields)?,
                (2, Kind::Integer) => self.encoding = fields.integer()?,
                (3, Kind::Integer) => self.level_encodings[1] = fields.integer()?,
                (4, Kind::Integer) => self.level_encodings[0] = fields.integer()?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        Some(PageKind::Data)
    }

    fn data_v2(&mut self, fields: &mut Compact<'_>) -> Option<PageKind> {
        fields.structure(|fields, number, kind| {
            match (number, kind) {
                (1, Kind::Integer) => self.values = size(fields)?,
                (4, Kind::Integer) => self.encoding = fields.integer()?,
                (5, Kind::Integer) => self.level_bytes[1] = size(fields)?,
                (6, Kind::Integer) => self.level_bytes[0] = size(fields)?,
                (7, Kind::True) => self.is_compressed = true,
                (7, Kind::False) => self.is_compressed = false,
                _ => return Some(false),
            }
            Some(true)
        })?;
        Some(PageKind::DataV2)
    }

    fn dictionary(&mut self, fields: &mut Compact<'_>) -> Option<PageKind> {
        fields.structure(|fields, number, kind| {
            match (number, kind) {
                (1, Kind::Integer) => self.values = size(fields)?,
                (2, Kind::Integer) => self.encoding = fields.integer()?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        Some(PageKind::Dictionary)
    }
}

/// Encoding of levels.
const RLE: i64 = 3;

fn size(fields: &mut Compact<'_>) -> Option<usize> {
    usize::try_from(fields.integer()?).ok()
}

/// A page, decompressed.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) encoding: i64,
    /// Values, those that are not there included.
    pub(super) count: usize,
    /// By value; empty if all are 0.
    pub(super) repetition: Vec<u8>,
    /// By value; empty if all are the maximum.
    pub(super) definition: Vec<u8>,
    /// The values that are there.
    pub(super) values: &'a [u8],
}

/// Decompresses pages; keeps its memory.
#[derive(Default)]
pub(super) struct Decompressor {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

impl Decompressor {
    /// The page of a header; `body` are the bytes behind the header.
    pub(super) fn page<'a>(
        &'a mut self,
        header: &Header,
        body: &'a [u8],
        codec: Codec,
        column: &Column,
    ) -> Result<Page<'a>, Problem> {
        if header.crc.is_some_and(|crc| crc != crc32(body)) {
            return Err("the checksum of a page is wrong");
        }
        let [repetition, definition] = header.level_bytes;
        let levels = repetition.checked_add(definition).ok_or(ENDS)?;
        let (levels, rest) = body.split_at_checked(levels).ok_or(ENDS)?;
        let rest = match codec {
            Codec::Zstd if header.is_compressed => {
                let size = header.uncompressed.checked_sub(levels.len()).ok_or(ENDS)?;
                self.zstd(rest, size)?
            }
            Codec::Zstd | Codec::None => rest,
            Codec::Other(_) => return Err("pages are compressed in an unknown way"),
        };
        let bytes = levels.len().saturating_add(rest.len());
        if header.values > bytes.saturating_mul(64).saturating_add(MAX_VALUES) {
            return Err("a page claims more values than it can have");
        }
        let mut page = Page {
            encoding: header.encoding,
            count: header.values,
            repetition: Vec::new(),
            definition: Vec::new(),
            values: rest,
        };
        match header.kind {
            PageKind::DataV2 => {
                let (repetition, definition) = levels.split_at_checked(repetition).ok_or(ENDS)?;
                page.repetition = unpack(repetition, column.max_repetition, page.count)?;
                page.definition = unpack(definition, column.max_definition, page.count)?;
            }
            PageKind::Data => {
                let [repetition, definition] = header.level_encodings;
                page.repetition = page.prefixed(column.max_repetition, repetition)?;
                page.definition = page.prefixed(column.max_definition, definition)?;
            }
            PageKind::Dictionary | PageKind::Other => {}
        }
        Ok(page)
    }

    /// Decompresses exactly `size` bytes.
    fn zstd(&mut self, compressed: &[u8], size: usize) -> Result<&[u8], Problem> {
        const DAMAGED: Problem = "a page cannot be decompressed";
        if size > MAX_PAGE {
            return Err("a page is too long");
        }
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Decompressor::new().ok();
        }
        let zstd = self.zstd.as_mut().ok_or("no memory to decompress")?;
        self.buffer.clear();
        self.buffer.reserve(size);
        if size > 0 {
            let length = zstd.decompress_to_buffer(compressed, &mut self.buffer);
            length.map_err(|_| DAMAGED)?;
        }
        (self.buffer.len() == size)
            .then_some(&*self.buffer)
            .ok_or(DAMAGED)
    }
}

impl Page<'_> {
    /// Levels with their length before them, at the start of the values.
    fn prefixed(&mut self, max: u8, encoding: i64) -> Result<Vec<u8>, Problem> {
        if max == 0 {
            return Ok(Vec::new());
        }
        if encoding != RLE {
            return Err("levels are encoded in an unknown way");
        }
        let (length, rest) = self.values.split_first_chunk().ok_or(ENDS)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (levels, rest) = rest.split_at_checked(length).ok_or(ENDS)?;
        self.values = rest;
        unpack(levels, max, self.count)
    }

    /// How many values are there.
    pub(super) fn present(&self, max_definition: u8) -> usize {
        if self.definition.is_empty() {
            return self.count;
        }
        let present = |level: &&u8| **level == max_definition;
        self.definition.iter().filter(present).count()
    }
}

/// Levels; empty if they all must be 0.
fn unpack(bytes: &[u8], max: u8, count: usize) -> Result<Vec<u8>, Problem> {
    if max == 0 {
        return Ok(Vec::new());
    }
    let width = 8_u32.saturating_sub(max.leading_zeros());
    let mut levels = Vec::with_capacity(count);
    hybrid(bytes, width, count, |level| levels.push(level as u8)).ok_or(ENDS)?;
    if levels.iter().any(|&level| level > max) {
        return Err("a page has impossible levels");
    }
    Ok(levels)
}

/// CRC-32 as in gzip, of the bytes of pages.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
}
