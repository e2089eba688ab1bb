//! The index of the bucket, as compactors write it: it spares reading a `meta.json` for each block.

use std::collections::{BTreeMap, HashMap};

use phlare_block::BlockId;
use phlare_block::bucket_index::{Block, BucketIndex, FILE};
use phlare_model::chain;
use phlare_phlaredb::TenantBlocks;

/// An older index is not used: whoever writes it seems to be gone.
const MAX_AGE_S: i64 = 3600;

/// What an index says.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Blocks whose times are known.
    pub(super) blocks: HashMap<BlockId, Block>,
    /// Since when blocks are marked for deletion, in seconds since the epoch.
    pub(super) marks: BTreeMap<BlockId, i64>,
}

impl Index {
    /// Reads the index of a tenant; without one, or if it is old, it says nothing.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) async fn read(blocks: &TenantBlocks, now_ms: i64) -> Result<Self, String> {
        let key = blocks.key(FILE);
        let bytes = match blocks.bucket().get(&key).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(Self::default()),
            Err(error) => return Err(chain(&error)),
        };
        let index = BucketIndex::parse(&bytes, &blocks.bucket().location(&key));
        let index = index.map_err(|error| error.to_string())?;
        let age_s = (now_ms / 1000).saturating_sub(index.updated_at_s);
        // From the future is what a clock wrote that is wrong, or damage.
        if !(-MAX_AGE_S..=MAX_AGE_S).contains(&age_s) {
            return Ok(Self::default());
        }
        // Times that are missing are 0: no query would find such a block.
        let sound = |block: &Block| 0 < block.min_ms && block.min_ms <= block.max_ms;
        let blocks = index.blocks.into_iter().filter(sound);
        let marks = index.block_deletion_marks.into_iter();
        Ok(Self {
            blocks: blocks.map(|block| (block.id, block)).collect(),
            marks: marks.map(|mark| (mark.id, mark.time_s)).collect(),
        })
    }
}
