//! A tenant's database: log and head together.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use phlare_model::{Clock, TenantId};
use phlare_pprof::Seed;
use tracing::{info, warn};

use crate::active::ActiveSeries;
use crate::append::{self, Appender};
use crate::budget::MemoryBudget;
use crate::config::Config;
use crate::error::Error;
use crate::head::{Append, Head, Stats};
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
    head: Arc<Head>,
    appender: Mutex<Writer>,
    max_bytes: usize,
    dependencies: Dependencies,
}

struct Writer {
    appender: Appender,
    wal: Wal,
    segment: Option<SegmentId>,
    /// What this head has reported to the shared figures.
    reported: Stats,
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
        std::fs::create_dir_all(directory).map_err(|source| Error::Directory {
            path: directory.to_owned(),
            source,
        })?;
        let head = Head::new(dependencies.seed);
        let mut replay = Replay::new(&head);
        let mut current = None;
        let mut full = None;
        let options = wal::Options {
            name: tenant.to_string(),
            committer: dependencies.committer.clone(),
            metrics: dependencies.metrics.wal.clone(),
            ..config.wal_options()
        };
        let (wal, found) = Wal::open(&directory.join("wal"), options, &mut |segment, record| {
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
            wal: found,
        };
        let max_bytes = match config.head_max_bytes_per_tenant {
            0 => usize::MAX,
            limit => limit,
        };
        let writer = Writer {
            appender: Appender::default(),
            wal,
            segment: None,
            reported: Stats::default(),
        };
        let database = Self {
            tenant,
            head: Arc::new(head),
            appender: Mutex::new(writer),
            max_bytes,
            dependencies,
        };
        database.report(&mut database.appender.lock());
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
        let mut writer = self.appender.lock();
        let Writer {
            appender,
            wal,
            segment,
            ..
        } = &mut *writer;
        self.check_memory()?;
        let known = append::find_series(&self.head, &rows);
        self.check_series(appender, &known, max_series, now_ns)?;
        let full = |Full| Error::Symbols {
            tenant: self.tenant.clone(),
        };
        appender.begin(&self.head, append.profile).map_err(full)?;
        let placed = Appender::place(&self.head, &rows, &known)
            .ok_or(Full)
            .map_err(full)?;
        if *segment != Some(wal.segment()) {
            *segment = Some(wal.segment());
            appender.defined.begin_epoch();
        }
        let logged = appender
            .encode(&self.head, append.profile, &placed)
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
        let values = appender.apply(&self.head, append.profile.time_ns, &placed, now_ns);
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

    /// Size and content of the head.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.head.stats()
    }

    /// All that is stored now, for queries.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            heads: vec![Arc::clone(&self.head)],
        }
    }

    /// Bytes of the log on disk.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        self.appender.lock().wal.size_bytes()
    }

    /// Writes what is pending and closes the log. Blocks. Appending fails from now on.
    ///
    /// # Errors
    /// [`Error::Wal`] if something could not be written.
    pub fn close(&self) -> Result<(), Error> {
        self.appender
            .lock()
            .wal
            .close()
            .map_err(|source| Error::Wal {
                tenant: self.tenant.clone(),
                source,
            })
    }

    fn check_memory(&self) -> Result<(), Error> {
        let budget = &self.dependencies.budget;
        if budget.is_exhausted() {
            return Err(Error::ProcessMemory {
                used: budget.used(),
                limit: budget.limit(),
            });
        }
        let used = self.head.size_bytes();
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
    fn report(&self, writer: &mut Writer) {
        let mut now = self.head.stats();
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
