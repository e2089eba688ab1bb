//! Where components meet: each sees the other through a trait of its own.

use std::sync::Arc;
use std::time::Duration;

use phlare_block::{BlockId, Meta};
use phlare_distributor::{Durable, Ingest, Refused};
use phlare_ingester::{Announcer, Ingester};
use phlare_model::ask::Query;
use phlare_model::{Clock, ErrorKind, TenantId, TimeRange};
use phlare_phlaredb::{Append, StoredBlock, Uploads, View};
use phlare_querier::{Fleet, Querier, Source};
use phlare_query_frontend::Reply;
use phlare_query_scheduler::Turns;
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

/// Store-gateways of other processes hear of uploads, too.
#[derive(Debug)]
pub(crate) struct HereAndElsewhere(pub(crate) Arc<dyn Uploads>, pub(crate) Arc<Announcer>);

impl Uploads for HereAndElsewhere {
    fn uploaded(&self, tenant: &TenantId, meta: Meta) {
        self.0.uploaded(tenant, meta.clone());
        self.1.uploaded(tenant, meta);
    }

    fn pending(&self) -> usize {
        self.1.pending()
    }
}

/// Without a store-gateway in this process nobody hears of uploads.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Uploads for Nobody {
    fn uploaded(&self, _: &TenantId, _: Meta) {}
}

/// What is stored: heads and local blocks of the ingester, and the bucket, as far as they are here.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) ingester: Option<Arc<Ingester>>,
    pub(crate) gateway: Option<Arc<StoreGateway>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The bucket is asked for profiles older than this.
    pub(crate) query_store_after: Duration,
}

impl Source for Stored {
    /// Answers without what is still being replayed or listed would have gaps: until all is there, there is none.
    fn view(&self, tenant: &TenantId, range: Option<TimeRange>) -> Result<View, Status> {
        if let Some(ingester) = &self.ingester {
            ingester.check_ready()?;
        }
        // The bucket first: what is cut and uploaded in between is in both views, and not in neither.
        let mut blocks = match &self.gateway {
            Some(gateway) => gateway.blocks(tenant, range)?,
            None => Vec::new(),
        };
        if !self.query_store_after.is_zero() {
            let after_ms = i64::try_from(self.query_store_after.as_millis()).unwrap_or(i64::MAX);
            let newest_ms = (self.clock.now_ns() / 1_000_000).saturating_sub(after_ms);
            blocks.retain(|block| block.times_ms().0 <= newest_ms);
        }
        let ingester = self.ingester.as_ref();
        let database = ingester.and_then(|ingester| ingester.database(tenant));
        let view = database.map(|database| database.view()).unwrap_or_default();
        let view = view.with_stored(blocks);
        Ok(match range {
            Some(range) => view.within(range),
            None => view,
        })
    }
}

/// What other processes may ask of this one: whatever is not about blocks is for its ingester, blocks are for its
/// store-gateway.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) ingester: Option<Arc<Ingester>>,
    pub(crate) gateway: Option<Arc<StoreGateway>>,
}

impl Served {
    fn of_gateway(
        &self,
        tenant: &TenantId,
        range: Option<TimeRange>,
    ) -> Result<Vec<StoredBlock>, Status> {
        let Some(gateway) = &self.gateway else {
            return Err(Status::new(
                ErrorKind::Unavailable,
                "this process has no store-gateway",
            ));
        };
        Ok(gateway.blocks(tenant, range)?)
    }
}

impl Source for Served {
    fn view(&self, tenant: &TenantId, range: Option<TimeRange>) -> Result<View, Status> {
        let Some(ingester) = &self.ingester else {
            return Ok(View::default());
        };
        ingester.check_ready()?;
        let database = ingester.database(tenant);
        let view = database.map(|database| database.view()).unwrap_or_default();
        Ok(match range {
            Some(range) => view.within(range),
            None => view,
        })
    }

    fn blocks(&self, tenant: &TenantId, ids: &[BlockId]) -> Result<View, Status> {
        // Others may not know yet that a block is replaced.
        let mut blocks = self.of_gateway(tenant, None)?;
        blocks.retain(|block| ids.contains(&block.id()));
        let view = View::chosen(blocks);
        match ids.iter().find(|id| !view.has_block(**id)) {
            None => Ok(view),
            Some(id) => Err(Status::new(
                ErrorKind::Unavailable,
                format!("block {id} of tenant {tenant} is not known here"),
            )),
        }
    }

    fn listed(&self, tenant: &TenantId, range: Option<TimeRange>) -> Result<View, Status> {
        Ok(View::default().with_stored(self.of_gateway(tenant, range)?))
    }
}

/// The querier of a process that is alone: its queries take turns.
#[derive(Clone, Debug)]
pub(crate) struct InTurn {
    pub(crate) turns: Turns,
    pub(crate) querier: Querier,
}

impl phlare_query_frontend::Querier for InTurn {
    fn ask(&self, tenant: TenantId, query: Query) -> Reply<'_> {
        Box::pin(async move {
            let _turn = self.turns.turn(&tenant).await?;
            self.querier.answer_to(&tenant, query).await
        })
    }
}

/// The stores of a fleet, asked by this process itself.
#[derive(Clone, Debug)]
pub(crate) struct Direct(pub(crate) Fleet);

impl phlare_query_frontend::Querier for Direct {
    fn ask(&self, tenant: TenantId, query: Query) -> Reply<'_> {
        Box::pin(async move { self.0.answer_to(&tenant, query).await })
    }
}
