//! Listing the blocks of a tenant: which there are, which of them are about to go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_block::{BlockId, Meta};
use phlare_bucket::Error;
use phlare_phlaredb::{Block, FoundMeta, TenantBlocks};
use tracing::warn;

use crate::config::BucketStore;

/// What is known of a tenant, and how to renew it.
pub(crate) struct TenantSync<'a> {
    pub(crate) blocks: TenantBlocks,
    pub(crate) config: &'a BucketStore,
    pub(crate) now_ms: i64,
    /// Blocks that are known already.
    pub(crate) known: &'a HashMap<BlockId, Arc<Block>>,
    /// Blocks whose `meta.json` is known to be bad: they are not reported again.
    pub(crate) bad: &'a HashSet<BlockId>,
}

/// A tenant's blocks.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) known: Vec<Arc<Block>>,
    pub(crate) new: Vec<Meta>,
    pub(crate) bad: HashSet<BlockId>,
}

impl TenantSync<'_> {
    pub(crate) async fn list(&self) -> Result<Listed, Error> {
        let ids = self.blocks.ids().await?;
        let mut listed = Listed::default();
        if ids.is_empty() {
            return Ok(listed);
        }
        let leaving = self.leaving().await?;
        let mut unknown = Vec::new();
        for id in ids.into_iter().filter(|id| !leaving.contains(id)) {
            match self.known.get(&id) {
                Some(block) => listed.known.push(Arc::clone(block)),
                None => unknown.push(id),
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
        let newest_ms = match i64::try_from(self.config.ignore_blocks_within.as_millis()) {
            Ok(0) => i64::MAX,
            Ok(within) => self.now_ms.saturating_sub(within),
            Err(_) => i64::MIN,
        };
        listed.new.retain(|meta| meta.min_ms <= newest_ms);
        listed
            .known
            .retain(|block| block.meta().min_ms <= newest_ms);
        let known = listed.known.iter().map(|block| block.id());
        let used = known.chain(listed.new.iter().map(|meta| meta.id)).collect();
        self.blocks.retain_copies(&used).await;
        Ok(listed)
    }

    /// Blocks that were marked for deletion long enough ago.
    async fn leaving(&self) -> Result<HashSet<BlockId>, Error> {
        let delay_ms = self.config.ignore_deletion_mark_delay.as_millis();
        let until_ms = self
            .now_ms
            .saturating_sub(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        let marks = self.blocks.marks().await?.deletion.into_iter();
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
