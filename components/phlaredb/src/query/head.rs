//! Reading a head: from a query to values by stack trace, totals and series.

use std::sync::Arc;

use phlare_model::labels::{Labels, names};
use phlare_model::profile_type::ProfileType;
use phlare_model::query::{Analysis, AnalyzeQuery, MergeQuery, MetadataQuery};
use phlare_model::selector::{Matcher, Selector};
use phlare_model::tree::Tree;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::calls::{self, CallSite};
use super::keys::{self, Keep};
use super::series::Totals;
use super::values::{Common, Values};
use super::{Bounds, Text, content, pprof};
use crate::chunk::{ChunkRow, Samples};
use crate::head::Head;
use crate::series::Series;
use crate::symbols::StringId;

/// Fewer series than this are read by one thread.
const SERIES_PER_THREAD: usize = 16;

/// What the matching profiles of a head add up to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) values: Values,
    pub(super) doc_url: Common<StringId>,
    pub(super) partition: Common<u64>,
    pub(super) profiles: u64,
}

/// The call tree of matching profiles. With a limit of nodes, the tree of each symbol partition is cut before they
/// are merged, as it is in blocks.
pub(super) fn tree(head: &Head, query: &MergeQuery) -> Tree {
    let found = values(head, query, None);
    let whole = calls::tree(&*head.symbols.read(), &found.values, &query.call_site);
    if found.partition != Common::Different || !exceeds(&whole, query.max_nodes) {
        return whole;
    }
    let mut merged = Tree::new();
    for found in by_partition(head, query, None).values() {
        let tree = calls::tree(&*head.symbols.read(), &found.values, &query.call_site);
        merged.merge(&tree.truncate(query.max_nodes));
    }
    merged
}

fn exceeds(tree: &Tree, max_nodes: i64) -> bool {
    max_nodes > 0 && usize::try_from(max_nodes).is_ok_and(|limit| tree.len() - 1 > limit)
}

/// Adds matching profiles to a pprof; returns their link to documentation.
pub(super) fn pprof(head: &Head, query: &MergeQuery, merge: &mut pprof::Merge) -> Common<Text> {
    let found = values(head, query, None);
    if query.max_nodes > 0 && query.go_pgo.is_none() && found.partition == Common::Different {
        for found in by_partition(head, query, None).values() {
            merge.add(&*head.symbols.read(), &found.values, query);
        }
    } else {
        merge.add(&*head.symbols.read(), &found.values, query);
    }
    found.doc_url(head)
}

impl Found {
    pub(super) fn doc_url(self, head: &Head) -> Common<Text> {
        self.doc_url
            .map(|id| Text::from(head.symbols.read().strings.text(id)))
    }
}

/// Adds up all matching profiles. Reads series in parallel on the calling thread pool.
pub(super) fn values(head: &Head, query: &MergeQuery, keep: Option<&Keep<'_>>) -> Found {
    let series = matching_series(head, Some(&query.profile_type), &query.selector);
    let stacktraces = head.symbols.read().stacks.len();
    let reader = Reader::new(head, Bounds::new(query.range), keep);
    let spans = spans(query);
    let add_up = |part: &[Arc<Series>]| {
        let mut found = Found {
            values: Values::dense(stacktraces),
            ..Found::default()
        };
        for series in part {
            reader.read(series, &mut |row, encoded| {
                found.profiles += 1;
                if let Some(samples) = wanted(encoded, spans.as_ref()) {
                    found.partition.note(row.partition);
                    found.doc_url.note(samples.header.doc_url);
                    add(samples, spans.as_ref(), &mut found.values);
                }
            });
        }
        found
    };
    let per_thread = series.len().div_ceil(rayon::current_num_threads().max(1));
    if per_thread < SERIES_PER_THREAD {
        return add_up(&series);
    }
    let merge = |one: Found, other: Found| Found {
        values: one.values.merge(other.values),
        doc_url: one.doc_url.and(other.doc_url),
        partition: one.partition.and(other.partition),
        profiles: one.profiles + other.profiles,
    };
    series
        .par_chunks(per_thread)
        .map(add_up)
        .reduce_with(merge)
        .unwrap_or_default()
}

/// The same, apart for each symbol partition.
pub(super) fn by_partition(
    head: &Head,
    query: &MergeQuery,
    keep: Option<&Keep<'_>>,
) -> FxHashMap<u64, Found> {
    let mut found: FxHashMap<u64, Found> = FxHashMap::default();
    let reader = Reader::new(head, Bounds::new(query.range), keep);
    let spans = spans(query);
    for series in matching_series(head, Some(&query.profile_type), &query.selector) {
        reader.read(&series, &mut |row, encoded| {
            let found = found.entry(row.partition).or_default();
            found.profiles += 1;
            if let Some(samples) = wanted(encoded, spans.as_ref()) {
                found.doc_url.note(samples.header.doc_url);
                add(samples, spans.as_ref(), &mut found.values);
            }
        });
    }
    found
}

fn spans(query: &MergeQuery) -> Option<FxHashSet<u64>> {
    let spans = query.spans.as_ref()?;
    Some(spans.iter().copied().collect())
}

/// The samples of a profile, unless none of them can be wanted.
fn wanted<'a>(encoded: &'a [u8], spans: Option<&FxHashSet<u64>>) -> Option<Samples<'a>> {
    Samples::decode(encoded).filter(|samples| spans.is_none() || samples.has_spans())
}

fn add(samples: Samples<'_>, spans: Option<&FxHashSet<u64>>, values: &mut Values) {
    match spans {
        None => {
            samples.for_each(|stacktrace, value| values.add(stacktrace, value));
        }
        Some(spans) => {
            for sample in samples.to_vec().into_iter().flatten() {
                if spans.contains(&sample.span_id) {
                    values.add(sample.stacktrace, sample.value);
                }
            }
        }
    }
}

/// Picks rows: by time, and by key if only some count.
struct Reader<'a> {
    head: &'a Head,
    bounds: Bounds,
    keep: Option<&'a Keep<'a>>,
}

impl<'a> Reader<'a> {
    fn new(head: &'a Head, bounds: Bounds, keep: Option<&'a Keep<'a>>) -> Self {
        Self { head, bounds, keep }
    }

    /// Calls `each` with every row of a series that counts, and its encoded samples.
    fn read(&self, series: &Series, each: &mut dyn FnMut(&ChunkRow, &[u8])) {
        let times = series.times();
        if !times.is_some_and(|times| self.bounds.overlap(times)) {
            return;
        }
        let Some(keep) = self.keep else {
            return self.in_bounds(series, each);
        };
        let fingerprint = series.labels.fingerprint().get();
        self.in_bounds(series, &mut |row, encoded| {
            if keep.take(self.key(fingerprint, row, encoded)) {
                each(row, encoded);
            }
        });
    }

    fn in_bounds(&self, series: &Series, each: &mut dyn FnMut(&ChunkRow, &[u8])) {
        series.for_each(|row, encoded| {
            if self.bounds.contain(row.time_ns) {
                each(row, encoded);
            }
        });
    }

    fn key(&self, fingerprint: u64, row: &ChunkRow, encoded: &[u8]) -> u64 {
        keys::of_head_row(fingerprint, row, || {
            content::of_samples(&self.head.symbols.read(), encoded)
        })
    }
}

/// Calls `each` with the key and the time in ns of every matching profile.
pub(super) fn keys(head: &Head, query: &AnalyzeQuery, each: &mut dyn FnMut(u64, i64)) {
    let reader = Reader::new(head, Bounds::new(query.range), None);
    for series in matching_series(head, query.profile_type.as_ref(), &query.selector) {
        let fingerprint = series.labels.fingerprint().get();
        reader.read(&series, &mut |row, encoded| {
            each(reader.key(fingerprint, row, encoded), row.time_ns);
        });
    }
}

/// Adds the totals of matching profiles; returns how many these are.
pub(super) fn totals(head: &Head, totals: &mut Totals<'_>, keep: Option<&Keep<'_>>) -> u64 {
    let query = totals.query;
    let below = match query.call_site.as_slice() {
        [] => None,
        functions => {
            let symbols = head.symbols.read();
            let site = CallSite::find(&*symbols, functions);
            let calls = symbols.stacks.calls().iter();
            let below = |call: &u32| site.as_ref().is_some_and(|site| site.keeps(*call));
            Some(calls.map(below).collect::<Vec<_>>())
        }
    };
    let reader = Reader::new(head, totals.bounds, keep);
    let mut profiles = 0;
    for series in matching_series(head, Some(&query.profile_type), &query.selector) {
        let mut found: Vec<(i64, u64)> = Vec::new();
        reader.read(&series, &mut |row, encoded| {
            let total = match &below {
                None => row.total,
                Some(below) => total_below(encoded, below),
            };
            found.push((row.time_ns, total));
        });
        profiles += found.len() as u64;
        totals.add(&series.labels, &found);
    }
    profiles
}

fn total_below(encoded: &[u8], below: &[bool]) -> u64 {
    let mut total = 0_u64;
    if let Some(samples) = Samples::decode(encoded) {
        samples.for_each(|stacktrace, value| {
            if below.get(stacktrace as usize) == Some(&true) {
                total = total.saturating_add(value);
            }
        });
    }
    total
}

/// How much a query would read, and the fingerprints of the series, which are not counted yet.
pub(super) fn analyze(
    head: &Head,
    query: &AnalyzeQuery,
    keep: Option<&Keep<'_>>,
) -> (Analysis, Vec<u64>) {
    let reader = Reader::new(head, Bounds::new(query.range), keep);
    let mut analysis = Analysis::default();
    let mut fingerprints = Vec::new();
    for series in matching_series(head, query.profile_type.as_ref(), &query.selector) {
        let before = analysis.profiles;
        reader.read(&series, &mut |row, encoded| {
            analysis.profiles += 1;
            analysis.samples += u64::from(row.samples);
            analysis.bytes += (encoded.len() + size_of::<ChunkRow>()) as u64;
        });
        if analysis.profiles > before {
            fingerprints.push(series.labels.fingerprint().get());
        }
    }
    (analysis, fingerprints)
}

/// Labels of the series that any of the selectors matches and that have a profile in the range.
pub(super) fn labels(head: &Head, query: &MetadataQuery) -> Vec<Labels> {
    let index = head.index.read();
    let mut found: Vec<_> = match query.selectors.as_slice() {
        [] => (0..index.series().len() as u32).collect(),
        selectors => selectors
            .iter()
            .flat_map(|selector| index.select(selector))
            .collect(),
    };
    found.sort_unstable();
    found.dedup();
    let series: Vec<_> = found
        .into_iter()
        .filter_map(|series| index.series().get(series as usize).map(Arc::clone))
        .collect();
    drop(index);
    let bounds = query.range.map(Bounds::new);
    series
        .into_iter()
        .filter(|series| has_profile(series, bounds))
        .map(|series| series.labels.clone())
        .collect()
}

fn has_profile(series: &Series, bounds: Option<Bounds>) -> bool {
    let (Some(times), Some(bounds)) = (series.times(), bounds) else {
        return series.times().is_some();
    };
    if !bounds.overlap(times) {
        return false;
    }
    // The first and the last profile are outside, and one between them may be inside.
    if bounds.contain(times.0) || bounds.contain(times.1) {
        return true;
    }
    let mut found = false;
    series.for_each(|row, _| found |= bounds.contain(row.time_ns));
    found
}

/// The series of a profile type (of any, if `None`) that a selector matches.
fn matching_series(
    head: &Head,
    profile_type: Option<&ProfileType>,
    selector: &Selector,
) -> Vec<Arc<Series>> {
    let selector = with_profile_type(profile_type, selector);
    let index = head.index.read();
    let found = index.select(&selector);
    found
        .into_iter()
        .filter_map(|series| index.series().get(series as usize).map(Arc::clone))
        .collect()
}

/// The selector of a query, with the matcher of its profile type.
pub(super) fn with_profile_type(
    profile_type: Option<&ProfileType>,
    selector: &Selector,
) -> Selector {
    let mut selector = selector.clone();
    if let Some(profile_type) = profile_type {
        selector.matchers.push(Matcher::equal(
            names::PROFILE_TYPE,
            profile_type.to_string(),
        ));
    }
    selector
}
