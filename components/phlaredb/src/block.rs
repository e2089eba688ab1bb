//! A finished block: opened piece by piece as queries need it, with the pieces in a shared cache.

mod bucket;
mod cache;
mod partition;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use phlare_block::meta::{self, Meta};
use phlare_block::profiles::{Headers, Profiles};
use phlare_block::{BlockId, Error, Files, LocalFiles, symdb, tsdb};

use tracing::warn;

pub use bucket::BucketFiles;
pub use cache::BlockCache;
use cache::{Owner, Part, Piece};
pub(crate) use partition::Partition;

/// A block in a directory or a bucket. Holds its `meta.json`; everything else is read when it is needed.
#[derive(Debug)]
pub struct Block {
    meta: Meta,
    files: Arc<dyn Files>,
    cache: BlockCache,
    owner: Owner,
    /// Why a part of the block cannot be read, once that is known.
    unreadable: OnceLock<String>,
}

impl Block {
    /// The block of these files.
    #[must_use]
    pub fn new(meta: Meta, files: Arc<dyn Files>, cache: &BlockCache) -> Self {
        Self {
            meta,
            files,
            owner: cache.owner(),
            cache: cache.clone(),
            unreadable: OnceLock::new(),
        }
    }

    /// The block in a directory. Reads its `meta.json`.
    ///
    /// # Errors
    /// If there is none, or it makes no sense.
    pub fn open(directory: &Path, cache: &BlockCache) -> Result<Self, Error> {
        let files = LocalFiles::new(directory);
        let meta = Meta::read(&files)?;
        Ok(Self::new(meta, Arc::new(files), cache))
    }

    /// Its `meta.json`.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.meta.id
    }

    /// Its files.
    #[must_use]
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    /// Why answers lack profiles of this block, if a query found it damaged or without one of its files.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        self.unreadable.get().map(String::as_str)
    }

    /// Says once that answers lack this block.
    pub(crate) fn note_unreadable(&self, error: &Error) {
        self.cache.count_unreadable();
        if self.unreadable.set(error.to_string()).is_ok() {
            warn!(block = %self.id(), %error, "block left out of answers");
        }
    }

    /// The index of series.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged; so for all pieces.
    pub fn index(&self) -> Result<Arc<tsdb::Index>, Error> {
        let name = meta::names::INDEX;
        let part = self.cache.get(&self.owner, Piece::Index, || {
            let bytes = self.files.read_all(name)?;
            let index = tsdb::Index::open(bytes, self.files.name(name))?;
            Ok(Part::Index(Arc::new(index)))
        })?;
        match part {
            Part::Index(index) => Ok(index),
            _ => Err(mixed_up(name)),
        }
    }

    /// The table of profiles.
    ///
    /// # Errors
    /// As [`Self::index`].
    pub fn profiles(&self) -> Result<Arc<Profiles>, Error> {
        let name = meta::names::PROFILES;
        let part = self.cache.get(&self.owner, Piece::Profiles, || {
            let size = match self.meta.size_of(name) {
                Some(size) if size > 0 => size,
                _ => self.files.size(name)?,
            };
            let profiles = Profiles::open(Arc::clone(&self.files), name, size)?;
            Ok(Part::Profiles(Arc::new(profiles)))
        })?;
        match part {
            Part::Profiles(profiles) => Ok(profiles),
            _ => Err(mixed_up(name)),
        }
    }

    /// Series, times, totals and partitions of all rows of a row group.
    pub(crate) fn headers(&self, row_group: usize) -> Result<Arc<Headers>, Error> {
        let piece = Piece::Headers(row_group as u32);
        let part = self.cache.get(&self.owner, piece, || {
            let headers = self.profiles()?.headers(row_group)?;
            Ok(Part::Headers(Arc::new(headers)))
        })?;
        match part {
            Part::Headers(headers) => Ok(headers),
            _ => Err(mixed_up("headers")),
        }
    }

    /// What finds symbols.
    ///
    /// # Errors
    /// As [`Self::index`].
    pub fn symbols(&self) -> Result<Arc<symdb::Reader>, Error> {
        let part = self.cache.get(&self.owner, Piece::Symbols, || {
            let files: Vec<_> = self
                .meta
                .files
                .iter()
                .map(|file| (file.rel_path.as_str(), file.size_bytes))
                .collect();
            let layout = symdb::Layout::detect(u32::from(self.meta.version), &files)?;
            let reader = symdb::Reader::open(Arc::clone(&self.files), layout)?;
            Ok(Part::Symbols(Arc::new(reader)))
        })?;
        match part {
            Part::Symbols(symbols) => Ok(symbols),
            _ => Err(mixed_up("symbols")),
        }
    }

    /// The symbols of one partition.
    pub(crate) fn partition(&self, id: u64) -> Result<Arc<Partition>, Error> {
        let part = self.cache.get(&self.owner, Piece::Partition(id), || {
            let tables = self.symbols()?.load(id)?;
            Ok(Part::Partition(Arc::new(Partition::new(tables))))
        })?;
        match part {
            Part::Partition(partition) => Ok(partition),
            _ => Err(mixed_up("symbols")),
        }
    }
}

/// The cache gives back what was put in; a mistake in this module must not become a panic of a server.
fn mixed_up(file: &str) -> Error {
    Error::Unsupported {
        file: file.to_owned(),
        problem: "another piece of the block was in its place in the cache".to_owned(),
    }
}
