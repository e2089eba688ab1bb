//! Uploads of finished blocks, and what has been uploaded.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use phlare_block::BlockId;
use phlare_block::meta::names;
use phlare_bucket::Bucket;
use phlare_model::TenantId;
use phlare_phlaredb::{Block, Database, TenantBlocks, Uploads};
use tracing::info;

use crate::error::Error;

/// Puts blocks into a bucket and remembers which are there. After a restart the bucket is asked: a list on disk could be
/// of another bucket, and what is believed to be uploaded is deleted here.
#[derive(Debug)]
pub(crate) struct Shipper {
    bucket: Bucket,
    hostname: String,
    listener: Arc<dyn Uploads>,
    tenants: Mutex<HashMap<TenantId, Uploaded>>,
}

/// By block, when its upload became known.
type Uploaded = HashMap<BlockId, i64>;

impl Shipper {
    pub(crate) fn new(bucket: Bucket, listener: Arc<dyn Uploads>) -> Self {
        let name = rustix::system::uname();
        Self {
            bucket,
            hostname: name.nodename().to_string_lossy().into_owned(),
            listener,
            tenants: Mutex::default(),
        }
    }

    /// Since when a block is known to be in the bucket, in ns.
    pub(crate) fn uploaded_ns(&self, tenant: &TenantId, block: BlockId) -> Option<i64> {
        self.tenants.lock().get(tenant)?.get(&block).copied()
    }

    /// Uploads the blocks of a database that are not in the bucket. `now_ns` stamps what is found or made there.
    /// Returns how many were uploaded, and the first failure; the other blocks are tried all the same.
    pub(crate) async fn ship(
        &self,
        database: &Database,
        now_ns: i64,
    ) -> (usize, Result<(), Error>) {
        let tenant = database.tenant();
        let directory = database.local_directory();
        let mut first = Ok(());
        let mut count = 0;
        let mut blocks = database.blocks();
        blocks.sort_by_key(|block| block.id());
        self.forget_others(tenant, &blocks);
        for block in &blocks {
            if self.uploaded_ns(tenant, block.id()).is_some() {
                continue;
            }
            match self.upload(tenant, block, &directory).await {
                Ok(new) => {
                    count += usize::from(new);
                    let mut tenants = self.tenants.lock();
                    let uploaded = tenants.entry(tenant.clone()).or_default();
                    uploaded.insert(block.id(), now_ns);
                }
                Err(source) => {
                    let failed = Error::Upload {
                        tenant: tenant.clone(),
                        block: block.id(),
                        source,
                    };
                    first = first.and(Err(failed));
                }
            }
        }
        (count, first)
    }

    /// False if it was there already.
    async fn upload(
        &self,
        tenant: &TenantId,
        block: &Block,
        directory: &Path,
    ) -> Result<bool, phlare_bucket::Error> {
        let blocks = TenantBlocks::new(self.bucket.clone(), tenant.clone());
        let prefix = blocks.directory(block.id());
        let last = format!("{prefix}/{}", names::META);
        let mut meta = block.meta().clone();
        meta.labels
            .insert(names::HOSTNAME.to_owned(), self.hostname.clone());
        if self.bucket.exists(&last).await? {
            self.listener.uploaded(tenant, meta);
            return Ok(false);
        }
        // What an earlier attempt left may have been marked as garbage.
        if blocks.is_marked_for_deletion(block.id()).await? {
            blocks.unmark(block.id()).await?;
        }
        let local = directory.join(block.id().to_string());
        let mut bytes = 0;
        for file in &meta.files {
            let key = format!("{prefix}/{}", file.rel_path);
            bytes += self
                .bucket
                .upload(&key, &local.join(&file.rel_path))
                .await?;
            fail::fail_point!("upload.file");
        }
        let mut json = meta.to_json();
        json.push(b'\n');
        self.bucket.put(&last, Bytes::from(json)).await?;
        fail::fail_point!("upload.meta");
        info!(%tenant, block = %block.id(), bytes, "block uploaded");
        self.listener.uploaded(tenant, meta);
        Ok(true)
    }

    /// Blocks that are not here any more need not be remembered.
    fn forget_others(&self, tenant: &TenantId, blocks: &[Arc<Block>]) {
        if let Some(uploaded) = self.tenants.lock().get_mut(tenant) {
            uploaded.retain(|id, _| blocks.iter().any(|block| block.id() == *id));
        }
    }
}
