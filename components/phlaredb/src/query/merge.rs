//! From a query to values by stack trace.

use std::sync::Arc;

use phlare_model::query::MergeQuery;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::values::Values;
use super::{Bounds, matching_series};
use crate::chunk::Samples;
use crate::head::Head;
use crate::series::Series;

/// Fewer series than this are read by one thread.
const SERIES_PER_THREAD: usize = 16;

/// Adds up all matching profiles. Reads series in parallel on the calling thread pool.
pub(super) fn values(head: &Head, query: &MergeQuery) -> Values {
    let series = matching_series(head, Some(&query.profile_type), &query.selector);
    let stacktraces = head.symbols.read().stacks.len();
    let bounds = Bounds::new(query.range);
    let spans: Option<FxHashSet<u64>> = query
        .spans
        .as_ref()
        .map(|spans| spans.iter().copied().collect());
    let add_up = |part: &[Arc<Series>]| {
        let mut values = Values::new(stacktraces);
        for series in part
            .iter()
            .filter(|series| series.times().is_some_and(|times| bounds.overlap(times)))
        {
            match &spans {
                None => add_series(series, bounds, &mut values),
                Some(spans) => add_spans(series, bounds, spans, &mut values),
            }
        }
        values
    };
    let per_thread = series.len().div_ceil(rayon::current_num_threads().max(1));
    if per_thread < SERIES_PER_THREAD {
        return add_up(&series);
    }
    series
        .par_chunks(per_thread)
        .map(add_up)
        .reduce_with(Values::merge)
        .unwrap_or_else(|| Values::new(0))
}

fn add_series(series: &Series, bounds: Bounds, values: &mut Values) {
    series.for_each(|row, encoded| {
        if bounds.contain(row)
            && let Some(samples) = Samples::decode(encoded)
        {
            values.note_doc_url(samples.header.doc_url);
            samples.for_each(|stacktrace, value| values.add(stacktrace, value));
        }
    });
}

fn add_spans(series: &Series, bounds: Bounds, spans: &FxHashSet<u64>, values: &mut Values) {
    series.for_each(|row, encoded| {
        let samples =
            Samples::decode(encoded).filter(|samples| bounds.contain(row) && samples.has_spans());
        for sample in samples.and_then(Samples::to_vec).into_iter().flatten() {
            if spans.contains(&sample.span_id) {
                values.add(sample.stacktrace, sample.value);
            }
        }
    });
}
