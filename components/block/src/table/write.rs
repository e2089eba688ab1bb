//! Tables written row by row, all columns side by side.
//!
//! Parquet files have one column behind the other in a row group; the `parquet` crate's file writer wants them so. Here
//! each column has a writer and its own buffer of finished pages, which are put one behind the other when the row group
//! is full. Pages of the first version, with the checksum that the crate leaves out.

#![expect(clippy::arithmetic_side_effects, reason = "what it counts is its own")]

mod page;

use std::fs::File;
use std::io::{self, BufWriter};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::column::writer::{ColumnWriter, get_column_writer};
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

use self::page::Pages;
use super::Rows;
use crate::error::Error;

/// Rows that are written at once.
const SLICE: usize = 8192;
/// Rows of a page, at most.
const PAGE_ROWS: usize = 8192;

/// Writes a table.
#[derive(Debug)]
pub(crate) struct TableWriter {
    path: PathBuf,
    file: SerializedFileWriter<BufWriter<File>>,
    schema: Arc<SchemaDescriptor>,
    properties: Arc<WriterProperties>,
    columns: Columns,
    /// Bytes at which a row group is closed.
    row_group_bytes: usize,
    row_group: usize,
    rows_in_group: u64,
    rows: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) size: u64,
    pub(crate) row_groups: u64,
    pub(crate) rows: u64,
}

impl TableWriter {
    /// Creates the file of a table. Integers are delta encoded, byte strings with their lengths delta encoded, all
    /// compressed with zstd. A row group is closed when it has `row_group_bytes` bytes, which are held in memory.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(crate) fn create(path: &Path, schema: &str, row_group_bytes: usize) -> Result<Self, Error> {
        let failed = |error: ParquetError| write_error(path, error);
        let schema = Arc::new(parse_message_type(schema).map_err(failed)?);
        let descriptor = Arc::new(SchemaDescriptor::new(Arc::clone(&schema)));
        let level = ZstdLevel::try_new(1).map_err(failed)?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("phlare version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_max_row_group_row_count(None)
            .set_compression(Compression::ZSTD(level));
        for column in descriptor.columns() {
            let path = ColumnPath::from(column.path().parts().to_vec());
            let encoding = match column.physical_type() {
                Type::INT64 => Encoding::DELTA_BINARY_PACKED,
                Type::BYTE_ARRAY => Encoding::DELTA_LENGTH_BYTE_ARRAY,
                _ => continue,
            };
            properties = properties.set_column_encoding(path, encoding);
        }
        let properties = Arc::new(properties.build());
        let file = File::create(path).map_err(|source| Error::Write {
            file: path.display().to_string(),
            source,
        })?;
        let file = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::clone(&properties))
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            columns: Columns::new(&descriptor, &properties),
            schema: descriptor,
            properties,
            row_group_bytes,
            row_group: 0,
            rows_in_group: 0,
            rows: 0,
        })
    }

    /// Appends rows; `write` writes some of them into every column. Says where they are.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(crate) fn append(
        &mut self,
        rows: usize,
        mut write: impl FnMut(&mut Columns, Range<usize>) -> ParquetResult<()>,
    ) -> Result<Vec<Rows>, Error> {
        let mut written: Vec<Rows> = Vec::new();
        let mut start = 0;
        while start < rows {
            let end = rows.min(start + SLICE);
            write(&mut self.columns, start..end).map_err(|error| write_error(&self.path, error))?;
            let count = (end - start) as u64;
            match written.last_mut() {
                Some(last) if last.row_group == self.row_group => last.count += count,
                _ => written.push(Rows {
                    row_group: self.row_group,
                    first: self.rows_in_group,
                    count,
                }),
            }
            self.rows_in_group += count;
            self.rows += count;
            start = end;
            if self.columns.size() >= self.row_group_bytes {
                self.close_row_group()?;
            }
        }
        Ok(written)
    }

    /// Closes the row group that rows are in, if there are any.
    fn close_row_group(&mut self) -> Result<(), Error> {
        if self.rows_in_group == 0 {
            return Ok(());
        }
        let fresh = Columns::new(&self.schema, &self.properties);
        let columns = std::mem::replace(&mut self.columns, fresh);
        let splice = || {
            let mut group = self.file.next_row_group()?;
            for column in columns.0 {
                let close = column.writer.close()?;
                group.append_column(&column.pages.take(), close)?;
            }
            group.close().map(drop)
        };
        splice().map_err(|error| write_error(&self.path, error))?;
        self.row_group += 1;
        self.rows_in_group = 0;
        Ok(())
    }

    /// Ends the file, and waits until it is on disk.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(crate) fn finish(mut self, key_values: Vec<(String, String)>) -> Result<Written, Error> {
        self.close_row_group()?;
        for (key, value) in key_values {
            let entry = KeyValue::new(key, value);
            self.file.append_key_value_metadata(entry);
        }
        let Self {
            path, file, rows, ..
        } = self;
        let size = (|| {
            let file = file.into_inner()?;
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        })();
        Ok(Written {
            size: size.map_err(|error: ParquetError| write_error(&path, error))?,
            row_groups: self.row_group as u64,
            rows,
        })
    }
}

/// The columns of a row group that is being written, in the order of the schema.
pub(crate) struct Columns(Vec<OpenColumn>);

struct OpenColumn {
    writer: ColumnWriter<'static>,
    pages: Pages,
}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Columns").field(&self.0.len()).finish()
    }
}

impl Columns {
    fn new(schema: &SchemaDescriptor, properties: &Arc<WriterProperties>) -> Self {
        let open = |column: &Arc<_>| {
            let pages = Pages::default();
            let sink = Box::new(pages.clone());
            OpenColumn {
                writer: get_column_writer(Arc::clone(column), Arc::clone(properties), sink),
                pages,
            }
        };
        Self(schema.columns().iter().map(open).collect())
    }

    /// Bytes of finished pages.
    fn size(&self) -> usize {
        self.0.iter().map(|column| column.pages.size()).sum()
    }

    fn writer(&mut self, column: usize) -> ParquetResult<&mut ColumnWriter<'static>> {
        let columns = self.0.len();
        let open = self.0.get_mut(column);
        let open = open.ok_or(ParquetError::IndexOutOfBound(column, columns))?;
        Ok(&mut open.writer)
    }

    pub(crate) fn integers(&mut self, column: usize, values: &[i64]) -> ParquetResult<()> {
        self.lists(column, values, None)
    }

    /// A repeated column: values, and for each place of a list (one for an empty list) its definition and repetition
    /// level.
    pub(crate) fn lists(
        &mut self,
        column: usize,
        values: &[i64],
        levels: Option<(&[i16], &[i16])>,
    ) -> ParquetResult<()> {
        let (definition, repetition) = levels.unzip();
        match self.writer(column)? {
            ColumnWriter::Int64ColumnWriter(writer) => {
                writer.write_batch(values, definition, repetition).map(drop)
            }
            _ => Err(not_of(column)),
        }
    }

    pub(crate) fn booleans(&mut self, column: usize, values: &[bool]) -> ParquetResult<()> {
        match self.writer(column)? {
            ColumnWriter::BoolColumnWriter(writer) => {
                writer.write_batch(values, None, None).map(drop)
            }
            _ => Err(not_of(column)),
        }
    }

    pub(crate) fn byte_arrays(&mut self, column: usize, values: &[ByteArray]) -> ParquetResult<()> {
        match self.writer(column)? {
            ColumnWriter::ByteArrayColumnWriter(writer) => {
                writer.write_batch(values, None, None).map(drop)
            }
            _ => Err(not_of(column)),
        }
    }
}

fn not_of(column: usize) -> ParquetError {
    ParquetError::General(format!("column {column} is of another type"))
}

fn write_error(path: &Path, error: ParquetError) -> Error {
    Error::Write {
        file: path.display().to_string(),
        source: match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => *source,
                Err(source) => io::Error::other(source),
            },
            other => io::Error::other(other),
        },
    }
}

#[cfg(test)]
mod tests;
