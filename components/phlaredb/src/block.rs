//! A finished block: opened piece by piece as queries need it, with the pieces in a shared cache.

mod bucket;
mod cache;
mod counted;
mod failure;
mod partition;
mod unopened;

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use phlare_block::meta::{self, Meta};
use phlare_block::profiles::{Headers, Profiles};
use phlare_block::{BlockId, Error, Files, LocalFiles, both, symdb, tsdb};

use tracing::warn;

pub use bucket::BucketFiles;
pub use cache::BlockCache;
use cache::{Owner, Part, Piece};
pub use counted::BytesRead;
use counted::Counted;
pub(crate) use partition::Partition;
pub use unopened::{StoredBlock, UnopenedBlock};

/// A larger index is read in parts side by side: one connection to a store takes longer for more than for its answer to
/// begin.
const PART_BYTES: u64 = 4 << 20;

/// A block in a directory or a bucket. Holds its `meta.json`; everything else is read when it is needed.
#[derive(Debug)]
pub struct Block {
    known: Arc<Known>,
    /// Those of `known`, or what counts while it reads them.
    files: Arc<dyn Files>,
    cache: BlockCache,
}

/// What is the same for all queries.
#[derive(Debug)]
struct Known {
    meta: Meta,
    files: Arc<dyn Files>,
    owner: Owner,
    /// Why a part of the block cannot be read, once that is known.
    unreadable: OnceLock<String>,
}

impl Block {
    /// The block of these files.
    #[must_use]
    pub fn new(meta: Meta, files: Arc<dyn Files>, cache: &BlockCache) -> Self {
        let known = Known {
            meta,
            files: Arc::clone(&files),
            owner: cache.owner(),
            unreadable: OnceLock::new(),
        };
        Self {
            known: Arc::new(known),
            files,
            cache: cache.clone(),
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
        &self.known.meta
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.known.meta.id
    }

    /// The same block, which adds to `read` what it reads from now on. What is in the cache is not read.
    #[must_use]
    pub fn counting(&self, read: &BytesRead) -> Self {
        let files = Counted {
            files: Arc::clone(&self.known.files),
            read: read.clone(),
        };
        Self {
            known: Arc::clone(&self.known),
            files: Arc::new(files),
            cache: self.cache.clone(),
        }
    }

    /// Its files.
    #[must_use]
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    /// Why answers lack profiles of this block, if a query found it damaged or without one of its files.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        self.known.unreadable.get().map(String::as_str)
    }

    /// Says once that answers lack this block.
    pub(crate) fn note_unreadable(&self, error: &Error) {
        self.cache.count_unreadable();
        if self.known.unreadable.set(error.to_string()).is_ok() {
            warn!(block = %self.id(), %error, "block left out of answers");
        }
    }

    /// The index of series, for a query of profiles, or of their samples, which needs symbols. Other pieces of a block that
    /// is far away are opened beside it.
    pub(crate) fn index_for_query(&self, with_symbols: bool) -> Result<Arc<tsdb::Index>, Error> {
        if !self.files.is_far() {
            return self.index();
        }
        let has = |piece| self.cache.peek(&self.known.owner, piece).is_some();
        let lacks_profiles = !has(Piece::Profiles);
        let lacks_symbols = with_symbols && !has(Piece::Symbols);
        if has(Piece::Index) || !(lacks_profiles || lacks_symbols) {
            return self.index();
        }
        // What goes wrong with the others is of interest to whoever uses them.
        let profiles = || lacks_profiles.then(|| self.profiles());
        let symbols = || lacks_symbols.then(|| self.symbols());
        let (_, index) = both(
            &*self.files,
            || both(&*self.files, profiles, symbols),
            || self.index(),
        );
        index
    }

    /// The index of series.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged; so for all pieces.
    pub fn index(&self) -> Result<Arc<tsdb::Index>, Error> {
        let name = meta::names::INDEX;
        let part = self.cache.get(&self.known.owner, Piece::Index, || {
            let bytes = match self.meta().size_of(name) {
                Some(size) if self.files.is_far() && size > PART_BYTES => {
                    read_parts(&*self.files, name, 0..size)?.concat().into()
                }
                _ => self.files.read_all(name)?,
            };
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
        let part = self.cache.get(&self.known.owner, Piece::Profiles, || {
            let size = match self.meta().size_of(name) {
                Some(size) if size > 0 => size,
                _ => self.files.size(name)?,
            };
            let profiles = Profiles::open(Arc::clone(&self.files), name, size)?;
            let profiles = profiles.through(Arc::clone(&self.known.files));
            Ok(Part::Profiles(Arc::new(profiles)))
        })?;
        match part {
            Part::Profiles(profiles) => Ok(Arc::new(profiles.through(Arc::clone(&self.files)))),
            _ => Err(mixed_up(name)),
        }
    }

    /// Series, times, totals and partitions of all rows of a row group.
    fn headers(&self, row_group: usize) -> Result<Arc<Headers>, Error> {
        let piece = Piece::Headers(row_group as u32);
        let part = self.cache.get(&self.known.owner, piece, || {
            let headers = self.profiles()?.headers(row_group)?;
            Ok(Part::Headers(Arc::new(headers)))
        })?;
        headers_in(part)
    }

    /// The same of at least the rows that these series, which ascend, have in a time range; `None` if they have none.
    /// Reads pages that may hold such rows, or all, if that is most of them.
    pub(crate) fn headers_for(
        &self,
        row_group: usize,
        series: &[u32],
        time_ns: &RangeInclusive<i64>,
    ) -> Result<Option<Arc<Headers>>, Error> {
        let profiles = self.profiles()?;
        let pages = profiles.header_pages(row_group, series, time_ns)?;
        if pages.is_empty() {
            return Ok(None);
        }
        let (cache, owner) = (&self.cache, &self.known.owner);
        let group = row_group as u32;
        if let Some(all) = cache.peek(owner, Piece::Headers(group)) {
            return headers_in(all).map(Some);
        }
        // All at once need not be joined by every query.
        if pages.len() * 2 > profiles.header_page_count(row_group)? {
            return self.headers(row_group).map(Some);
        }
        let mut parts: Vec<Option<Arc<Headers>>> = Vec::with_capacity(pages.len());
        for &page in &pages {
            let found = cache.peek(owner, Piece::HeaderPage(group, page as u32));
            parts.push(found.map(headers_in).transpose()?);
        }
        let known = || pages.iter().zip(&parts);
        let missing: Vec<usize> = known()
            .filter_map(|(&page, part)| part.is_none().then_some(page))
            .collect();
        let read = match missing.is_empty() {
            true => Vec::new(),
            false => profiles.headers_of(row_group, &missing)?,
        };
        let empty = parts.iter_mut().filter(|part| part.is_none());
        for ((page, headers), part) in missing.into_iter().zip(read).zip(empty) {
            let headers = Arc::new(headers);
            let piece = Piece::HeaderPage(group, page as u32);
            cache.put(owner, piece, Part::Headers(Arc::clone(&headers)));
            *part = Some(headers);
        }
        let parts: Vec<Arc<Headers>> = parts.into_iter().flatten().collect();
        Ok(Some(match parts.as_slice() {
            [only] => Arc::clone(only),
            parts => Arc::new(Headers::join(parts.iter().map(|part| &**part))),
        }))
    }

    /// What finds symbols.
    ///
    /// # Errors
    /// As [`Self::index`].
    pub fn symbols(&self) -> Result<Arc<symdb::Reader>, Error> {
        let part = self.cache.get(&self.known.owner, Piece::Symbols, || {
            let files: Vec<_> = self
                .meta()
                .files
                .iter()
                .map(|file| (file.rel_path.as_str(), file.size_bytes))
                .collect();
            let layout = symdb::Layout::detect(u32::from(self.meta().version), &files)?;
            let reader = symdb::Reader::open(Arc::clone(&self.files), layout)?;
            let reader = reader.through(Arc::clone(&self.known.files));
            Ok(Part::Symbols(Arc::new(reader)))
        })?;
        match part {
            Part::Symbols(symbols) => Ok(Arc::new(symbols.through(Arc::clone(&self.files)))),
            _ => Err(mixed_up("symbols")),
        }
    }

    /// The symbols of one partition.
    pub(crate) fn partition(&self, id: u64) -> Result<Arc<Partition>, Error> {
        let part = self
            .cache
            .get(&self.known.owner, Piece::Partition(id), || {
                let tables = self.symbols()?.load(id)?;
                Ok(Part::Partition(Arc::new(Partition::new(tables))))
            })?;
        match part {
            Part::Partition(partition) => Ok(partition),
            _ => Err(mixed_up("symbols")),
        }
    }
}

/// A range of a file that is far away, halves of it side by side as long as they are large.
fn read_parts(files: &dyn Files, file: &str, range: Range<u64>) -> Result<Vec<Bytes>, Error> {
    let length = range.end.saturating_sub(range.start);
    if length <= PART_BYTES {
        return files.read(file, std::slice::from_ref(&range));
    }
    let middle = range.start + length / 2;
    let (one, other) = both(
        files,
        || read_parts(files, file, range.start..middle),
        || read_parts(files, file, middle..range.end),
    );
    let mut parts = one?;
    parts.extend(other?);
    Ok(parts)
}

fn headers_in(part: Part) -> Result<Arc<Headers>, Error> {
    match part {
        Part::Headers(headers) => Ok(headers),
        _ => Err(mixed_up("headers")),
    }
}

/// The cache gives back what was put in; a mistake in this module must not become a panic of a server.
fn mixed_up(file: &str) -> Error {
    Error::Unsupported {
        file: file.to_owned(),
        problem: "another piece of the block was in its place in the cache".to_owned(),
    }
}
