//! Listing a bucket: which tenants there are, which blocks they have, which of them are about to go.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_block::marks::{DeletionMark, Mark};
use phlare_block::{BlockId, Meta};
use phlare_bucket::{Bucket, Error};
use phlare_model::TenantId;
use phlare_phlaredb::Block;
use tracing::warn;

use crate::config::BucketStore;

/// The top-level directory that belongs to no tenant.
const RESERVED: &str = "__pyroscope_cluster";

/// Where a tenant's blocks lie.
pub(crate) fn prefix(tenant: &TenantId) -> String {
    format!("{tenant}/phlaredb")
}

/// Names of directories that may be a tenant's, sorted. Whether one is shows when its blocks are listed.
pub(crate) async fn candidates(bucket: &Bucket) -> Result<Vec<TenantId>, Error> {
    let names = bucket.list_directories("").await?;
    let names = names.iter().filter(|name| *name != RESERVED);
    Ok(names
        .filter_map(|name| TenantId::parse(name).ok())
        .collect())
}

/// What is known of a tenant, and how to renew it.
pub(crate) struct TenantSync<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) config: &'a BucketStore,
    pub(crate) tenant: &'a TenantId,
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
        let prefix = prefix(self.tenant);
        let names = self.bucket.list_directories(&prefix).await?;
        let ids: Vec<_> = names
            .iter()
            .filter_map(|name| BlockId::parse(name).ok())
            .collect();
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
            .map(|id| async move { Ok::<_, Error>((id, self.meta(id).await?)) })
            .buffered(self.config.meta_sync_concurrency.max(1))
            .try_collect::<Vec<_>>();
        for (id, meta) in read.await? {
            match meta {
                Found::Meta(meta) => listed.new.push(*meta),
                Found::Bad => drop(listed.bad.insert(id)),
                // It is being uploaded, or deleted.
                Found::Nothing => {}
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
        self.forget_copies(&listed).await;
        Ok(listed)
    }

    /// Blocks that were marked for deletion long enough ago.
    async fn leaving(&self) -> Result<HashSet<BlockId>, Error> {
        let prefix = format!("{}/markers/", prefix(self.tenant));
        let marks = self.bucket.list(&prefix).await?;
        let delay_ms = self.config.ignore_deletion_mark_delay.as_millis();
        let until_ms = self
            .now_ms
            .saturating_sub(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        let mut leaving = HashSet::new();
        for object in marks {
            let Some((id, Mark::Deletion)) = Mark::of_global_key(&object.key) else {
                continue;
            };
            let bytes = match self.bucket.get(&object.key).await {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            match DeletionMark::parse(&bytes, &self.bucket.location(&object.key)) {
                Ok(mark) if mark.time_s.saturating_mul(1000) <= until_ms => {
                    leaving.insert(id);
                }
                Ok(_) => {}
                Err(error) => warn!(tenant = %self.tenant, %error, "deletion mark ignored"),
            }
        }
        Ok(leaving)
    }

    async fn meta(&self, id: BlockId) -> Result<Found, Error> {
        let copy = self.copy(id);
        if let Ok(bytes) = tokio::fs::read(copy.join("meta.json")).await
            && let Ok(meta) = Meta::parse(&bytes, "copy of meta.json")
            && meta.id == id
        {
            return Ok(Found::Meta(Box::new(meta)));
        }
        let key = format!("{}/{id}/meta.json", prefix(self.tenant));
        let bytes = match self.bucket.get(&key).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        match Meta::parse(&bytes, &self.bucket.location(&key)) {
            Ok(meta) if meta.id == id && !meta.files.is_empty() => {
                keep_copy(&copy, &bytes).await;
                Ok(Found::Meta(Box::new(meta)))
            }
            Ok(meta) => {
                let problem = format!("it is of {} and lists {} files", meta.id, meta.files.len());
                self.report_bad(id, &key, &problem);
                Ok(Found::Bad)
            }
            Err(error) => {
                self.report_bad(id, &key, &error.to_string());
                Ok(Found::Bad)
            }
        }
    }

    fn report_bad(&self, id: BlockId, key: &str, problem: &str) {
        if !self.bad.contains(&id) {
            warn!(tenant = %self.tenant, block = %id, key, problem, "block left out of queries");
        }
    }

    fn copy(&self, id: BlockId) -> PathBuf {
        self.copies().join(id.to_string())
    }

    fn copies(&self) -> PathBuf {
        self.config.sync_dir.join(self.tenant.as_str())
    }

    /// Copies are a cache: what goes wrong with them is of no consequence.
    async fn forget_copies(&self, listed: &Listed) {
        let known = listed.known.iter().map(|block| block.id());
        let used: HashSet<_> = known.chain(listed.new.iter().map(|meta| meta.id)).collect();
        let Ok(mut entries) = tokio::fs::read_dir(self.copies()).await else {
            return;
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| BlockId::parse(name).ok());
            if id.is_some_and(|id| !used.contains(&id)) {
                let _ = tokio::fs::remove_dir_all(entry.path()).await;
            }
        }
    }
}

enum Found {
    Meta(Box<Meta>),
    Bad,
    Nothing,
}

async fn keep_copy(directory: &Path, meta: &[u8]) {
    if tokio::fs::create_dir_all(directory).await.is_ok() {
        let _ = tokio::fs::write(directory.join("meta.json"), meta).await;
    }
}
