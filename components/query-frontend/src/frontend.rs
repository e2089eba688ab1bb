//! The query-frontend itself: what every query needs.

use std::fmt;
use std::sync::Arc;

use phlare_model::clock::Clock;
use phlare_model::tenant::TenantId;
use phlare_server::{Offload, Status};
use phlare_tenancy::{Limits, Overrides};

use crate::error::Error;
use crate::metrics::Metrics;
use crate::querier::Querier;
use crate::validate::Checks;

/// What the query-frontend works with.
#[derive(Clone)]
pub struct Deps {
    /// Answers validated queries.
    pub querier: Arc<dyn Querier>,
    /// What each tenant may ask for.
    pub overrides: Overrides,
    /// The time that lookbacks and relative times count from.
    pub clock: Arc<dyn Clock>,
    /// Where answers are rendered.
    pub offload: Offload,
    /// Its figures.
    pub metrics: Metrics,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The public read API: checks what clients ask, has it answered, renders the answer.
///
/// Cheap to clone. It has no tasks of its own: a query lives in the future of its request.
#[derive(Clone, Debug)]
pub struct QueryFrontend {
    deps: Deps,
}

impl QueryFrontend {
    /// Ready to serve; see [`Self::register`] and [`Self::routes`].
    #[must_use]
    pub fn new(deps: Deps) -> Self {
        Self { deps }
    }

    pub(crate) fn querier(&self) -> &dyn Querier {
        &*self.deps.querier
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.deps.metrics
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.deps.clock.now_ms()
    }

    pub(crate) fn limits(&self, tenant: &TenantId) -> Arc<Limits> {
        self.deps.overrides.limits(tenant)
    }

    pub(crate) fn checks<'a>(&self, limits: &'a Limits) -> Checks<'a> {
        Checks {
            limits,
            now_ms: self.now_ms(),
        }
    }

    /// Counts a refusal on its way to the client.
    pub(crate) fn checked<T>(&self, outcome: Result<T, Error>) -> Result<T, Status> {
        outcome.map_err(|error| {
            self.metrics().refused(error.reason());
            Status::from(error)
        })
    }

    /// Runs CPU work that is too long for the threads that serve sockets.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        Ok(self.deps.offload.run(work).await?)
    }
}
