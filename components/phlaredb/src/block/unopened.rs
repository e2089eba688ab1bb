//! Blocks that are known from a list of blocks: their `meta.json` is read when a query may need them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use phlare_block::{BlockId, Error as BlockError};
use tokio::runtime::Handle;
use tracing::warn;

use super::failure::Failure;
use super::{Block, BlockCache, BucketFiles};
use crate::error::Error;
use crate::tenant_blocks::{FoundMeta, TenantBlocks};

/// A block in a bucket of which no more is known than its id and its times.
pub struct UnopenedBlock {
    id: BlockId,
    times_ms: (i64, i64),
    blocks: TenantBlocks,
    cache: BlockCache,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Unread,
    /// Nor could it be.
    Failed(Failure),
    Open(Arc<Block>),
    /// Its `meta.json` makes no sense.
    Bad,
}

/// A block of a view, opened or not.
#[derive(Clone, Debug)]
pub enum StoredBlock {
    /// Its `meta.json` was read.
    Open(Arc<Block>),
    /// A list says that it is there.
    Unopened(Arc<UnopenedBlock>),
}

impl UnopenedBlock {
    /// A block of `blocks` whose profiles were taken from the first to the second of `times_ms`. `runtime` carries reads.
    #[must_use]
    pub fn new(
        blocks: TenantBlocks,
        id: BlockId,
        times_ms: (i64, i64),
        cache: &BlockCache,
        runtime: Handle,
    ) -> Self {
        Self {
            id,
            times_ms,
            blocks,
            cache: cache.clone(),
            runtime,
            state: Mutex::new(State::Unread),
        }
    }

    /// The block, opened; `None` if it is gone or makes no sense, which is logged once. Reads its `meta.json` the first
    /// time. Blocks the thread, which must not be one that runs async work.
    ///
    /// # Errors
    /// If the bucket does not give `meta.json`.
    pub(crate) fn open(&self) -> Result<Option<Arc<Block>>, Error> {
        let asked = Instant::now();
        let mut state = self.state.lock();
        match &*state {
            State::Open(block) => return Ok(Some(Arc::clone(block))),
            State::Bad => return Ok(None),
            State::Unread => {}
            State::Failed(failure) => {
                if let Some(source) = failure.since(asked) {
                    let block = self.id;
                    return Err(Error::Block { block, source });
                }
            }
        }
        let found = self.runtime.block_on(self.blocks.meta(self.id));
        let found = found.map_err(|source| {
            let source = BlockError::Read {
                file: format!("{}/meta.json", self.directory()),
                source: Box::new(source),
            };
            if let Some(failure) = Failure::of(&source) {
                *state = State::Failed(failure);
            }
            let block = self.id;
            Error::Block { block, source }
        })?;
        match found {
            FoundMeta::Meta(meta) => {
                let bucket = self.blocks.bucket().clone();
                let directory = self.blocks.directory(self.id);
                let files = BucketFiles::new(bucket, directory, self.runtime.clone());
                let block = Arc::new(Block::new(*meta, Arc::new(files), &self.cache));
                *state = State::Open(Arc::clone(&block));
                Ok(Some(block))
            }
            FoundMeta::Bad(problem) => {
                let tenant = self.blocks.tenant();
                warn!(%tenant, block = %self.id, problem, "block left out of queries");
                self.cache.count_unreadable();
                *state = State::Bad;
                Ok(None)
            }
            // It was deleted after the list was made.
            FoundMeta::Nothing => Ok(None),
        }
    }

    fn directory(&self) -> String {
        let directory = self.blocks.directory(self.id);
        self.blocks.bucket().location(&directory)
    }
}

impl fmt::Debug for UnopenedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnopenedBlock")
            .field("id", &self.id)
            .field("times_ms", &self.times_ms)
            .finish_non_exhaustive()
    }
}

impl StoredBlock {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        match self {
            Self::Open(block) => block.id(),
            Self::Unopened(block) => block.id,
        }
    }

    /// Times of the first and the last profile in milliseconds since the epoch.
    #[must_use]
    pub fn times_ms(&self) -> (i64, i64) {
        match self {
            Self::Open(block) => (block.meta().min_ms, block.meta().max_ms),
            Self::Unopened(block) => block.times_ms,
        }
    }

    /// Whether some of its profiles may have been taken from the first to the second of these times.
    #[must_use]
    pub fn overlaps(&self, start_ms: i64, end_ms: i64) -> bool {
        let (min_ms, max_ms) = self.times_ms();
        min_ms <= end_ms && start_ms <= max_ms
    }
}
