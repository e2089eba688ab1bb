//! The ingester's life: start, take, stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use phlare_bucket::Bucket;
use phlare_model::TenantId;
use phlare_phlaredb::{Append, Commit, Database, Uploads};
use phlare_ring::{Operation, Ring};
use phlare_tenancy::{Limits, Overrides};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::databases::Databases;
use crate::directory::DataDirectory;
use crate::disk::Space;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::prepare::Marker;
use crate::shipper::Shipper;
use crate::storage::Signals;

/// What an ingester needs.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// Limits of series.
    pub overrides: Overrides,
    /// Figures of the ingester itself.
    pub metrics: Metrics,
    /// What its databases share.
    pub databases: phlare_phlaredb::Dependencies,
    /// Where blocks go.
    pub bucket: Bucket,
    /// Who hears of uploads.
    pub uploads: Arc<dyn Uploads>,
    /// The ring of ingesters, which share the series of a tenant; alone, there is none.
    pub ring: Option<watch::Receiver<Ring>>,
}

/// Holds the databases of all tenants.
#[derive(Debug)]
pub struct Ingester {
    config: Config,
    pub(crate) storage: phlare_phlaredb::Config,
    pub(crate) dependencies: Dependencies,
    directory: DataDirectory,
    pub(crate) databases: Databases,
    pub(crate) shipper: Shipper,
    pub(crate) signals: Signals,
    pub(crate) space: ArcSwap<Space>,
    /// Why the last uploads failed, by tenant.
    pub(crate) stuck: Mutex<BTreeMap<TenantId, String>>,
    pub(crate) marker: Marker,
    /// Nothing is taken any more. Held while something is taken, so that nothing is on its way when it is set.
    pub(crate) prepared: RwLock<bool>,
    /// Tenants whose log is not replayed yet; `usize::MAX` until they are counted.
    remaining: AtomicUsize,
    stopping: AtomicBool,
}

impl Ingester {
    /// Takes the data directory. Nothing is read before [`Ingester::recover`].
    ///
    /// # Errors
    /// [`Error::Directory`], [`Error::InUse`].
    pub fn new(
        config: Config,
        storage: phlare_phlaredb::Config,
        dependencies: Dependencies,
    ) -> Result<Self, Error> {
        let directory = DataDirectory::open(&storage.data_path)?;
        let marker = Marker::in_directory(&storage.data_path);
        let prepared = marker.is_set()?;
        if prepared {
            info!("goes on to prepare for its end: profiles are refused, all blocks are uploaded");
        }
        dependencies
            .metrics
            .max_tenants
            .set(gauge(config.max_tenants));
        dependencies
            .metrics
            .head_max_bytes
            .set(gauge(dependencies.databases.budget.limit()));
        let shipper = Shipper::new(
            dependencies.bucket.clone(),
            Arc::clone(&dependencies.uploads),
        );
        Ok(Self {
            shipper,
            signals: Signals::default(),
            space: ArcSwap::default(),
            stuck: Mutex::default(),
            marker,
            prepared: RwLock::new(prepared),
            config,
            storage,
            dependencies,
            directory,
            databases: Databases::default(),
            remaining: AtomicUsize::new(usize::MAX),
            stopping: AtomicBool::new(false),
        })
    }

    /// Replays the logs of all tenants. Blocks. Until it returns, the ingester refuses profiles.
    ///
    /// # Errors
    /// If a log cannot be read. Damage is no error: it is logged and counted.
    pub fn recover(&self) -> Result<(), Error> {
        self.measure_disk();
        let tenants = self.directory.tenants()?;
        self.remaining.store(tenants.len(), Ordering::Release);
        for tenant in &tenants {
            self.databases.get_or_open(tenant, |_| self.open(tenant))?;
            self.remaining.fetch_sub(1, Ordering::Release);
        }
        self.dependencies
            .metrics
            .tenants
            .set(gauge(self.databases.len()));
        if !tenants.is_empty() {
            info!(tenants = tenants.len(), "logs replayed");
        }
        Ok(())
    }

    /// Why the ingester cannot serve, if so.
    ///
    /// # Errors
    /// [`Error::Starting`], [`Error::Stopping`].
    pub fn check_ready(&self) -> Result<(), Error> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(Error::Stopping);
        }
        match self.remaining.load(Ordering::Acquire) {
            0 => Ok(()),
            usize::MAX => Err(Error::Starting { remaining: 0 }),
            remaining => Err(Error::Starting { remaining }),
        }
    }

    /// Why profiles would be refused, if so: what a readiness probe should say.
    ///
    /// # Errors
    /// [`Error::Starting`], [`Error::Stopping`], [`Error::DiskFull`], or the log that fails.
    pub fn check_taking(&self) -> Result<(), Error> {
        self.check_ready()?;
        self.check_disk()?;
        for database in self.databases.all() {
            database.check_log()?;
        }
        Ok(())
    }

    /// Adds the profiles of one pprof. They may be acknowledged once the returned [`Commit`] has resolved.
    /// Computes on the calling thread; opens files at a tenant's first profile.
    ///
    /// # Errors
    /// What [`Error`] lists; nothing was stored then.
    pub fn append(&self, tenant: &TenantId, append: &Append<'_>) -> Result<Commit, Error> {
        self.check_ready()?;
        let prepared = self.prepared.read();
        if *prepared {
            return Err(Error::ReadOnly);
        }
        self.check_disk()?;
        let limits = self.dependencies.overrides.limits(tenant);
        let max_series = smallest_limit(limits.max_local_series_per_tenant, self.share(&limits));
        let database = self.databases.get_or_open(tenant, |tenants| {
            let limit = self.config.max_tenants;
            if limit != 0 && tenants >= limit {
                return Err(Error::Tenants {
                    tenant: tenant.clone(),
                    limit,
                });
            }
            let database = self.open(tenant)?;
            self.dependencies.metrics.tenants.set(gauge(tenants + 1));
            info!(%tenant, "database made for a new tenant");
            Ok(database)
        })?;
        Ok(database.append(append, max_series)?)
    }

    /// This ingester's part of the tenant's series: each is in as many ingesters as it has replicas, spread over the
    /// tenant's shard. 0 is unlimited.
    fn share(&self, limits: &Limits) -> usize {
        let whole = limits.max_global_series_per_tenant;
        let Some(ring) = &self.dependencies.ring else {
            return whole;
        };
        let ring = ring.borrow();
        let now_ms = self.dependencies.databases.clock.now_ns() / 1_000_000;
        let factor = ring.settings().replication_factor;
        share(
            whole,
            ring.healthy(Operation::WRITE, now_ms),
            limits.ingestion_tenant_shard_size,
            factor,
        )
    }

    /// The database of a tenant, if it has stored anything.
    #[must_use]
    pub fn database(&self, tenant: &TenantId) -> Option<Arc<Database>> {
        self.databases.get(tenant)
    }

    /// Refuses further profiles, cuts all heads and closes all logs. Blocks. What cannot be cut stays in its log.
    ///
    /// # Errors
    /// The first log that could not be closed; all are tried.
    pub fn stop(&self) -> Result<(), Error> {
        self.stopping.store(true, Ordering::Release);
        for database in self.databases.all() {
            if let Err(failure) = database.cut() {
                warn!(tenant = %database.tenant(), error = %failure, "head not cut, its log is kept");
            }
        }
        let mut first = Ok(());
        for database in self.databases.all() {
            if let Err(failure) = database.close() {
                error!(tenant = %database.tenant(), error = %failure, "log not closed");
                first = first.and(Err(failure.into()));
            }
        }
        first
    }

    fn open(&self, tenant: &TenantId) -> Result<Database, Error> {
        let directory = self.directory.of_tenant(tenant);
        let shared = self.dependencies.databases.clone();
        let (database, _recovery) =
            Database::open(&directory, tenant.clone(), &self.storage, shared)?;
        Ok(database)
    }
}

fn share(whole: usize, healthy: usize, shard: usize, factor: usize) -> usize {
    let ingesters = match shard {
        0 => healthy,
        shard => healthy.min(shard),
    };
    // Fewer ingesters than replicas: each has all series.
    let ingesters = ingesters.max(factor).max(1);
    whole.saturating_mul(factor).div_ceil(ingesters)
}

/// The smaller of two limits of which 0 means none.
fn smallest_limit(a: usize, b: usize) -> usize {
    match (a, b) {
        (0, limit) | (limit, 0) => limit,
        (a, b) => a.min(b),
    }
}

fn gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_tenant_are_shared() {
        assert_eq!(share(5000, 3, 0, 3), 5000);
        assert_eq!(share(5000, 6, 0, 3), 2500);
        assert_eq!(share(5000, 6, 4, 3), 3750);
        assert_eq!(share(5000, 1, 0, 3), 5000, "fewer ingesters than replicas");
        assert_eq!(share(5000, 0, 0, 1), 5000, "nobody is known");
        assert_eq!(share(1, 100, 0, 1), 1, "never unlimited by rounding");
        assert_eq!(share(0, 6, 0, 3), 0, "unlimited");
    }
}
