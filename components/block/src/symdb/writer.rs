//! Symbols of a block, written partition by partition: symdb format 2.
//!
//! Format: blocks.md 4.2, 4.3, 4.8.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::index::{self, Chunk, Partition, Tables};
use super::tables::TablesWriter;
use super::{check, chunk};
use crate::error::Error;
use crate::fields::crc32c;
use crate::meta::{FileEntry, ParquetEntry};
use crate::symbols::Symbols;

/// The directory of the files in a block.
const DIRECTORY: &str = "symbols";
const INDEX: &str = "index.symdb";
const STACKS: &str = "stacktraces.symdb";
/// Bytes of a row group of a table, at which another one is begun. They are in memory. Few blocks have so many.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// Where the second chunk would begin: there is only one.
const MAX_NODES: u32 = u32::MAX;
/// Locations of a partition: upstream has a use for the bit above.
const MAX_LOCATIONS: usize = 1 << 30;

/// Writes the symbols of a block. Holds the pages of one row group of each table, 32 MiB at most, and the index.
#[derive(Debug)]
pub struct Writer {
    block: PathBuf,
    stacktraces: Stacktraces,
    tables: TablesWriter,
    partitions: Vec<Partition>,
}

impl Writer {
    /// Creates the directory `symbols` and the files in it, in the directory of a block. Files that are there are
    /// replaced.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn new(block: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::create(block.into(), ROW_GROUP_BYTES)
    }

    fn create(block: PathBuf, row_group_bytes: usize) -> Result<Self, Error> {
        let directory = block.join(DIRECTORY);
        fs::create_dir_all(&directory).map_err(|source| write_error(&directory, source))?;
        Ok(Self {
            stacktraces: Stacktraces::create(directory.join(STACKS))?,
            tables: TablesWriter::create(&directory, row_group_bytes)?,
            partitions: Vec::new(),
            block,
        })
    }

    /// Writes the symbols of a partition. Ids come ascending. Nodes of stack traces keep their ids; for symbols of a
    /// block of meta version 1, whose stack traces have other ids than their nodes, that is the caller's to know.
    ///
    /// # Errors
    /// [`Error::Unwritable`] if the partition is not behind the one before, or something in it refers to what isn't
    /// there; [`Error::Write`].
    pub fn partition(&mut self, id: u64, symbols: &Symbols) -> Result<(), Error> {
        let before = self.partitions.last();
        if before.is_some_and(|before| before.id >= id) {
            return Err(self.unwritable(id, "it comes behind one with a higher id, or the same"));
        }
        if let Err(fault) = check::symbols(symbols) {
            return Err(self.unwritable(id, &fault.problem));
        }
        if symbols.locations.len() >= MAX_LOCATIONS {
            return Err(self.unwritable(id, "it has 2^30 locations or more"));
        }
        if i32::try_from(symbols.stacks.len()).is_err() {
            return Err(self.unwritable(id, "its tree has 2^31 nodes or more"));
        }
        let chunk = self.stacktraces.append(symbols)?;
        let rows = self.tables.append(id, symbols)?;
        self.partitions.push(Partition {
            id,
            chunks: vec![chunk],
            tables: Tables::Rows(rows),
        });
        Ok(())
    }

    /// Ends the files, and waits until they are on disk. Says which there are, by name, as `meta.json` lists them.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(self) -> Result<Vec<FileEntry>, Error> {
        let directory = self.block.join(DIRECTORY);
        let file = |name: &str, size: u64, parquet: Option<ParquetEntry>| FileEntry {
            rel_path: format!("{DIRECTORY}/{name}"),
            size_bytes: size,
            parquet,
            ..FileEntry::default()
        };
        let index = index::write_rows(&self.partitions);
        let path = directory.join(INDEX);
        write_synced(&path, &index).map_err(|source| write_error(&path, source))?;
        let mut files = vec![
            file(INDEX, index.len() as u64, None),
            file(STACKS, self.stacktraces.finish()?, None),
        ];
        for (name, written) in self.tables.finish()? {
            let parquet = ParquetEntry {
                num_row_groups: written.row_groups,
                num_rows: written.rows,
            };
            files.push(file(name, written.size, Some(parquet)));
        }
        for directory in [&directory, &self.block] {
            let synced = File::open(directory).and_then(|directory| directory.sync_all());
            synced.map_err(|source| write_error(directory, source))?;
        }
        files.sort_by(|one, other| one.rel_path.cmp(&other.rel_path));
        Ok(files)
    }

    fn unwritable(&self, partition: u64, problem: &str) -> Error {
        Error::Unwritable {
            file: self.block.join(DIRECTORY).display().to_string(),
            problem: format!("partition {partition:016x}: {problem}"),
        }
    }
}

/// The file of stack traces.
#[derive(Debug)]
struct Stacktraces {
    path: PathBuf,
    file: BufWriter<File>,
    size: u64,
}

impl Stacktraces {
    fn create(path: PathBuf) -> Result<Self, Error> {
        let file = File::create(&path).map_err(|source| write_error(&path, source))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
            size: 0,
        })
    }

    fn append(&mut self, symbols: &Symbols) -> Result<Chunk, Error> {
        let mut bytes = Vec::new();
        chunk::encode(&symbols.stacks, &mut bytes);
        let chunk = Chunk {
            offset: self.size,
            size: bytes.len() as u64,
            nodes: symbols.stacks.len() as u32,
            max_nodes: MAX_NODES,
            crc: crc32c(&bytes),
        };
        let written = self.file.write_all(&bytes);
        written.map_err(|source| write_error(&self.path, source))?;
        self.size += chunk.size;
        Ok(chunk)
    }

    fn finish(self) -> Result<u64, Error> {
        let Self { path, file, size } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        let synced = file.and_then(|file| file.sync_all());
        synced.map_err(|source| write_error(&path, source))?;
        Ok(size)
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write {
        file: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests;
