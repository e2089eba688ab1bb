//! The list of blocks, renewed in the background.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use phlare_block::{BlockId, Meta, bucket_index};
use phlare_bucket::Bucket;
use phlare_model::{Clock, TenantId, TimeRange, chain};
use phlare_phlaredb::{Block, BlockCache, BucketFiles, StoredBlock, TenantBlocks, UnopenedBlock};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::sync::{self, TenantSync};

/// After a failed attempt; doubles up to the interval between successful ones.
const RETRY: Duration = Duration::from_secs(2);

/// What a store-gateway needs.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// Where blocks are.
    pub bucket: Bucket,
    /// Pieces of blocks in memory.
    pub cache: BlockCache,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Figures.
    pub metrics: Metrics,
}

type Blocks = HashMap<BlockId, StoredBlock>;
type Tenants = HashMap<TenantId, Arc<Blocks>>;

/// Knows the blocks of all tenants in a bucket.
pub struct StoreGateway {
    config: Config,
    dependencies: Dependencies,
    runtime: Handle,
    tenants: ArcSwap<Tenants>,
    state: Mutex<State>,
    listed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    last_error: Option<String>,
    bad: HashMap<TenantId, HashSet<BlockId>>,
    /// Added by uploads while a listing is under way, which may not have seen them.
    added: HashSet<BlockId>,
}

impl fmt::Debug for StoreGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreGateway")
            .field("tenants", &self.tenants.load().len())
            .finish_non_exhaustive()
    }
}

impl StoreGateway {
    /// Reads nothing before [`StoreGateway::run`]. `runtime` carries the reads of blocks.
    #[must_use]
    pub fn new(config: Config, dependencies: Dependencies, runtime: Handle) -> Self {
        Self {
            config,
            dependencies,
            runtime,
            tenants: ArcSwap::default(),
            state: Mutex::default(),
            listed: watch::Sender::new(false),
        }
    }

    /// Lists the bucket now and at every interval, until `shutdown`. A bucket that cannot be listed is tried again.
    pub async fn run(&self, shutdown: CancellationToken) {
        let interval = self.config.bucket_store.sync_interval;
        let mut pause = RETRY;
        loop {
            let next = match self.sync().await {
                Ok(()) => {
                    pause = RETRY;
                    interval
                }
                Err(_) => {
                    let longer = (pause * 2).min(interval);
                    std::mem::replace(&mut pause, longer)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// Waits until the bucket was listed once.
    pub async fn wait_listed(&self) {
        // The sender lives as long as the store-gateway.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// Lists the bucket once.
    ///
    /// # Errors
    /// What the bucket says; the list stays what it was.
    pub async fn sync(&self) -> Result<(), phlare_bucket::Error> {
        let outcome = self.list().await;
        let metrics = &self.dependencies.metrics;
        metrics.syncs.inc();
        let mut state = self.state.lock();
        match &outcome {
            Ok(()) => {
                self.listed.send_replace(true);
                state.last_error = None;
                let now_s = self.dependencies.clock.now_ns() / 1_000_000_000;
                metrics.last_sync_s.set(now_s);
            }
            Err(error) => {
                metrics.sync_failures.inc();
                let text = chain(error);
                if state.last_error.as_ref() != Some(&text) {
                    warn!(
                        error = text,
                        "bucket not listed, blocks stay as they were known"
                    );
                }
                state.last_error = Some(text);
            }
        }
        outcome
    }

    async fn list(&self) -> Result<(), phlare_bucket::Error> {
        self.state.lock().added.clear();
        let store = &self.config.bucket_store;
        let before = self.tenants.load_full();
        let bad = self.state.lock().bad.clone();
        let none = (Arc::new(Blocks::new()), HashSet::new());
        let at_once = store.tenant_sync_concurrency.max(1);
        let tenants = TenantBlocks::tenants(&self.dependencies.bucket).await?;
        TenantBlocks::retain_tenants(&store.sync_dir, &tenants).await;
        let (before, bad, none) = (&before, &bad, &none);
        let listed: Vec<(TenantId, sync::Listed)> = stream::iter(tenants)
            .map(|tenant| async move {
                let sync = TenantSync {
                    blocks: self.tenant_blocks(&tenant),
                    config: store,
                    metrics: &self.dependencies.metrics,
                    now_ms: self.dependencies.clock.now_ns() / 1_000_000,
                    known: before.get(&tenant).unwrap_or(&none.0),
                    bad: bad.get(&tenant).unwrap_or(&none.1),
                };
                let listed = sync.list().await?;
                Ok::<_, phlare_bucket::Error>((tenant, listed))
            })
            .buffer_unordered(at_once)
            .try_collect()
            .await?;
        self.publish(listed);
        Ok(())
    }

    fn publish(&self, listed: Vec<(TenantId, sync::Listed)>) {
        let mut state = self.state.lock();
        let before = self.tenants.load_full();
        let metrics = &self.dependencies.metrics;
        let mut tenants = Tenants::new();
        let mut bad = HashMap::new();
        let (mut count, mut new) = (0, 0);
        for (tenant, listed) in listed {
            let mut blocks: Blocks = listed
                .known
                .into_iter()
                .map(|block| (block.id(), block))
                .collect();
            new += listed.new.len() + listed.indexed.len();
            for block in listed.indexed {
                blocks.insert(block.id, self.listed(&tenant, &block));
            }
            for meta in listed.new {
                blocks.insert(meta.id, self.open(&tenant, meta));
            }
            // What was uploaded while the list was made is there, whether the list has it or not.
            let late = before
                .get(&tenant)
                .into_iter()
                .flat_map(|blocks| blocks.values());
            for block in late.filter(|block| state.added.contains(&block.id())) {
                blocks.entry(block.id()).or_insert_with(|| block.clone());
            }
            let reported = state.bad.get(&tenant).map_or(0, HashSet::len);
            metrics
                .bad_metas
                .inc_by(listed.bad.len().saturating_sub(reported) as u64);
            if !listed.bad.is_empty() {
                bad.insert(tenant.clone(), listed.bad);
            }
            count += blocks.len();
            if !blocks.is_empty() {
                tenants.insert(tenant, Arc::new(blocks));
            }
        }
        for (tenant, blocks) in before.iter() {
            let added: Blocks = blocks
                .iter()
                .filter(|(id, _)| state.added.contains(id))
                .map(|(id, block)| (*id, block.clone()))
                .collect();
            if !added.is_empty() && !tenants.contains_key(tenant) {
                count += added.len();
                tenants.insert(tenant.clone(), Arc::new(added));
            }
        }
        state.bad = bad;
        if new > 0 || !*self.listed.borrow() {
            info!(
                tenants = tenants.len(),
                blocks = count,
                new,
                "bucket listed"
            );
        }
        metrics.tenants.set(tenants.len() as i64);
        metrics.blocks.set(count as i64);
        self.tenants.store(Arc::new(tenants));
    }

    /// Adds a block that was just uploaded, so that queries see it before the next listing. Told again, it changes nothing.
    pub fn add(&self, tenant: &TenantId, meta: Meta) {
        let id = meta.id;
        let mut state = self.state.lock();
        state.added.insert(id);
        let tenants = self.tenants.load_full();
        if tenants
            .get(tenant)
            .is_some_and(|blocks| blocks.contains_key(&id))
        {
            return;
        }
        let mut tenants = Tenants::clone(&tenants);
        let blocks = tenants.entry(tenant.clone()).or_default();
        Arc::make_mut(blocks).insert(id, self.open(tenant, meta));
        self.dependencies.metrics.blocks.inc();
        self.tenants.store(Arc::new(tenants));
    }

    /// Why queries cannot be answered, if so.
    ///
    /// # Errors
    /// [`Error::NotListed`] until the bucket was listed once.
    pub fn check_ready(&self) -> Result<(), Error> {
        let state = self.state.lock();
        match *self.listed.borrow() {
            true => Ok(()),
            false => Err(Error::NotListed {
                reason: state.last_error.clone(),
            }),
        }
    }

    /// Why the list of blocks is not renewed, if so. What was known before is still answered from.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.state.lock().last_error.clone()
    }

    /// Blocks of a tenant that may have profiles of a time range; of any time, if that is `None`.
    ///
    /// # Errors
    /// [`Error::NotListed`].
    pub fn blocks(
        &self,
        tenant: &TenantId,
        range: Option<TimeRange>,
    ) -> Result<Vec<StoredBlock>, Error> {
        self.check_ready()?;
        let tenants = self.tenants.load();
        let Some(blocks) = tenants.get(tenant) else {
            return Ok(Vec::new());
        };
        let wanted = |block: &&StoredBlock| {
            range.is_none_or(|range| block.overlaps(range.start_ms, range.end_ms))
        };
        Ok(blocks.values().filter(wanted).cloned().collect())
    }

    fn tenant_blocks(&self, tenant: &TenantId) -> TenantBlocks {
        let copies = self.config.bucket_store.sync_dir.join(tenant.as_str());
        TenantBlocks::new(self.dependencies.bucket.clone(), tenant.clone()).with_copies(copies)
    }

    fn listed(&self, tenant: &TenantId, block: &bucket_index::Block) -> StoredBlock {
        StoredBlock::Unopened(Arc::new(UnopenedBlock::new(
            self.tenant_blocks(tenant),
            block.id,
            (block.min_ms, block.max_ms),
            &self.dependencies.cache,
            self.runtime.clone(),
        )))
    }

    fn open(&self, tenant: &TenantId, meta: Meta) -> StoredBlock {
        let bucket = self.dependencies.bucket.clone();
        let directory = TenantBlocks::new(bucket.clone(), tenant.clone()).directory(meta.id);
        let files = BucketFiles::new(bucket, directory, self.runtime.clone());
        let block = Block::new(meta, Arc::new(files), &self.dependencies.cache);
        StoredBlock::Open(Arc::new(block))
    }
}
