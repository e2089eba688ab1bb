//! The components that keep profiles: ingester, bucket, store-gateway, compactor. How they start, run and stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use phlare_block::BlockIds;
use phlare_bucket::{Bucket, Retries};
use phlare_compactor::{Compactor, Sharding};
use phlare_ingester::{Announcer, Ingester};
use phlare_model::{Clock, chain};
use phlare_phlaredb::{BlockCache, MemoryBudget, Uploads, wal};
use phlare_pprof::Seed;
use phlare_ring::Ring;
use phlare_server::{Health, Registry};
use phlare_store_gateway::StoreGateway;
use phlare_tenancy::Overrides;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapters::{HereAndElsewhere, NewBlocks, Nobody, Stored};
use crate::config::Config;
use crate::target::{Target, Targets};
use crate::tenant_files;

/// How long uploads may take at the end. What is not uploaded then lies on the disk and is uploaded after the next start.
const EXIT_UPLOADS: Duration = Duration::from_secs(60);

/// How long store-gateways may take at the end to hear of uploads.
const EXIT_NOTICES: Duration = Duration::from_secs(10);

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
    /// The ring of ingesters, if there are several.
    pub(crate) ingesters: Option<watch::Receiver<Ring>>,
    /// Tells store-gateways of uploads, if there are several processes and this is an ingester.
    pub(crate) announcer: Option<Arc<Announcer>>,
    /// The compactor's place among others, if there are several.
    pub(crate) compactors: Option<Sharding>,
}

/// The components that this process runs, connected.
pub(crate) struct Storage {
    pub(crate) bucket: Option<Bucket>,
    pub(crate) ingester: Option<Arc<Ingester>>,
    pub(crate) gateway: Option<Arc<StoreGateway>>,
    compactor: Option<Arc<Compactor>>,
    announcer: Option<Arc<Announcer>>,
}

impl Storage {
    pub(crate) fn open(
        config: &Config,
        targets: &Targets,
        shared: &Shared,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let keeps = [Target::Ingester, Target::StoreGateway, Target::Compactor];
        if !keeps.iter().any(|target| targets.has(*target)) {
            let bucket = targets.has(Target::QueryFrontend).then(|| {
                let metrics = phlare_bucket::Metrics::register(registry);
                tenant_files::bucket(config, &metrics)
            });
            return Ok(Self {
                bucket: bucket.transpose()?,
                ingester: None,
                gateway: None,
                compactor: None,
                announcer: None,
            });
        }
        let bucket_metrics = phlare_bucket::Metrics::register(registry);
        // First, because a directory that cannot be written to is better known at the start than hours later.
        let bucket = Bucket::open(&config.storage, &bucket_metrics)?;
        let mut parts = Parts {
            config,
            shared,
            cache: BlockCache::new(config.store_gateway.bucket_store.cache_bytes),
            ids: Arc::new(Mutex::new(BlockIds::random())),
            uploads: Arc::new(Nobody),
            bucket,
        };
        let gateway = match targets.has(Target::StoreGateway) {
            true => {
                let gateway = parts.gateway(registry);
                parts.uploads = Arc::new(NewBlocks(Arc::clone(&gateway)));
                Some(gateway)
            }
            false => None,
        };
        let ingester = match targets.has(Target::Ingester) {
            true => Some(parts.ingester(registry)?),
            false => None,
        };
        let compactor = match targets.has(Target::Compactor) {
            true => Some(parts.compactor(registry)?),
            false => None,
        };
        Ok(Self {
            bucket: Some(parts.bucket),
            ingester,
            gateway,
            compactor,
            announcer: shared.announcer.clone(),
        })
    }

    /// All that this process has.
    pub(crate) fn all(&self, config: &Config, shared: &Shared) -> Stored {
        Stored {
            ingester: self.ingester.clone(),
            gateway: self.gateway.clone(),
            clock: Arc::clone(&shared.clock),
            query_store_after: config.querier.query_store_after,
        }
    }

    /// Starts the work that goes on by itself, until `stop`.
    pub(crate) fn run(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        if let Some(gateway) = self.gateway.clone() {
            let stop = stop.clone();
            tasks.spawn(async move { gateway.run(stop).await });
        }
        if let Some(compactor) = self.compactor.clone() {
            let stop = stop.clone();
            tasks.spawn(async move { compactor.run(stop).await });
        }
        if let Some(announcer) = self.announcer.clone() {
            let stop = stop.clone();
            tasks.spawn(async move { announcer.run(stop).await });
        }
        if let Some(ingester) = self.ingester.clone() {
            tasks.spawn(ingester.run(stop.clone()));
        }
    }

    /// Cuts the heads, closes the logs and uploads blocks. Nothing may run any more.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        let Some(ingester) = &self.ingester else {
            return Ok(());
        };
        let stopping = Arc::clone(ingester);
        let stopped = tokio::task::spawn_blocking(move || stopping.stop())
            .await
            .context("cut the heads and close the logs")?;
        ingester.ship_at_exit(EXIT_UPLOADS).await;
        if let Some(announcer) = &self.announcer {
            announcer.finish(EXIT_NOTICES).await;
        }
        stopped.map_err(Into::into)
    }
}

/// What the components are made of.
struct Parts<'a> {
    config: &'a Config,
    shared: &'a Shared,
    bucket: Bucket,
    cache: BlockCache,
    ids: Arc<Mutex<BlockIds>>,
    uploads: Arc<dyn Uploads>,
}

impl Parts<'_> {
    fn gateway(&self, registry: &mut Registry) -> Arc<StoreGateway> {
        let gateway = Arc::new(StoreGateway::new(
            self.config.store_gateway.clone(),
            phlare_store_gateway::Dependencies {
                bucket: self.bucket.with_retries(Retries::for_queries()),
                cache: self.cache.clone(),
                clock: Arc::clone(&self.shared.clock),
                metrics: phlare_store_gateway::Metrics::register(registry, &self.cache),
            },
            Handle::current(),
        ));
        let health = &self.shared.health;
        let listed = Arc::clone(&gateway);
        health.register("store-gateway", move || {
            listed.check_ready().map_err(|error| error.to_string())
        });
        let listed = Arc::clone(&gateway);
        health.watch("store-gateway", move || listed.trouble());
        gateway
    }

    fn ingester(&self, registry: &mut Registry) -> anyhow::Result<Arc<Ingester>> {
        let Self { config, shared, .. } = self;
        let uploads: Arc<dyn Uploads> = match &shared.announcer {
            Some(announcer) => Arc::new(HereAndElsewhere(
                Arc::clone(&self.uploads),
                Arc::clone(announcer),
            )),
            None => Arc::clone(&self.uploads),
        };
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
                    cache: self.cache.clone(),
                    ids: Arc::clone(&self.ids),
                },
                bucket: self.bucket.clone(),
                uploads,
                ring: shared.ingesters.clone(),
            },
        )?);
        let health = &shared.health;
        let checked = Arc::clone(&ingester);
        health.register("ingester", move || {
            checked.check_taking().map_err(|error| chain(&error))
        });
        let shipping = Arc::clone(&ingester);
        health.watch("ingester", move || shipping.trouble());
        Ok(ingester)
    }

    fn compactor(&self, registry: &mut Registry) -> anyhow::Result<Arc<Compactor>> {
        let compactor = Arc::new(Compactor::new(
            self.config.compactor.clone(),
            phlare_compactor::Dependencies {
                bucket: self.bucket.clone(),
                overrides: self.shared.overrides.clone(),
                clock: Arc::clone(&self.shared.clock),
                ids: Arc::clone(&self.ids),
                uploads: Arc::clone(&self.uploads),
                metrics: phlare_compactor::Metrics::register(registry),
                sharding: self.shared.compactors.clone(),
            },
        )?);
        let merging = Arc::clone(&compactor);
        self.shared
            .health
            .watch("compactor", move || merging.trouble());
        Ok(compactor)
    }
}
