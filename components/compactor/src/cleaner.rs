//! Cleaning: blocks that are too old are marked, what was marked long enough ago is deleted, the index of the bucket says
//! what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use phlare_block::BlockId;
use phlare_block::bucket_index::{self, Block, BlockDeletionMark, BucketIndex};
use phlare_block::marks::{DeletionMark, MARKERS, TenantDeletionMark};
use phlare_model::time::format_duration;
use phlare_model::{TenantId, chain};
use phlare_phlaredb::{BlockObjects, TenantBlocks};
use phlare_tenancy::Limits;
use tracing::{info, warn};

use crate::compactor::{Compactor, Loop};
use crate::error::Error;
use crate::metrics::{Reason, TenantFigures};
use crate::tenant::{Listing, Metas};

/// A block without `meta.json` is not taken for garbage before this time, whatever the limit says: it may be on its way.
const MIN_PARTIAL_DELAY: Duration = Duration::from_secs(4 * 3600);

/// Blocks of a tenant that are deleted at once.
const DELETED_AT_ONCE: usize = 4;

impl Compactor {
    /// One round over all tenants: marks, deletes, and writes indexes.
    ///
    /// # Errors
    /// If the bucket cannot be listed, or the first of what failed for a tenant; the others are done all the same.
    pub async fn clean(&self) -> Result<(), Error> {
        let metrics = &self.dependencies.metrics;
        metrics.cleanups_started.inc();
        let outcome = self.clean_all().await;
        self.note(Loop::Cleaning, outcome.as_ref().err());
        match &outcome {
            Ok(()) => {
                metrics.cleanups_completed.inc();
                metrics.last_cleanup_s.set(self.now_s());
            }
            Err(error) => {
                metrics.cleanups_failed.inc();
                warn!(
                    error = chain(error),
                    "bucket not cleaned as a whole; the next round goes on"
                );
            }
        }
        outcome
    }

    async fn clean_all(&self) -> Result<(), Error> {
        let tenants = TenantBlocks::tenants(&self.dependencies.bucket).await?;
        let own = |tenant: &TenantId| self.owns(tenant, tenant.as_str());
        let tenants: Vec<_> = tenants.into_iter().filter(own).collect();
        self.dependencies.metrics.retain_tenants(&tenants);
        let cleaned = stream::iter(tenants)
            .map(|tenant| async move {
                let cleaned = self.clean_tenant(&tenant).await;
                cleaned.inspect_err(|error| warn!(%tenant, error = chain(error), "not cleaned"))
            })
            .buffer_unordered(self.config.cleanup_concurrency);
        let outcomes: Vec<_> = cleaned.collect().await;
        outcomes.into_iter().collect()
    }

    async fn clean_tenant(&self, tenant: &TenantId) -> Result<(), Error> {
        let blocks = self.tenant_blocks(tenant);
        let listing = Listing::read(&blocks).await?;
        let mut cleaning = Cleaning {
            compactor: self,
            limits: &self.dependencies.overrides.limits(tenant),
            now_s: self.now_s(),
            blocks,
            listing,
        };
        match cleaning.listing.marks.tenant {
            Some(mark) => cleaning.delete_tenant(mark).await,
            None => cleaning.run().await,
        }
    }
}

/// Cleaning the blocks of one tenant.
struct Cleaning<'a> {
    compactor: &'a Compactor,
    limits: &'a Limits,
    now_s: i64,
    blocks: TenantBlocks,
    listing: Listing,
}

impl Cleaning<'_> {
    async fn run(&mut self) -> Result<(), Error> {
        let key = self.blocks.key(bucket_index::FILE);
        if self.listing.is_empty() {
            // A directory that is no tenant's has no index either; one whose blocks are gone loses it.
            if self.blocks.bucket().exists(&key).await? {
                self.blocks.bucket().delete(&key).await?;
            }
            return Ok(());
        }
        let known = self.index(&key).await?;
        let mut entries = self.entries(known).await?;
        self.mark_old(&entries).await?;
        self.mark_partial().await?;
        for id in self.delete_due().await? {
            entries.remove(&id);
        }
        self.write(&key, entries).await
    }

    /// What the index of the bucket says. A damaged one is made anew.
    async fn index(&self, key: &str) -> Result<BTreeMap<BlockId, Block>, Error> {
        let bytes = match self.blocks.bucket().get(key).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(BTreeMap::new()),
            Err(error) => return Err(error.into()),
        };
        match BucketIndex::parse(&bytes, &self.blocks.bucket().location(key)) {
            Ok(index) if index.is_current() => {
                let blocks = index.blocks.into_iter();
                Ok(blocks.map(|block| (block.id, block)).collect())
            }
            Ok(_) => Ok(BTreeMap::new()),
            Err(error) => {
                warn!(tenant = %self.blocks.tenant(), %error, "index of the bucket is made anew");
                Ok(BTreeMap::new())
            }
        }
    }

    /// What the index is to say of the blocks that are there. Reads only what it does not say yet.
    async fn entries(
        &self,
        mut known: BTreeMap<BlockId, Block>,
    ) -> Result<BTreeMap<BlockId, Block>, Error> {
        let mut entries = BTreeMap::new();
        let mut unknown = BTreeMap::new();
        for (id, _, modified_ms) in self.listing.complete() {
            let uploaded_s = modified_ms.div_euclid(1000);
            match known.remove(&id) {
                Some(entry) if entry.uploaded_at_s == uploaded_s => drop(entries.insert(id, entry)),
                Some(_) | None => drop(unknown.insert(id, uploaded_s)),
            }
        }
        let at_once = self.compactor.config.block_sync_concurrency;
        let ids: BTreeSet<_> = unknown.keys().copied().collect();
        let metas = Metas::read(&self.blocks, ids, at_once).await?;
        for (id, meta) in metas.read {
            let uploaded_s = unknown.get(&id).copied().unwrap_or(self.now_s);
            entries.insert(id, Block::of(&meta, uploaded_s));
        }
        Ok(entries)
    }

    /// Blocks whose last profile is older than the tenant keeps profiles.
    async fn mark_old(&mut self, entries: &BTreeMap<BlockId, Block>) -> Result<(), Error> {
        let period = self.limits.compactor_blocks_retention_period;
        if period.is_zero() {
            return Ok(());
        }
        let period_ms = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = self.now_s.saturating_mul(1000).saturating_sub(period_ms);
        let details = format!("block exceeding retention of {}", format_duration(period));
        for block in entries.values().filter(|block| block.max_ms < oldest_ms) {
            if !self.listing.is_marked(block.id) {
                self.mark(block.id, &details, "retention").await?;
            }
        }
        Ok(())
    }

    /// Directories without `meta.json` that nobody has touched for long. They are deleted in the next round, unless
    /// somebody completes them until then.
    async fn mark_partial(&mut self) -> Result<(), Error> {
        let delay = self.limits.compactor_partial_block_deletion_delay;
        if delay.is_zero() {
            return Ok(());
        }
        let objects = self.listing.objects.iter();
        let forgotten = objects.filter(|(_, found)| {
            !found.marked && self.is_partial(found, delay.max(MIN_PARTIAL_DELAY))
        });
        let ids: Vec<_> = forgotten.map(|(id, _)| *id).collect();
        for id in ids {
            if !self.listing.is_marked(id) {
                let details = "block without meta.json, not touched for long";
                self.mark(id, details, "partial").await?;
            }
        }
        Ok(())
    }

    /// Whether it is no block, and nobody has been writing it for so long.
    fn is_partial(&self, found: &BlockObjects, quiet: Duration) -> bool {
        let quiet_ms = i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX);
        let until_ms = self.now_s.saturating_mul(1000).saturating_sub(quiet_ms);
        found.meta_ms.is_none() && found.newest_ms <= until_ms
    }

    async fn mark(
        &mut self,
        id: BlockId,
        details: &str,
        reason: &'static str,
    ) -> Result<(), Error> {
        let mark = DeletionMark::new(id, self.now_s, details);
        self.blocks.mark_for_deletion(&mark).await?;
        self.listing.marks.deletion.insert(id, self.now_s);
        let marked = &self.compactor.dependencies.metrics.marked;
        marked.get_or_create(&Reason { reason }).inc();
        info!(tenant = %self.blocks.tenant(), block = %id, details, "block marked for deletion");
        Ok(())
    }

    /// Deletes what was marked long enough ago, and what was marked before this round and is no block. One that an ingester
    /// begins to upload anew is no garbage any more, whatever its mark says.
    async fn delete_due(&mut self) -> Result<Vec<BlockId>, Error> {
        let delay_s = i64::try_from(self.compactor.config.deletion_delay.as_secs());
        let until_s = self.now_s.saturating_sub(delay_s.unwrap_or(i64::MAX));
        let mut due = BTreeSet::new();
        for (id, since_s) in &self.listing.marks.deletion {
            let is_due = match self.listing.objects.get(id) {
                Some(found) if found.meta_ms.is_none() => {
                    *since_s < self.now_s && self.is_partial(found, MIN_PARTIAL_DELAY)
                }
                // Of what is gone only the marker is left.
                Some(_) | None => *since_s <= until_s,
            };
            if is_due {
                due.insert(*id);
            }
        }
        // Somebody was cut off while deleting it: its markers are gone already.
        let objects = self.listing.objects.iter();
        let orphans =
            objects.filter(|(_, found)| found.marked && self.is_partial(found, MIN_PARTIAL_DELAY));
        due.extend(orphans.map(|(id, _)| *id));
        self.delete(due.into_iter().collect()).await
    }

    async fn delete(&mut self, ids: Vec<BlockId>) -> Result<Vec<BlockId>, Error> {
        let blocks = &self.blocks;
        let deleted: Vec<_> = stream::iter(ids)
            .map(|id| async move {
                let outcome = blocks.delete(id).await;
                (id, outcome)
            })
            .buffer_unordered(DELETED_AT_ONCE)
            .collect()
            .await;
        let mut gone = Vec::new();
        let mut first = Ok(());
        for (id, outcome) in deleted {
            match outcome {
                Ok(()) => {
                    self.compactor.dependencies.metrics.deleted.inc();
                    info!(tenant = %self.blocks.tenant(), block = %id, "block deleted");
                    self.listing.objects.remove(&id);
                    self.listing.marks.deletion.remove(&id);
                    self.listing.marks.no_compact.remove(&id);
                    gone.push(id);
                }
                Err(error) => first = first.and(Err(error)),
            }
        }
        first?;
        Ok(gone)
    }

    async fn write(&self, key: &str, entries: BTreeMap<BlockId, Block>) -> Result<(), Error> {
        let mut index = BucketIndex::new(self.now_s);
        let marked = self.listing.marks.deletion.iter();
        let marked = marked.filter(|(id, _)| entries.contains_key(*id));
        index.block_deletion_marks = marked
            .map(|(id, since_s)| BlockDeletionMark {
                id: *id,
                time_s: *since_s,
            })
            .collect();
        let objects = self.listing.objects.values();
        let figures = TenantFigures {
            levels: entries.values().map(|block| block.level).collect(),
            leaving: index.block_deletion_marks.len(),
            partial: objects.filter(|found| found.meta_ms.is_none()).count(),
            index_s: self.now_s,
        };
        index.blocks = entries.into_values().collect();
        let bytes = Bytes::from(index.to_bytes());
        self.blocks.bucket().put(key, bytes).await?;
        let metrics = &self.compactor.dependencies.metrics;
        metrics.set_tenant(self.blocks.tenant(), &figures);
        Ok(())
    }

    /// Deletes all blocks of a tenant at once, then says so, and takes the markers away after a while.
    async fn delete_tenant(&mut self, mark: TenantDeletionMark) -> Result<(), Error> {
        let bucket = self.blocks.bucket();
        bucket.delete(&self.blocks.key(bucket_index::FILE)).await?;
        let all: Vec<_> = self.listing.objects.keys().copied().collect();
        let count = all.len();
        self.delete(all).await?;
        let key = self.blocks.key(TenantDeletionMark::KEY);
        let finished_s = u64::try_from(self.now_s).unwrap_or_default();
        let delay_s = self.compactor.config.deletion_delay.as_secs();
        let bucket = self.blocks.bucket();
        if count > 0 || mark.finished_s == 0 {
            let finished = TenantDeletionMark { finished_s, ..mark };
            bucket.put(&key, Bytes::from(finished.to_json())).await?;
            info!(tenant = %self.blocks.tenant(), blocks = count, "tenant deleted");
        } else if mark.finished_s.saturating_add(delay_s) <= finished_s {
            for object in bucket.list(&self.blocks.key(MARKERS)).await? {
                bucket.delete(&object.key).await?;
            }
        }
        Ok(())
    }
}
