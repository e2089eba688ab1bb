//! Where components meet: each sees the other through a trait of its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use phlare_block::Meta;
use phlare_distributor::{Durable, Ingest, Refused};
use phlare_ingester::Ingester;
use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::tree::Tree;
use phlare_model::{Clock, MergeQuery, SeriesQuery, TenantId, TimeRange, TimeSeries};
use phlare_phlaredb::{Append, Uploads, View};
use phlare_proto::google::v1::Profile;
use phlare_querier::{Querier, Source};
use phlare_query_frontend::Answer;
use phlare_server::Status;
use phlare_store_gateway::StoreGateway;

/// The ingester of this process.
#[derive(Clone, Debug)]
pub(crate) struct LocalIngester(pub(crate) Arc<Ingester>);

impl Ingest for LocalIngester {
    fn append(&self, tenant: &TenantId, append: &Append<'_>) -> Result<Durable, Refused> {
        let commit = self.0.append(tenant, append).map_err(|error| {
            let reason = error.reason();
            Refused {
                status: error.into(),
                reason,
            }
        })?;
        Ok(Box::pin(async move {
            commit.wait().await.map_err(|error| {
                let reason = error.reason();
                Refused {
                    status: error.into(),
                    reason,
                }
            })
        }))
    }
}

/// Uploads of this process are seen by its queries at once.
#[derive(Debug)]
pub(crate) struct NewBlocks(pub(crate) Arc<StoreGateway>);

impl Uploads for NewBlocks {
    fn uploaded(&self, tenant: &TenantId, meta: Meta) {
        self.0.add(tenant, meta);
    }
}

/// All that is stored: heads and local blocks of the ingester, and the bucket.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) ingester: Arc<Ingester>,
    pub(crate) gateway: Arc<StoreGateway>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The bucket is asked for profiles older than this.
    pub(crate) query_store_after: Duration,
}

impl Source for Stored {
    /// Answers without what is still being replayed or listed would have gaps: until all is there, there is none.
    fn view(&self, tenant: &TenantId, range: Option<TimeRange>) -> Result<View, Status> {
        self.ingester.check_ready()?;
        // The bucket first: what is cut and uploaded in between is in both views, and not in neither.
        let mut blocks = self.gateway.blocks(tenant, range)?;
        if !self.query_store_after.is_zero() {
            let after_ms = i64::try_from(self.query_store_after.as_millis()).unwrap_or(i64::MAX);
            let newest_ms = (self.clock.now_ns() / 1_000_000).saturating_sub(after_ms);
            blocks.retain(|block| block.times_ms().0 <= newest_ms);
        }
        let database = self.ingester.database(tenant);
        let view = database.map(|database| database.view()).unwrap_or_default();
        let view = view.with_stored(blocks);
        Ok(match range {
            Some(range) => view.within(range),
            None => view,
        })
    }
}

/// The querier of this process.
#[derive(Clone)]
pub(crate) struct LocalQuerier(pub(crate) Querier);

impl fmt::Debug for LocalQuerier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl phlare_query_frontend::Querier for LocalQuerier {
    fn label_names(&self, tenant: TenantId, query: MetadataQuery) -> Answer<'_, Vec<String>> {
        Box::pin(async move { self.0.label_names(&tenant, query).await })
    }

    fn label_values(
        &self,
        tenant: TenantId,
        name: String,
        query: MetadataQuery,
    ) -> Answer<'_, Vec<String>> {
        Box::pin(async move { self.0.label_values(&tenant, name, query).await })
    }

    fn series(
        &self,
        tenant: TenantId,
        names: Vec<String>,
        query: MetadataQuery,
    ) -> Answer<'_, Vec<Labels>> {
        Box::pin(async move { self.0.series(&tenant, names, query).await })
    }

    fn select_tree(&self, tenant: TenantId, query: MergeQuery) -> Answer<'_, Tree> {
        Box::pin(async move { self.0.select_tree(&tenant, query).await })
    }

    fn select_pprof(&self, tenant: TenantId, query: MergeQuery) -> Answer<'_, Profile> {
        Box::pin(async move { self.0.select_pprof(&tenant, query).await })
    }

    fn select_series(&self, tenant: TenantId, query: SeriesQuery) -> Answer<'_, Vec<TimeSeries>> {
        Box::pin(async move { self.0.select_series(&tenant, query).await })
    }

    fn stats(&self, tenant: TenantId) -> Answer<'_, ProfileStats> {
        Box::pin(async move { self.0.stats(&tenant) })
    }

    fn analyze(&self, tenant: TenantId, query: AnalyzeQuery) -> Answer<'_, Analysis> {
        Box::pin(async move { self.0.analyze(&tenant, query).await })
    }
}
