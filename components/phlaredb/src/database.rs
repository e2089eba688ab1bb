//! A tenant's database: log and head together.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use phlare_block::BlockIds;
use phlare_model::{Clock, TenantId};
use phlare_pprof::Seed;
use tracing::{info, warn};

use crate::active::ActiveSeries;
use crate::append::{self, Appender};
use crate::baselines;
use crate::block::{Block, BlockCache};
use crate::budget::MemoryBudget;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::cut::Frozen;
use crate::error::Error;
use crate::head::{Append, Head, Stats};
use crate::local::Directories;
use crate::metrics::Metrics;
use crate::query::View;
use crate::replay::{Replay, Replayed};
use crate::series::SeriesIndex;
use crate::symbols::Full;
use crate::wal::{self, SegmentId, Wal};

/// What databases of a process share.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Figures of all databases.
    pub metrics: Metrics,
    /// Memory of all heads.
    pub budget: Arc<MemoryBudget>,
    /// Threads that write the logs.
    pub committer: wal::Committer,
    /// Key of content hashes: the one that profiles are normalised with.
    pub seed: Seed,
    /// Pieces of blocks in memory.
    pub cache: BlockCache,
    /// Makes ids of blocks.
    pub ids: Arc<Mutex<BlockIds>>,
}

/// What opening a database found in its log.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Profiles that are in the head again.
    pub profiles: u64,
    /// Profiles that are in the log and could not be placed because of damage.
    pub lost_profiles: u64,
    /// What the log itself reports: cut tails, damaged parts.
    pub wal: wal::Recovery,
    /// Blocks in the directory.
    pub blocks: u64,
}

/// Resolves when what was appended survives as the settings promise.
pub struct Commit(Option<(TenantId, wal::Commit)>);

impl Commit {
    /// Waits for durability.
    ///
    /// # Errors
    /// [`Error::Wal`]: it is not known to be durable, and must not be acknowledged.
    pub async fn wait(self) -> Result<(), Error> {
        match self.0 {
            Some((tenant, commit)) => commit
                .wait()
                .await
                .map_err(|source| Error::Wal { tenant, source }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").finish_non_exhaustive()
    }
}

/// The database of one tenant. O(1) locks held for microseconds, so all calls may run side by side.
pub struct Database {
    tenant: TenantId,
    pub(crate) directories: Directories,
    pub(crate) view: RwLock<View>,
    /// Locked before `view`.
    pub(crate) writer: Mutex<Writer>,
    /// Locked for as long as a cut takes, before `writer`.
    pub(crate) frozen: Mutex<Option<Frozen>>,
    pub(crate) frozen_bytes: AtomicUsize,
    pub(crate) first_segment: Mutex<SegmentId>,
    /// Local blocks that new queries do not see and old ones may still read.
    pub(crate) removed: Mutex<Vec<Arc<Block>>>,
    max_bytes: usize,
    pub(crate) slot_ns: i64,
    pub(crate) dependencies: Dependencies,
}

/// What appending changes.
pub(crate) struct Writer {
    pub(crate) head: Arc<Head>,
    pub(crate) appender: Appender,
    pub(crate) wal: Arc<Wal>,
    pub(crate) segment: Option<SegmentId>,
    /// When the head's first profile came.
    pub(crate) since_ns: Option<i64>,
    /// What this head has reported to the shared figures.
    pub(crate) reported: Stats,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Opens or creates the database in `directory` and replays its log. Blocks.
    ///
    /// # Errors
    /// [`Error::Directory`] and [`Error::Wal`] if files cannot be read; damage is no error, see [`Recovery`].
    pub fn open(
        directory: &Path,
        tenant: TenantId,
        config: &Config,
        dependencies: Dependencies,
    ) -> Result<(Self, Recovery), Error> {
        let directories = Directories::new(directory);
        let failed = |source| Error::Directory {
            path: directory.to_owned(),
            source,
        };
        let found = directories.recover(&dependencies.cache).map_err(failed)?;
        dependencies
            .metrics
            .blocks_set_aside
            .inc_by(found.set_aside);
        let head = Head::new(dependencies.seed);
        let mut replay = Replay::new(&head);
        let mut full = None;
        let checkpoint = found.checkpoint.as_ref();
        if let Some(name) = checkpoint.and_then(|checkpoint| checkpoint.baselines.as_deref()) {
            full = baselines::read(&directory.join(name), &mut replay)
                .map_err(failed)?
                .err();
        }
        let first_segment = checkpoint.map_or(SegmentId::new(1), Checkpoint::first_segment);
        let mut current = None;
        let options = wal::Options {
            name: tenant.to_string(),
            committer: dependencies.committer.clone(),
            metrics: dependencies.metrics.wal.clone(),
            first_segment,
            ..config.wal_options()
        };
        let (wal, log) = Wal::open(&directories.wal(), options, &mut |segment, record| {
            if current != Some(segment) {
                current = Some(segment);
                replay.begin_segment();
            }
            full = full.or(replay.record(record.payload()).err());
        })
        .map_err(|source| Error::Wal {
            tenant: tenant.clone(),
            source,
        })?;
        let replayed = replay.replayed;
        if let Some(Full) = full {
            return Err(Error::Symbols { tenant });
        }
        log_recovery(&tenant, &replayed);
        dependencies
            .metrics
            .replayed_profiles
            .inc_by(replayed.profiles);
        dependencies
            .metrics
            .lost_profiles
            .inc_by(replayed.lost_profiles);
        let recovery = Recovery {
            profiles: replayed.profiles,
            lost_profiles: replayed.lost_profiles,
            wal: log,
            blocks: found.blocks.len() as u64,
        };
        let max_bytes = match config.head_max_bytes_per_tenant {
            0 => usize::MAX,
            limit => limit,
        };
        let head = Arc::new(head);
        let now_ns = dependencies.clock.now_ns();
        let writer = Writer {
            head: Arc::clone(&head),
            appender: Appender::default(),
            wal: Arc::new(wal),
            segment: None,
            since_ns: (!head.is_empty()).then_some(now_ns),
            reported: Stats::default(),
        };
        let slot = config.max_block_duration.max(Duration::from_secs(5));
        let database = Self {
            tenant,
            directories,
            view: RwLock::new(View {
                heads: vec![head],
                blocks: found.blocks,
                ..View::default()
            }),
            writer: Mutex::new(writer),
            frozen: Mutex::new(None),
            frozen_bytes: AtomicUsize::new(0),
            first_segment: Mutex::new(first_segment),
            removed: Mutex::default(),
            max_bytes,
            slot_ns: i64::try_from(slot.as_nanos()).unwrap_or(i64::MAX),
            dependencies,
        };
        database.report(&mut database.writer.lock());
        Ok((database, recovery))
    }

    /// Whose data it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Logs profiles and makes them visible to queries. They may be acknowledged once the returned
    /// [`Commit`] has resolved. `max_series` limits the series with a profile in the last ten minutes; 0 is unlimited.
    ///
    /// # Errors
    /// A limit, or a log that refuses; nothing was stored then.
    pub fn append(&self, append: &Append<'_>, max_series: usize) -> Result<Commit, Error> {
        let rows = append::rows_with_values(append);
        if rows.is_empty() {
            return Ok(Commit(None));
        }
        let now_ns = self.dependencies.clock.now_ns();
        let mut writer = self.writer.lock();
        let Writer {
            head,
            appender,
            wal,
            segment,
            since_ns,
            ..
        } = &mut *writer;
        self.check_memory(head)?;
        let known = append::find_series(head, &rows);
        self.check_series(appender, &known, max_series, now_ns)?;
        let full = |Full| Error::Symbols {
            tenant: self.tenant.clone(),
        };
        appender.begin(head, append.profile).map_err(full)?;
        let placed = Appender::place(head, &rows, &known)
            .ok_or(Full)
            .map_err(full)?;
        if *segment != Some(wal.segment()) {
            *segment = Some(wal.segment());
            appender.defined.begin_epoch();
        }
        let logged = appender
            .encode(head, append.profile, &placed)
            .map_err(full)
            .and_then(|()| {
                wal.append(appender.record()).map_err(|source| Error::Wal {
                    tenant: self.tenant.clone(),
                    source,
                })
            });
        let position = match logged {
            Ok(position) => position,
            Err(error) => {
                // What this record defined did not reach the log.
                appender.defined.begin_epoch();
                return Err(error);
            }
        };
        let values = appender.apply(head, append.profile.time_ns, &placed, now_ns);
        since_ns.get_or_insert(now_ns);
        let commit = wal.commit(position);
        self.dependencies
            .metrics
            .received_values
            .inc_by(values.received);
        self.dependencies
            .metrics
            .ingested_values
            .inc_by(values.stored);
        self.report(&mut writer);
        Ok(Commit(Some((self.tenant.clone(), commit))))
    }

    /// Size and content of the head that takes profiles.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.writer.lock().head.stats()
    }

    /// Bytes of the heads, the one that is being cut included.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        let bytes = self.writer.lock().head.size_bytes();
        bytes + self.frozen_bytes.load(Ordering::Relaxed)
    }

    /// When the first profile of the head came, in ns; `None` if it is empty.
    #[must_use]
    pub fn head_since_ns(&self) -> Option<i64> {
        self.writer.lock().since_ns
    }

    /// Whether a head that was cut could not be written yet.
    #[must_use]
    pub fn has_unwritten_head(&self) -> bool {
        self.frozen_bytes.load(Ordering::Relaxed) > 0
    }

    /// All that is stored now, for queries.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.read().clone()
    }

    /// Whether the log takes records.
    ///
    /// # Errors
    /// [`Error::Wal`] while its disk fails or does not answer.
    pub fn check_log(&self) -> Result<(), Error> {
        let wal = Arc::clone(&self.writer.lock().wal);
        wal.check().map_err(|source| Error::Wal {
            tenant: self.tenant.clone(),
            source,
        })
    }

    /// Bytes of the log on disk.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        self.writer.lock().wal.size_bytes()
    }

    /// Writes what is pending and closes the log. Blocks. Appending fails from now on.
    ///
    /// # Errors
    /// [`Error::Wal`] if something could not be written.
    pub fn close(&self) -> Result<(), Error> {
        let wal = Arc::clone(&self.writer.lock().wal);
        wal.close().map_err(|source| Error::Wal {
            tenant: self.tenant.clone(),
            source,
        })
    }

    fn check_memory(&self, head: &Head) -> Result<(), Error> {
        let budget = &self.dependencies.budget;
        if budget.is_exhausted() {
            return Err(Error::ProcessMemory {
                used: budget.used(),
                limit: budget.limit(),
            });
        }
        let used = head.size_bytes() + self.frozen_bytes.load(Ordering::Relaxed);
        if used >= self.max_bytes {
            return Err(Error::TenantMemory {
                tenant: self.tenant.clone(),
                used,
                limit: self.max_bytes,
            });
        }
        Ok(())
    }

    fn check_series(
        &self,
        appender: &mut Appender,
        known: &[Option<SeriesIndex>],
        max_series: usize,
        now_ns: i64,
    ) -> Result<(), Error> {
        let would_be_active = |active: &ActiveSeries| {
            let idle = active.idle_among(known.iter().copied());
            if idle == 0 { 0 } else { active.len() + idle }
        };
        let active = &mut appender.active;
        if max_series == 0 || would_be_active(active) <= max_series {
            return Ok(());
        }
        active.sweep(now_ns);
        if would_be_active(active) <= max_series {
            return Ok(());
        }
        Err(Error::SeriesLimit {
            tenant: self.tenant.clone(),
            active: active.len(),
            limit: max_series,
        })
    }

    /// Adds what has changed since the last call to the figures of all databases.
    pub(crate) fn report(&self, writer: &mut Writer) {
        let mut now = writer.head.stats();
        now.bytes += writer.appender.defined.size_bytes() as u64;
        let before = std::mem::replace(&mut writer.reported, now);
        let metrics = &self.dependencies.metrics;
        let grown = |now: u64, before: u64| now as i64 - before as i64;
        metrics.head_bytes.inc_by(grown(now.bytes, before.bytes));
        metrics.head_series.inc_by(grown(now.series, before.series));
        metrics
            .series_created
            .inc_by(now.series.saturating_sub(before.series));
        metrics
            .profiles
            .inc_by(grown(now.profiles, before.profiles));
        metrics
            .profiles_created
            .inc_by(now.profiles.saturating_sub(before.profiles));
        metrics.samples.inc_by(grown(now.samples, before.samples));
        self.dependencies
            .budget
            .change(before.bytes as usize, now.bytes as usize);
    }

    /// Takes what a head had reported out of the figures of all databases.
    pub(crate) fn report_end(&self, reported: Stats) {
        let metrics = &self.dependencies.metrics;
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.head_bytes.dec_by(signed(reported.bytes));
        metrics.head_series.dec_by(signed(reported.series));
        metrics.profiles.dec_by(signed(reported.profiles));
        metrics.samples.dec_by(signed(reported.samples));
        self.dependencies.budget.change(reported.bytes as usize, 0);
    }
}

fn log_recovery(tenant: &TenantId, replayed: &Replayed) {
    let Replayed {
        profiles,
        lost_profiles,
        lost_stacktraces,
        malformed_records,
    } = *replayed;
    if lost_profiles + lost_stacktraces + malformed_records > 0 {
        warn!(
            %tenant, profiles, lost_profiles, lost_stacktraces, malformed_records,
            "log replayed with losses: damaged records defined series or symbols that others use"
        );
    } else if profiles > 0 {
        info!(%tenant, profiles, "log replayed");
    }
}
