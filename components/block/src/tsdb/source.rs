//! The file: its bytes, its name in messages, its framed sections.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use bytes::Bytes;
use crc_fast::crc32_iscsi;

use super::reader::Reader;
use crate::error::Error;

/// The whole file in memory.
#[derive(Clone)]
pub(super) struct Source {
    bytes: Bytes,
    name: String,
}

/// A framed section whose checksum was right.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    /// Reads the body and ends with it.
    pub(super) body: Reader<'a>,
    /// The byte behind the checksum.
    pub(super) end: usize,
}

impl Source {
    pub(super) fn new(bytes: Bytes, name: String) -> Self {
        Self { bytes, name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[cold]
    pub(super) fn corrupt(&self, offset: usize, problem: impl Into<String>) -> Error {
        Error::corrupt(self.name.as_str(), offset as u64, problem)
    }

    #[cold]
    pub(super) fn unsupported(&self, problem: impl Into<String>) -> Error {
        Error::Unsupported {
            file: self.name.clone(),
            problem: problem.into(),
        }
    }

    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// The file up to `end`, read from `at`.
    pub(super) fn reader(&self, at: usize, end: usize) -> Reader<'_> {
        let bytes = self.bytes.get(..end).unwrap_or(&self.bytes);
        Reader::new(bytes, at)
    }

    /// The section at `at`: length, body, CRC-32C of the body. It ends before `limit`. `what` is for messages.
    pub(super) fn section(
        &self,
        at: usize,
        limit: usize,
        what: &str,
    ) -> Result<Section<'_>, Error> {
        let mut reader = self.reader(at, limit);
        let found = reader.u32().and_then(|length| {
            let start = reader.at();
            let body = reader.take(usize::try_from(length).ok()?)?;
            Some((start, body, reader.at(), reader.u32()?))
        });
        let Some((start, body, body_end, checksum)) = found else {
            let problem = format!("{what} reaches beyond its part of the file");
            return Err(self.corrupt(at, problem));
        };
        if crc32_iscsi(body) != checksum {
            return Err(self.corrupt(at, format!("checksum of {what}")));
        }
        Ok(Section {
            body: self.reader(start, body_end),
            end: reader.at(),
        })
    }

    /// As [`Self::section`], for one that must end where the next begins.
    pub(super) fn section_to(
        &self,
        at: usize,
        end: usize,
        what: &str,
    ) -> Result<Reader<'_>, Error> {
        let section = self.section(at, end, what)?;
        if section.end != end {
            let problem = format!("{what} ends here, what follows begins at {end}");
            return Err(self.corrupt(section.end, problem));
        }
        Ok(section.body)
    }

    /// Where what is aligned to `step` begins, if nothing but zeros lies between.
    pub(super) fn aligned(&self, at: usize, step: usize, limit: usize) -> Result<usize, Error> {
        let start = at.next_multiple_of(step).min(limit);
        let padding = self.bytes.get(at..start).unwrap_or_default();
        match padding.iter().all(|&byte| byte == 0) {
            true => Ok(start),
            false => Err(self.corrupt(at, "padding is not zero")),
        }
    }

    /// Bytes from the file that must be a text.
    pub(super) fn text<'a>(&self, bytes: &'a [u8], at: usize) -> Result<&'a str, Error> {
        std::str::from_utf8(bytes).map_err(|_| self.corrupt(at, "a text is not UTF-8"))
    }
}
