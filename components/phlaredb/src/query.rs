//! Queries over what a tenant has stored: heads and blocks.
//!
//! Merging works on ids: values are added up by stack trace, and names are looked up once, at the end.

mod block;
mod calls;
mod content;
mod duplicates;
mod head;
mod keys;
mod parts;
mod pprof;
mod series;
mod symbols;
mod values;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use phlare_block::BlockId;
use phlare_block::compact::superseded;
use phlare_model::labels::Labels;
use phlare_model::query::{
    Analysis, AnalyzeQuery, MergeQuery, MetadataQuery, SeriesQuery, TimeRange, TimeSeries,
};
use phlare_model::selector::Selector;
use phlare_model::tree::Tree;
use phlare_proto::google::v1::Profile;
use rayon::prelude::*;

use crate::block::{Block, BytesRead, StoredBlock};
use crate::error::Error;
use crate::head::Head;
use block::Plan;
pub use keys::Keys;
pub use parts::{AnalysisPart, Counted, FoundKeys, merge_analyses, merge_trees};
pub use pprof::{PprofMerge, PprofParts};
use series::Totals;
pub use series::{SeriesPart, StepPart, merge_series};
pub(crate) use symbols::SymbolTables;
use values::Common;

/// A text that outlives the tables it comes from.
type Text = Box<str>;

/// What a tenant had stored at one moment: every profile once, in a head or in a block. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(crate) heads: Vec<Arc<Head>>,
    /// In any order.
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Others, which are opened by a query that may need them.
    pub(crate) unopened: Vec<StoredBlock>,
    pub(crate) read: Option<BytesRead>,
    /// Blocks count even if others supersede them.
    pub(crate) is_chosen: bool,
}

impl View {
    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && !self.has_blocks()
    }

    /// Whether answers need files.
    #[must_use]
    pub fn has_blocks(&self) -> bool {
        !self.blocks.is_empty() || !self.unopened.is_empty()
    }

    /// The same; what its blocks read from now on is added to `read`. For one query.
    #[must_use]
    pub fn counting(mut self, read: &BytesRead) -> Self {
        for block in &mut self.blocks {
            *block = Arc::new(block.counting(read));
        }
        self.read = Some(read.clone());
        self
    }

    /// All its blocks, opened; superseded ones are left out. Waits for files.
    ///
    /// # Errors
    /// If the `meta.json` of a block cannot be read now.
    pub fn open_blocks(&self) -> Result<Vec<Arc<Block>>, Error> {
        self.opened(None)
    }

    /// Whether it has a block, opened or not.
    #[must_use]
    pub fn has_block(&self, id: BlockId) -> bool {
        let mut unopened = self.unopened.iter();
        self.blocks.iter().any(|block| block.id() == id) || unopened.any(|block| block.id() == id)
    }

    /// Its blocks that are open.
    #[must_use]
    pub fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// The same without blocks that have no profile in a range.
    #[must_use]
    pub fn within(mut self, range: TimeRange) -> Self {
        let overlaps = |block: &Arc<Block>| block.meta().overlaps(range.start_ms, range.end_ms);
        self.blocks.retain(overlaps);
        let (start_ms, end_ms) = (range.start_ms, range.end_ms);
        self.unopened
            .retain(|block| block.overlaps(start_ms, end_ms));
        self
    }

    /// These blocks, even if one replaces another.
    #[must_use]
    pub fn chosen(blocks: Vec<StoredBlock>) -> Self {
        Self {
            is_chosen: true,
            ..Self::default()
        }
        .with_stored(blocks)
    }

    /// Just these of its blocks.
    #[must_use]
    pub fn only(mut self, ids: &[BlockId]) -> Self {
        self.heads.clear();
        self.is_chosen = true;
        self.blocks.retain(|block| ids.contains(&block.id()));
        self.unopened.retain(|block| ids.contains(&block.id()));
        self
    }

    /// Adds blocks of a bucket. They must have been listed before this view was taken: what was cut and uploaded in
    /// between is in both then, and counts once, while it could be in neither the other way round.
    #[must_use]
    pub fn with_blocks(mut self, blocks: impl IntoIterator<Item = Arc<Block>>) -> Self {
        let known: HashSet<_> = self.blocks.iter().map(|block| block.id()).collect();
        let new = blocks
            .into_iter()
            .filter(|block| !known.contains(&block.id()));
        self.blocks.extend(new);
        if self.is_chosen {
            return self;
        }
        // What a compacted block was made of is in it, or in all of its shards.
        let replaced = superseded(self.blocks.iter().map(|block| block.meta()));
        self.blocks.retain(|block| !replaced.contains(&block.id()));
        self
    }

    /// As [`Self::with_blocks`], for blocks that need not be open.
    #[must_use]
    pub fn with_stored(self, stored: Vec<StoredBlock>) -> Self {
        let mut open = Vec::new();
        let mut unopened = Vec::new();
        for block in stored {
            match block {
                StoredBlock::Open(block) => open.push(block),
                StoredBlock::Unopened(_) => unopened.push(block),
            }
        }
        let known: HashSet<_> = self.blocks.iter().map(|block| block.id()).collect();
        unopened.retain(|block| !known.contains(&block.id()));
        let mut view = self.with_blocks(open);
        view.unopened.extend(unopened);
        view
    }

    /// Blocks that may have profiles between two times in ns, each profile in one of them. Opens those that are not.
    fn opened(&self, bounds: Option<Bounds>) -> Result<Vec<Arc<Block>>, Error> {
        let wanted = |(min_ms, max_ms): (i64, i64)| {
            let first_ns = min_ms.saturating_mul(1_000_000);
            let last_ns = max_ms.saturating_mul(1_000_000).saturating_add(999_999);
            bounds.is_none_or(|bounds| bounds.overlap((first_ns, last_ns)))
        };
        let times = |block: &Arc<Block>| (block.meta().min_ms, block.meta().max_ms);
        let mut blocks: Vec<_> = self.blocks.iter().map(Arc::clone).collect();
        blocks.retain(|block| wanted(times(block)));
        let open = |block: &StoredBlock| match block {
            StoredBlock::Open(block) => Ok(Some(Arc::clone(block))),
            StoredBlock::Unopened(block) => block.open(),
        };
        let listed = self.unopened.par_iter();
        let listed: Vec<Arc<Block>> = listed
            .filter(|block| wanted(block.times_ms()))
            .filter_map(|block| open(block).transpose())
            .collect::<Result<_, _>>()?;
        let is_done = listed.is_empty() || self.is_chosen;
        blocks.extend(listed.into_iter().map(|block| match &self.read {
            Some(read) => Arc::new(block.counting(read)),
            None => block,
        }));
        if is_done {
            return Ok(blocks);
        }
        let replaced = superseded(blocks.iter().map(|block| block.meta()));
        blocks.retain(|block| !replaced.contains(&block.id()));
        Ok(blocks)
    }

    /// The call tree of all matching profiles. With a limit of nodes, the tree of each symbol partition is cut before
    /// they are merged, and the whole is. O(samples + stack traces + nodes).
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn select_tree(&self, query: &MergeQuery) -> Result<Tree, Error> {
        let mut whole = Tree::new();
        for head in &self.heads {
            merge(&mut whole, head::tree(head, query));
        }
        for tree in Self::read(&self.plans(query)?, |plan| block::tree(plan, query))? {
            merge(&mut whole, tree);
        }
        Ok(match query.max_nodes {
            limit if limit > 0 => whole.truncate(limit),
            _ => whole,
        })
    }

    /// One pprof of all matching profiles; without any, the empty profile of api.md 8.4.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn select_pprof(&self, query: &MergeQuery) -> Result<Profile, Error> {
        let mut merge = pprof::Merge::default();
        let mut doc_url = Common::NoProfile;
        for head in &self.heads {
            doc_url = doc_url.and(head::pprof(head, query, &mut merge));
        }
        for found in Self::read(&self.plans(query)?, |plan| block::pprof(plan, query))? {
            doc_url = doc_url.and(found.add_to(&mut merge, query));
        }
        let doc_url = match &doc_url {
            Common::Same(text) => text,
            Common::NoProfile | Common::Different => "",
        };
        Ok(merge.finish(query, doc_url))
    }

    /// Totals of the matching profiles over time, sorted by labels.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn select_series(&self, query: &SeriesQuery) -> Result<Vec<TimeSeries>, Error> {
        let mut totals = Totals::new(query);
        for head in &self.heads {
            head::totals(head, &mut totals, None);
        }
        let selector = head::with_profile_type(Some(&query.profile_type), &query.selector);
        let need = Need::of_totals(&query.call_site);
        let plans = self.planned(&selector, totals.bounds, need)?;
        let found = Self::read(&plans, |plan| block::totals(plan, &query.call_site))?;
        for series in found.iter().flatten() {
            series.add_to(&mut totals);
        }
        Ok(totals.finish())
    }

    /// How much a query would read.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn analyze(&self, query: &AnalyzeQuery) -> Result<Analysis, Error> {
        let part = self.analyze_parts(query, None)?;
        Ok(merge_analyses([part.answer]))
    }

    /// Names of the matching series' labels, sorted.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn label_names(&self, query: &MetadataQuery) -> Result<Vec<String>, Error> {
        let series = self.label_sets(query)?;
        let names: BTreeSet<_> = series
            .iter()
            .flat_map(|labels| labels.iter().map(|(name, _)| name))
            .collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Values of a label in the matching series, sorted.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn label_values(&self, name: &str, query: &MetadataQuery) -> Result<Vec<String>, Error> {
        let series = self.label_sets(query)?;
        let values: BTreeSet<_> = series
            .iter()
            .filter_map(|labels| labels.get(name))
            .collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// Label sets of the matching series, cut to `names` unless that is empty; sorted, each once.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn series(&self, names: &[String], query: &MetadataQuery) -> Result<Vec<Labels>, Error> {
        let series = self.label_sets(query)?;
        let sets: BTreeSet<_> = series
            .into_iter()
            .map(|labels| match names {
                [] => labels,
                names => labels.project(names),
            })
            .collect();
        Ok(sets.into_iter().collect())
    }

    /// Times in ms of the oldest and the newest profile; `None` if there is none. Reads no file.
    #[must_use]
    pub fn times_ms(&self) -> Option<(i64, i64)> {
        let heads = self.heads.iter().filter_map(|head| {
            let stats = head.stats();
            stats.oldest_ms.zip(stats.newest_ms)
        });
        let blocks = self.blocks.iter().map(|block| block.meta());
        heads
            .chain(blocks.map(|meta| (meta.min_ms, meta.max_ms)))
            .chain(self.unopened.iter().map(StoredBlock::times_ms))
            .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    fn label_sets(&self, query: &MetadataQuery) -> Result<Vec<Labels>, Error> {
        let heads = self.heads.iter();
        let mut sets: Vec<_> = heads.flat_map(|head| head::labels(head, query)).collect();
        let blocks = self.opened(query.range.map(Bounds::new))?;
        let found: Vec<Vec<Labels>> = blocks
            .par_iter()
            .map(|block| readable(block, block::labels(block, query)))
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        sets.extend(found.into_iter().flatten());
        Ok(sets)
    }

    fn plans(&self, query: &MergeQuery) -> Result<Vec<Plan>, Error> {
        let selector = head::with_profile_type(Some(&query.profile_type), &query.selector);
        self.planned(&selector, Bounds::new(query.range), Need::Samples)
    }

    /// The rows of all blocks, each profile once.
    fn planned(&self, selector: &Selector, bounds: Bounds, need: Need) -> Result<Vec<Plan>, Error> {
        let mut plans = self.found(selector, bounds, need, false)?;
        duplicates::remove(&mut plans)?;
        Ok(plans)
    }

    /// The rows of all blocks, or of those that were not found damaged before, in the order of block ids.
    fn found(
        &self,
        selector: &Selector,
        bounds: Bounds,
        need: Need,
        only_sound: bool,
    ) -> Result<Vec<Plan>, Error> {
        let mut blocks = self.opened(Some(bounds))?;
        blocks.retain(|block| !only_sound || block.unreadable().is_none());
        let mut plans: Vec<Plan> = blocks
            .par_iter()
            .map(|block| {
                let plan = block::plan(block, selector, bounds, need);
                readable(block, plan)
            })
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        plans.retain(|plan| !plan.is_empty());
        plans.sort_by_key(|plan| plan.block.id());
        Ok(plans)
    }

    /// Reads the planned rows of all blocks side by side; answers are in the order of block ids.
    fn read<T: Send>(
        plans: &[Plan],
        read: impl Fn(&Plan) -> Result<T, phlare_block::Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        plans
            .par_iter()
            .map(|plan| readable(&plan.block, read(plan)))
            .filter_map(Result::transpose)
            .collect()
    }
}

/// A block that is damaged or has lost a file is left out: what it held cannot be had, and the others can. One that
/// could not be read now fails the query: it would have a gap that is not there a moment later.
fn readable<T>(block: &Block, answer: Result<T, phlare_block::Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error)
            if error.is_corruption() || matches!(error, phlare_block::Error::Missing { .. }) =>
        {
            block.note_unreadable(&error);
            Ok(None)
        }
        Err(source) => Err(Error::Block {
            block: block.id(),
            source,
        }),
    }
}

fn merge(whole: &mut Tree, part: Tree) {
    if whole.is_empty() {
        *whole = part;
    } else {
        whole.merge(&part);
    }
}

/// What of its rows a query is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// What stands in their headers.
    Headers,
    /// Samples, which symbols belong to.
    Samples,
}

impl Need {
    /// What totals are made of: of all samples they stand in the headers.
    fn of_totals(call_site: &[String]) -> Self {
        match call_site {
            [] => Self::Headers,
            _ => Self::Samples,
        }
    }
}

/// Inclusive bounds of a time range in ns.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    first_ns: i64,
    last_ns: i64,
}

impl Bounds {
    fn new(range: TimeRange) -> Self {
        Self {
            first_ns: range.start_ms.saturating_mul(1_000_000),
            last_ns: range
                .end_ms
                .saturating_mul(1_000_000)
                .saturating_add(999_999),
        }
    }

    fn contain(self, time_ns: i64) -> bool {
        self.first_ns <= time_ns && time_ns <= self.last_ns
    }

    /// Whether a series with these first and last times may have a profile inside.
    fn overlap(self, times: (i64, i64)) -> bool {
        times.0 <= self.last_ns && self.first_ns <= times.1
    }
}
