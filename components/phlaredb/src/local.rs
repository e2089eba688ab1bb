//! The blocks that a tenant's directory holds, and the order in which they appear and go.
//!
//! `head/<id>/` is being written, `local/<id>/` is finished, `trash/` is being deleted, and what cannot be read is put
//! into `set-aside/`. A block counts once `checkpoint.json` names it or it lies in `local/` with its `meta.json`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use phlare_block::BlockId;
use tracing::{info, warn};

use crate::block::{Block, BlockCache};
use crate::checkpoint::{Checkpoint, OnDisk, sync_directory};
use crate::wal::{self, SegmentId};

/// Bytes that blocks which cannot be read may take; the oldest go first.
const MAX_SET_ASIDE_BYTES: u64 = 256 << 20;

/// The subdirectories of a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Directories {
    pub(crate) tenant: PathBuf,
}

/// What lies in them at the start.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Blocks that could not be read.
    pub(crate) set_aside: u64,
}

impl Directories {
    pub(crate) fn new(tenant: &Path) -> Self {
        Self {
            tenant: tenant.to_owned(),
        }
    }

    pub(crate) fn head(&self) -> PathBuf {
        self.tenant.join("head")
    }

    pub(crate) fn local(&self) -> PathBuf {
        self.tenant.join("local")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.tenant.join("wal")
    }

    fn trash(&self) -> PathBuf {
        self.tenant.join("trash")
    }

    fn set_aside(&self) -> PathBuf {
        self.tenant.join("set-aside")
    }

    /// Finishes what a crash has left, and opens the blocks.
    pub(crate) fn recover(&self, cache: &BlockCache) -> io::Result<Found> {
        for directory in [self.head(), self.local()] {
            fs::create_dir_all(directory)?;
        }
        let checkpoint = self.checkpoint()?;
        if let Some(checkpoint) = &checkpoint {
            self.publish(&checkpoint.blocks)?;
        }
        self.remove_stale_baselines(checkpoint.as_ref())?;
        self.clear(&self.trash())?;
        // Whatever else is there was being written; its profiles are in the log.
        self.clear(&self.head())?;
        let mut found = Found {
            checkpoint,
            ..Found::default()
        };
        for entry in entries(&self.local())? {
            let Some(id) = block_id(&entry) else {
                if entry.is_dir() {
                    warn!(path = %entry.display(), "not a block, ignored");
                }
                continue;
            };
            match Block::open(&entry, cache) {
                Ok(block) if block.id() == id => found.blocks.push(Arc::new(block)),
                Ok(block) => {
                    let problem = format!("its meta.json says {}", block.id());
                    self.put_aside(&entry, &problem)?;
                    found.set_aside += 1;
                }
                Err(error) => {
                    self.put_aside(&entry, &error.to_string())?;
                    found.set_aside += 1;
                }
            }
        }
        Ok(found)
    }

    /// What counts; found out from what is there if the file is damaged.
    fn checkpoint(&self) -> io::Result<Option<Checkpoint>> {
        let problem = match Checkpoint::read(&self.tenant)? {
            OnDisk::Nothing => return Ok(None),
            OnDisk::Sound(checkpoint) => return Ok(Some(checkpoint)),
            OnDisk::Damaged(problem) => problem,
        };
        warn!(
            path = %self.tenant.display(), problem,
            "checkpoint.json makes no sense, set aside; the whole log is replayed: if a cut was interrupted, its \
             profiles count twice until the next cut"
        );
        let first_segment = wal::first_segment(&self.wal())?;
        let names = entries(&self.tenant)?;
        let baselines = names.iter().filter_map(|path| {
            let digits = path.file_name()?.to_str()?.strip_prefix("baselines.")?;
            digits.parse().ok().map(SegmentId::new)
        });
        Checkpoint::recover(&self.tenant, first_segment, baselines).map(Some)
    }

    /// Moves blocks that have just been written to where finished ones are. Those that are there already stay.
    pub(crate) fn publish(&self, blocks: &[BlockId]) -> io::Result<()> {
        for id in blocks {
            let from = self.head().join(id.to_string());
            match fs::rename(&from, self.local().join(id.to_string())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fail::fail_point!("cut.published");
        }
        sync_directory(&self.local())?;
        sync_directory(&self.head())
    }

    /// Deletes a finished block: it disappears at once, its bytes soon.
    pub(crate) fn remove(&self, block: BlockId) -> io::Result<()> {
        let trash = self.trash();
        fs::create_dir_all(&trash)?;
        let place = trash.join(block.to_string());
        match fs::rename(self.local().join(block.to_string()), &place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        sync_directory(&self.local())?;
        fail::fail_point!("local.removed");
        fs::remove_dir_all(&place)
    }

    fn put_aside(&self, path: &Path, problem: &str) -> io::Result<()> {
        let bytes = size_bytes(path);
        let directory = self.set_aside();
        fs::create_dir_all(&directory)?;
        warn!(path = %path.display(), to = %directory.display(), bytes, problem, "block cannot be read, set aside");
        fs::rename(
            path,
            directory.join(path.file_name().unwrap_or(OsStr::new("block"))),
        )?;
        let mut kept = entries(&directory)?;
        let mut total: u64 = kept.iter().map(|path| size_bytes(path)).sum();
        while total > MAX_SET_ASIDE_BYTES && kept.len() > 1 {
            let oldest = kept.remove(0);
            total = total.saturating_sub(size_bytes(&oldest));
            warn!(path = %oldest.display(), "too much is set aside, the oldest is deleted");
            fs::remove_dir_all(&oldest)?;
        }
        Ok(())
    }

    fn clear(&self, directory: &Path) -> io::Result<()> {
        for entry in entries(directory)? {
            info!(path = %entry.display(), bytes = size_bytes(&entry), "unfinished, deleted");
            if entry.is_dir() {
                fs::remove_dir_all(&entry)?;
            } else {
                fs::remove_file(&entry)?;
            }
        }
        Ok(())
    }

    /// Deletes files of baselines that the checkpoint does not name.
    pub(crate) fn remove_stale_baselines(&self, checkpoint: Option<&Checkpoint>) -> io::Result<()> {
        let current = checkpoint.and_then(|checkpoint| checkpoint.baselines.as_deref());
        for entry in entries(&self.tenant)? {
            let name = entry
                .file_name()
                .and_then(OsStr::to_str)
                .unwrap_or_default();
            if name.starts_with("baselines.") && Some(name) != current {
                fs::remove_file(&entry)?;
            }
        }
        Ok(())
    }
}

/// Sorted by name; none if there is no such directory.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn block_id(path: &Path) -> Option<BlockId> {
    let name = path.file_name().and_then(OsStr::to_str)?;
    BlockId::parse(name).ok().filter(|_| path.is_dir())
}

/// Bytes of the files below a directory; what cannot be read counts as nothing.
pub(crate) fn size_bytes(path: &Path) -> u64 {
    if path.is_dir() {
        let below = entries(path).unwrap_or_default();
        return below.iter().map(|path| size_bytes(path)).sum();
    }
    fs::metadata(path).map_or(0, |meta| meta.len())
}
