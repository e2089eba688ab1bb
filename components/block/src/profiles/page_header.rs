//! Headers of Parquet pages: read before anything is decoded, so that a lie in them costs nothing, and written with a
//! checksum of the page, which the `parquet` crate does not do.
//!
//! Format: parquet.thrift's `PageHeader` in Thrift's compact protocol.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crc_fast::{CrcAlgorithm, checksum};

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Levels and values compressed together.
    V1 {
        /// How definition and repetition levels are encoded.
        level_encodings: [i32; 2],
    },
    /// Levels, then compressed values.
    V2 {
        nulls: i32,
        rows: i32,
        /// Bytes of definition and of repetition levels.
        level_bytes: [i32; 2],
        is_compressed: bool,
    },
    /// The values that pages with [`Kind::V1`] and [`Kind::V2`] point into.
    Dictionary { is_sorted: bool },
}

/// The header in front of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub(crate) kind: Kind,
    /// Bytes behind the header once decompressed.
    pub(crate) uncompressed: i32,
    /// Bytes behind the header.
    pub(crate) compressed: i32,
    /// CRC-32 of the bytes behind the header.
    pub(crate) crc: Option<u32>,
    /// Values, nulls included.
    pub(crate) values: i32,
    /// Encoding of the values, as numbered by the format.
    pub(crate) encoding: i32,
}

/// Checksum of the bytes behind a header.
pub(crate) fn crc(body: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32IsoHdlc, body) as u32
}

const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I32: u8 = 5;
const STRUCT: u8 = 12;

impl PageHeader {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut fields = Writer { out, last: 0 };
        fields.number(
            1,
            match self.kind {
                Kind::V1 { .. } => 0,
                Kind::Dictionary { .. } => 2,
                Kind::V2 { .. } => 3,
            },
        );
        fields.number(2, self.uncompressed);
        fields.number(3, self.compressed);
        if let Some(crc) = self.crc {
            fields.number(4, crc as i32);
        }
        match self.kind {
            Kind::V1 { level_encodings } => {
                let mut inner = fields.begin(5);
                inner.number(1, self.values);
                inner.number(2, self.encoding);
                inner.number(3, level_encodings[0]);
                inner.number(4, level_encodings[1]);
            }
            Kind::Dictionary { is_sorted } => {
                let mut inner = fields.begin(7);
                inner.number(1, self.values);
                inner.number(2, self.encoding);
                inner.flag(3, is_sorted);
            }
            Kind::V2 {
                nulls,
                rows,
                level_bytes,
                is_compressed,
            } => {
                let mut inner = fields.begin(8);
                inner.number(1, self.values);
                inner.number(2, nulls);
                inner.number(3, rows);
                inner.number(4, self.encoding);
                inner.number(5, level_bytes[0]);
                inner.number(6, level_bytes[1]);
                inner.flag(7, is_compressed);
            }
        }
        out.extend_from_slice(&[STOP, STOP]);
    }

    /// The header at the start of `bytes`, and its length; `Err` says what is wrong. Nothing is allocated.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, usize), &'static str> {
        let mut input = Reader { rest: bytes };
        let mut fields = [None; 4];
        let mut page = None;
        let mut last = 0;
        while let Some((field, kind)) = input.field(&mut last)? {
            match (field, kind) {
                (1..=4, I32) => {
                    if let Some(slot) = fields.get_mut(usize::from(field.abs_diff(1))) {
                        *slot = Some(input.number()?);
                    }
                }
                (5 | 7 | 8, STRUCT) => page = Some((field, input.numbers()?)),
                _ => input.skip(kind, DEPTH)?,
            }
        }
        let [page_type, Some(uncompressed), Some(compressed), crc] = fields else {
            return Err("the page header has no sizes");
        };
        let (kind, values, encoding) = match (page_type, page) {
            (Some(0), Some((5, [Some(values), Some(encoding), Some(d), Some(r), ..]))) => {
                let level_encodings = [d, r];
                (Kind::V1 { level_encodings }, values, encoding)
            }
            (Some(2), Some((7, [Some(values), Some(encoding), sorted, ..]))) => {
                let is_sorted = sorted == Some(1);
                (Kind::Dictionary { is_sorted }, values, encoding)
            }
            (Some(3), Some((8, inner))) => {
                let [Some(values), Some(nulls), Some(rows), Some(encoding), ..] = inner else {
                    return Err("the page header lacks fields");
                };
                let [.., Some(definition), Some(repetition), compressed] = inner else {
                    return Err("the page header lacks fields");
                };
                let kind = Kind::V2 {
                    nulls,
                    rows,
                    level_bytes: [definition, repetition],
                    is_compressed: compressed != Some(0),
                };
                (kind, values, encoding)
            }
            _ => return Err("the page header is of no known kind"),
        };
        let header = Self {
            kind,
            uncompressed,
            compressed,
            crc: crc.map(|crc| crc as u32),
            values,
            encoding,
        };
        Ok((header, bytes.len().saturating_sub(input.rest.len())))
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    last: u8,
}

impl Writer<'_> {
    fn head(&mut self, field: u8, kind: u8) {
        let delta = field.wrapping_sub(self.last);
        self.out.push(delta << 4 | kind);
        self.last = field;
    }

    fn number(&mut self, field: u8, value: i32) {
        self.head(field, I32);
        let mut rest = (value << 1 ^ value >> 31) as u32;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    fn flag(&mut self, field: u8, value: bool) {
        self.head(field, if value { TRUE } else { FALSE });
    }

    /// A structure; whoever ends the header ends it, too: it is the last field.
    fn begin(&mut self, field: u8) -> Writer<'_> {
        self.head(field, STRUCT);
        Writer {
            out: self.out,
            last: 0,
        }
    }
}

/// How deep structures may lie in structures; headers have three levels with their statistics.
const DEPTH: u8 = 8;

struct Reader<'a> {
    rest: &'a [u8],
}

type Read<T> = Result<T, &'static str>;

const ENDS: &str = "the page header does not end";

impl Reader<'_> {
    fn byte(&mut self) -> Read<u8> {
        let (&first, rest) = self.rest.split_first().ok_or(ENDS)?;
        self.rest = rest;
        Ok(first)
    }

    fn varint(&mut self) -> Read<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number in the page header is too long")
    }

    fn number(&mut self) -> Read<i32> {
        let value = u32::try_from(self.varint()?);
        let value = value.map_err(|_| "a number in the page header is too large")?;
        Ok((value >> 1) as i32 ^ ((value & 1) as i32).wrapping_neg())
    }

    /// Number and type of the next field; `None` at the end of a structure.
    fn field(&mut self, last: &mut i16) -> Read<Option<(i16, u8)>> {
        let head = self.byte()?;
        if head == STOP {
            return Ok(None);
        }
        *last = match head >> 4 {
            0 => i16::try_from(self.number()?).map_err(|_| "the page header has a wrong field")?,
            delta => last.wrapping_add(i16::from(delta)),
        };
        Ok(Some((*last, head & 0x0f)))
    }

    /// Fields 1 to 7 of a structure that are numbers or flags.
    fn numbers(&mut self) -> Read<[Option<i32>; 7]> {
        let mut numbers = [None; 7];
        let mut last = 0;
        while let Some((field, kind)) = self.field(&mut last)? {
            let slot = usize::try_from(field).ok().and_then(|f| f.checked_sub(1));
            let slot = slot.and_then(|slot| numbers.get_mut(slot));
            match (kind, slot) {
                (I32, Some(slot)) => *slot = Some(self.number()?),
                (TRUE | FALSE, Some(slot)) => *slot = Some(i32::from(kind == TRUE)),
                _ => self.skip(kind, DEPTH)?,
            }
        }
        Ok(numbers)
    }

    fn skip(&mut self, kind: u8, depth: u8) -> Read<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err("the page header is nested too deeply");
        };
        match kind {
            TRUE | FALSE => {}
            3 => _ = self.byte()?,
            4..=6 => _ = self.varint()?,
            7 => self.take(8)?,
            8 => {
                let length = self.varint()?;
                self.take(usize::try_from(length).map_err(|_| ENDS)?)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                // A flag in a list has a byte of its own.
                let kind = match head & 0x0f {
                    TRUE | FALSE => 3,
                    kind => kind,
                };
                for _ in 0..count {
                    self.skip(kind, depth)?;
                }
            }
            STRUCT => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip(kind, depth)?;
                }
            }
            _ => return Err("the page header has a field of no known type"),
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Read<()> {
        self.rest = self.rest.get(length..).ok_or(ENDS)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
