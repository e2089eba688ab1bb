//! The way in: bytes as they were received → [`Decoded`] → [`Normalized`].

use std::fmt;

use crate::error::Error;
use crate::gzip::{Inflater, is_gzip};
use crate::normalize::{self, Buffers};
use crate::normalized::{Normalized, ValueType};
use crate::options::Options;
use crate::reuse::reset;
use crate::tables::Tables;

/// Everything that decoding and normalising needs besides the input: one for each worker, used for one profile
/// after the other. In a warm workspace the number of allocations does not depend on the number of samples,
/// locations or strings. One that a huge profile has blown up shrinks afterwards.
#[derive(Debug, Default)]
pub struct Workspace {
    inflater: Inflater,
    inflated: Vec<u8>,
    tables: Tables,
    buffers: Buffers,
}

impl Workspace {
    /// A workspace without any buffers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a pprof, gzip or plain, of at most `max_size` uncompressed bytes; 0 is no limit but that of 4 GiB.
    ///
    /// Only the wire format is checked, and that of samples later: see [`Decoded::normalize`].
    pub fn decode<'a>(&'a mut self, raw: &'a [u8], max_size: usize) -> Result<Decoded<'a>, Error> {
        let Self {
            inflater,
            inflated,
            tables,
            buffers,
        } = self;
        let limit = if max_size == 0 {
            u32::MAX as usize
        } else {
            max_size.min(u32::MAX as usize)
        };
        let bytes: &'a [u8] = if is_gzip(raw) {
            reset(inflated);
            inflater.gunzip(raw, limit, inflated)?;
            inflated
        } else {
            raw
        };
        if bytes.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        tables.read(bytes)?;
        Ok(Decoded {
            bytes,
            tables,
            buffers,
        })
    }
}

/// A profile of which the tables are known: what it is, before it is worth the work of normalising it.
pub struct Decoded<'a> {
    bytes: &'a [u8],
    tables: &'a mut Tables,
    buffers: &'a mut Buffers,
}

impl fmt::Debug for Decoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("size", &self.size())
            .field("samples", &self.sample_count())
            .finish_non_exhaustive()
    }
}

impl<'a> Decoded<'a> {
    /// Size in bytes, uncompressed.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The profile's bytes, uncompressed.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Number of samples on the wire.
    #[must_use]
    pub const fn sample_count(&self) -> usize {
        self.tables.samples.len()
    }

    /// Time in ns since the epoch as it is written in the profile; 0 or less means that there is none.
    #[must_use]
    pub const fn time_ns(&self) -> i64 {
        self.tables.header.time_ns
    }

    /// Sample types as they are written; what is out of the string table or not UTF-8 is empty here.
    pub fn sample_types(&self) -> impl Iterator<Item = ValueType<'_>> {
        self.tables.sample_types.iter().map(|t| ValueType {
            kind: self.string(t.kind),
            unit: self.string(t.unit),
        })
    }

    /// The strings of the table that are UTF-8, in its order; for guessing the language.
    pub fn strings(&self) -> impl Iterator<Item = &'a str> {
        let bytes = self.bytes;
        self.tables.strings.iter().filter_map(move |span| {
            std::str::from_utf8(bytes.get(span.start as usize..span.end as usize)?).ok()
        })
    }

    /// Bytes of all samples on the wire.
    #[must_use]
    pub fn samples_bytes(&self) -> usize {
        self.tables
            .samples
            .iter()
            .map(|span| span.end.saturating_sub(span.start) as usize)
            .sum()
    }

    fn string(&self, index: i64) -> &'a str {
        let span = usize::try_from(index)
            .ok()
            .and_then(|index| self.tables.strings.get(index));
        let bytes = span
            .and_then(|span| self.bytes.get(span.start as usize..span.end as usize))
            .unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Validates and normalises (api.md 8.2, 8.3). A profile without samples, or of which all values are zero,
    /// gives a result without groups; one of which every sample is broken is an error that names the first bad reference.
    pub fn normalize(self, options: &Options<'_>) -> Result<Normalized<'a>, Error> {
        normalize::normalize(self.bytes, self.tables, self.buffers, options)
    }
}
