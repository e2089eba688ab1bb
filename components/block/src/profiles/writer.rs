//! Writes a table, row by row.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor};

use super::Row;
use super::doc_urls::{self, DocUrlsWriter};
use super::leaves::Leaves;
use super::options::Options;
use super::schema::Table;
use super::staged::Staged;
use crate::error::Error;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Row groups.
    pub row_groups: u32,
    /// Size of the file.
    pub size_bytes: u64,
    /// Samples of all rows.
    pub samples: u64,
    /// The most bytes of memory that rows and pages took at once.
    pub peak_memory: usize,
}

/// Samples or rows that are staged before the column writers get them.
const STAGED_SAMPLES: usize = 8192;
const STAGED_ROWS: usize = 1024;

/// Writes a table of profiles. Keeps at most a row group in memory, compressed: [`Options::row_group_bytes`].
pub struct ProfilesWriter {
    path: PathBuf,
    options: Options,
    file: SerializedFileWriter<BufWriter<File>>,
    schema: SchemaDescPtr,
    properties: WriterPropertiesPtr,
    staged: Staged,
    leaves: Leaves,
    doc_urls: DocUrlsWriter,
    last: Option<(u32, i64)>,
    written: Written,
}

impl fmt::Debug for ProfilesWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfilesWriter")
            .field("path", &self.path)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl ProfilesWriter {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(path: impl Into<PathBuf>, options: Options) -> Result<Self, Error> {
        Self::create_table(path.into(), options, Table::Profiles)
    }

    pub(crate) fn create_table(
        path: PathBuf,
        options: Options,
        table: Table,
    ) -> Result<Self, Error> {
        let sink = File::create(&path).map_err(|source| failed(&path, source))?;
        let open = || {
            let root = table.schema()?;
            let schema = Arc::new(SchemaDescriptor::new(Arc::clone(&root)));
            let properties = options.properties()?;
            let sink = BufWriter::with_capacity(256 << 10, sink);
            let file = SerializedFileWriter::new(sink, root, Arc::clone(&properties))?;
            Ok((schema, properties, file))
        };
        let (schema, properties, file) = open().map_err(|error| refused(&path, error))?;
        Ok(Self {
            leaves: Leaves::new(&schema, &properties),
            path,
            options,
            file,
            schema,
            properties,
            staged: Staged::default(),
            doc_urls: DocUrlsWriter::default(),
            last: None,
            written: Written::default(),
        })
    }

    /// Adds a row: not before the one before it in series and time, with lists of equal lengths, with values greater
    /// than 0 and the total that they have.
    ///
    /// # Errors
    /// [`Error::Unwritable`], and nothing is written; [`Error::Write`], after which the file is of no use.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.check(row)?;
        self.last = Some((row.series, row.time_ns));
        self.doc_urls.push(self.written.rows, row.doc_url);
        self.staged.push(row);
        self.written.rows += 1;
        self.written.samples += row.values.len() as u64;
        let rows = self.leaves.rows() + self.staged.rows;
        let is_full = rows >= self.options.row_group_rows;
        if is_full || self.staged.values.len() >= STAGED_SAMPLES || self.staged.rows >= STAGED_ROWS
        {
            self.write_staged()?;
            if is_full || self.leaves.len_bytes() >= self.options.row_group_bytes {
                self.finish_row_group()?;
            }
        }
        Ok(())
    }

    fn check(&self, row: &Row<'_>) -> Result<(), Error> {
        let samples = row.values.len();
        let fits = |length: usize| length == 0 || length == samples;
        let total = row
            .values
            .iter()
            .fold(0u64, |sum, &value| sum.wrapping_add(value as u64));
        let problem = if self.last > Some((row.series, row.time_ns)) {
            "it lies before the row before it in series and time"
        } else if row.stacktraces.len() != samples
            || !fits(row.spans.len())
            || !fits(row.traces.len())
        {
            "its lists of samples have different lengths"
        } else if row.values.iter().any(|&value| value <= 0) {
            "a value is not greater than 0"
        } else if total != row.total {
            "its total is not the sum of its values"
        } else {
            return Ok(());
        };
        Err(Error::Unwritable {
            file: self.path.display().to_string(),
            problem: format!("row {}: {problem}", self.written.rows),
        })
    }

    fn write_staged(&mut self) -> Result<(), Error> {
        let staged = self.staged.size_bytes();
        let written = self.leaves.write(&self.staged);
        written.map_err(|error| refused(&self.path, error))?;
        let memory = staged + self.leaves.size_bytes() + self.doc_urls.size_bytes();
        self.written.peak_memory = self.written.peak_memory.max(memory);
        self.staged.clear();
        Ok(())
    }

    fn finish_row_group(&mut self) -> Result<(), Error> {
        if self.leaves.rows() == 0 {
            return Ok(());
        }
        let next = Leaves::new(&self.schema, &self.properties);
        let full = std::mem::replace(&mut self.leaves, next);
        let finished = full.finish(&mut self.file);
        finished.map_err(|error| refused(&self.path, error))?;
        self.written.row_groups += 1;
        Ok(())
    }

    /// Writes what is left and syncs the file. The directory is the caller's.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(mut self) -> Result<Written, Error> {
        self.write_staged()?;
        self.finish_row_group()?;
        if let Some(text) = self.doc_urls.finish() {
            let entry = KeyValue::new(doc_urls::KEY.to_owned(), text);
            self.file.append_key_value_metadata(entry);
        }
        let path = &self.path;
        let sink = self
            .file
            .into_inner()
            .map_err(|error| refused(path, error))?;
        let file = sink
            .into_inner()
            .map_err(|error| failed(path, error.into_error()))?;
        file.sync_all().map_err(|source| failed(path, source))?;
        let size = file.metadata().map_err(|source| failed(path, source))?;
        self.written.size_bytes = size.len();
        Ok(self.written)
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    let file = path.display().to_string();
    Error::Write { file, source }
}

fn refused(path: &Path, error: ParquetError) -> Error {
    failed(path, io::Error::other(error))
}
