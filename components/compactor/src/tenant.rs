//! What is known of a tenant's blocks at one time.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_block::{BlockId, Meta};
use phlare_bucket::Error;
use phlare_phlaredb::{BlockObjects, FoundMeta, Marks, TenantBlocks};

use crate::plan::Candidate;

/// What lies in the bucket of a tenant.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Directories of blocks, complete or not.
    pub(crate) objects: BTreeMap<BlockId, BlockObjects>,
    pub(crate) marks: Marks,
}

/// Blocks with a `meta.json`.
#[derive(Debug, Default)]
pub(crate) struct Metas {
    pub(crate) read: BTreeMap<BlockId, Meta>,
    /// Whose `meta.json` makes no sense, and the problem.
    pub(crate) bad: BTreeMap<BlockId, String>,
}

impl Listing {
    pub(crate) async fn read(blocks: &TenantBlocks) -> Result<Self, Error> {
        // Marks first: a block that is listed and not marked was not marked when its listing began.
        let marks = blocks.marks().await?;
        let objects = blocks.objects().await?;
        Ok(Self { objects, marks })
    }

    /// Nothing of this tenant is there.
    pub(crate) fn is_empty(&self) -> bool {
        let Marks {
            deletion,
            no_compact,
            tenant,
        } = &self.marks;
        self.objects.is_empty() && deletion.is_empty() && no_compact.is_empty() && tenant.is_none()
    }

    /// Blocks with a `meta.json` and when it was written.
    pub(crate) fn complete(&self) -> impl Iterator<Item = (BlockId, &BlockObjects, i64)> {
        let objects = self.objects.iter();
        objects.filter_map(|(id, found)| Some((*id, found, found.meta_ms?)))
    }

    pub(crate) fn is_marked(&self, id: BlockId) -> bool {
        self.marks.deletion.contains_key(&id)
    }

    /// Blocks that nobody has marked for deletion. Those that are not to be merged are among them: they may contain others.
    pub(crate) fn candidates(&self, metas: &Metas) -> BTreeMap<BlockId, Candidate> {
        let wanted = self.complete().filter(|(id, ..)| !self.is_marked(*id));
        let candidate = |(id, found, modified_ms): (BlockId, &BlockObjects, i64)| {
            let candidate = Candidate {
                meta: metas.read.get(&id)?.clone(),
                modified_ms,
                bytes: found.bytes,
            };
            Some((id, candidate))
        };
        wanted.filter_map(candidate).collect()
    }
}

impl Metas {
    /// Reads those of `ids`, so many at once.
    pub(crate) async fn read(
        blocks: &TenantBlocks,
        ids: BTreeSet<BlockId>,
        at_once: usize,
    ) -> Result<Self, Error> {
        let found = stream::iter(ids)
            .map(|id| async move { Ok::<_, Error>((id, blocks.meta(id).await?)) })
            .buffer_unordered(at_once.max(1))
            .try_collect::<Vec<_>>()
            .await?;
        let mut metas = Self::default();
        for (id, meta) in found {
            match meta {
                FoundMeta::Meta(meta) => drop(metas.read.insert(id, *meta)),
                FoundMeta::Bad(problem) => drop(metas.bad.insert(id, problem)),
                FoundMeta::Nothing => {}
            }
        }
        Ok(metas)
    }
}
