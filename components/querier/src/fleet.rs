//! Answers that the stores of a fleet make together, each profile counted once.
//!
//! A profile lies in several ingesters, and in blocks of each. Stores say the keys of what they have; each key is given to
//! one store that has it; each store answers from what it was given, and says how many profiles these were. Nothing is
//! kept between the two calls, so profiles may have gone in between: then others are asked that had them, and in the
//! end the query is begun anew. Blocks that are alone in their time are asked once, without keys.

mod attempt;
mod plan;
mod question;
mod stores;
mod ways;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::tree::{Tree, TreeError};
use phlare_model::{
    Clock, ErrorKind, MergeQuery, SPANS, SeriesQuery, TenantId, TimeRange, TimeSeries,
};
use phlare_phlaredb::{PprofMerge, merge_analyses, merge_series, merge_trees};
use phlare_proto::google::v1::Profile;
use phlare_ring::InstanceId;
use phlare_server::{Offload, Status};
use tracing::{debug, instrument};

use crate::config::Config;
use crate::metrics::Metrics;
use attempt::Attempt;
use question::{
    AnalysisOf, LabelNamesOf, LabelSetsOf, LabelValuesOf, PprofOf, Question, SeriesOf, StatsOf,
    TreeOf,
};
pub use stores::{Asked, RingStores, Stores};

/// How often a query is begun anew because stores failed or lost what they said they had.
const REPEATS: usize = 3;

/// Answers queries as [`crate::Querier`] does, from the stores of other processes. Cheap to clone.
///
/// Dropping the future of a query gives it up, there as well.
#[derive(Clone)]
pub struct Fleet {
    stores: Arc<dyn Stores>,
    offload: Offload,
    clock: Arc<dyn Clock>,
    config: Arc<Config>,
    metrics: Metrics,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Fleet {
    /// Asks `stores`, and puts answers together on `offload`.
    #[must_use]
    pub fn new(
        config: Config,
        stores: Arc<dyn Stores>,
        offload: Offload,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        Self {
            stores,
            offload,
            clock,
            config: Arc::new(config),
            metrics,
        }
    }

    /// As [`crate::Querier::label_names`].
    ///
    /// # Errors
    /// As all queries here: `Unavailable` if so many stores fail that the answer could have a gap, the error of a store that
    /// refuses the query for what it is, and `Unavailable` if too many queries wait for a processor.
    #[instrument(target = SPANS, skip_all, fields(%tenant))]
    pub async fn label_names(
        &self,
        tenant: &TenantId,
        query: MetadataQuery,
    ) -> Result<Vec<String>, Status> {
        let parts = self.answer(tenant, &LabelNamesOf(&query)).await?;
        Ok(union(parts))
    }

    /// As [`crate::Querier::label_values`].
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant, name))]
    pub async fn label_values(
        &self,
        tenant: &TenantId,
        name: String,
        query: MetadataQuery,
    ) -> Result<Vec<String>, Status> {
        let parts = self.answer(tenant, &LabelValuesOf(&name, &query)).await?;
        Ok(union(parts))
    }

    /// As [`crate::Querier::series`].
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant))]
    pub async fn series(
        &self,
        tenant: &TenantId,
        names: Vec<String>,
        query: MetadataQuery,
    ) -> Result<Vec<Labels>, Status> {
        let parts = self.answer(tenant, &LabelSetsOf(&names, &query)).await?;
        Ok(union(parts))
    }

    /// As [`crate::Querier::select_tree`]. With a limit of nodes, the trees of each symbol partition are merged, then cut.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_tree(&self, tenant: &TenantId, query: MergeQuery) -> Result<Tree, Status> {
        let parts = self.answer(tenant, &TreeOf(&query)).await?;
        let merge = move || {
            let trees = parts.into_iter().flatten();
            let decoded =
                trees.map(|(partition, bytes)| Ok((partition, Tree::from_bytes(&bytes)?)));
            let trees: Vec<(u64, Tree)> = decoded.collect::<Result<_, TreeError>>()?;
            Ok::<_, TreeError>(merge_trees(&query, trees))
        };
        Ok(self.offload.run(merge).await??)
    }

    /// As [`crate::Querier::select_pprof`]; cut as trees are.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_pprof(
        &self,
        tenant: &TenantId,
        query: MergeQuery,
    ) -> Result<Profile, Status> {
        let parts = self.answer(tenant, &PprofOf(&query)).await?;
        let merge = move || {
            let mut merge = PprofMerge::default();
            for part in parts {
                merge.add(part)?;
            }
            Ok::<_, phlare_phlaredb::Error>(merge.finish(&query))
        };
        Ok(self.offload.run(merge).await??)
    }

    /// As [`crate::Querier::select_series`].
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_series(
        &self,
        tenant: &TenantId,
        query: SeriesQuery,
    ) -> Result<Vec<TimeSeries>, Status> {
        let parts = self.answer(tenant, &SeriesOf(&query)).await?;
        let merge = move || merge_series(&query, parts.into_iter().flatten());
        Ok(self.offload.run(merge).await?)
    }

    /// As [`crate::Querier::analyze`]; a series that several stores have counts once.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant))]
    pub async fn analyze(
        &self,
        tenant: &TenantId,
        query: AnalyzeQuery,
    ) -> Result<Analysis, Status> {
        let parts = self.answer(tenant, &AnalysisOf(&query)).await?;
        Ok(merge_analyses(parts))
    }

    /// As [`crate::Querier::stats`].
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant))]
    pub async fn stats(&self, tenant: &TenantId) -> Result<ProfileStats, Status> {
        let parts = self.answer(tenant, &StatsOf).await?;
        let times = parts.into_iter().filter_map(|part| part.times);
        Ok(ProfileStats {
            times: times.reduce(|one, other| TimeRange {
                start_ms: one.start_ms.min(other.start_ms),
                end_ms: one.end_ms.max(other.end_ms),
            }),
        })
    }

    async fn answer<Q: Question>(
        &self,
        tenant: &TenantId,
        question: &Q,
    ) -> Result<Vec<Q::Part>, Status> {
        let begun = Instant::now();
        let mut avoided: Vec<InstanceId> = Vec::new();
        let mut attempts = 0;
        loop {
            let attempt = Attempt::new(self, tenant, question, &avoided);
            attempts += 1;
            match attempt.run().await {
                Ok(parts) => {
                    self.metrics.answered(Q::OPERATION, begun.elapsed());
                    return Ok(parts);
                }
                Err(failed) if failed.is_final => return Err(failed.status),
                Err(failed) if attempts > REPEATS => {
                    let message = format!("{attempts} attempts: {}", failed.status.message);
                    let status = Status::new(ErrorKind::Unavailable, message);
                    return Err(status.with_retry_after(Duration::from_secs(1)));
                }
                Err(failed) => {
                    debug!(error = failed.status.message, "query begun anew");
                    self.metrics.repeated(Q::OPERATION);
                    avoided.extend(failed.instances);
                }
            }
        }
    }
}

/// What any of the lists has: sorted, each once.
fn union<T: Ord>(lists: Vec<Vec<T>>) -> Vec<T> {
    let all: BTreeSet<T> = lists.into_iter().flatten().collect();
    all.into_iter().collect()
}
