//! Bytes of a chunk, read from the front: numbers in both of their forms, and strings.

use std::borrow::Cow;

use crate::error::Error;

/// Reads part of a recording; offsets in messages are those of the recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Offset of `bytes` in the recording.
    base: usize,
    /// Whether numbers are LEB128, as the chunk's header says, or big-endian of their full width.
    compact: bool,
}

/// A string as it stands in a recording.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    /// There is none.
    Null,
    /// UTF-8, if the recorder keeps its word.
    Utf8(&'a [u8]),
    /// One byte for each character.
    Latin1(&'a [u8]),
    /// UTF-16 code units, each a number of its own.
    Utf16(Cursor<'a>, usize),
    /// It stands in the pool of strings, under this id.
    Pooled(u64),
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], base: usize, compact: bool) -> Self {
        Self {
            bytes,
            at: 0,
            base,
            compact,
        }
    }

    /// Offset in the recording.
    pub(super) fn position(&self) -> usize {
        self.base.saturating_add(self.at)
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// An error at this place.
    pub(super) fn error(&self, reason: impl std::fmt::Display) -> Error {
        Error::bytes(self.position(), reason)
    }

    #[cold]
    fn ends(&self, what: &str) -> Error {
        let left = self.remaining();
        self.error(format_args!("{what} expected, {left} bytes are left"))
    }

    pub(super) fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.ends(what))?;
        self.at = self.at.saturating_add(count);
        Ok(taken)
    }

    pub(super) fn skip(&mut self, count: usize, what: &str) -> Result<(), Error> {
        self.take(count, what).map(drop)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at = self.at.saturating_add(1);
                Ok(byte)
            }
            None => Err(self.ends("a byte")),
        }
    }

    /// A number of 64 bits: of compact ones, the ninth byte has eight bits.
    #[inline]
    pub(super) fn long(&mut self) -> Result<u64, Error> {
        if self.compact {
            self.varint()
        } else {
            self.fixed()
        }
    }

    /// A number of 32 bits.
    #[inline]
    pub(super) fn int(&mut self) -> Result<u64, Error> {
        if self.compact {
            self.varint()
        } else {
            self.fixed_int()
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Ok(value | u64::from(self.byte()?) << 56)
    }

    fn fixed(&mut self) -> Result<u64, Error> {
        let bytes = self.take(8, "a number of 8 bytes")?.first_chunk();
        Ok(bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes)))
    }

    fn fixed_int(&mut self) -> Result<u64, Error> {
        let bytes = self.take(4, "a number of 4 bytes")?.first_chunk();
        Ok(bytes.map_or(0, |bytes| u64::from(u32::from_be_bytes(*bytes))))
    }

    /// A number of 16 bits; its value is of no use here.
    pub(super) fn skip_short(&mut self) -> Result<(), Error> {
        if self.compact {
            self.varint().map(drop)
        } else {
            self.skip(2, "a number of 2 bytes")
        }
    }

    /// How many things follow that take at least a byte each.
    pub(super) fn count(&mut self, what: &str) -> Result<usize, Error> {
        let start = *self;
        let count = self.int()?;
        let left = self.remaining();
        match usize::try_from(count) {
            Ok(count) if count <= left => Ok(count),
            _ => Err(start.error(format_args!(
                "{count} {what} expected, {left} bytes are left"
            ))),
        }
    }

    pub(super) fn text(&mut self) -> Result<Text<'a>, Error> {
        let start = *self;
        Ok(match self.byte()? {
            0 => Text::Null,
            1 => Text::Utf8(b""),
            2 => Text::Pooled(self.long()?),
            3 => Text::Utf8(self.counted()?),
            4 => {
                let units = self.count("characters")?;
                let content = *self;
                for _ in 0..units {
                    self.skip_short()?;
                }
                Text::Utf16(content, units)
            }
            5 => Text::Latin1(self.counted()?),
            other => {
                return Err(start.error(format_args!(
                    "a string begins with its encoding, 0 to 5, not {other}"
                )));
            }
        })
    }

    fn counted(&mut self) -> Result<&'a [u8], Error> {
        let count = self.count("bytes of a string")?;
        self.take(count, "a string")
    }

    fn short(&mut self) -> Result<u16, Error> {
        let value = if self.compact {
            self.varint()?
        } else {
            let bytes = self.take(2, "a number of 2 bytes")?.first_chunk();
            bytes.map_or(0, |bytes| u64::from(u16::from_be_bytes(*bytes)))
        };
        Ok(u16::try_from(value).unwrap_or(0xfffd))
    }
}

impl<'a> Text<'a> {
    /// The most bytes that it has as UTF-8, but for damaged ones.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Null | Self::Pooled(_) => 0,
            Self::Utf8(bytes) => bytes.len(),
            Self::Latin1(bytes) => bytes.len().saturating_mul(2),
            Self::Utf16(_, units) => units.saturating_mul(3),
        }
    }

    /// The bytes as UTF-8, damaged ones replaced; `None` for no string and for one in the pool.
    pub(super) fn decode(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Null | Self::Pooled(_) => None,
            Self::Utf8(bytes) => Some(String::from_utf8_lossy(bytes)),
            Self::Latin1(bytes) if bytes.is_ascii() => Some(String::from_utf8_lossy(bytes)),
            Self::Latin1(bytes) => Some(bytes.iter().map(|&byte| char::from(byte)).collect()),
            Self::Utf16(mut content, units) => {
                let units = (0..units).map_while(|_| content.short().ok());
                let text =
                    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
                Some(Cow::Owned(text.collect()))
            }
        }
    }
}
