//! The components that keep profiles: ingester, bucket, store-gateway, compactor. How they start, run and stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use phlare_block::BlockIds;
use phlare_bucket::{Bucket, Retries};
use phlare_compactor::Compactor;
use phlare_ingester::Ingester;
use phlare_model::{Clock, chain};
use phlare_phlaredb::{BlockCache, MemoryBudget, Uploads, wal};
use phlare_pprof::Seed;
use phlare_server::{Health, Registry};
use phlare_store_gateway::StoreGateway;
use phlare_tenancy::Overrides;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapters::{NewBlocks, Stored};
use crate::config::Config;

/// How long uploads may take at the end. What is not uploaded then lies on the disk and is uploaded after the next start.
const EXIT_UPLOADS: Duration = Duration::from_secs(60);

/// How long uploaded blocks stay on the disk: at least until queries see them in the bucket.
fn retention(config: &Config) -> Duration {
    let store = &config.store_gateway.bucket_store;
    let listed = store
        .ignore_blocks_within
        .saturating_add(store.sync_interval);
    let seen = config.querier.query_store_after.max(listed);
    config.pyroscopedb.local_block_retention.max(seen)
}

/// What all components of a process share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: Seed,
    pub(crate) overrides: Overrides,
    pub(crate) health: Health,
}

/// The components, connected.
pub(crate) struct Storage {
    pub(crate) bucket: Bucket,
    pub(crate) ingester: Arc<Ingester>,
    gateway: Arc<StoreGateway>,
    compactor: Arc<Compactor>,
}

impl Storage {
    pub(crate) fn open(
        config: &Config,
        shared: &Shared,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let bucket_metrics = phlare_bucket::Metrics::register(registry);
        // First, because a directory that cannot be written to is better known at the start than hours later.
        let bucket = Bucket::open(&config.storage, &bucket_metrics)?;
        let cache = BlockCache::new(config.store_gateway.bucket_store.cache_bytes);
        let gateway_metrics = phlare_store_gateway::Metrics::register(registry, &cache);
        let gateway = Arc::new(StoreGateway::new(
            config.store_gateway.clone(),
            phlare_store_gateway::Dependencies {
                bucket: bucket.with_retries(Retries::for_queries()),
                cache: cache.clone(),
                clock: Arc::clone(&shared.clock),
                metrics: gateway_metrics,
            },
            Handle::current(),
        ));
        let listed = Arc::clone(&gateway);
        shared.health.register("store-gateway", move || {
            listed.check_ready().map_err(|error| error.to_string())
        });
        let listed = Arc::clone(&gateway);
        let health = &shared.health;
        health.watch("store-gateway", move || listed.trouble());
        let ids = Arc::new(Mutex::new(BlockIds::random()));
        let uploads: Arc<dyn Uploads> = Arc::new(NewBlocks(Arc::clone(&gateway)));
        let ingester = Arc::new(Ingester::new(
            config.ingester.clone(),
            phlare_phlaredb::Config {
                local_block_retention: retention(config),
                ..config.pyroscopedb.clone()
            },
            phlare_ingester::Dependencies {
                overrides: shared.overrides.clone(),
                metrics: phlare_ingester::Metrics::register(registry),
                databases: phlare_phlaredb::Dependencies {
                    clock: Arc::clone(&shared.clock),
                    metrics: phlare_phlaredb::Metrics::register(registry),
                    budget: Arc::new(MemoryBudget::new(config.pyroscopedb.head_max_bytes)),
                    committer: wal::Committer::default(),
                    seed: shared.seed,
                    cache,
                    ids: Arc::clone(&ids),
                },
                bucket: bucket.clone(),
                uploads: Arc::clone(&uploads),
            },
        )?);
        let checked = Arc::clone(&ingester);
        shared.health.register("ingester", move || {
            checked.check_taking().map_err(|error| chain(&error))
        });
        let shipping = Arc::clone(&ingester);
        health.watch("ingester", move || shipping.trouble());
        let compactor = Arc::new(Compactor::new(
            config.compactor.clone(),
            phlare_compactor::Dependencies {
                bucket: bucket.clone(),
                overrides: shared.overrides.clone(),
                clock: Arc::clone(&shared.clock),
                ids,
                uploads,
                metrics: phlare_compactor::Metrics::register(registry),
            },
        )?);
        let merging = Arc::clone(&compactor);
        health.watch("compactor", move || merging.trouble());
        Ok(Self {
            bucket,
            ingester,
            gateway,
            compactor,
        })
    }

    /// Everything that is stored, for queries.
    pub(crate) fn stored(&self, config: &Config, shared: &Shared) -> Stored {
        Stored {
            ingester: Arc::clone(&self.ingester),
            gateway: Arc::clone(&self.gateway),
            clock: Arc::clone(&shared.clock),
            query_store_after: config.querier.query_store_after,
        }
    }

    /// Starts the work that goes on by itself, until `stop`.
    pub(crate) fn run(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let (gateway, stop_listing) = (Arc::clone(&self.gateway), stop.clone());
        tasks.spawn(async move { gateway.run(stop_listing).await });
        let (compactor, stop_merging) = (Arc::clone(&self.compactor), stop.clone());
        tasks.spawn(async move { compactor.run(stop_merging).await });
        tasks.spawn(Arc::clone(&self.ingester).run(stop.clone()));
    }

    /// Cuts the heads, closes the logs and uploads blocks. Nothing may run any more.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        let ingester = Arc::clone(&self.ingester);
        let stopped = tokio::task::spawn_blocking(move || ingester.stop())
            .await
            .context("cut the heads and close the logs")?;
        self.ingester.ship_at_exit(EXIT_UPLOADS).await;
        stopped.map_err(Into::into)
    }
}
