//! One job: inputs from the bucket, results into it, marks on the inputs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use phlare_block::compact::{self, CompactError, Input, Output, is_needed};
use phlare_block::marks::DeletionMark;
use phlare_block::meta::names;
use phlare_block::{BlockId, BlockIds, LocalFiles, Meta};
use phlare_phlaredb::TenantBlocks;

use crate::error::Error;
use crate::plan::Candidate;

/// Why the inputs of a job are marked.
const MERGED: &str = "source of compacted block";

/// A job, and how it is done.
pub(crate) struct Work<'a> {
    pub(crate) blocks: &'a TenantBlocks,
    /// Oldest first.
    pub(crate) inputs: Vec<&'a Candidate>,
    /// For this job alone; nothing is there.
    pub(crate) directory: PathBuf,
    pub(crate) shards: u32,
    pub(crate) stage_size: u32,
    pub(crate) downsample: bool,
    pub(crate) memory_bytes: u64,
    /// Objects that are read or written at once.
    pub(crate) at_once: usize,
    pub(crate) ids: &'a Arc<Mutex<BlockIds>>,
    /// The time, in seconds since the epoch.
    pub(crate) now_s: &'a (dyn Fn() -> i64 + Sync),
}

impl Work<'_> {
    /// Does it. Dropping the future gives it up: what it began is of no consequence for readers of the bucket.
    pub(crate) async fn run(&self) -> Result<Vec<Meta>, Error> {
        let emptied = Emptied(self.directory.clone());
        let outcome = self.steps().await;
        // Deleting large files takes time, which threads that serve requests don't have.
        let _ = tokio::task::spawn_blocking(move || drop(emptied)).await;
        outcome
    }

    async fn steps(&self) -> Result<Vec<Meta>, Error> {
        self.check_space()?;
        let inputs = self.download().await?;
        fail::fail_point!("compact.downloaded");
        let outputs = self.merge(inputs).await?;
        fail::fail_point!("compact.written");
        self.check_inputs().await?;
        for output in &outputs {
            self.upload(output).await?;
        }
        // All at the end, so that inputs give way to all shards almost at once.
        for output in &outputs {
            self.upload_meta(&output.meta).await?;
            fail::fail_point!("compact.meta");
        }
        fail::fail_point!("compact.uploaded");
        for input in &self.inputs {
            let mark = DeletionMark::new(input.meta.id, (self.now_s)(), MERGED);
            self.blocks.mark_for_deletion(&mark).await?;
            fail::fail_point!("compact.marked");
        }
        Ok(outputs.into_iter().map(|output| output.meta).collect())
    }

    /// Inputs and results lie on the disk at the same time.
    fn check_space(&self) -> Result<(), Error> {
        std::fs::create_dir_all(&self.directory).map_err(directory(&self.directory))?;
        let inputs = self.inputs.iter().map(|input| input.bytes);
        let needed_bytes = inputs.fold(0, u64::saturating_add).saturating_mul(2);
        let stat = rustix::fs::statvfs(&self.directory)
            .map_err(io::Error::from)
            .map_err(directory(&self.directory))?;
        let available_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        match available_bytes < needed_bytes {
            true => Err(Error::Space {
                path: self.directory.clone(),
                available_bytes,
                needed_bytes,
            }),
            false => Ok(()),
        }
    }

    async fn download(&self) -> Result<Vec<Input>, Error> {
        let mut files = Vec::new();
        for input in &self.inputs {
            let needed = input
                .meta
                .files
                .iter()
                .filter(|file| is_needed(file.name()));
            files.extend(needed.map(|file| (input.meta.id, file.rel_path.clone())));
        }
        stream::iter(files)
            .map(Ok)
            .try_for_each_concurrent(self.at_once, |(id, file)| self.download_file(id, file))
            .await?;
        let inputs = self.inputs.iter().map(|input| {
            let id = input.meta.id;
            let name = self.blocks.directory(id);
            Input {
                meta: input.meta.clone(),
                files: Arc::new(LocalFiles::new(self.local(id)).named(name)),
            }
        });
        Ok(inputs.collect())
    }

    async fn download_file(&self, id: BlockId, file: String) -> Result<(), Error> {
        let key = format!("{}/{file}", self.blocks.directory(id));
        let local = self.local(id).join(&file);
        if let Some(parent) = local.parent() {
            let made = tokio::fs::create_dir_all(parent).await;
            made.map_err(directory(parent))?;
        }
        match self.blocks.bucket().download(&key, &local).await {
            Ok(_) => Ok(()),
            // Whether the whole block is gone, or only this file, is found out when blocks are merged and checked.
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn local(&self, id: BlockId) -> PathBuf {
        self.directory.join("inputs").join(id.to_string())
    }

    /// Merges on a thread that may compute. It ends soon after this is dropped.
    async fn merge(&self, inputs: Vec<Input>) -> Result<Vec<Output>, Error> {
        let cancelled = Cancelled::default();
        let flag = Arc::clone(&cancelled.0);
        let ids = Arc::clone(self.ids);
        let (shards, stage_size) = (self.shards, self.stage_size);
        let (downsample, memory_bytes) = (self.downsample, self.memory_bytes);
        let output = self.directory.join("outputs");
        let merging = tokio::task::spawn_blocking(move || {
            compact::compact(
                &inputs,
                compact::Options {
                    output,
                    shards,
                    stage_size,
                    downsample,
                    memory_bytes,
                    cancelled: &flag,
                    ids: &mut |time_ms| ids.lock().at(time_ms),
                },
            )
        });
        let merged = merging.await.map_err(Error::Ended)?;
        match merged {
            Err(error) => Err(self.explain(error).await),
            Ok(outputs) => Ok(outputs),
        }
    }

    /// A block that somebody deleted looks like a damaged one.
    async fn explain(&self, error: CompactError) -> Error {
        match error.damaged() {
            Some(_) => match self.check_inputs().await {
                Err(gone) => gone,
                Ok(()) => error.into(),
            },
            None => error.into(),
        }
    }

    /// Nobody wants profiles back that were deleted in the meantime.
    async fn check_inputs(&self) -> Result<(), Error> {
        for input in &self.inputs {
            let id = input.meta.id;
            let meta = format!("{}/{}", self.blocks.directory(id), names::META);
            let there = self.blocks.bucket().exists(&meta).await?;
            if !there || self.blocks.is_marked_for_deletion(id).await? {
                return Err(Error::Gone(id));
            }
        }
        Ok(())
    }

    async fn upload(&self, output: &Output) -> Result<(), Error> {
        let prefix = self.blocks.directory(output.meta.id);
        stream::iter(&output.meta.files)
            .map(Ok)
            .try_for_each_concurrent(self.at_once, |file| {
                let key = format!("{prefix}/{}", file.rel_path);
                let local = output.directory.join(&file.rel_path);
                async move { self.blocks.bucket().upload(&key, &local).await.map(drop) }
            })
            .await?;
        Ok(())
    }

    async fn upload_meta(&self, meta: &Meta) -> Result<(), Error> {
        let key = format!("{}/{}", self.blocks.directory(meta.id), names::META);
        let mut json = meta.to_json();
        json.push(b'\n');
        self.blocks.bucket().put(&key, Bytes::from(json)).await?;
        Ok(())
    }
}

/// The inputs of a job among the candidates.
pub(crate) fn inputs<'a>(
    candidates: &'a BTreeMap<BlockId, Candidate>,
    blocks: &[BlockId],
) -> Vec<&'a Candidate> {
    let found = blocks.iter().filter_map(|id| candidates.get(id));
    found.collect()
}

fn directory(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Directory { path, source }
}

/// Stops merging when it is dropped.
#[derive(Default)]
struct Cancelled(Arc<AtomicBool>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Deletes a directory when it is dropped. What stays behind is deleted at the next start.
struct Emptied(PathBuf);

impl Drop for Emptied {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
