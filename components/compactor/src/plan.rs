//! Which blocks are merged with which: pure decisions.
//!
//! Time is divided into windows, short ones within long ones. What fits into a window is merged, short windows first. With
//! shards, blocks of ingesters are first split, and from then on each shard is merged for itself. Rules: blocks.md 6.1.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use phlare_block::meta::names;
use phlare_block::{BlockId, Meta};

use crate::config::JobsOrder;

/// How to plan.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Lengths of windows, short to long; each divides the next.
    pub(crate) ranges_ms: Vec<i64>,
    /// Shards that blocks are split into; 0 and 1 don't split.
    pub(crate) shards: u32,
    /// Groups that the blocks of a window are split in; 0 and 1 split all at once.
    pub(crate) split_groups: u32,
    /// How long blocks of ingesters wait for others.
    pub(crate) wait_ms: i64,
    /// Most blocks of a job.
    pub(crate) max_blocks: usize,
    pub(crate) order: JobsOrder,
}

/// A block that may be merged.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) meta: Meta,
    /// When its `meta.json` was written.
    pub(crate) modified_ms: i64,
    /// Of all its objects.
    pub(crate) bytes: u64,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// Blocks of ingesters become one block for each shard.
    Split,
    /// Blocks become one.
    Merge,
}

/// Blocks to be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) stage: Stage,
    /// The window, both ends inclusive, as blocks of upstream reach up to its end.
    pub(crate) window_ms: RangeInclusive<i64>,
    /// Of a merge the shard, empty if the blocks are not split; of a split the group.
    pub(crate) part: String,
    /// What all blocks have in common: resolution and labels.
    kind: Kind,
    /// At least one, oldest first.
    pub(crate) blocks: Vec<BlockId>,
}

/// Resolution and labels without host and shard: only blocks of one kind are merged.
type Kind = (i64, BTreeMap<String, String>);

/// Stage, window and part, as upstream names a job of a tenant.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Split => "split",
            Stage::Merge => "merge",
        };
        let (start, end) = (self.window_ms.start(), self.window_ms.end());
        write!(f, "{stage}-{start}-{end}-{}", self.part)
    }
}

/// The jobs that can be done now, in the order they are to be done in. No two of them share a block, so they can be done
/// at once.
pub(crate) fn plan(candidates: &[&Candidate], rules: &Rules, now_ms: i64) -> Vec<Job> {
    let mut kinds: BTreeMap<Kind, Vec<&Candidate>> = BTreeMap::new();
    for &candidate in candidates {
        let blocks = kinds.entry(kind(&candidate.meta)).or_default();
        blocks.push(candidate);
    }
    let newest_ms = candidates.iter().map(|each| each.meta.max_ms).max();
    let closed_ms = newest_ms
        .unwrap_or(i64::MIN)
        .max(now_ms.saturating_sub(rules.wait_ms));
    let mut jobs = Vec::new();
    for (kind, mut blocks) in kinds {
        blocks.sort_by_key(|each| (each.meta.min_ms, each.meta.id));
        let of_kind = KindPlan {
            rules,
            kind: &kind,
            blocks: &blocks,
        };
        let planned = of_kind.jobs();
        jobs.extend(planned.into_iter().filter(|job| {
            let inputs = inputs(&blocks, job);
            is_closed(job, &inputs, closed_ms) && has_waited(&inputs, rules, now_ms)
        }));
    }
    jobs.sort_by_key(|job| order(job, rules.order));
    jobs
}

fn kind(meta: &Meta) -> Kind {
    let mut labels = meta.labels.clone();
    labels.remove(names::HOSTNAME);
    labels.remove(names::SHARD_ID);
    (meta.resolution, labels)
}

/// Blocks of one kind, oldest first.
struct KindPlan<'a> {
    rules: &'a Rules,
    kind: &'a Kind,
    blocks: &'a [&'a Candidate],
}

impl KindPlan<'_> {
    fn jobs(&self) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        for (at, &range_ms) in self.rules.ranges_ms.iter().enumerate() {
            for (start_ms, blocks) in self.windows(range_ms) {
                let window = start_ms..=start_ms.saturating_add(range_ms);
                let found = match at == 0 && self.rules.shards > 1 {
                    true => self.first_window(&window, &blocks),
                    false => self.merges(&window, &blocks),
                };
                for job in found {
                    if !jobs.iter().any(|earlier| conflict(earlier, &job)) {
                        jobs.push(job);
                    }
                }
            }
        }
        jobs
    }

    /// Blocks by the start of the window that they fit into.
    fn windows(&self, range_ms: i64) -> BTreeMap<i64, Vec<&Candidate>> {
        let mut windows: BTreeMap<i64, Vec<&Candidate>> = BTreeMap::new();
        for &block in self.blocks {
            let start_ms = block
                .meta
                .min_ms
                .div_euclid(range_ms)
                .saturating_mul(range_ms);
            if block.meta.max_ms <= start_ms.saturating_add(range_ms) {
                windows.entry(start_ms).or_default().push(block);
            }
        }
        windows
    }

    /// Splits what is not split; only then merges.
    fn first_window(&self, window: &RangeInclusive<i64>, blocks: &[&Candidate]) -> Vec<Job> {
        let groups = self.rules.split_groups.max(1);
        let mut whole: BTreeMap<u32, Vec<BlockId>> = BTreeMap::new();
        for block in blocks
            .iter()
            .filter(|block| block.meta.shard_id().is_empty())
        {
            let group = fnv1_32(&block.meta.id.to_bytes()) % groups;
            whole.entry(group).or_default().push(block.meta.id);
        }
        if whole.is_empty() {
            return self.merges(window, blocks);
        }
        let jobs = whole.into_iter().map(|(group, blocks)| {
            let part = format!("{}_of_{groups}", group + 1);
            self.job(Stage::Split, window, part, blocks)
        });
        jobs.collect()
    }

    fn merges(&self, window: &RangeInclusive<i64>, blocks: &[&Candidate]) -> Vec<Job> {
        let mut shards: BTreeMap<&str, Vec<BlockId>> = BTreeMap::new();
        for block in blocks {
            let shard = shards.entry(block.meta.shard_id()).or_default();
            shard.push(block.meta.id);
        }
        let several = shards.into_iter().filter(|(_, blocks)| blocks.len() > 1);
        let jobs =
            several.map(|(shard, blocks)| self.job(Stage::Merge, window, shard.to_owned(), blocks));
        jobs.collect()
    }

    fn job(
        &self,
        stage: Stage,
        window: &RangeInclusive<i64>,
        part: String,
        mut blocks: Vec<BlockId>,
    ) -> Job {
        blocks.truncate(self.rules.max_blocks);
        Job {
            stage,
            window_ms: window.clone(),
            part,
            kind: self.kind.clone(),
            blocks,
        }
    }
}

/// Windows that lie side by side share an end and no block.
fn conflict(earlier: &Job, later: &Job) -> bool {
    let overlap = earlier.window_ms.start() < later.window_ms.end()
        && later.window_ms.start() < earlier.window_ms.end();
    overlap && (earlier.stage != later.stage || earlier.part == later.part)
}

fn inputs<'a>(blocks: &[&'a Candidate], job: &Job) -> Vec<&'a Candidate> {
    let of_job = blocks
        .iter()
        .filter(|block| job.blocks.contains(&block.meta.id));
    of_job.copied().collect()
}

/// Whether blocks of a later time are there, or enough time has passed, or the window is full. Before that, more blocks are
/// to be expected.
fn is_closed(job: &Job, inputs: &[&Candidate], closed_ms: i64) -> bool {
    let (start_ms, end_ms) = job.window_ms.clone().into_inner();
    let min_ms = inputs.iter().map(|each| each.meta.min_ms).min();
    let max_ms = inputs.iter().map(|each| each.meta.max_ms).max();
    let is_full = min_ms.is_some_and(|min_ms| min_ms <= start_ms)
        && max_ms.is_some_and(|max_ms| max_ms >= end_ms);
    end_ms <= closed_ms || is_full
}

/// Ingesters upload the same hour at different times.
fn has_waited(inputs: &[&Candidate], rules: &Rules, now_ms: i64) -> bool {
    let until_ms = now_ms.saturating_sub(rules.wait_ms);
    let merged = inputs.iter().all(|each| each.meta.compaction.level > 1);
    // Without a wait, the clock of the bucket's server does not matter.
    merged || rules.wait_ms == 0 || inputs.iter().all(|each| each.modified_ms <= until_ms)
}

fn order(job: &Job, order: JobsOrder) -> (Stage, i64, i64) {
    let (start_ms, end_ms) = job.window_ms.clone().into_inner();
    let length_ms = end_ms.saturating_sub(start_ms);
    match order {
        JobsOrder::SmallestRangeOldestBlocksFirst => (job.stage, length_ms, start_ms),
        JobsOrder::NewestBlocksFirst => (job.stage, end_ms.saturating_neg(), length_ms),
    }
}

/// FNV-1 of 32 bits, which upstream assigns blocks to groups by.
fn fnv1_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |hash: u32, byte| {
        hash.wrapping_mul(16_777_619) ^ u32::from(*byte)
    })
}

#[cfg(test)]
mod tests;
