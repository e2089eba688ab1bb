//! Uploads of finished blocks, and what has been uploaded.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use phlare_block::marks::Shipper as State;
use phlare_block::meta::names;
use phlare_block::{BlockId, Meta};
use phlare_bucket::Bucket;
use phlare_model::TenantId;
use phlare_phlaredb::{Block, Database};
use tracing::{info, warn};

use crate::error::Error;

const STATE: &str = "shipper.json";

/// Who hears of uploads.
pub trait Uploads: Send + Sync + fmt::Debug {
    /// A block is in the bucket as a whole.
    fn uploaded(&self, tenant: &TenantId, meta: Meta);
}

/// Puts blocks into a bucket and remembers which are there.
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
        self.load(tenant, &directory, now_ns);
        let mut first = Ok(());
        let mut count = 0;
        let mut blocks = database.blocks();
        blocks.sort_by_key(|block| block.id());
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
        if count > 0 {
            self.save(tenant, &blocks, &directory);
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
        let prefix = format!("{tenant}/phlaredb/{}", block.id());
        let last = format!("{prefix}/{}", names::META);
        let mut meta = block.meta().clone();
        meta.labels
            .insert(names::HOSTNAME.to_owned(), self.hostname.clone());
        if self.bucket.exists(&last).await? {
            self.listener.uploaded(tenant, meta);
            return Ok(false);
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

    /// What was uploaded before the process began. A cache: without it the bucket is asked.
    fn load(&self, tenant: &TenantId, directory: &Path, now_ns: i64) {
        let mut tenants = self.tenants.lock();
        if tenants.contains_key(tenant) {
            return;
        }
        let path = directory.join(STATE);
        let known = std::fs::read(&path)
            .ok()
            .and_then(|bytes| State::parse(&bytes, &path.display().to_string()).ok());
        let uploaded = known.map(|state| state.uploaded).unwrap_or_default();
        let stamped = uploaded.into_iter().map(|block| (block, now_ns));
        tenants.insert(tenant.clone(), stamped.collect());
    }

    /// Entries of blocks that are not here any more are dropped.
    fn save(&self, tenant: &TenantId, blocks: &[Arc<Block>], directory: &Path) {
        let mut tenants = self.tenants.lock();
        let Some(uploaded) = tenants.get_mut(tenant) else {
            return;
        };
        uploaded.retain(|id, _| blocks.iter().any(|block| block.id() == *id));
        let mut ids: Vec<_> = uploaded.keys().copied().collect();
        ids.sort();
        drop(tenants);
        let temporary = directory.join("shipper.json.tmp");
        let path = directory.join(STATE);
        let written = std::fs::write(&temporary, State::new(ids).to_json())
            .and_then(|()| std::fs::rename(&temporary, &path));
        if let Err(error) = written {
            warn!(path = %path.display(), %error, "state of uploads not written; the bucket is asked instead");
        }
    }
}
