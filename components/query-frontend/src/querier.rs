//! Who answers validated queries: the seam between the public API and the stores.

use futures_util::future::BoxFuture;
use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::tree::Tree;
use phlare_model::{MergeQuery, SeriesQuery, TenantId, TimeSeries};
use phlare_proto::google::v1 as pprof;
use phlare_server::Status;

/// The answer to one query. Dropping it before it is ready gives the query up.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Status>>;

/// Answers queries over what is stored of a tenant. A tenant without data gets empty answers, not errors.
pub trait Querier: Send + Sync {
    /// Names of the labels of matching series, in any order.
    fn label_names(&self, tenant: TenantId, query: MetadataQuery) -> Answer<'_, Vec<String>>;

    /// Values of one label of matching series, in any order.
    fn label_values(
        &self,
        tenant: TenantId,
        name: String,
        query: MetadataQuery,
    ) -> Answer<'_, Vec<String>>;

    /// Label sets of matching series, reduced to `names` unless that is empty, in any order.
    fn series(
        &self,
        tenant: TenantId,
        names: Vec<String>,
        query: MetadataQuery,
    ) -> Answer<'_, Vec<Labels>>;

    /// Matching profiles merged into one call tree, cut as the query says.
    fn select_tree(&self, tenant: TenantId, query: MergeQuery) -> Answer<'_, Tree>;

    /// Matching profiles merged into one pprof, cut as the query says.
    fn select_pprof(&self, tenant: TenantId, query: MergeQuery) -> Answer<'_, pprof::Profile>;

    /// Totals of matching profiles over time, in any order of series.
    fn select_series(&self, tenant: TenantId, query: SeriesQuery) -> Answer<'_, Vec<TimeSeries>>;

    /// Times of the oldest and the newest profile.
    fn stats(&self, tenant: TenantId) -> Answer<'_, ProfileStats>;

    /// How much a query would read.
    fn analyze(&self, tenant: TenantId, query: AnalyzeQuery) -> Answer<'_, Analysis>;
}
