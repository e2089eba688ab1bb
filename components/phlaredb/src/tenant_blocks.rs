//! The blocks of one tenant in a bucket: which there are, what is marked, how they are marked and deleted.
//!
//! Layout: blocks.md 1.5.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_block::marks::{DeletionMark, MARKERS, Mark, NoCompactMark, TenantDeletionMark};
use phlare_block::meta::names;
use phlare_block::{BlockId, Meta};
use phlare_bucket::{Bucket, Error, Object};
use phlare_model::TenantId;
use tracing::warn;

/// The top-level directory that belongs to no tenant.
const RESERVED: &str = "__pyroscope_cluster";

/// Objects of one block that are deleted at once.
const DELETED_AT_ONCE: usize = 8;

/// Markers of one tenant that are read at once.
const MARKERS_AT_ONCE: usize = 16;

/// Who hears of blocks that came into the bucket.
pub trait Uploads: Send + Sync + std::fmt::Debug {
    /// A block is in the bucket as a whole.
    fn uploaded(&self, tenant: &TenantId, meta: Meta);

    /// Blocks of which somebody who ought to has not heard yet.
    fn pending(&self) -> usize {
        0
    }
}

/// The blocks of a tenant in a bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TenantBlocks {
    bucket: Bucket,
    tenant: TenantId,
    copies: Option<PathBuf>,
}

/// What lies in the directory of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockObjects {
    /// When its `meta.json` was written, in milliseconds since the epoch; `None` if there is none.
    pub meta_ms: Option<i64>,
    /// When its newest object was written, marks aside, in milliseconds since the epoch.
    pub newest_ms: i64,
    /// Bytes of all objects.
    pub bytes: u64,
    /// It has a deletion mark of its own.
    pub marked: bool,
}

/// What is marked of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Blocks that are to be deleted, and since when, in seconds since the epoch.
    pub deletion: BTreeMap<BlockId, i64>,
    /// Blocks that are not to be compacted.
    pub no_compact: BTreeSet<BlockId>,
    /// The tenant is to be deleted.
    pub tenant: Option<TenantDeletionMark>,
}

/// What a `meta.json` turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum FoundMeta {
    /// It can be read.
    Meta(Box<Meta>),
    /// It makes no sense; what the problem is.
    Bad(String),
    /// There is none: the block is being uploaded, or deleted.
    Nothing,
}

impl TenantBlocks {
    /// Reads nothing.
    #[must_use]
    pub fn new(bucket: Bucket, tenant: TenantId) -> Self {
        Self {
            bucket,
            tenant,
            copies: None,
        }
    }

    /// The same; what was read of `meta.json` is kept in `directory`, and need not be read again.
    #[must_use]
    pub fn with_copies(self, directory: impl Into<PathBuf>) -> Self {
        Self {
            copies: Some(directory.into()),
            ..self
        }
    }

    /// Names of directories that may be a tenant's, sorted. Whether one is shows when its blocks are listed.
    ///
    /// # Errors
    /// If the bucket cannot be listed.
    pub async fn tenants(bucket: &Bucket) -> Result<Vec<TenantId>, Error> {
        let names = bucket.list_directories("").await?;
        let names = names.iter().filter(|name| *name != RESERVED);
        Ok(names
            .filter_map(|name| TenantId::parse(name).ok())
            .collect())
    }

    /// Whose blocks they are.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Where they are.
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Key of the directory of a block, without `/` at its end.
    #[must_use]
    pub fn directory(&self, block: BlockId) -> String {
        self.key(&block.to_string())
    }

    /// Key of what lies beside or in the blocks.
    #[must_use]
    pub fn key(&self, path: &str) -> String {
        format!("{}/phlaredb/{path}", self.tenant)
    }

    /// Names of the directories of blocks, whatever is in them.
    ///
    /// # Errors
    /// If the bucket cannot be listed.
    pub async fn ids(&self) -> Result<Vec<BlockId>, Error> {
        let prefix = format!("{}/phlaredb", self.tenant);
        let names = self.bucket.list_directories(&prefix).await?;
        let ids = names.iter().filter_map(|name| BlockId::parse(name).ok());
        Ok(ids.collect())
    }

    /// All blocks, and what is in their directories. One request for each thousand objects.
    ///
    /// # Errors
    /// If the bucket cannot be listed.
    pub async fn objects(&self) -> Result<BTreeMap<BlockId, BlockObjects>, Error> {
        let prefix = format!("{}/phlaredb", self.tenant);
        let mut blocks: BTreeMap<BlockId, BlockObjects> = BTreeMap::new();
        for object in self.bucket.list(&prefix).await? {
            let path = object.key.strip_prefix(&prefix);
            let path = path.and_then(|path| path.strip_prefix('/'));
            let Some((name, file)) = path.and_then(|path| path.split_once('/')) else {
                continue;
            };
            if let Ok(id) = BlockId::parse(name) {
                blocks.entry(id).or_default().add(file, &object);
            }
        }
        Ok(blocks)
    }

    /// Reads the markers. One that cannot be read counts as none, and the log says so.
    ///
    /// # Errors
    /// If the bucket does not give them.
    pub async fn marks(&self) -> Result<Marks, Error> {
        self.marks_beside(&BTreeMap::new()).await
    }

    /// As [`Self::marks`], without reading those for deletion whose times are known.
    ///
    /// # Errors
    /// As [`Self::marks`].
    pub async fn marks_beside(&self, known: &BTreeMap<BlockId, i64>) -> Result<Marks, Error> {
        let markers = self.bucket.list(&self.key(MARKERS)).await?;
        let mut marks = Marks::default();
        let prefix = self.key("");
        let unread = markers.into_iter().filter(|object| {
            let path = object.key.strip_prefix(&prefix).unwrap_or_default();
            let id = match Mark::of_global_key(path) {
                Some((id, Mark::Deletion)) => id,
                _ => return true,
            };
            let time_s = known.get(&id).copied();
            marks.deletion.extend(time_s.map(|time_s| (id, time_s)));
            time_s.is_none()
        });
        let unread: Vec<Object> = unread.collect();
        let read = stream::iter(unread)
            .map(|object| self.mark(object))
            .buffer_unordered(MARKERS_AT_ONCE)
            .try_collect::<Vec<_>>();
        for mark in read.await?.into_iter().flatten() {
            match mark {
                Marker::Deletion(mark) => drop(marks.deletion.insert(mark.id, mark.time_s)),
                Marker::NoCompact(id) => drop(marks.no_compact.insert(id)),
                Marker::Tenant(mark) => marks.tenant = Some(mark),
            }
        }
        Ok(marks)
    }

    async fn mark(&self, object: Object) -> Result<Option<Marker>, Error> {
        let path = object.key.strip_prefix(&self.key("")).unwrap_or_default();
        let mark = match Mark::of_global_key(path) {
            // What it says does not matter.
            Some((id, Mark::NoCompact)) => return Ok(Some(Marker::NoCompact(id))),
            Some((id, Mark::Deletion)) => Some(id),
            None if path == TenantDeletionMark::KEY => None,
            None => return Ok(None),
        };
        let bytes = match self.bucket.get(&object.key).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = self.bucket.location(&object.key);
        let parsed = match mark {
            Some(id) => DeletionMark::parse(&bytes, &name)
                .map(|mark| (mark.id == id).then_some(Marker::Deletion(mark))),
            None => TenantDeletionMark::parse(&bytes, &name).map(|mark| Some(Marker::Tenant(mark))),
        };
        Ok(parsed.unwrap_or_else(|error| {
            warn!(tenant = %self.tenant, %error, "deletion mark ignored");
            None
        }))
    }

    /// Reads the `meta.json` of a block, or the copy of it.
    ///
    /// # Errors
    /// If the bucket does not give it.
    pub async fn meta(&self, id: BlockId) -> Result<FoundMeta, Error> {
        if let Some(meta) = self.copied(id).await {
            return Ok(FoundMeta::Meta(Box::new(meta)));
        }
        let key = format!("{}/{}", self.directory(id), names::META);
        let bytes = match self.bucket.get(&key).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(FoundMeta::Nothing),
            Err(error) => return Err(error),
        };
        Ok(match Meta::parse(&bytes, &self.bucket.location(&key)) {
            Ok(meta) if meta.id == id && !meta.files.is_empty() => {
                self.copy(id, &bytes).await;
                FoundMeta::Meta(Box::new(meta))
            }
            Ok(meta) => {
                let files = meta.files.len();
                FoundMeta::Bad(format!("it is of {} and lists {files} files", meta.id))
            }
            Err(error) => FoundMeta::Bad(error.to_string()),
        })
    }

    /// Marks a block for deletion.
    ///
    /// # Errors
    /// If the bucket may not have the mark: it does not hold then.
    pub async fn mark_for_deletion(&self, mark: &DeletionMark) -> Result<(), Error> {
        self.put_mark(mark.id, Mark::Deletion, mark.to_json()).await
    }

    /// Marks a block that is not to be compacted.
    ///
    /// # Errors
    /// If the bucket may not have the mark: it does not hold then.
    pub async fn mark_no_compact(&self, mark: &NoCompactMark) -> Result<(), Error> {
        self.put_mark(mark.id, Mark::NoCompact, mark.to_json())
            .await
    }

    /// The one among the markers comes last: it is what is read.
    async fn put_mark(&self, id: BlockId, mark: Mark, json: Vec<u8>) -> Result<(), Error> {
        let json = Bytes::from(json);
        let own = self.key(&mark.block_key(id));
        self.bucket.put(&own, json.clone()).await?;
        self.bucket.put(&self.key(&mark.global_key(id)), json).await
    }

    /// Whether a block is marked for deletion.
    ///
    /// # Errors
    /// If the bucket does not say.
    pub async fn is_marked_for_deletion(&self, id: BlockId) -> Result<bool, Error> {
        let key = self.key(&Mark::Deletion.global_key(id));
        self.bucket.exists(&key).await
    }

    /// Takes a deletion mark away.
    ///
    /// # Errors
    /// If it may still be there.
    pub async fn unmark(&self, id: BlockId) -> Result<(), Error> {
        let global = self.key(&Mark::Deletion.global_key(id));
        self.bucket.delete(&global).await?;
        self.bucket
            .delete(&self.key(&Mark::Deletion.block_key(id)))
            .await
    }

    /// Deletes a block: first its `meta.json`, so that nobody takes the rest for a block, last its markers, so that what is
    /// left is known to be garbage if this is cut off.
    ///
    /// # Errors
    /// If some of it may still be there.
    pub async fn delete(&self, id: BlockId) -> Result<(), Error> {
        let directory = self.directory(id);
        let meta = format!("{directory}/{}", names::META);
        self.bucket.delete(&meta).await?;
        let objects = self.bucket.list(&directory).await?;
        stream::iter(objects)
            .map(Ok)
            .try_for_each_concurrent(DELETED_AT_ONCE, |object| async move {
                self.bucket.delete(&object.key).await
            })
            .await?;
        for mark in [Mark::NoCompact, Mark::Deletion] {
            self.bucket.delete(&self.key(&mark.global_key(id))).await?;
        }
        self.forget_copy(id).await;
        Ok(())
    }

    /// Keeps the copies of these blocks only. A copy is a cache: what goes wrong with one is of no consequence.
    pub async fn retain_copies(&self, used: &BTreeSet<BlockId>) {
        let Some(copies) = &self.copies else {
            return;
        };
        let Ok(mut entries) = tokio::fs::read_dir(copies).await else {
            return;
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| BlockId::parse(name).ok());
            if let Some(id) = id.filter(|id| !used.contains(id)) {
                self.forget_copy(id).await;
            }
        }
    }

    /// Deletes the copies of tenants that are not among these; `directory` holds those of each tenant under its name.
    pub async fn retain_tenants(directory: &Path, tenants: &[TenantId]) {
        let Ok(mut entries) = tokio::fs::read_dir(directory).await else {
            return;
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name();
            let tenant = name.to_str().and_then(|name| TenantId::parse(name).ok());
            if tenant.is_some_and(|tenant| !tenants.contains(&tenant)) {
                let _ = tokio::fs::remove_dir_all(entry.path()).await;
            }
        }
    }

    async fn copied(&self, id: BlockId) -> Option<Meta> {
        let path = self.copies.as_ref()?.join(id.to_string()).join(names::META);
        let bytes = tokio::fs::read(path).await.ok()?;
        let meta = Meta::parse(&bytes, "copy of meta.json").ok()?;
        (meta.id == id).then_some(meta)
    }

    async fn copy(&self, id: BlockId, meta: &[u8]) {
        let Some(copies) = &self.copies else {
            return;
        };
        let directory = copies.join(id.to_string());
        if tokio::fs::create_dir_all(&directory).await.is_ok() {
            let _ = tokio::fs::write(directory.join(names::META), meta).await;
        }
    }

    async fn forget_copy(&self, id: BlockId) {
        if let Some(copies) = &self.copies {
            let _ = tokio::fs::remove_dir_all(copies.join(id.to_string())).await;
        }
    }
}

impl BlockObjects {
    fn add(&mut self, file: &str, object: &Object) {
        self.bytes = self.bytes.saturating_add(object.size);
        self.marked |= file == Mark::Deletion.file_name();
        if [Mark::Deletion, Mark::NoCompact]
            .iter()
            .all(|mark| mark.file_name() != file)
        {
            self.newest_ms = self.newest_ms.max(object.modified_unix_ms);
        }
        if file == names::META {
            self.meta_ms = Some(object.modified_unix_ms);
        }
    }
}

enum Marker {
    Deletion(DeletionMark),
    NoCompact(BlockId),
    Tenant(TenantDeletionMark),
}
