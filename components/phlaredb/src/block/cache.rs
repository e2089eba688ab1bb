//! Pieces of blocks in memory, within a limit of bytes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use phlare_block::profiles::{Headers, Profiles};
use phlare_block::{Error, symdb, tsdb};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Partition;

/// Pieces of all blocks of a process. What was not used for longest goes first when the limit is reached.
#[derive(Clone)]
pub struct BlockCache {
    shared: Arc<Shared>,
}

struct Shared {
    pieces: Cache<Key, Part, Weigh>,
    owners: AtomicU64,
    asked: AtomicU64,
    misses: AtomicU64,
    unreadable: AtomicU64,
}

/// A piece of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    Index,
    Profiles,
    Symbols,
    Headers(u32),
    /// Row group, and page of it.
    HeaderPage(u32, u32),
    Partition(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    owner: u64,
    piece: Piece,
}

/// A piece in memory.
#[derive(Clone)]
pub(super) enum Part {
    Index(Arc<tsdb::Index>),
    Profiles(Arc<Profiles>),
    Symbols(Arc<symdb::Reader>),
    Headers(Arc<Headers>),
    Partition(Arc<Partition>),
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Key, Part> for Weigh {
    fn weight(&self, _: &Key, part: &Part) -> u64 {
        let bytes = match part {
            Part::Index(index) => index.size_bytes(),
            Part::Profiles(profiles) => profiles.size_bytes(),
            Part::Symbols(symbols) => symbols.size_bytes(),
            Part::Headers(headers) => headers.size_bytes(),
            Part::Partition(partition) => partition.size_bytes(),
        };
        bytes as u64 + 128
    }
}

/// Whose pieces they are; they leave the cache with their owner.
pub(super) struct Owner {
    id: u64,
    shared: Arc<Shared>,
}

impl BlockCache {
    /// A cache of at most about `bytes` bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let expected_items = usize::try_from(bytes / (64 << 10)).unwrap_or(1024).max(256);
        Self {
            shared: Arc::new(Shared {
                pieces: Cache::with_weighter(expected_items, bytes, Weigh),
                owners: AtomicU64::new(0),
                asked: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                unreadable: AtomicU64::new(0),
            }),
        }
    }

    /// Bytes now.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.shared.pieces.weight()
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.shared.pieces.capacity()
    }

    /// Look-ups that found their piece, and those that had to read it.
    #[must_use]
    pub fn hits_and_misses(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let misses = count(&self.shared.misses);
        (count(&self.shared.asked).saturating_sub(misses), misses)
    }

    /// How often a block was left out of an answer because it is damaged or a file is missing.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.shared.unreadable.load(Ordering::Relaxed)
    }

    pub(super) fn count_unreadable(&self) {
        self.shared.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn owner(&self) -> Owner {
        Owner {
            id: self.shared.owners.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(&self.shared),
        }
    }

    /// A piece, if it is here.
    pub(super) fn peek(&self, owner: &Owner, piece: Piece) -> Option<Part> {
        let key = Key {
            owner: owner.id,
            piece,
        };
        let found = self.shared.pieces.get(&key)?;
        self.shared.asked.fetch_add(1, Ordering::Relaxed);
        Some(found)
    }

    /// Keeps a piece that had to be read.
    pub(super) fn put(&self, owner: &Owner, piece: Piece, part: Part) {
        let key = Key {
            owner: owner.id,
            piece,
        };
        self.shared.asked.fetch_add(1, Ordering::Relaxed);
        self.shared.misses.fetch_add(1, Ordering::Relaxed);
        self.shared.pieces.insert(key, part);
    }

    /// A piece, read by `read` if it is not here; whoever else wants it waits.
    pub(super) fn get(
        &self,
        owner: &Owner,
        piece: Piece,
        read: impl FnOnce() -> Result<Part, Error>,
    ) -> Result<Part, Error> {
        let key = Key {
            owner: owner.id,
            piece,
        };
        self.shared.asked.fetch_add(1, Ordering::Relaxed);
        self.shared.pieces.get_or_insert_with(&key, || {
            self.shared.misses.fetch_add(1, Ordering::Relaxed);
            read()
        })
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache")
            .field("size_bytes", &self.size_bytes())
            .field("limit_bytes", &self.limit_bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owner").field(&self.id).finish()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.pieces.retain(|key, _| key.owner != self.id);
    }
}
