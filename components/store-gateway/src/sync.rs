//! Listing the blocks of a tenant: which there are, which of them are about to go.

mod index;

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_block::{BlockId, Meta, bucket_index};
use phlare_bucket::Error;
use phlare_phlaredb::{FoundMeta, StoredBlock, TenantBlocks};
use tracing::warn;

use crate::config::BucketStore;
use crate::metrics::Metrics;
use index::Index;

/// What is known of a tenant, and how to renew it.
pub(crate) struct TenantSync<'a> {
    pub(crate) blocks: TenantBlocks,
    pub(crate) config: &'a BucketStore,
    pub(crate) metrics: &'a Metrics,
    pub(crate) now_ms: i64,
    /// Blocks that are known already.
    pub(crate) known: &'a HashMap<BlockId, StoredBlock>,
    /// Blocks whose `meta.json` is known to be bad: they are not reported again.
    pub(crate) bad: &'a HashSet<BlockId>,
}

/// A tenant's blocks.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) known: Vec<StoredBlock>,
    /// Of which the index of the bucket says enough until a query comes.
    pub(crate) indexed: Vec<bucket_index::Block>,
    pub(crate) new: Vec<Meta>,
    pub(crate) bad: HashSet<BlockId>,
}

impl TenantSync<'_> {
    /// Lists the directories of blocks and the markers, and reads what the index of the bucket does not say.
    pub(crate) async fn list(&self) -> Result<Listed, Error> {
        let ids = self.blocks.ids().await?;
        let mut listed = Listed::default();
        if ids.is_empty() {
            return Ok(listed);
        }
        let index = self.index().await;
        let leaving = self.leaving(&index).await?;
        let mut unknown = Vec::new();
        for id in ids.into_iter().filter(|id| !leaving.contains(id)) {
            match (self.known.get(&id), index.blocks.get(&id)) {
                (Some(block), _) => listed.known.push(block.clone()),
                (None, Some(block)) => listed.indexed.push(block.clone()),
                (None, None) => unknown.push(id),
            }
        }
        let read = stream::iter(unknown)
            .map(|id| async move { Ok::<_, Error>((id, self.blocks.meta(id).await?)) })
            .buffered(self.config.meta_sync_concurrency.max(1))
            .try_collect::<Vec<_>>();
        for (id, meta) in read.await? {
            match meta {
                FoundMeta::Meta(meta) => listed.new.push(*meta),
                FoundMeta::Bad(problem) => {
                    self.report_bad(id, &problem);
                    listed.bad.insert(id);
                }
                FoundMeta::Nothing => {}
            }
        }
        listed.leave_out_after(self.newest_ms());
        self.blocks.retain_copies(&listed.ids().collect()).await;
        Ok(listed)
    }

    /// What the index of the bucket says; nothing if it is of no use.
    async fn index(&self) -> Index {
        match Index::read(&self.blocks, self.now_ms).await {
            Ok(index) => {
                self.metrics.index_loads.inc();
                index
            }
            Err(problem) => {
                self.metrics.index_loads.inc();
                self.metrics.index_load_failures.inc();
                let tenant = self.blocks.tenant();
                warn!(%tenant, problem, "index of the bucket not used, every new meta.json is read");
                Index::default()
            }
        }
    }

    /// Blocks that begin later are ignored.
    fn newest_ms(&self) -> i64 {
        match i64::try_from(self.config.ignore_blocks_within.as_millis()) {
            Ok(0) => i64::MAX,
            Ok(within) => self.now_ms.saturating_sub(within),
            Err(_) => i64::MIN,
        }
    }

    /// Blocks that were marked for deletion long enough ago.
    async fn leaving(&self, index: &Index) -> Result<HashSet<BlockId>, Error> {
        let delay_ms = self.config.ignore_deletion_mark_delay.as_millis();
        let until_ms = self
            .now_ms
            .saturating_sub(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        let marks = self.blocks.marks_beside(&index.marks).await?;
        let marks = marks.deletion.into_iter();
        let due = marks.filter(|(_, since_s)| since_s.saturating_mul(1000) <= until_ms);
        Ok(due.map(|(id, _)| id).collect())
    }

    fn report_bad(&self, id: BlockId, problem: &str) {
        if !self.bad.contains(&id) {
            let tenant = self.blocks.tenant();
            warn!(%tenant, block = %id, problem, "block left out of queries");
        }
    }
}

impl Listed {
    fn leave_out_after(&mut self, newest_ms: i64) {
        self.new.retain(|meta| meta.min_ms <= newest_ms);
        self.indexed.retain(|block| block.min_ms <= newest_ms);
        self.known.retain(|block| block.times_ms().0 <= newest_ms);
    }

    fn ids(&self) -> impl Iterator<Item = BlockId> {
        let known = self.known.iter().map(StoredBlock::id);
        let indexed = self.indexed.iter().map(|block| block.id);
        known
            .chain(indexed)
            .chain(self.new.iter().map(|meta| meta.id))
    }
}
