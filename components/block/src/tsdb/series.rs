//! The record of a series: fingerprint, labels, times.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crc_fast::crc32_iscsi;

use super::reader::Reader;
use super::source::Source;
use crate::error::Error;

/// Records begin at multiples of this; a reference is a position divided by it.
pub(super) const ALIGNMENT: usize = 16;

/// A decoded record; kept to be filled again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) fingerprint: u64,
    /// Symbols of names and values, in stored order.
    pub(super) labels: Vec<(u32, u32)>,
    pub(super) min_ns: i64,
    pub(super) max_ns: i64,
    /// The byte behind the checksum.
    pub(super) end: usize,
}

impl Record {
    /// Fills it with the record at `at`, whose series is the `ordinal`th. It ends before `limit`.
    pub(super) fn read(
        &mut self,
        file: &Source,
        at: usize,
        limit: usize,
        ordinal: u32,
    ) -> Result<(), Error> {
        let mut reader = file.reader(at, limit);
        let framed = reader.uvarint().and_then(|length| {
            let start = reader.at();
            let body = reader.take(usize::try_from(length).ok()?)?;
            Some((start, body, reader.at(), reader.u32()?))
        });
        let Some((start, body, end, checksum)) = framed else {
            return Err(file.corrupt(at, "a series reaches beyond the others"));
        };
        if crc32_iscsi(body) != checksum {
            return Err(file.corrupt(at, "checksum of a series"));
        }
        self.end = reader.at();
        match self.decode(file.reader(start, end), ordinal) {
            Some(Ok(())) => Ok(()),
            Some(Err(problem)) => Err(file.corrupt(at, problem)),
            None => Err(file.corrupt(at, "a series ends in the middle")),
        }
    }

    /// `None` if the record is too short.
    fn decode(&mut self, mut body: Reader<'_>, ordinal: u32) -> Option<Result<(), &'static str>> {
        self.fingerprint = body.u64()?;
        self.labels.clear();
        for _ in 0..body.uvarint()? {
            let name = body.uvarint32()?;
            self.labels.push((name, body.uvarint32()?));
        }
        let chunks = body.uvarint()?;
        if chunks == 0 {
            return Some(Err("a series without times"));
        }
        (self.min_ns, self.max_ns) = (i64::MAX, i64::MIN);
        let mut before = 0_i64;
        for _ in 0..chunks {
            let min = before.checked_add(body.svarint()?);
            let length = body.uvarint()?;
            let (_kilobytes, index) = (body.uvarint()?, body.uvarint()?);
            let _checksum = body.u32()?;
            let Some((min, max)) =
                min.and_then(|min| Some((min, min.checked_add_unsigned(length)?)))
            else {
                return Some(Err("times of a series are beyond 64 bits"));
            };
            if index != u64::from(ordinal) {
                return Some(Err("a series has the number of another one"));
            }
            self.min_ns = self.min_ns.min(min);
            self.max_ns = self.max_ns.max(max);
            before = max;
        }
        Some(match body.left() {
            0 => Ok(()),
            _ => Err("bytes behind the times of a series"),
        })
    }
}
