//! Blocks made of blocks: rows merged by series, time and id, duplicates once, symbols rewritten once, split by series if
//! asked.
//!
//! Synchronous, files in and files out. Passes: series of all inputs get ranks in the order of the result; stack traces
//! that rows use are marked (only if something is to be left out); symbols are merged partition by partition, which tells
//! the new id of each stack trace; rows are merged and written with new ids. Symbols come before rows because a row
//! cannot be written before its ids are known, and rows of all partitions are interleaved.
//!
//! What is a duplicate: [`duplicates`]. Rules of `meta.json`: blocks.md 1.3; of the rewrite: 6.2.
//!
//! Memory whatever the size of the inputs: labels of each series once and 4 bytes for each series of each input; index
//! of one input at a time; footers; one symbol partition, merged, and its part of one input; for a split, 1.5 bits for
//! each stack trace and shard, and compressed bitmaps of what each input uses; and about [`Options::memory_bytes`] for pages of
//! inputs, new ids and row groups, more if single pages are larger than their part of it.

mod duplicates;
mod error;
mod inputs;
mod maps;
mod merge;
mod output;
mod ranks;
mod rows;
mod series;
mod subset;
mod superseded;
mod symbols;
mod used;
mod verify;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::files::Files;
use crate::id::BlockId;
use crate::meta::Meta;

use self::inputs::Source;
use self::maps::Maps;
use self::output::{Drafts, Template};
use self::series::Plan;

pub use self::error::CompactError;
pub use self::inputs::is_needed;
pub use self::superseded::superseded;

/// A block that others are merged with.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its `meta.json`.
    pub meta: Meta,
    /// Its files.
    pub files: Arc<dyn Files>,
}

/// What to make.
pub struct Options<'a> {
    /// Directory that the blocks are written into, each as `<ULID>/`; it is made if it isn't there.
    pub output: PathBuf,
    /// Blocks that the rows are split into, by fingerprint of the series; 0 and 1 don't split.
    pub shards: u32,
    /// Shards that are written in one pass over the inputs; 0 is all. A pass takes memory for each of its shards.
    pub stage_size: u32,
    /// Writes downsampled tables, too, if the result has level 3 or more.
    pub downsample: bool,
    /// Memory for pages, new ids and row groups.
    pub memory_bytes: u64,
    /// Once this is set, merging ends with [`CompactError::Cancelled`] soon.
    pub cancelled: &'a AtomicBool,
    /// Names the results; gets the time that the name is to have, in milliseconds.
    pub ids: &'a mut dyn FnMut(i64) -> BlockId,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("output", &self.output)
            .field("shards", &self.shards)
            .field("stage_size", &self.stage_size)
            .field("downsample", &self.downsample)
            .field("memory_bytes", &self.memory_bytes)
            .finish_non_exhaustive()
    }
}

/// A block that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its `meta.json`, as it lies in the directory.
    pub meta: Meta,
    /// Where its files are.
    pub directory: PathBuf,
}

/// Merges blocks into one, or into one for each shard; shards without rows are left out. What is returned is complete,
/// was opened again, and is on disk. On an error nothing is left in the directory.
///
/// Blocks for one result have to be of one tenant and to have the same labels: that is the caller's to know.
///
/// # Errors
/// [`CompactError`]. If an input is at fault it is named, so that the others can be merged without it.
pub fn compact(inputs: &[Input], options: Options<'_>) -> Result<Vec<Output>, CompactError> {
    let shards = options.shards.max(1);
    let sources = inputs::open(inputs)?;
    let template = Template::merged(&sources, shards, options.downsample)?;
    make(&sources, &template, Options { shards, ..options })
}

/// Writes a block anew: in the newest version, with the encodings of this program, as [`compact`] does. The result has
/// another id, the old one as its only parent, and the old one's times, level, ancestors, labels and source; so where
/// both are, the old one is [superseded] if its id is smaller, and the new one is merged as the old one would have been.
/// `None` if the block has no rows. Of the options, `shards`, `stage_size` and `downsample` don't count: there are
/// downsampled tables if the old one has any.
///
/// # Errors
/// As [`compact`].
pub fn rewrite(input: &Input, options: Options<'_>) -> Result<Option<Output>, CompactError> {
    let sources = inputs::open(std::slice::from_ref(input))?;
    let options = Options {
        shards: 1,
        stage_size: 0,
        ..options
    };
    Ok(make(&sources, &Template::rewritten(&input.meta), options)?.pop())
}

fn make(
    sources: &[Source],
    template: &Template,
    options: Options<'_>,
) -> Result<Vec<Output>, CompactError> {
    let shards = options.shards;
    let plan = Plan::new(sources, shards)?;
    let mut drafts = Drafts::new(&options.output)?;
    let stage = match options.stage_size {
        0 => shards,
        size => size,
    };
    for first in (0..shards).step_by(stage as usize) {
        let stage = Stage {
            sources,
            plan: &plan,
            shards: first..first.saturating_add(stage).min(shards),
            memory: Memory::share(options.memory_bytes, sources.len(), stage.min(shards)),
            cancelled: options.cancelled,
        };
        stage.run(template, &mut drafts, &mut *options.ids)?;
    }
    for output in drafts.complete() {
        verify::output(output, sources)?;
    }
    drafts.keep()
}

/// Some of the shards, which are written together.
struct Stage<'a> {
    sources: &'a [Source],
    plan: &'a Plan,
    shards: Range<u32>,
    memory: Memory,
    cancelled: &'a AtomicBool,
}

/// Who may have how many bytes.
#[derive(Clone, Copy, Debug)]
struct Memory {
    /// Pages of one input.
    window: usize,
    /// New ids of stack traces.
    maps: usize,
    /// A row group that is being written.
    row_group: usize,
}

impl Memory {
    fn share(bytes: u64, inputs: usize, shards: u32) -> Self {
        let quarter = usize::try_from(bytes / 4).unwrap_or(usize::MAX);
        Self {
            window: (quarter / inputs.max(1)).clamp(256 << 10, 8 << 20),
            maps: quarter.max(1 << 20),
            row_group: (quarter / shards.max(1) as usize).clamp(1 << 20, 64 << 20),
        }
    }
}

impl Stage<'_> {
    fn run(
        &self,
        template: &Template,
        drafts: &mut Drafts,
        ids: &mut dyn FnMut(i64) -> BlockId,
    ) -> Result<(), CompactError> {
        let made: Vec<_> = self
            .shards
            .clone()
            .map(|shard| drafts.add(ids(template.time_ms()), shard))
            .collect::<Result<_, _>>()?;
        let used = match self.leaves_something_out() {
            true => Some(self.used()?),
            false => None,
        };
        let mut maps = Maps::new(drafts.directory(), self.memory.maps);
        let symbols = self.symbols(used, &made, &mut maps)?;
        self.rows(template, made, symbols, &mut maps, drafts)
    }

    /// Asked for each row and each partition.
    fn go_on(&self) -> Result<(), CompactError> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(CompactError::Cancelled),
            false => Ok(()),
        }
    }

    /// Whether symbols may lie in the inputs that the results don't need. Upstream gives each shard the symbols of all.
    fn leaves_something_out(&self) -> bool {
        let is_part = |source: &Source| !source.meta.shard_id().is_empty();
        self.plan.shard_count() > 1 || self.sources.iter().any(is_part)
    }
}
