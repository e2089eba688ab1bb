//! Columns of rows, out of pages that were fetched.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use bytes::Bytes;

use super::encoding::{self, ByteArrays, Wanted};
use super::footer::{Chunk, Column};
use super::page::{Decompressor, Header, Page, PageKind, Problem};
use super::{FEW_BYTES, Rows, TableFile, most};
use crate::error::Error;

/// Pages of some columns that hold some rows.
#[derive(Debug)]
pub(crate) struct Fetched<'a> {
    table: &'a TableFile,
    rows: Vec<Rows>,
    ranges: Vec<Range<u64>>,
    parts: Vec<Bytes>,
}

/// A dictionary, whatever it is of.
#[derive(Debug, Default)]
struct Dictionary {
    integers: Option<Vec<i64>>,
    byte_arrays: Option<ByteArrays>,
}

/// What is wrong, and whether we or the file.
enum Failure {
    Damage(Problem),
    Other(Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Damage(problem)
    }
}

impl<'a> Fetched<'a> {
    pub(super) fn new(
        table: &'a TableFile,
        rows: Vec<Rows>,
        ranges: Vec<Range<u64>>,
        parts: Vec<Bytes>,
    ) -> Self {
        Self {
            table,
            rows,
            ranges,
            parts,
        }
    }

    /// Number of rows.
    pub(crate) fn count(&self) -> u64 {
        let counts = self.rows.iter().map(|rows| rows.count);
        counts.fold(0, u64::saturating_add)
    }

    /// Bytes of all pages that were fetched.
    pub(super) fn bytes_read(&self) -> u64 {
        let bytes = self.parts.iter().map(|part| part.len() as u64);
        bytes.fold(0, u64::saturating_add)
    }

    /// A column of integers, each there.
    pub(crate) fn integers(&self, column: usize) -> Result<Vec<i64>, Error> {
        let mut out = Vec::new();
        self.flat(column, |page, dictionary, wanted| {
            let dictionary = dictionary.integers.as_deref();
            encoding::integers(
                page.encoding,
                page.values,
                page.count,
                dictionary,
                wanted,
                &mut out,
            )?;
            Ok(())
        })?;
        Ok(out)
    }

    /// A column of booleans, each there.
    pub(crate) fn booleans(&self, column: usize) -> Result<Vec<bool>, Error> {
        let mut out = Vec::new();
        self.flat(column, |page, _, wanted| {
            encoding::booleans(page.encoding, page.values, page.count, wanted, &mut out)?;
            Ok(())
        })?;
        Ok(out)
    }

    /// A column of byte strings, each there; each goes to `each`.
    pub(crate) fn byte_arrays(
        &self,
        column: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut left = most(self.bytes_read(), FEW_BYTES);
        self.flat(column, |page, dictionary, wanted| {
            let dictionary = dictionary.byte_arrays.as_ref();
            let mut each = |text: &[u8]| {
                left = left
                    .checked_sub(text.len() as u64)
                    .ok_or("there are fewer bytes than so many texts need")?;
                each(text).map_err(Failure::Other)
            };
            encoding::byte_arrays(
                page.encoding,
                page.values,
                page.count,
                dictionary,
                &wanted,
                &mut each,
            )
        })
    }

    /// A column of lists of integers: how many each row has, and all integers.
    pub(crate) fn lists(&self, column: usize) -> Result<(Vec<u32>, Vec<i64>), Error> {
        let described = self.described(column)?;
        if !described.is_list() {
            return Err(self.shape(described));
        }
        let max = described.max_definition;
        let (mut counts, mut integers) = (Vec::new(), Vec::new());
        let mut page_values = Vec::new();
        for rows in &self.rows {
            let end = rows.first.saturating_add(rows.count);
            // The row that the last level belonged to, and those before.
            let mut begun = 0_u64;
            self.pages(rows, column, |first_row, page, dictionary| {
                if let Some(first_row) = first_row {
                    begun = first_row;
                }
                let present = page.present(max);
                page_values.clear();
                let dictionary = dictionary.integers.as_deref();
                encoding::integers(
                    page.encoding,
                    page.values,
                    present,
                    dictionary,
                    0..present,
                    &mut page_values,
                )?;
                let mut values = page_values.iter();
                for (index, &repetition) in page.repetition.iter().enumerate() {
                    begun = begun.saturating_add(u64::from(repetition == 0));
                    let row = begun.checked_sub(1).ok_or("a page begins within a row")?;
                    let wanted = rows.first <= row && row < end;
                    if wanted && repetition == 0 {
                        counts.push(0_u32);
                    }
                    if page.definition.get(index) == Some(&max) {
                        let value = values.next().ok_or("a page has too few values")?;
                        if let Some(count) = counts.last_mut().filter(|_| wanted) {
                            *count = count.saturating_add(1);
                            integers.push(*value);
                        }
                    }
                }
                Ok(begun)
            })?;
        }
        self.complete(described, counts.len())?;
        Ok((counts, integers))
    }

    /// Pages of a column whose values are all there; a value is a row.
    fn flat(
        &self,
        column: usize,
        mut each: impl FnMut(&Page<'_>, &Dictionary, Wanted) -> Result<(), Failure>,
    ) -> Result<(), Error> {
        let described = self.described(column)?;
        if !described.is_flat() {
            return Err(self.shape(described));
        }
        let mut found = 0_usize;
        for rows in &self.rows {
            let end = rows.first.saturating_add(rows.count);
            let mut next = 0_u64;
            self.pages(rows, column, |first_row, page, dictionary| {
                let first = first_row.unwrap_or(next);
                next = first.saturating_add(page.count as u64);
                let wanted = rows.first.max(first)..end.min(next);
                if !wanted.is_empty() {
                    let within = |row: u64| row.saturating_sub(first) as usize;
                    let wanted = within(wanted.start)..within(wanted.end);
                    found = found.saturating_add(wanted.len());
                    each(page, dictionary, wanted)?;
                }
                Ok(next)
            })?;
        }
        self.complete(described, found)
    }

    /// Hands out the data pages of a column that hold `rows`, with the first row of each where the index says it;
    /// `each` says how many rows have begun by the end of the page.
    fn pages(
        &self,
        rows: &Rows,
        column: usize,
        mut each: impl FnMut(Option<u64>, &Page<'_>, &Dictionary) -> Result<u64, Failure>,
    ) -> Result<(), Error> {
        let group = self.table.footer.row_groups.get(rows.row_group);
        let chunk = group.and_then(|group| group.chunks.get(column));
        let (Some(chunk), false) = (chunk, rows.count == 0) else {
            return Ok(());
        };
        let described = self.described(column)?;
        let mut context = Context {
            fetched: self,
            chunk,
            described,
            decompressor: Decompressor::default(),
            dictionary: Dictionary::default(),
        };
        let end = rows.first.saturating_add(rows.count);
        let Some(first) = chunk.pages.first() else {
            let mut at = chunk.bytes.start;
            let mut begun = 0;
            // One page more than needed: a list may go on in it.
            while at < chunk.bytes.end && begun <= end {
                let page = at..chunk.bytes.end;
                at = context.page(&page, &mut |page, dictionary| {
                    begun = each(None, page, dictionary)?;
                    Ok(())
                })?;
            }
            return Ok(());
        };
        if first.offset > chunk.bytes.start {
            let dictionary = chunk.bytes.start..first.offset;
            context.page(&dictionary, &mut |_, _| {
                Err("there is a page before the first".into())
            })?;
        }
        let ends = chunk.pages.iter().skip(1).map(|page| page.first_row);
        for (location, next) in chunk.pages.iter().zip(ends.chain([u64::MAX])) {
            if location.first_row < end && next > rows.first {
                let page = location.offset..location.offset.saturating_add(location.size);
                context.page(&page, &mut |page, dictionary| {
                    each(Some(location.first_row), page, dictionary).map(drop)
                })?;
            }
        }
        Ok(())
    }

    fn described(&self, column: usize) -> Result<&'a Column, Error> {
        let column = self.table.footer.columns.get(column);
        column.ok_or_else(|| Error::corrupt(&self.table.full_name, 0, "a column is missing"))
    }

    fn shape(&self, column: &Column) -> Error {
        let problem = format!("column {} has another shape than expected", column.path);
        Error::corrupt(&self.table.full_name, 0, problem)
    }

    fn complete(&self, column: &Column, found: usize) -> Result<(), Error> {
        if found as u64 == self.count() {
            return Ok(());
        }
        let problem = format!(
            "column {} has {found} values where {} rows are",
            column.path,
            self.count()
        );
        Err(Error::corrupt(&self.table.full_name, 0, problem))
    }

    fn bytes(&self, range: &Range<u64>) -> Option<&[u8]> {
        let at = self
            .ranges
            .partition_point(|part| part.start <= range.start);
        let at = at.checked_sub(1)?;
        let start = range.start.checked_sub(self.ranges.get(at)?.start)?;
        let end = range.end.checked_sub(self.ranges.get(at)?.start)?;
        let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        self.parts.get(at)?.get(range)
    }
}

/// What is needed to read one page after the other of a column.
struct Context<'a> {
    fetched: &'a Fetched<'a>,
    chunk: &'a Chunk,
    described: &'a Column,
    decompressor: Decompressor,
    dictionary: Dictionary,
}

impl Context<'_> {
    /// Reads the page at the start of `range`: a dictionary is kept, a data page handed out. Says where it ends.
    fn page(
        &mut self,
        range: &Range<u64>,
        each: &mut dyn FnMut(&Page<'_>, &Dictionary) -> Result<(), Failure>,
    ) -> Result<u64, Error> {
        let corrupt = |problem: Problem| {
            let problem = format!("{problem} (column {})", self.described.path);
            Error::corrupt(&self.fetched.table.full_name, range.start, problem)
        };
        let bytes = self.fetched.bytes(range);
        let parsed = bytes.and_then(|bytes| {
            let header = Header::parse(bytes)?;
            let end = header.length.checked_add(header.compressed)?;
            Some((header, bytes.get(header.length..end)?, end))
        });
        let Some((header, body, length)) = parsed else {
            return Err(corrupt(
                "a page has no header, or is longer than there is room",
            ));
        };
        let end = range.start.saturating_add(length as u64);
        if header.kind == PageKind::Other {
            return Ok(end);
        }
        let page = self
            .decompressor
            .page(&header, body, self.chunk.codec, self.described)
            .map_err(corrupt)?;
        let outcome = match header.kind {
            PageKind::Dictionary => self.dictionary.set(&page, self.described),
            _ => each(&page, &self.dictionary),
        };
        outcome.map_err(|failure| match failure {
            Failure::Damage(problem) => corrupt(problem),
            Failure::Other(error) => error,
        })?;
        Ok(end)
    }
}

impl Dictionary {
    fn set(&mut self, page: &Page<'_>, column: &Column) -> Result<(), Failure> {
        match column.physical {
            super::Physical::ByteArray => {
                self.byte_arrays = Some(ByteArrays::parse(page.values, page.count)?);
            }
            super::Physical::Int64 => {
                let (values, _) = page.values.as_chunks::<8>();
                let values = values.get(..page.count).ok_or("a dictionary ends early")?;
                let values = values.iter().map(|bytes| i64::from_le_bytes(*bytes));
                self.integers = Some(values.collect());
            }
            super::Physical::Boolean | super::Physical::Other(_) => {}
        }
        Ok(())
    }
}
