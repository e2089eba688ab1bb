//! The open, in-memory part of a database: symbols, index and profiles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use phlare_model::labels::Labels;
use phlare_pprof::{Normalized, Seed};
use uuid::Uuid;

use crate::chunk::{self, NewRow, Samples};
use crate::delta::Cumulative;
use crate::index::Index;
use crate::series::Series;
use crate::symbols::Symbols;

/// Key of the set of symbols that a profile shares in a block (blocks.md 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u64);

/// One profile to be stored: the values of one sample type, of samples with the same labels.
#[derive(Clone, Debug)]
pub struct Row {
    /// All labels of the series, `__profile_type__` included, control labels removed.
    pub labels: Labels,
    /// Index into the profile's groups.
    pub group: usize,
    /// Index into the profile's sample types.
    pub sample_type: usize,
    /// Identity of the profile: the same in all replicas and for all its sample types.
    pub id: Uuid,
    /// Where its symbols go in a block.
    pub partition: PartitionId,
    /// Values count from the start of the process: store what was added since the series' previous profile.
    pub delta: bool,
}

/// What one pprof adds.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// The pprof.
    pub profile: &'a Normalized<'a>,
    /// Its profiles.
    pub rows: &'a [Row],
}

/// Size and content of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Time of the oldest profile in ms.
    pub oldest_ms: Option<i64>,
    /// Time of the newest profile in ms.
    pub newest_ms: Option<i64>,
    /// Series, idle ones included.
    pub series: u64,
    /// Profiles.
    pub profiles: u64,
    /// Samples.
    pub samples: u64,
    /// Memory in bytes.
    pub bytes: u64,
}

/// Profiles in memory. Readers and the one writer share it without waiting for each other for long.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) symbols: RwLock<Symbols>,
    pub(crate) index: RwLock<Index>,
    profiles: AtomicU64,
    samples: AtomicU64,
    profile_bytes: AtomicUsize,
    times: Mutex<Option<(i64, i64)>>,
}

/// A profile as it goes into the head, before differences are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) series: &'a Series,
    pub(crate) time_ns: i64,
    pub(crate) id: Uuid,
    pub(crate) partition: u64,
    pub(crate) cumulative: bool,
    /// Samples as [`chunk::encode`] makes them.
    pub(crate) encoded: &'a [u8],
}

/// How many sample values came, and how many were stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) received: u64,
    pub(crate) stored: u64,
}

impl Head {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            symbols: RwLock::new(Symbols::new(seed)),
            index: RwLock::default(),
            profiles: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            profile_bytes: AtomicUsize::new(0),
            times: Mutex::new(None),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let times = *self.times.lock();
        let ms = |ns: i64| ns.div_euclid(1_000_000);
        Stats {
            oldest_ms: times.map(|(first, _)| ms(first)),
            newest_ms: times.map(|(_, last)| ms(last)),
            series: self.index.read().series().len() as u64,
            profiles: self.profiles.load(Ordering::Relaxed),
            samples: self.samples.load(Ordering::Relaxed),
            bytes: self.size_bytes() as u64,
        }
    }

    /// Times of the oldest and the newest profile in ns.
    pub(crate) fn times_ns(&self) -> Option<(i64, i64)> {
        *self.times.lock()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.profiles.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.symbols.read().size_bytes()
            + self.index.read().size_bytes()
            + self.profile_bytes.load(Ordering::Relaxed)
    }

    /// Adds a profile to its series.
    pub(crate) fn push(&self, incoming: &Incoming<'_>) -> Values {
        let Some(samples) = Samples::decode(incoming.encoded) else {
            return Values::default();
        };
        let received = samples.count() as u64;
        let difference = match incoming.cumulative {
            true => self.difference(incoming, samples),
            false => None,
        };
        if incoming.cumulative && difference.is_none() {
            return Values {
                received,
                stored: 0,
            };
        }
        let encoded = difference.as_deref().unwrap_or(incoming.encoded);
        let stored = self.store(incoming, encoded);
        Values { received, stored }
    }

    /// The encoded difference to the series' previous profile, if anything is left.
    fn difference(&self, incoming: &Incoming<'_>, samples: Samples<'_>) -> Option<Vec<u8>> {
        let mut values = samples.to_vec()?;
        self.change_cumulative(incoming.series, |state| {
            state.difference(incoming.time_ns, &mut values);
        });
        let mut encoded = Vec::new();
        chunk::encode(&samples.header, &values, &mut encoded);
        (!values.is_empty()).then_some(encoded)
    }

    /// Changes the state of a series with cumulative profiles.
    pub(crate) fn change_cumulative(&self, series: &Series, change: impl FnOnce(&mut Cumulative)) {
        let grown = series.with_cumulative(|state| {
            let before = state.size_bytes();
            change(state);
            state.size_bytes().saturating_sub(before)
        });
        self.profile_bytes.fetch_add(grown, Ordering::Relaxed);
    }

    fn store(&self, incoming: &Incoming<'_>, encoded: &[u8]) -> u64 {
        let (mut total, mut count) = (0_u64, 0_u32);
        if let Some(samples) = Samples::decode(encoded) {
            samples.for_each(|_, value| {
                total = total.saturating_add(value);
                count += 1;
            });
        }
        if count == 0 {
            return 0;
        }
        let Incoming {
            series,
            time_ns,
            id,
            partition,
            ..
        } = *incoming;
        let added = series.push(&NewRow {
            time_ns,
            id,
            partition,
            total,
            samples: count,
            encoded,
        });
        let Some(grown) = added else {
            return 0;
        };
        self.profile_bytes.fetch_add(grown, Ordering::Relaxed);
        self.profiles.fetch_add(1, Ordering::Relaxed);
        self.samples.fetch_add(u64::from(count), Ordering::Relaxed);
        let mut times = self.times.lock();
        let (first, last) = times.unwrap_or((time_ns, time_ns));
        *times = Some((first.min(time_ns), last.max(time_ns)));
        u64::from(count)
    }

    /// A series by its index.
    pub(crate) fn series(&self, index: u32) -> Option<Arc<Series>> {
        self.index
            .read()
            .series()
            .get(index as usize)
            .map(Arc::clone)
    }
}
