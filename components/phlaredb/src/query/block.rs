//! Reading blocks: matchers → series → rows → stack traces and values, by symbol partition.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use phlare_block::Error;
use phlare_block::profiles::{Columns, Headers, SampleRow};
use phlare_block::tsdb::Index;
use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, MergeQuery, MetadataQuery};
use phlare_model::selector::Selector;
use phlare_model::tree::Tree;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::calls::{self, CallSite};
use super::series::Totals;
use super::values::{Common, Values};
use super::{Bounds, Need, Text, pprof};
use crate::block::{Block, Partition};

/// The rows of a block that a query wants.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) block: Arc<Block>,
    pub(super) index: Arc<Index>,
    pub(super) groups: Vec<GroupPlan>,
}

/// The rows of one row group.
#[derive(Debug)]
pub(super) struct GroupPlan {
    pub(super) row_group: usize,
    /// Of these rows, and of others around: [`Headers::place`] finds a row.
    headers: Arc<Headers>,
    /// Ascending.
    pub(super) rows: Vec<Range<u32>>,
}

/// Finds the rows of matching series in a time range. Reads the index, and headers where such rows may be.
pub(super) fn plan(
    block: &Arc<Block>,
    selector: &Selector,
    bounds: Bounds,
    need: Need,
) -> Result<Plan, Error> {
    let index = block.index_for_query(need == Need::Samples)?;
    let series = index.select(selector)?;
    let mut groups = Vec::new();
    if !series.is_empty() {
        for row_group in 0..block.profiles()?.row_groups().len() {
            groups.extend(plan_group(block, row_group, &series, bounds)?);
        }
    }
    Ok(Plan {
        block: Arc::clone(block),
        index,
        groups,
    })
}

fn plan_group(
    block: &Block,
    row_group: usize,
    series: &[u32],
    bounds: Bounds,
) -> Result<Option<GroupPlan>, Error> {
    let times = bounds.first_ns..=bounds.last_ns;
    let Some(headers) = block.headers_for(row_group, series, &times)? else {
        return Ok(None);
    };
    let (Some(&first), Some(&last)) = (headers.series.first(), headers.series.last()) else {
        return Ok(None);
    };
    let from = series.partition_point(|&ordinal| ordinal < first);
    let to = series.partition_point(|&ordinal| ordinal <= last);
    let mut rows: Vec<Range<u32>> = Vec::new();
    for &ordinal in series.get(from..to).unwrap_or_default() {
        for found in headers.rows_at(headers.find(ordinal, times.clone())) {
            match rows.last_mut() {
                Some(before) if before.end == found.start => before.end = found.end,
                _ => rows.push(found),
            }
        }
    }
    Ok((!rows.is_empty()).then_some(GroupPlan {
        row_group,
        headers,
        rows,
    }))
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.rows.is_empty())
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        let ranges = self.groups.iter().flat_map(|group| &group.rows);
        ranges.map(|range| range.len() as u64).sum()
    }

    /// The symbols of every partition that the rows are in.
    fn partitions(&self) -> Result<FxHashMap<u64, Arc<Partition>>, Error> {
        let mut ids = FxHashSet::default();
        for group in &self.groups {
            for row in group.rows.iter().cloned().flatten() {
                ids.insert(group.partition(row));
            }
        }
        let load = |id| Ok((id, self.block.partition(id)?));
        ids.into_par_iter().map(load).collect()
    }

    /// Adds up the rows' samples, apart for each partition.
    fn values(&self, spans: Option<&FxHashSet<u64>>) -> Result<Vec<Found>, Error> {
        let partitions = self.partitions()?;
        let add_up = |group: &GroupPlan| self.group_values(group, &partitions, spans);
        let merge = |mut one: FxHashMap<u64, Values>, other: FxHashMap<u64, Values>| {
            for (partition, values) in other {
                let before = one.remove(&partition).unwrap_or_default();
                one.insert(partition, before.merge(values));
            }
            one
        };
        let sums: Vec<_> = self
            .groups
            .par_iter()
            .map(add_up)
            .collect::<Result<_, Error>>()?;
        let sums = sums.into_iter().reduce(merge).unwrap_or_default();
        let mut found: Vec<_> = sums
            .into_iter()
            .filter_map(|(id, values)| {
                let partition = Arc::clone(partitions.get(&id)?);
                Some(Found {
                    id,
                    partition,
                    values,
                })
            })
            .collect();
        found.sort_unstable_by_key(|found| found.id);
        Ok(found)
    }

    fn group_values(
        &self,
        group: &GroupPlan,
        partitions: &FxHashMap<u64, Arc<Partition>>,
        spans: Option<&FxHashSet<u64>>,
    ) -> Result<FxHashMap<u64, Values>, Error> {
        let mut sums: FxHashMap<u64, Values> = FxHashMap::default();
        self.samples(group, spans.is_some(), &mut |row| {
            let id = group.partition(row.row);
            let Some(partition) = partitions.get(&id) else {
                return;
            };
            let tables = partition.tables();
            let values = sums
                .entry(id)
                .or_insert_with(|| Values::dense(tables.stacks.len()));
            for (at, (&stacktrace, &value)) in row.stacktraces.iter().zip(row.values).enumerate() {
                let wanted = spans
                    .is_none_or(|spans| row.spans.get(at).is_some_and(|span| spans.contains(span)));
                if let Some(node) = tables.node(stacktrace)
                    && wanted
                    && value > 0
                {
                    values.add(node, value as u64);
                }
            }
        })?;
        Ok(sums)
    }

    fn samples(
        &self,
        group: &GroupPlan,
        spans: bool,
        each: &mut dyn FnMut(&SampleRow<'_>),
    ) -> Result<(), Error> {
        let profiles = self.block.profiles()?;
        let columns = Columns {
            spans,
            ..Columns::default()
        };
        profiles.samples(group.row_group, &group.rows, columns, &mut |row| {
            each(&row);
            ControlFlow::Continue(())
        })
    }

    /// The link to documentation of all rows.
    fn doc_url(&self) -> Result<Common<Text>, Error> {
        let profiles = self.block.profiles()?;
        let mut common: Common<&str> = Common::NoProfile;
        for group in &self.groups {
            for row in group.rows.iter().cloned().flatten() {
                common.note(profiles.doc_url(group.row_group, row));
            }
        }
        Ok(common.map(Text::from))
    }
}

impl GroupPlan {
    /// Rank of the series of a row, and its time; `None` if it is none of the plan's.
    pub(super) fn series_and_time(&self, row: u32) -> Option<(u32, i64)> {
        let at = self.headers.place(row)?;
        let series = self.headers.series.get(at)?;
        Some((*series, *self.headers.time_ns.get(at)?))
    }

    pub(super) fn partition(&self, row: u32) -> u64 {
        let at = self.headers.place(row);
        let partition = at.and_then(|at| self.headers.partition.get(at));
        partition.copied().unwrap_or_default()
    }
}

/// What rows of one partition add up to.
struct Found {
    id: u64,
    partition: Arc<Partition>,
    values: Values,
}

/// The call tree of the planned rows; that of each partition is cut before they are merged.
pub(super) fn tree(plan: &Plan, query: &MergeQuery) -> Result<Tree, Error> {
    let mut whole = Tree::new();
    for (_, tree) in trees(plan, query)? {
        let tree = match query.max_nodes {
            limit if limit > 0 => tree.truncate(limit),
            _ => tree,
        };
        super::merge(&mut whole, tree);
    }
    Ok(whole)
}

/// The call tree of each partition, not cut.
pub(super) fn trees(plan: &Plan, query: &MergeQuery) -> Result<Vec<(u64, Tree)>, Error> {
    let spans = spans(query);
    let found = plan.values(spans.as_ref())?.into_iter();
    let trees = found.map(|found| {
        let tree = calls::tree(&*found.partition, &found.values, &query.call_site);
        (found.id, tree)
    });
    Ok(trees.collect())
}

/// The planned rows, for a pprof that other blocks go into, too.
pub(super) fn pprof(plan: &Plan, query: &MergeQuery) -> Result<ForPprof, Error> {
    let spans = spans(query);
    Ok(ForPprof {
        found: plan.values(spans.as_ref())?,
        doc_url: plan.doc_url()?,
    })
}

/// What a block adds to a pprof.
pub(super) struct ForPprof {
    found: Vec<Found>,
    doc_url: Common<Text>,
}

impl ForPprof {
    pub(super) fn add_to(self, merge: &mut pprof::Merge, query: &MergeQuery) -> Common<Text> {
        for found in self.found {
            merge.add(&*found.partition, &found.values, query);
        }
        self.doc_url
    }

    /// The same, into what belongs to each partition.
    pub(super) fn add_to_parts(self, parts: &mut pprof::Parts<'_>) -> Common<Text> {
        for found in self.found {
            parts.add(found.id, &*found.partition, &found.values);
        }
        self.doc_url
    }
}

fn spans(query: &MergeQuery) -> Option<FxHashSet<u64>> {
    query
        .spans
        .as_ref()
        .map(|spans| spans.iter().copied().collect())
}

/// Times and totals of the planned rows, by series.
pub(super) fn totals(plan: &Plan, call_site: &[String]) -> Result<Vec<SeriesTotals>, Error> {
    let mut by_series: FxHashMap<u32, Vec<(i64, u64)>> = FxHashMap::default();
    let has_totals = plan.block.profiles()?.has_totals();
    for group in &plan.groups {
        let headers = &group.headers;
        let sums = match call_site {
            [] if has_totals => None,
            site => Some(sums_below(plan, group, site)?),
        };
        for row in group.rows.iter().cloned().flatten() {
            let Some(at) = headers.place(row) else {
                continue;
            };
            let total = match &sums {
                None => headers.total.get(at).copied(),
                Some(sums) => sums.get(&row).copied(),
            };
            if let (Some(&series), Some(&time_ns)) =
                (headers.series.get(at), headers.time_ns.get(at))
            {
                let found = by_series.entry(series).or_default();
                found.push((time_ns, total.unwrap_or_default()));
            }
        }
    }
    let mut found: Vec<_> = by_series.into_iter().collect();
    found.sort_unstable_by_key(|(series, _)| *series);
    let labels = |(series, profiles)| {
        Ok(SeriesTotals {
            labels: plan.index.labels(series)?,
            profiles,
        })
    };
    found.into_iter().map(labels).collect()
}

/// Times in ns and totals of the profiles of one series.
pub(super) struct SeriesTotals {
    labels: Labels,
    profiles: Vec<(i64, u64)>,
}

impl SeriesTotals {
    pub(super) fn add_to(&self, totals: &mut Totals<'_>) {
        totals.add(&self.labels, &self.profiles);
    }
}

/// By row, the sum of samples below a call site; all of them if that is empty.
fn sums_below(
    plan: &Plan,
    group: &GroupPlan,
    call_site: &[String],
) -> Result<FxHashMap<u32, u64>, Error> {
    let mut sites: FxHashMap<u64, Option<(Arc<Partition>, CallSite)>> = FxHashMap::default();
    for (id, partition) in plan.partitions()? {
        let site = CallSite::find(&*partition, call_site);
        sites.insert(id, site.map(|site| (partition, site)));
    }
    let mut sums = FxHashMap::default();
    plan.samples(group, false, &mut |row| {
        let Some(Some((partition, site))) = sites.get(&group.partition(row.row)) else {
            return;
        };
        let calls = super::SymbolTables::calls_of(&**partition);
        let mut sum = 0_u64;
        for (&stacktrace, &value) in row.stacktraces.iter().zip(row.values) {
            let call = partition
                .tables()
                .node(stacktrace)
                .and_then(|node| calls.get(node as usize));
            if let Some(&call) = call
                && site.keeps(call)
            {
                sum = sum.saturating_add(u64::try_from(value).unwrap_or_default());
            }
        }
        sums.insert(row.row, sum);
    })?;
    Ok(sums)
}

/// How much the planned rows are, and the fingerprints of their series, which are not counted yet. Samples and bytes are
/// the block's average.
pub(super) fn analyze(plan: &Plan) -> Result<(Analysis, Vec<u64>), Error> {
    let meta = plan.block.meta();
    let mut series = FxHashSet::default();
    let mut profiles = 0_u64;
    for group in &plan.groups {
        for row in group.rows.iter().cloned().flatten() {
            profiles += 1;
            let at = group.headers.place(row);
            series.extend(at.and_then(|at| group.headers.series.get(at)).copied());
        }
    }
    let share = |whole: u64| match meta.stats.num_profiles {
        0 => 0,
        all => (u128::from(whole) * u128::from(profiles) / u128::from(all)) as u64,
    };
    let analysis = Analysis {
        series: 0,
        profiles,
        samples: share(meta.stats.num_samples),
        bytes: share(meta.total_bytes()),
    };
    let fingerprint = |series| Ok(plan.index.fingerprint(series)?.get());
    let series: Result<_, Error> = series.into_iter().map(fingerprint).collect();
    Ok((analysis, series?))
}

/// Labels of the series that any of the selectors matches and that have a profile in the range.
pub(super) fn labels(block: &Arc<Block>, query: &MetadataQuery) -> Result<Vec<Labels>, Error> {
    let index = block.index()?;
    let mut found: Vec<u32> = match query.selectors.as_slice() {
        [] => (0..index.series_count()).collect(),
        selectors => {
            let mut found = Vec::new();
            for selector in selectors {
                found.extend(index.select(selector)?);
            }
            found
        }
    };
    found.sort_unstable();
    found.dedup();
    let mut labels = Vec::with_capacity(found.len());
    for series in found {
        if has_profile(block, &index, series, query.range.map(Bounds::new))? {
            labels.push(index.labels(series)?);
        }
    }
    Ok(labels)
}

fn has_profile(
    block: &Block,
    index: &Index,
    series: u32,
    bounds: Option<Bounds>,
) -> Result<bool, Error> {
    let Some(bounds) = bounds else {
        return Ok(true);
    };
    let times = index.times_ns(series)?;
    if !bounds.overlap(times) {
        return Ok(false);
    }
    if bounds.contain(times.0) || bounds.contain(times.1) {
        return Ok(true);
    }
    for row_group in 0..block.profiles()?.row_groups().len() {
        let times = bounds.first_ns..=bounds.last_ns;
        let headers = block.headers_for(row_group, &[series], &times)?;
        if headers.is_some_and(|headers| !headers.find(series, times).is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}
