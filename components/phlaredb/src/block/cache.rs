//! Pieces of blocks in memory, within a limit of bytes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use phlare_block::profiles::{Headers, Profiles};
use phlare_block::{Error, symdb, tsdb};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Partition;
use super::failure::Failure;

/// So many failed reads are known; more are begun anew by whoever waited for them.
const MAX_FAILURES: usize = 1024;

/// Pieces of all blocks of a process. What was not used for longest goes first when the limit is reached.
#[derive(Clone)]
pub struct BlockCache {
    shared: Arc<Shared>,
}

struct Shared {
    pieces: Cache<Key, Part, Weigh>,
    /// Of each piece the last read, if it failed.
    failures: Mutex<HashMap<Key, Failure>>,
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
                failures: Mutex::default(),
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

    /// A piece, read by `read` if it is not here; whoever else wants it waits, and shares what comes of it.
    pub(super) fn get(
        &self,
        owner: &Owner,
        piece: Piece,
        read: impl FnOnce() -> Result<Part, Error>,
    ) -> Result<Part, Error> {
        self.get_since(Instant::now(), owner, piece, read)
    }

    /// As [`Self::get`], for somebody who has waited since `asked`.
    fn get_since(
        &self,
        asked: Instant,
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
            let failed = self.shared.failures.lock().get(&key).cloned();
            if let Some(error) = failed.and_then(|failure| failure.since(asked)) {
                return Err(error);
            }
            self.shared.misses.fetch_add(1, Ordering::Relaxed);
            let read = read();
            self.shared.note(key, read.as_ref().err());
            read
        })
    }
}

impl Shared {
    /// How the last read of a piece ended.
    fn note(&self, key: Key, error: Option<&Error>) {
        let mut failures = self.failures.lock();
        match error.and_then(Failure::of) {
            Some(failure) => {
                if failures.len() >= MAX_FAILURES {
                    failures.clear();
                }
                failures.insert(key, failure);
            }
            None => {
                failures.remove(&key);
            }
        }
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
        let mut failures = self.shared.failures.lock();
        failures.retain(|key, _| key.owner != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waited_for_a_read_that_failed_shares_its_failure() {
        let cache = BlockCache::new(1 << 20);
        let owner = cache.owner();
        let unread = || -> Result<Part, Error> { panic!("it was read anew") };
        let read = || -> Result<Part, Error> {
            Err(Error::Read {
                file: "index.tsdb".to_owned(),
                source: "the store is silent".into(),
            })
        };
        let before = Instant::now();
        assert!(cache.get(&owner, Piece::Index, read).is_err());
        let shared = cache.get_since(before, &owner, Piece::Index, unread).err();
        let text = phlare_model::chain(&shared.unwrap());
        assert!(
            text.contains("index.tsdb") && text.contains("silent"),
            "{text}"
        );
        // Whoever comes later tries, and so does who wants something else.
        let mut tries = 0;
        for (asked, piece) in [(Instant::now(), Piece::Index), (before, Piece::Symbols)] {
            let tried = cache.get_since(asked, &owner, piece, || {
                tries += 1;
                read()
            });
            assert!(tried.is_err());
        }
        assert_eq!(tries, 2);
        drop(owner);
        assert!(cache.shared.failures.lock().is_empty());
    }
}
