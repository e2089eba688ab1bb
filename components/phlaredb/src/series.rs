//! One series of the head: its labels and its profiles.

use std::sync::Arc;

use parking_lot::Mutex;
use phlare_model::labels::Labels;
use uuid::Uuid;

use crate::chunk::{Chunk, ChunkRow, NewRow};
use crate::delta::Cumulative;

/// Index of a series in its head: dense, in order of first appearance.
pub(crate) type SeriesIndex = u32;

/// A series and its profiles. Queries hold its lock only while they read the open chunk.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    profiles: Mutex<Profiles>,
}

#[derive(Debug, Default)]
struct Profiles {
    sealed: Vec<Arc<Chunk>>,
    open: Chunk,
    /// Times of the first and the last profile, in ns.
    times: Option<(i64, i64)>,
    cumulative: Option<Box<Cumulative>>,
}

/// A profile taken out of its series.
#[derive(Clone, Debug)]
pub(crate) struct OwnedRow {
    pub(crate) time_ns: i64,
    pub(crate) total: u64,
    pub(crate) partition: u64,
    pub(crate) id: Uuid,
    pub(crate) encoded: Vec<u8>,
}

impl Series {
    pub(crate) fn new(labels: Labels) -> Self {
        Self {
            labels,
            profiles: Mutex::default(),
        }
    }

    /// Times of the first and the last profile in ns.
    pub(crate) fn times(&self) -> Option<(i64, i64)> {
        self.profiles.lock().times
    }

    /// Runs `change` on the state that turns this series' cumulative profiles into differences.
    pub(crate) fn with_cumulative<T>(&self, change: impl FnOnce(&mut Cumulative) -> T) -> T {
        change(self.profiles.lock().cumulative.get_or_insert_default())
    }

    /// Runs `read` on that state, if there is one.
    pub(crate) fn cumulative<T>(&self, read: impl FnOnce(&Cumulative) -> T) -> Option<T> {
        self.profiles.lock().cumulative.as_deref().map(read)
    }

    /// Adds a profile; returns by how many bytes the series grew, or `None` if it is one of the last profiles once
    /// more: a push that a client repeated because it missed the answer.
    pub(crate) fn push(&self, row: &NewRow<'_>) -> Option<usize> {
        let mut profiles = self.profiles.lock();
        // Nearly always a profile is later than all before it, and there is nothing to look through.
        if profiles.times.is_some_and(|(_, last)| row.time_ns <= last) {
            let latest = profiles.sealed.last().map(|chunk| &**chunk);
            let mut latest = latest.into_iter().chain([&profiles.open]);
            if latest.any(|chunk| chunk.has(row)) {
                return None;
            }
        }
        let mut before = profiles.open.size_bytes();
        profiles.open.push(row);
        let mut grown = profiles.open.size_bytes().saturating_sub(before);
        if profiles.open.is_full() {
            before = profiles.open.size_bytes();
            let mut full = std::mem::take(&mut profiles.open);
            full.shrink();
            grown = (grown + full.size_bytes()).saturating_sub(before);
            profiles.sealed.push(Arc::new(full));
        }
        let (first, last) = profiles.times.unwrap_or((row.time_ns, row.time_ns));
        profiles.times = Some((first.min(row.time_ns), last.max(row.time_ns)));
        Some(grown)
    }

    /// Copies of the profiles whose time `wanted` accepts, in no order.
    pub(crate) fn rows(&self, wanted: impl Fn(i64) -> bool) -> Vec<OwnedRow> {
        let mut rows = Vec::new();
        self.for_each(|row, encoded| {
            if wanted(row.time_ns) {
                rows.push(OwnedRow {
                    time_ns: row.time_ns,
                    total: row.total,
                    partition: row.partition,
                    id: row.id,
                    encoded: encoded.to_vec(),
                });
            }
        });
        rows
    }

    /// Calls `each` with every profile and its encoded samples.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&ChunkRow, &[u8])) {
        let sealed = {
            let profiles = self.profiles.lock();
            profiles
                .open
                .rows()
                .for_each(|(row, encoded)| each(row, encoded));
            profiles.sealed.clone()
        };
        for chunk in sealed {
            chunk.rows().for_each(|(row, encoded)| each(row, encoded));
        }
    }
}
