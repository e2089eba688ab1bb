//! The querier: finds the database, computes off the threads that serve sockets.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::tree::Tree;
use phlare_model::{MergeQuery, SeriesQuery, TenantId, TimeRange, TimeSeries};
use phlare_phlaredb::Database;
use phlare_proto::google::v1::Profile;
use phlare_server::{Offload, Status};
use tracing::instrument;

use crate::metrics::Metrics;

/// Where the databases are.
pub trait Source: Send + Sync {
    /// The database of a tenant; `None` if nothing was ever stored for it.
    ///
    /// # Errors
    /// `Unavailable` while that is not known, for example while logs are read back: an answer would have a gap.
    fn database(&self, tenant: &TenantId) -> Result<Option<Arc<Database>>, Status>;
}

/// Answers queries. A tenant without a database gets the answers of an empty one.
///
/// Dropping the future of a query gives it up: work that has not begun is not done.
#[derive(Clone)]
pub struct Querier {
    source: Arc<dyn Source>,
    offload: Offload,
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
    /// Answers from the databases of `source`, computing on `offload`.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, offload: Offload, metrics: Metrics) -> Self {
        Self {
            source,
            offload,
            metrics,
        }
    }

    /// Names of the labels of matching series, sorted.
    ///
    /// # Errors
    /// As all queries: those of [`Source::database`], and `Unavailable` if too many queries wait for a processor.
    #[instrument(skip_all, fields(%tenant))]
    pub async fn label_names(
        &self,
        tenant: &TenantId,
        query: MetadataQuery,
    ) -> Result<Vec<String>, Status> {
        self.ask("label_names", tenant, move |database| {
            database.label_names(&query)
        })
        .await
    }

    /// Values of one label of matching series, sorted.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(skip_all, fields(%tenant, name))]
    pub async fn label_values(
        &self,
        tenant: &TenantId,
        name: String,
        query: MetadataQuery,
    ) -> Result<Vec<String>, Status> {
        self.ask("label_values", tenant, move |database| {
            database.label_values(&name, &query)
        })
        .await
    }

    /// Label sets of matching series, reduced to `names` unless that is empty; sorted, each once.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(skip_all, fields(%tenant))]
    pub async fn series(
        &self,
        tenant: &TenantId,
        names: Vec<String>,
        query: MetadataQuery,
    ) -> Result<Vec<Labels>, Status> {
        self.ask("series", tenant, move |database| {
            database.series(&names, &query)
        })
        .await
    }

    /// Matching profiles merged into one call tree.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_tree(&self, tenant: &TenantId, query: MergeQuery) -> Result<Tree, Status> {
        self.ask("select_tree", tenant, move |database| {
            database.select_tree(&query)
        })
        .await
    }

    /// Matching profiles merged into one pprof; without any, one without samples.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_pprof(
        &self,
        tenant: &TenantId,
        query: MergeQuery,
    ) -> Result<Profile, Status> {
        self.ask("select_pprof", tenant, move |database| {
            database.select_pprof(&query)
        })
        .await
    }

    /// Totals of matching profiles over time, sorted by labels.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(skip_all, fields(%tenant, profile_type = %query.profile_type))]
    pub async fn select_series(
        &self,
        tenant: &TenantId,
        query: SeriesQuery,
    ) -> Result<Vec<TimeSeries>, Status> {
        self.ask("select_series", tenant, move |database| {
            database.select_series(&query)
        })
        .await
    }

    /// How much a query would read.
    ///
    /// # Errors
    /// As [`Self::label_names`].
    #[instrument(skip_all, fields(%tenant))]
    pub async fn analyze(
        &self,
        tenant: &TenantId,
        query: AnalyzeQuery,
    ) -> Result<Analysis, Status> {
        self.ask("analyze", tenant, move |database| database.analyze(&query))
            .await
    }

    /// Times of the oldest and the newest profile. O(1).
    ///
    /// # Errors
    /// Those of [`Source::database`].
    pub fn stats(&self, tenant: &TenantId) -> Result<ProfileStats, Status> {
        let stats = self
            .source
            .database(tenant)?
            .map(|database| database.stats());
        let times = stats.and_then(|stats| stats.oldest_ms.zip(stats.newest_ms));
        Ok(ProfileStats {
            times: times.map(|(start_ms, end_ms)| TimeRange { start_ms, end_ms }),
        })
    }

    async fn ask<T: Default + Send + 'static>(
        &self,
        operation: &'static str,
        tenant: &TenantId,
        work: impl FnOnce(&Database) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let begun = Instant::now();
        let Some(database) = self.source.database(tenant)? else {
            return Ok(T::default());
        };
        let answer = self.offload.run(move || work(&database)).await?;
        self.metrics.answered(operation, begun.elapsed());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
