//! The table of contents at the end of the file.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crc_fast::crc32_iscsi;

use super::source::Source;
use crate::error::Error;

/// What the file begins with: magic and version.
pub(super) const HEADER: [u8; 5] = [0xBA, 0xAA, 0xD7, 0x00, 2];

/// Nine numbers and a checksum.
pub(super) const LEN: usize = 76;

/// Where the parts of the file begin. `series`, `label_indices` and `postings` may point to padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Toc {
    pub(super) symbols: usize,
    pub(super) series: usize,
    pub(super) label_indices: usize,
    pub(super) label_table: usize,
    pub(super) postings: usize,
    pub(super) postings_table: usize,
    pub(super) fingerprints: usize,
    pub(super) from_ns: i64,
    pub(super) through_ns: i64,
}

impl Toc {
    /// Reads header and table of contents. The parts follow each other and lie in the file.
    pub(super) fn read(file: &Source) -> Result<Self, Error> {
        let Some(start) = file
            .len()
            .checked_sub(LEN)
            .filter(|&start| start >= HEADER.len())
        else {
            return Err(file.corrupt(file.len(), "too short for an index"));
        };
        check_header(file)?;
        let mut reader = file.reader(start, file.len());
        let numbers = reader.take(LEN.saturating_sub(4)).unwrap_or_default();
        if reader.u32() != Some(crc32_iscsi(numbers)) {
            return Err(file.corrupt(start, "checksum of the table of contents"));
        }
        let mut reader = file.reader(start, file.len());
        let mut number = || reader.u64().unwrap_or_default();
        let mut place = || usize::try_from(number()).unwrap_or(usize::MAX);
        let toc = Self {
            symbols: place(),
            series: place(),
            label_indices: place(),
            label_table: place(),
            postings: place(),
            postings_table: place(),
            fingerprints: place(),
            from_ns: number() as i64,
            through_ns: number() as i64,
        };
        let order = [
            toc.symbols,
            toc.series,
            toc.label_indices,
            toc.postings,
            toc.label_table,
            toc.postings_table,
            toc.fingerprints,
            start,
        ];
        if toc.symbols != HEADER.len() || !order.is_sorted() {
            return Err(file.corrupt(start, "the parts of the file are not in order"));
        }
        Ok(toc)
    }

    /// Where it stands itself.
    pub(super) fn end(&self, file: &Source) -> usize {
        file.len().saturating_sub(LEN)
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let places = [
            self.symbols,
            self.series,
            self.label_indices,
            self.label_table,
            self.postings,
            self.postings_table,
            self.fingerprints,
        ];
        let mut bytes = Vec::with_capacity(LEN);
        for place in places {
            bytes.extend_from_slice(&(place as u64).to_be_bytes());
        }
        bytes.extend_from_slice(&self.from_ns.to_be_bytes());
        bytes.extend_from_slice(&self.through_ns.to_be_bytes());
        bytes.extend_from_slice(&crc32_iscsi(&bytes).to_be_bytes());
        bytes
    }
}

fn check_header(file: &Source) -> Result<(), Error> {
    let mut reader = file.reader(0, file.len());
    let [magic @ .., version] = HEADER;
    if reader.take(magic.len()) != Some(&magic) {
        return Err(file.corrupt(0, "not an index: it begins with other bytes"));
    }
    match reader.u8() {
        Some(found) if found == version => Ok(()),
        found => Err(file.unsupported(format!(
            "version {} of the index",
            found.unwrap_or_default()
        ))),
    }
}
