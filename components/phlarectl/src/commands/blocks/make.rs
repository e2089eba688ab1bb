//! Making blocks out of others: where they go, files to read, Ctrl-C, and what is said of it.

use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use phlare_block::Meta;
use phlare_block::compact::{self, CompactError, Input, Output};
use serde::Serialize;

use super::choose::Chosen;
use super::list::Summary;
use crate::cli::UsageError;
use crate::render::Unit;
use crate::ui;

/// Memory for pages, ids and row groups.
pub(super) const MEMORY_BYTES: u64 = 512 << 20;

/// The directory that new blocks go into. If it was made for this and stays empty it goes again.
#[derive(Debug)]
pub(super) struct Target {
    directory: PathBuf,
    /// Directories that were not there before, the innermost first.
    made: Vec<PathBuf>,
}

impl Target {
    /// Makes the directory unless it is there. It must not be one that blocks are read from.
    pub(super) fn new(directory: &Path, blocks: &[Chosen]) -> anyhow::Result<Self> {
        let text = directory.display();
        let context = || format!("make the directory {text}");
        let whole = absolute(directory).with_context(context)?;
        let missing = whole
            .ancestors()
            .take_while(|path| !matches!(path.try_exists(), Ok(true)));
        let target = Self {
            made: missing.map(Path::to_owned).collect(),
            directory: whole.clone(),
        };
        fs::create_dir_all(&whole).with_context(context)?;
        let real = whole.canonicalize().with_context(context)?;
        for block in blocks.iter().filter_map(|block| block.found.directory()) {
            let block = block.canonicalize().unwrap_or(block);
            if real.starts_with(&block) || block.parent() == Some(&*real) {
                let problem = "the blocks lie there; new ones need another directory";
                return Err(UsageError(format!("--into `{text}`: {problem}")).into());
            }
        }
        Ok(target)
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    /// A block with its files on this machine, those that are needed to merge it.
    pub(super) async fn input(&self, block: &Chosen) -> anyhow::Result<Input> {
        let (meta, count) = (block.meta.clone(), block.meta.files.len());
        let progress = match block.found.directory() {
            Some(_) => indicatif::ProgressBar::hidden(),
            None => ui::progress(count),
        };
        let note = |file: &str| {
            progress.set_message(format!("{} {file}", block.found.name));
            progress.inc(1);
        };
        let fetched = block
            .found
            .fetch(&meta, &self.directory, compact::is_needed, note)
            .await;
        progress.finish_and_clear();
        let files = Arc::new(fetched?);
        Ok(Input { meta, files })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        for directory in &self.made {
            // One that is not empty stays, and so do those around it.
            if fs::remove_dir(directory).is_err() {
                return;
            }
        }
    }
}

/// Awaits something; Ctrl-C ends it.
pub(super) async fn or_cancelled<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        signal = tokio::signal::ctrl_c() => {
            signal.context("listen for Ctrl-C")?;
            Err(CompactError::Cancelled.into())
        }
    }
}

/// Does work on a thread that may compute; Ctrl-C sets the flag that the work looks at.
pub(super) async fn cancellable<T: Send + 'static>(
    work: impl FnOnce(&AtomicBool) -> Result<T, CompactError> + Send + 'static,
) -> anyhow::Result<T> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let mut work = tokio::task::spawn_blocking(move || work(&flag));
    let done = tokio::select! {
        done = &mut work => done,
        _ = tokio::signal::ctrl_c() => {
            cancelled.store(true, Ordering::Relaxed);
            work.await
        }
    };
    Ok(done.context("the block was not written to its end")??)
}

/// A block that was read or written. Names and order of the fields are stable.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    block: String,
    location: String,
    #[serde(flatten)]
    summary: Summary,
    /// Bytes of all its files.
    bytes: u64,
}

/// All blocks of one side. Names and order of the fields are stable.
#[derive(Debug, Serialize)]
pub(super) struct Totals {
    blocks: usize,
    series: u64,
    profiles: u64,
    samples: u64,
    bytes: u64,
}

impl Row {
    pub(super) fn read(block: &Chosen) -> Self {
        Self::of(&block.meta, block.found.location(), block.found.bytes())
    }

    pub(super) fn written(output: &Output) -> Self {
        let path = output.directory.join(phlare_block::meta::names::META);
        let meta_bytes = fs::metadata(path).map_or(0, |meta| meta.len());
        let bytes = output.meta.total_bytes().saturating_add(meta_bytes);
        Self::of(&output.meta, output.directory.display().to_string(), bytes)
    }

    fn of(meta: &Meta, location: String, bytes: u64) -> Self {
        Self {
            block: meta.id.to_string(),
            location,
            summary: Summary::of(meta),
            bytes,
        }
    }

    fn cells(&self, side: &str) -> Vec<String> {
        let mut cells = vec![side.to_owned(), self.block.clone()];
        cells.extend(self.summary.cells());
        cells.push(Unit::Bytes.show(self.bytes as f64));
        cells
    }
}

impl Totals {
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Self {
        let sum = |of: fn(&Row) -> u64| rows.clone().map(of).fold(0, u64::saturating_add);
        Self {
            blocks: rows.clone().count(),
            series: sum(|row| row.summary.series),
            profiles: sum(|row| row.summary.profiles),
            samples: sum(|row| row.summary.samples),
            bytes: sum(|row| row.bytes),
        }
    }

    fn text(&self) -> String {
        format!(
            "{} blocks: {} series, {} profiles, {} samples, {}",
            self.blocks,
            self.series,
            self.profiles,
            self.samples,
            Unit::Bytes.show(self.bytes as f64)
        )
    }
}

/// What was read and what was written, as a table.
pub(super) fn show<'a>(rows: impl IntoIterator<Item = (&'static str, &'a Row)>) {
    let header = [
        "", "block", "from", "to", "length", "level", "shard", "series", "profiles", "samples",
        "source", "size",
    ];
    let mut table = ui::table(&header, &[4, 5, 7, 8, 9, 11]);
    for (side, row) in rows {
        table.add_row(row.cells(side));
    }
    ui::data(&table.trim_fmt());
}

/// What it was before and is now, as a note.
pub(super) fn sum_up(before: &Totals, after: &Totals) {
    ui::note(&format!(
        "before  {}\nafter   {}",
        before.text(),
        after.text()
    ));
}
