//! Tables in Parquet files: rows of columns, read without trusting a byte.
//!
//! The `parquet` crate writes our tables; its reader panics on some damaged pages and allocates what a few damaged
//! bytes claim, so pages are read here. Knows flat columns and lists of one level; no codec but zstd.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod encoding;
mod footer;
mod outline;
mod page;
mod rows;
mod thrift;
mod write;

use std::ops::Range;

pub(crate) use footer::Physical;
use footer::{Chunk, Column, Footer, RowGroup};
pub use outline::{ColumnOutline, TableOutline};
pub(crate) use rows::Fetched;
pub(crate) use write::{Columns, TableWriter, Written};

use crate::error::Error;
use crate::files::Files;
use crate::tail::Tail;

/// First and last bytes of a file.
const MAGIC: &[u8; 4] = b"PAR1";
/// Length of the footer, and the magic.
const TRAILER: u64 = 8;
/// How much is read from the end of a file at first: footer and index of pages of most.
const TAIL: u64 = 32 << 10;
/// Rows that are read from however few bytes.
const FEW_ROWS: u64 = 1 << 22;
/// Bytes of byte strings that are read from however few bytes.
const FEW_BYTES: u64 = 16 << 20;

/// A Parquet file of which the footer was read.
#[derive(Clone, Debug)]
pub(crate) struct TableFile {
    /// Relative to the block.
    name: String,
    /// For messages.
    full_name: String,
    footer: Footer,
}

/// Rows of one row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) row_group: usize,
    /// Within the row group.
    pub(crate) first: u64,
    pub(crate) count: u64,
}

impl TableFile {
    /// Reads footer and indexes of pages of a file of `size` bytes, 0 if that isn't known: one read of the end of the
    /// file, a second if they are long.
    ///
    /// # Errors
    /// As [`Files::read`]; [`Error::Corrupt`].
    pub(crate) fn open(files: &dyn Files, name: &str, size: u64) -> Result<Self, Error> {
        let size = match size {
            0 => files.size(name)?,
            size => size,
        };
        let full_name = files.name(name);
        let corrupt = |at: u64, problem: &str| Error::corrupt(&full_name, at, problem);
        let end = size.saturating_sub(TRAILER);
        let mut tail = Tail::read(files, name, size, size.saturating_sub(TAIL))?;
        let trailer = tail.get(&(end..size)).unwrap_or_default();
        let length = trailer.split_first_chunk::<4>();
        let Some((length, _)) = length.filter(|(_, magic)| magic == MAGIC) else {
            return Err(corrupt(size, "it does not end with `PAR1`"));
        };
        let Some(start) = end.checked_sub(u64::from(u32::from_le_bytes(*length))) else {
            return Err(corrupt(end, "its footer begins before it"));
        };
        tail.extend(files, name, start)?;
        let bytes = tail.get(&(start..end)).unwrap_or_default();
        let mut footer = Footer::parse(bytes).ok_or_else(|| corrupt(start, "its footer"))?;

        let chunks = || footer.row_groups.iter().flat_map(|group| &group.chunks);
        let outside = |range: &Range<u64>| range.start < MAGIC.len() as u64 || range.end > start;
        if chunks().any(|chunk| outside(&chunk.bytes)) {
            return Err(corrupt(start, "a column lies outside of it"));
        }
        let indexes = || chunks().filter_map(|chunk| chunk.offset_index.as_ref());
        if indexes().any(outside) {
            return Err(corrupt(start, "an index of pages lies outside of it"));
        }
        if let Some(first) = indexes().map(|range| range.start).min() {
            tail.extend(files, name, first)?;
        }
        for group in &mut footer.row_groups {
            for chunk in &mut group.chunks {
                let Some(range) = chunk.offset_index.take() else {
                    continue;
                };
                let index = tail.get(&range).unwrap_or_default();
                chunk
                    .set_pages(index, group.rows)
                    .ok_or_else(|| corrupt(range.start, "an index of pages"))?;
            }
        }
        Ok(Self {
            name: name.to_owned(),
            full_name,
            footer,
        })
    }

    /// How messages name the file.
    pub(crate) fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Key-value metadata.
    pub(crate) fn key_values(&self) -> &[(String, String)] {
        &self.footer.key_values
    }

    /// All rows.
    pub(crate) fn all_rows(&self) -> Vec<Rows> {
        let groups = self.footer.row_groups.iter().enumerate();
        let all = |(row_group, group): (usize, &RowGroup)| Rows {
            row_group,
            first: 0,
            count: group.rows,
        };
        groups.map(all).collect()
    }

    /// Bytes of a column's values, of so many rows as `rows` are; a guess, if the values of some are longer.
    pub(crate) fn uncompressed_bytes(&self, column: usize, rows: &[Rows]) -> u64 {
        let of = |rows: &Rows| {
            let group = self.footer.row_groups.get(rows.row_group)?;
            let bytes = u128::from(group.chunks.get(column)?.uncompressed);
            let share = bytes.checked_mul(u128::from(rows.count))?;
            u64::try_from(share.checked_div(u128::from(group.rows))?).ok()
        };
        rows.iter().filter_map(of).fold(0, u64::saturating_add)
    }

    /// The column of a path and type.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there is none, or it is of another type.
    pub(crate) fn column(&self, path: &str, physical: Physical) -> Result<usize, Error> {
        let mut columns = self.footer.columns.iter();
        let found = columns.position(|column| column.path == path && column.physical == physical);
        found.ok_or_else(|| {
            let problem = format!("there is no column {path} of type {physical:?}");
            Error::corrupt(&self.full_name, 0, problem)
        })
    }

    /// Reads the pages of some columns that hold `rows`, in one read.
    ///
    /// # Errors
    /// As [`Files::read`]; [`Error::Corrupt`] if there are no such rows, or they do not ascend.
    pub(crate) fn fetch(
        &self,
        files: &dyn Files,
        columns: &[usize],
        rows: &[Rows],
    ) -> Result<Fetched<'_>, Error> {
        let mut ranges = Vec::new();
        let mut last = (0, 0);
        for rows in rows.iter().filter(|rows| rows.count > 0) {
            let group = self.footer.row_groups.get(rows.row_group);
            let end = rows.first.checked_add(rows.count);
            let group = group.filter(|group| end.is_some_and(|end| end <= group.rows));
            let group = group.filter(|_| last <= (rows.row_group, rows.first));
            let Some(group) = group else {
                let problem = format!(
                    "it has no {} rows from {} in row group {}, or they were read already",
                    rows.count, rows.first, rows.row_group
                );
                return Err(Error::corrupt(&self.full_name, 0, problem));
            };
            let end = rows.first.saturating_add(rows.count);
            last = (rows.row_group, end);
            for &column in columns {
                if let Some(chunk) = group.chunks.get(column) {
                    chunk.ranges(&(rows.first..end), &mut ranges);
                }
            }
        }
        let ranges = joined(ranges);
        let bytes = ranges
            .iter()
            .map(|range| range.end.saturating_sub(range.start));
        let bytes = bytes.fold(0, u64::saturating_add);
        let count = rows.iter().map(|rows| rows.count);
        if count.fold(0, u64::saturating_add) > most(bytes, FEW_ROWS) {
            let problem = "it has fewer bytes than so many rows need";
            return Err(Error::corrupt(&self.full_name, 0, problem));
        }
        let parts = match ranges.is_empty() {
            true => Vec::new(),
            false => files.read(&self.name, &ranges)?,
        };
        Ok(Fetched::new(self, rows.to_vec(), ranges, parts))
    }

    /// Bytes of memory held.
    pub(crate) fn size_bytes(&self) -> usize {
        let names = self.name.len().saturating_add(self.full_name.len());
        names.saturating_add(self.footer.size_bytes())
    }
}

impl Chunk {
    /// Adds the bytes of what is needed for some rows: pages and dictionary, or everything if there is no index.
    fn ranges(&self, rows: &Range<u64>, out: &mut Vec<Range<u64>>) {
        let Some(first) = self.pages.first() else {
            out.push(self.bytes.clone());
            return;
        };
        out.push(self.bytes.start..first.offset);
        let ends = self.pages.iter().skip(1).map(|page| page.first_row);
        for (page, end) in self.pages.iter().zip(ends.chain([u64::MAX])) {
            if page.first_row < rows.end && end > rows.start {
                out.push(page.offset..page.offset.saturating_add(page.size));
            }
        }
    }
}

/// How much so many bytes can hold, if they are pages as anybody writes them, and `few` more: repeated values, and
/// numbers that grow evenly, take next to nothing.
fn most(bytes: u64, few: u64) -> u64 {
    bytes.saturating_mul(64).saturating_add(few)
}

/// Ranges in order, without empty ones, those that touch in one.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut().filter(|last| last.end >= range.start) {
            Some(last) => last.end = last.end.max(range.end),
            None => joined.push(range),
        }
    }
    joined
}

/// How the values of a column lie in its pages.
impl Column {
    fn is_flat(&self) -> bool {
        self.max_definition == 0 && self.max_repetition == 0
    }

    fn is_list(&self) -> bool {
        self.max_repetition == 1
    }
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests;
