//! Values of a column, row range by row range.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;
use std::sync::Arc;

use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::serialized_reader::SerializedPageReader;

use super::fetch::Fetched;
use super::footer::{Chunk, Group};
use super::guard::guarded;
use super::source::Source;
use crate::error::Error;

/// Levels of the values of a column.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    pub(crate) definition: Vec<i16>,
    pub(crate) repetition: Vec<i16>,
}

impl Levels {
    pub(crate) fn clear(&mut self) {
        self.definition.clear();
        self.repetition.clear();
    }

    /// Appends for each row how many levels, up to its end, are at least `least`; their number.
    pub(crate) fn ends_of_rows(&self, least: i16, ends: &mut Vec<usize>) -> usize {
        let first = ends.len();
        let mut end = 0usize;
        for (&repetition, &definition) in self.repetition.iter().zip(&self.definition) {
            if repetition == 0 {
                ends.push(end);
            }
            end = end.saturating_add(usize::from(definition >= least));
        }
        // Until now each row has what is before it.
        if ends.len() > first {
            ends.remove(first);
            ends.push(end);
        }
        end
    }
}

/// Decodes a column of a row group, forwards.
pub(crate) struct Cursor<'a, T: DataType> {
    source: &'a Source,
    chunk: &'a Chunk,
    group_rows: u32,
    reader: ColumnReaderImpl<T>,
    /// The row to be decoded next.
    row: u32,
}

impl<'a, T: DataType> Cursor<'a, T> {
    /// Begins at the first row; only pages that were fetched can be decoded.
    pub(crate) fn new(
        source: &'a Source,
        group: &'a Group,
        chunk: &'a Chunk,
        fetched: &Arc<Fetched>,
    ) -> Result<Self, Error> {
        let rows = group.rows as usize;
        let pages = SerializedPageReader::new(
            Arc::clone(fetched),
            &chunk.meta,
            rows,
            Some(chunk.pages.clone()),
        );
        let pages = pages.map_err(|error| {
            let path = chunk.leaf.path();
            source.unsupported(format!("column {path}: {error}"))
        })?;
        let column = chunk.meta.column_descr_ptr();
        Ok(Self {
            source,
            chunk,
            group_rows: group.rows,
            reader: ColumnReaderImpl::new(column, Box::new(pages)),
            row: 0,
        })
    }

    /// Appends values and levels of rows that lie behind those decoded before.
    pub(crate) fn read(
        &mut self,
        rows: Range<u32>,
        levels: &mut Levels,
        values: &mut Vec<T::T>,
    ) -> Result<(), Error> {
        let skip = rows.start.saturating_sub(self.row) as usize;
        let wanted = rows.end.saturating_sub(rows.start) as usize;
        let reader = &mut self.reader;
        let read = guarded(|| {
            if reader.skip_records(skip)? != skip {
                return Err(ParquetError::EOF("rows are missing".to_owned()));
            }
            let definition = Some(&mut levels.definition);
            let repetition = Some(&mut levels.repetition);
            let (records, ..) = reader.read_records(wanted, definition, repetition, values)?;
            match records == wanted {
                true => Ok(()),
                false => Err(ParquetError::EOF("rows are missing".to_owned())),
            }
        });
        read.map_err(|problem| self.corrupt(rows.start, &problem))?;
        self.row = rows.end;
        Ok(())
    }

    /// The same for a column whose values are in no list and never null.
    pub(crate) fn read_flat(
        &mut self,
        rows: Range<u32>,
        values: &mut Vec<T::T>,
    ) -> Result<(), Error> {
        self.read(rows, &mut Levels::default(), values)
    }

    /// Damage in the page of a row.
    pub(crate) fn corrupt(&self, row: u32, problem: &str) -> Error {
        let at = row.min(self.group_rows.saturating_sub(1));
        let offset = self.chunk.page_span(self.chunk.page_of(at)).start;
        let path = self.chunk.leaf.path();
        self.source
            .corrupt(offset, format!("column {path}: {problem}"))
    }
}
