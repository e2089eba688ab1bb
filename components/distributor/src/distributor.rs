//! The distributor: settings, dependencies, and what its requests share.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use phlare_model::{Clock, TenantId};
use phlare_pprof::{Seed, Workspace};
use phlare_ring::{Operation, Ring};
use phlare_server::{Inbound, Offload};
use phlare_tenancy::{Limits, Overrides};
use tokio::sync::watch;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::pipeline::{BodyBudget, Pipeline};
use crate::rate::Rates;
use crate::replica::Ingest;

/// What the distributor works with.
#[derive(Clone)]
pub struct Dependencies {
    /// Where profiles go.
    pub replica: Arc<dyn Ingest>,
    /// The limits of each tenant.
    pub overrides: Overrides,
    /// Where the work is done.
    pub offload: Offload,
    /// Reads the bodies of `/ingest`.
    pub inbound: Inbound,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Key of content hashes: the one that the databases have.
    pub seed: Seed,
    /// The ring of distributors, which share the rate limit of a tenant; alone, there is none.
    pub distributors: Option<watch::Receiver<Ring>>,
    /// What is counted.
    pub metrics: Metrics,
}

impl fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependencies").finish_non_exhaustive()
    }
}

/// Takes profiles. Cheap to clone.
#[derive(Clone)]
pub struct Distributor {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    dependencies: Dependencies,
    rates: Rates,
    /// Those that nobody uses at the moment; at most one for each thread.
    workspaces: Mutex<Vec<Workspace>>,
}

impl fmt::Debug for Distributor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distributor")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Distributor {
    /// A distributor; it has no tasks of its own, so there is nothing to run or to stop.
    #[must_use]
    pub fn new(config: Config, dependencies: Dependencies) -> Self {
        let rates = Rates::new(Arc::clone(&dependencies.clock));
        Self {
            shared: Arc::new(Shared {
                config,
                dependencies,
                rates,
                workspaces: Mutex::default(),
            }),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.dependencies.metrics
    }

    pub(crate) fn offload(&self) -> &Offload {
        &self.shared.dependencies.offload
    }

    pub(crate) fn inbound(&self) -> &Inbound {
        &self.shared.dependencies.inbound
    }

    pub(crate) fn threads(&self) -> usize {
        self.offload().threads()
    }

    pub(crate) fn now_ns(&self) -> i64 {
        self.shared.dependencies.clock.now_ns()
    }

    pub(crate) fn limits(&self, tenant: &TenantId) -> Arc<Limits> {
        self.shared.dependencies.overrides.limits(tenant)
    }

    /// The steps for a request that came now.
    pub(crate) fn pipeline<'a>(
        &'a self,
        tenant: &'a TenantId,
        limits: &'a Limits,
        body: &'a BodyBudget,
    ) -> Pipeline<'a> {
        let Shared {
            dependencies,
            rates,
            ..
        } = &*self.shared;
        let Dependencies {
            replica,
            seed,
            metrics,
            ..
        } = dependencies;
        let now_ns = self.now_ns();
        Pipeline {
            tenant,
            limits,
            body,
            now_ns,
            distributors: healthy(dependencies.distributors.as_ref(), now_ns / 1_000_000),
            seed: *seed,
            rates,
            metrics,
            replica: replica.as_ref(),
        }
    }

    pub(crate) fn workspace(&self) -> Workspace {
        self.shared.workspaces.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, workspace: Workspace) {
        let mut workspaces = self.shared.workspaces.lock();
        if workspaces.len() < self.threads() {
            workspaces.push(workspace);
        }
    }
}

/// How many distributors take profiles: at least this one, and none that is about to go.
fn healthy(ring: Option<&watch::Receiver<Ring>>, now_ms: i64) -> usize {
    let counted = ring.map(|ring| ring.borrow().healthy(Operation::WRITE, now_ms));
    counted.unwrap_or(1).max(1)
}
