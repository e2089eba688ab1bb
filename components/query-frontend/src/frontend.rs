//! The query-frontend itself: what every query needs.

use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_model::ErrorKind;
use phlare_model::ask::{Answer, OtherKind, Query};
use phlare_model::clock::Clock;
use phlare_model::tenant::TenantId;
use phlare_server::{Offload, Status};
use phlare_tenancy::{Limits, Overrides};

use crate::error::Error;
use crate::metrics::Metrics;
use crate::querier::Querier;
use crate::split::{MOST_PARTS, split};
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

    /// Has a query answered, in parts if the tenant's limits say so.
    pub(crate) async fn ask<T>(&self, tenant: TenantId, query: Query) -> Result<T, Status>
    where
        T: TryFrom<Answer, Error = OtherKind>,
    {
        let limits = self.limits(&tenant);
        let (parts, merge) = split(query, limits.split_queries_by_interval);
        let at_once = match limits.max_query_parallelism {
            0 => usize::MAX,
            most => most,
        };
        let querier = &self.deps.querier;
        let asked = parts
            .into_iter()
            .map(|part| querier.ask(tenant.clone(), part));
        let asked: Vec<_> = asked.collect();
        let answers = stream::iter(asked).buffered(at_once.min(MOST_PARTS));
        let answers: Vec<Answer> = answers.try_collect().await?;
        let answer = match merge {
            None => answers.into_iter().next(),
            Some(merge) => Some(self.compute(move || merge(answers)).await??),
        };
        let nothing = || Status::new(ErrorKind::Internal, "a query without parts".to_owned());
        Ok(answer.ok_or_else(nothing)?.try_into()?)
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
