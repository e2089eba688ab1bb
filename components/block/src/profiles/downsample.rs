//! Downsampled tables: rows of a series and partition within 5 minutes, or an hour, added up.
//!
//! Format: blocks.md 3.7.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::options::Options;
use super::reader::total;
use super::schema::Table;
use super::writer::{ProfilesWriter, Written};
use super::{Annotation, Row};
use crate::error::Error;

/// Files of downsampled tables, and the length of their rows in nanoseconds, shortest first.
pub const DOWNSAMPLED: [(&str, i64); 2] = [
    ("profiles_5m_sum.parquet", 5 * 60 * 1_000_000_000),
    ("profiles_1h_sum.parquet", 60 * 60 * 1_000_000_000),
];

/// Writes both downsampled tables of a block from the rows of its table. Keeps a row of each, and what
/// [`ProfilesWriter`] keeps.
#[derive(Debug)]
pub struct DownsampledWriter {
    tables: Vec<Downsampled>,
}

/// A downsampled table that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenDownsampled {
    /// File in the block.
    pub file: &'static str,
    /// What is in it.
    pub written: Written,
}

#[derive(Debug)]
struct Downsampled {
    file: &'static str,
    length_ns: i64,
    writer: ProfilesWriter,
    open: Option<Key>,
    annotations: Vec<Annotation>,
    stacktraces: Vec<u64>,
    values: Vec<i64>,
    /// By stack trace, where it is in the lists.
    places: FxHashMap<u64, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    series: u32,
    partition: u64,
    start_ns: i64,
}

impl DownsampledWriter {
    /// Creates the files in the directory of a block.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(directory: &Path, options: &Options) -> Result<Self, Error> {
        let table = |(file, length_ns): (&'static str, i64)| {
            let path = directory.join(file);
            let writer = ProfilesWriter::create_table(path, options.clone(), Table::Downsampled)?;
            Ok(Downsampled {
                file,
                length_ns,
                writer,
                open: None,
                annotations: Vec::new(),
                stacktraces: Vec::new(),
                values: Vec::new(),
                places: FxHashMap::default(),
            })
        };
        let tables = DOWNSAMPLED
            .into_iter()
            .map(table)
            .collect::<Result<_, _>>()?;
        Ok(Self { tables })
    }

    /// Adds a row of the full table, in its order.
    ///
    /// # Errors
    /// As [`ProfilesWriter::push`].
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        for table in &mut self.tables {
            table.push(row)?;
        }
        Ok(())
    }

    /// Writes what is left and syncs the files. The directory is the caller's.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(self) -> Result<Vec<WrittenDownsampled>, Error> {
        let finish = |mut table: Downsampled| {
            table.close()?;
            let Downsampled { file, writer, .. } = table;
            let written = writer.finish()?;
            Ok(WrittenDownsampled { file, written })
        };
        self.tables.into_iter().map(finish).collect()
    }
}

impl Downsampled {
    fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let key = Key {
            series: row.series,
            partition: row.partition,
            start_ns: row.time_ns - row.time_ns.rem_euclid(self.length_ns),
        };
        if self.open != Some(key) {
            self.close()?;
            self.open = Some(key);
        }
        for (&stacktrace, &value) in row.stacktraces.iter().zip(row.values) {
            let place = *self.places.entry(stacktrace).or_insert(self.values.len());
            match self.values.get_mut(place) {
                Some(sum) => *sum = sum.saturating_add(value),
                None => {
                    self.stacktraces.push(stacktrace);
                    self.values.push(value);
                }
            }
        }
        self.annotations.extend_from_slice(row.annotations);
        Ok(())
    }

    /// Writes the row that is being added up.
    fn close(&mut self) -> Result<(), Error> {
        if let Some(key) = self.open.take() {
            self.writer.push(&Row {
                series: key.series,
                partition: key.partition,
                time_ns: key.start_ns,
                total: total(&self.values),
                stacktraces: &self.stacktraces,
                values: &self.values,
                annotations: &self.annotations,
                ..Row::default()
            })?;
        }
        self.annotations.clear();
        self.stacktraces.clear();
        self.values.clear();
        self.places.clear();
        Ok(())
    }
}
