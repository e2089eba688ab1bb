//! Cutting: the head ends, another one takes over, and the old one becomes blocks.
//!
//! 1. Under the writer's lock: a new head and a new log segment begin. Queries see both heads.
//! 2. The old head is written to `head/<id>/`, and the state of its cumulative series to a file.
//! 3. `checkpoint.json` is replaced: from now on the blocks count, and the old segments do not.
//! 4. The blocks move to `local/`, take the place of the old head for queries, and the segments are deleted.
//!
//! A crash before 3 costs nothing, since the log has everything; after it, [`Directories::recover`] finishes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use phlare_block::BlockId;
use phlare_block::meta::Meta;
use tracing::{info, warn};

use crate::baselines::{self, Carry};
use crate::block::Block;
use crate::checkpoint::{Checkpoint, baselines_file};
use crate::database::{Database, Writer};
use crate::error::Error;
use crate::flush::{self, FlushError};
use crate::head::{Head, Stats};
use crate::symbols::Full;
use crate::wal::SegmentId;

/// A head that takes no more profiles and is not in blocks yet.
#[derive(Debug)]
pub(crate) struct Frozen {
    head: Arc<Head>,
    /// What it adds to the shared figures.
    reported: Stats,
    /// The first segment of the log that is not its own.
    next_segment: SegmentId,
    /// Its blocks, once they are written: from then on they may count, so they are not written again.
    written: Option<Vec<Meta>>,
}

impl Database {
    /// Writes everything that is in the head as blocks, and returns what they are; nothing if there is nothing. Profiles
    /// and queries go on meanwhile. If that fails, nothing is lost, and the next call tries again. Blocks.
    ///
    /// # Errors
    /// [`Error::Flush`], [`Error::Directory`] if files cannot be written, [`Error::Wal`] if the old log cannot be
    /// deleted.
    pub fn cut(&self) -> Result<Vec<Meta>, Error> {
        let mut frozen = self.frozen.lock();
        // What an earlier call could not write.
        let mut metas = self.write(&mut frozen)?;
        *frozen = self.seal()?;
        fail::fail_point!("cut.sealed");
        metas.extend(self.write(&mut frozen)?);
        Ok(metas)
    }

    /// Writes a head that has ended, if there is one, and lets its blocks take its place.
    fn write(&self, frozen: &mut Option<Frozen>) -> Result<Vec<Meta>, Error> {
        let Some(old) = frozen else {
            return Ok(Vec::new());
        };
        let metas = match old.written.take() {
            Some(written) => written,
            None => self.flush(old)?,
        };
        old.written = Some(metas.clone());
        self.replace(old, &metas)?;
        self.report_end(old.reported);
        *frozen = None;
        self.truncate_log()?;
        Ok(metas)
    }

    /// Lets a new head take over.
    fn seal(&self) -> Result<Option<Frozen>, Error> {
        let full = |Full| Error::Symbols {
            tenant: self.tenant().clone(),
        };
        let old = Arc::clone(&self.writer.lock().head);
        if old.is_empty() {
            return Ok(None);
        }
        let new = Arc::new(Head::new(self.dependencies.seed));
        // The long part of this goes without the lock, so pushes wait for what changes meanwhile only.
        let mut carry = Carry::new(&old, &new);
        carry.changes().map_err(full)?;
        let mut writer = self.writer.lock();
        carry.changes().map_err(full)?;
        self.report(&mut writer);
        let reported = std::mem::take(&mut writer.reported);
        let appender = writer.appender.after(&old, &new);
        *writer = Writer {
            head: Arc::clone(&new),
            appender,
            segment: None,
            since_ns: None,
            reported: Stats::default(),
            wal: Arc::clone(&writer.wal),
        };
        let next_segment = writer.wal.rotate();
        self.frozen_bytes
            .store(reported.bytes as usize, Ordering::Relaxed);
        self.view.write().heads = vec![Arc::clone(&old), Arc::clone(&new)];
        self.report(&mut writer);
        drop(writer);
        Ok(Some(Frozen {
            head: Arc::clone(&old),
            reported,
            next_segment,
            written: None,
        }))
    }

    fn flush(&self, old: &Frozen) -> Result<Vec<Meta>, Error> {
        let begun_ns = self.dependencies.clock.now_ns();
        let failed = |source| Error::Flush {
            tenant: self.tenant().clone(),
            source,
        };
        let directory = self.directories.head();
        let clear = std::fs::remove_dir_all(&directory)
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })
            .and_then(|()| std::fs::create_dir_all(&directory));
        clear.map_err(FlushError::io(&directory)).map_err(failed)?;
        let mut new_id = || {
            let now_ms = self.dependencies.clock.now_ns().div_euclid(1_000_000);
            self.dependencies.ids.lock().next(now_ms)
        };
        let flushed =
            flush::write(&old.head, &directory, self.slot_ns, &mut new_id).map_err(failed)?;
        let metrics = &self.dependencies.metrics;
        metrics.blocks_cut.inc_by(flushed.metas.len() as u64);
        metrics.flush_peak_bytes.set(flushed.peak_bytes as i64);
        let bytes: u64 = flushed.metas.iter().map(Meta::total_bytes).sum();
        info!(
            tenant = %self.tenant(), blocks = flushed.metas.len(), profiles = old.reported.profiles,
            samples = old.reported.samples, bytes, peak_bytes = flushed.peak_bytes,
            ms = (self.dependencies.clock.now_ns() - begun_ns) / 1_000_000, "head cut"
        );
        fail::fail_point!("cut.flushed");
        Ok(flushed.metas)
    }

    /// Puts blocks in the place of the head that they were made of.
    fn replace(&self, old: &Frozen, metas: &[Meta]) -> Result<(), Error> {
        let ids: Vec<BlockId> = metas.iter().map(|meta| meta.id).collect();
        let tenant = &self.directories.tenant;
        let failed = |source| Error::Directory {
            path: tenant.clone(),
            source,
        };
        let name = baselines_file(old.next_segment);
        let has_baselines = baselines::write(&old.head, &tenant.join(&name)).map_err(failed)?;
        fail::fail_point!("cut.baselines");
        let checkpoint =
            Checkpoint::new(old.next_segment, has_baselines.then_some(name), ids.clone());
        checkpoint.write(tenant).map_err(failed)?;
        fail::fail_point!("cut.committed");
        self.directories.publish(&ids).map_err(failed)?;
        let opened = metas.iter().map(|meta| {
            let directory = self.directories.local().join(meta.id.to_string());
            let files = phlare_block::LocalFiles::new(directory);
            let cache = &self.dependencies.cache;
            Arc::new(Block::new(meta.clone(), Arc::new(files), cache))
        });
        let mut view = self.view.write();
        view.blocks.extend(opened);
        view.heads.retain(|head| !Arc::ptr_eq(head, &old.head));
        drop(view);
        self.frozen_bytes.store(0, Ordering::Relaxed);
        *self.first_segment.lock() = checkpoint.first_segment();
        // The blocks count now, whatever happens here: the next cut or start deletes what is left.
        if let Err(error) = self.directories.remove_stale_baselines(Some(&checkpoint)) {
            warn!(tenant = %self.tenant(), %error, "old state of cumulative series not deleted");
        }
        Ok(())
    }

    /// Deletes segments that are in blocks.
    fn truncate_log(&self) -> Result<(), Error> {
        fail::fail_point!("cut.truncating");
        let first = *self.first_segment.lock();
        let wal = Arc::clone(&self.writer.lock().wal);
        wal.truncate_before(first).map_err(|source| Error::Wal {
            tenant: self.tenant().clone(),
            source,
        })?;
        Ok(())
    }

    /// Blocks that lie in the tenant's directory.
    #[must_use]
    pub fn blocks(&self) -> Vec<Arc<Block>> {
        self.view.read().blocks.clone()
    }

    /// Lets no further query see a local block. [`Self::delete_removed`] deletes it.
    pub fn remove_block(&self, id: BlockId) {
        let mut view = self.view.write();
        let blocks = std::mem::take(&mut view.blocks);
        let (removed, kept) = blocks.into_iter().partition(|block| block.id() == id);
        view.blocks = kept;
        self.removed.lock().extend::<Vec<_>>(removed);
    }

    /// Deletes removed blocks that no query reads any more, and returns how many. Blocks.
    ///
    /// # Errors
    /// [`Error::Directory`]; the block is tried again with the next call.
    pub fn delete_removed(&self) -> Result<usize, Error> {
        let mut removed = self.removed.lock();
        let mut deleted = 0;
        while let Some(at) = removed
            .iter()
            .position(|block| Arc::strong_count(block) == 1)
        {
            let id = removed[at].id();
            self.directories
                .remove(id)
                .map_err(|source| Error::Directory {
                    path: self.directories.local().join(id.to_string()),
                    source,
                })?;
            removed.swap_remove(at);
            deleted += 1;
        }
        Ok(deleted)
    }

    /// The directory of finished blocks.
    #[must_use]
    pub fn local_directory(&self) -> PathBuf {
        self.directories.local()
    }
}
