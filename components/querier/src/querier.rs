//! The querier: finds the database, computes off the threads that serve sockets.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use phlare_block::BlockId;
use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::tree::Tree;
use phlare_model::{ErrorKind, MergeQuery, SPANS, SeriesQuery, TenantId, TimeRange, TimeSeries};
use phlare_phlaredb::{BytesRead, View};
use phlare_proto::google::v1::Profile;
use phlare_server::{Offload, Status};
use tracing::instrument;

use crate::metrics::Metrics;
use crate::store::{ListedBlock, Share};

/// Where profiles are.
pub trait Source: Send + Sync {
    /// All that is stored of a tenant now, as far as it may have profiles of `range` (of any time, if `None`);
    /// an empty view if nothing was ever stored for it.
    ///
    /// # Errors
    /// `Unavailable` while that is not known, for example while logs are read back: an answer would have a gap.
    fn view(&self, tenant: &TenantId, range: Option<TimeRange>) -> Result<View, Status>;

    /// These blocks of a tenant, whatever else there is, and whether they are superseded or not.
    ///
    /// # Errors
    /// As [`Self::view`]; `Unavailable` if one is not there.
    fn blocks(&self, tenant: &TenantId, ids: &[BlockId]) -> Result<View, Status> {
        let view = self.view(tenant, None)?.only(ids);
        let absent = |id: &&BlockId| !view.has_block(**id);
        match ids.iter().find(absent) {
            None => Ok(view),
            Some(id) => Err(Status::new(
                ErrorKind::Unavailable,
                format!("block {id} of tenant {tenant} is not here"),
            )),
        }
    }

    /// The blocks of the bucket that may have profiles of a range; superseded ones are left out.
    ///
    /// # Errors
    /// As [`Self::view`].
    fn listed(&self, tenant: &TenantId, range: Option<TimeRange>) -> Result<View, Status> {
        self.view(tenant, range)
    }
}

/// What of a tenant's profiles an answer is made from.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// All that may be in a range.
    In(Option<TimeRange>),
    /// Those in these blocks.
    Blocks(Vec<BlockId>),
}

impl Which {
    pub(crate) fn of(share: Share<'_>, range: Option<TimeRange>) -> Self {
        match share.blocks {
            Some(ids) => Self::Blocks(ids.to_vec()),
            None => Self::In(range),
        }
    }
}

/// Answers queries. A tenant without data gets the answers of an empty view.
///
/// Dropping the future of a query gives it up: work that has not begun is not done.
#[derive(Clone)]
pub struct Querier {
    source: Arc<dyn Source>,
    /// For views of memory alone.
    offload: Offload,
    /// For views with blocks: its threads may wait for a disk or a network.
    reading: Offload,
    metrics: Metrics,
}

impl fmt::Debug for Querier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Querier")
            .field("offload", &self.offload)
            .finish_non_exhaustive()
    }
}

impl Querier {
    /// Answers from what `source` shows, computing on `offload`, or on `reading` if files have to be read.
    #[must_use]
    pub fn new(
        source: Arc<dyn Source>,
        offload: Offload,
        reading: Offload,
        metrics: Metrics,
    ) -> Self {
        Self {
            source,
            offload,
            reading,
            metrics,
        }
    }

    /// Names of the labels of matching series, sorted.
    ///
    /// # Errors
    /// As all queries: those of [`Source::view`], of blocks that cannot be read, and `Unavailable` if too many queries wait for a processor.
    #[instrument(target = SPANS, skip_all, fields(%tenant))]
    pub async fn label_names(
        &self,
        tenant: &TenantId,
        query: MetadataQuery,
    ) -> Result<Vec<String>, Status> {
        self.ask("label_names", tenant, Which::In(query.range), move |view| {
            view.label_names(&query)
        })
        .await
    }

    /// Values of one label of matching series, sorted.
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
        self.ask(
            "label_values",
            tenant,
            Which::In(query.range),
            move |view| view.label_values(&name, &query),
        )
        .await
    }

    /// Label sets of matching series, reduced to `names` unless that is empty; sorted, each once.
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
        self.ask("series", tenant, Which::In(query.range), move |view| {
            view.series(&names, &query)
        })
        .await
    }

    /// Matching profiles merged into one call tree.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_tree(&self, tenant: &TenantId, query: MergeQuery) -> Result<Tree, Status> {
        self.ask(
            "select_tree",
            tenant,
            Which::In(Some(query.range)),
            move |view| view.select_tree(&query),
        )
        .await
    }

    /// Matching profiles merged into one pprof; without any, one without samples.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_pprof(
        &self,
        tenant: &TenantId,
        query: MergeQuery,
    ) -> Result<Profile, Status> {
        self.ask(
            "select_pprof",
            tenant,
            Which::In(Some(query.range)),
            move |view| view.select_pprof(&query),
        )
        .await
    }

    /// Totals of matching profiles over time, sorted by labels.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_series(
        &self,
        tenant: &TenantId,
        query: SeriesQuery,
    ) -> Result<Vec<TimeSeries>, Status> {
        self.ask(
            "select_series",
            tenant,
            Which::In(Some(query.times())),
            move |view| view.select_series(&query),
        )
        .await
    }

    /// How much a query would read.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(target = SPANS, skip_all, fields(%tenant))]
    pub async fn analyze(
        &self,
        tenant: &TenantId,
        query: AnalyzeQuery,
    ) -> Result<Analysis, Status> {
        self.ask(
            "analyze",
            tenant,
            Which::In(Some(query.range)),
            move |view| view.analyze(&query),
        )
        .await
    }

    /// Times of the oldest and the newest profile. O(1).
    ///
    /// # Errors
    /// Those of [`Source::view`].
    pub fn stats(&self, tenant: &TenantId) -> Result<ProfileStats, Status> {
        Ok(times_of(&self.view(tenant, &Which::In(None))?))
    }

    /// The blocks of the bucket that may have profiles of a range.
    pub(crate) async fn listed(
        &self,
        tenant: &TenantId,
        range: Option<TimeRange>,
    ) -> Result<Vec<ListedBlock>, Status> {
        let view = self.source.listed(tenant, range)?;
        let blocks = self.reading.run(move || view.open_blocks()).await??;
        let listed = blocks.iter().map(|block| ListedBlock::from(block.meta()));
        Ok(listed.collect())
    }

    pub(crate) fn view(&self, tenant: &TenantId, which: &Which) -> Result<View, Status> {
        match which {
            Which::In(range) => self.source.view(tenant, *range),
            Which::Blocks(ids) => self.source.blocks(tenant, ids),
        }
    }

    pub(crate) async fn ask<T: Default + Send + 'static>(
        &self,
        operation: &'static str,
        tenant: &TenantId,
        which: Which,
        work: impl FnOnce(&View) -> Result<T, phlare_phlaredb::Error> + Send + 'static,
    ) -> Result<T, Status> {
        let begun = Instant::now();
        let view = self.view(tenant, &which)?;
        if view.is_empty() {
            return Ok(T::default());
        }
        let threads = if view.has_blocks() {
            &self.reading
        } else {
            &self.offload
        };
        let read = view.has_blocks().then(BytesRead::default);
        let view = match &read {
            Some(read) => view.counting(read),
            None => view,
        };
        let answer = threads.run(move || work(&view)).await??;
        self.metrics.answered(operation, begun.elapsed());
        if let Some(read) = read {
            self.metrics.read(operation, read.get());
        }
        Ok(answer)
    }
}

pub(crate) fn times_of(view: &View) -> ProfileStats {
    let times = view.times_ms();
    ProfileStats {
        times: times.map(|(start_ms, end_ms)| TimeRange { start_ms, end_ms }),
    }
}

#[cfg(test)]
mod tests;
