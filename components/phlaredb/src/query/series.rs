//! Totals over time (api.md 1.8).

use std::collections::BTreeMap;

use phlare_model::labels::Labels;
use phlare_model::query::{Aggregation, SeriesQuery, TimeRange, TimeSeries};

use super::calls::CallSite;
use super::{Bounds, matching_series};
use crate::chunk::{ChunkRow, Samples};
use crate::head::Head;

/// Sum and number of the totals of one step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    sum: f64,
    count: u64,
}

pub(super) fn select(head: &Head, query: &SeriesQuery) -> Vec<TimeSeries> {
    let TimeRange { start_ms, end_ms } = query.range;
    let step_ms = query.step_ms.max(1);
    // A point covers (t − step, t]: the first one begins a step before the range.
    let bounds = Bounds::new(TimeRange {
        start_ms: start_ms.saturating_sub(step_ms).saturating_add(1),
        end_ms,
    });
    let sites = match query.call_site.as_slice() {
        [] => None,
        functions => match stacktraces_below(head, functions) {
            Some(below) => Some(below),
            None => return Vec::new(),
        },
    };
    let mut groups: BTreeMap<Labels, BTreeMap<i64, Step>> = BTreeMap::new();
    for series in matching_series(head, Some(&query.profile_type), &query.selector) {
        if !series.times().is_some_and(|times| bounds.overlap(times)) {
            continue;
        }
        let mut found: Vec<(i64, u64)> = Vec::new();
        series.for_each(|row, encoded| {
            let total = match &sites {
                None => row.total,
                Some(below) => total_below(encoded, below),
            };
            let at = step_of(row, bounds, start_ms, step_ms);
            found.extend(
                at.filter(|&at| at <= end_ms && total > 0)
                    .map(|at| (at, total)),
            );
        });
        if found.is_empty() {
            continue;
        }
        let steps = groups
            .entry(series.labels.project(&query.group_by))
            .or_default();
        for (at, total) in found {
            let step = steps.entry(at).or_default();
            step.sum += total as f64;
            step.count += 1;
        }
    }
    let value = |step: &Step| match query.aggregation {
        Aggregation::Sum => step.sum,
        Aggregation::Average => step.sum / step.count as f64,
    };
    groups
        .into_iter()
        .map(|(labels, steps)| TimeSeries {
            labels,
            points: steps.iter().map(|(&at, step)| (at, value(step))).collect(),
        })
        .collect()
}

/// The first of `start, start + step, …` that is not before the profile.
fn step_of(row: &ChunkRow, bounds: Bounds, start_ms: i64, step_ms: i64) -> Option<i64> {
    if !bounds.contain(row) {
        return None;
    }
    let after_start = row.time_ns.div_euclid(1_000_000).saturating_sub(start_ms);
    let steps = after_start.div_euclid(step_ms) + i64::from(after_start.rem_euclid(step_ms) != 0);
    start_ms.checked_add(steps.checked_mul(step_ms)?)
}

/// By stack trace, whether it begins with these functions; `None` if none does.
fn stacktraces_below(head: &Head, functions: &[String]) -> Option<Vec<bool>> {
    let symbols = head.symbols.read();
    let site = CallSite::find(&symbols, functions)?;
    Some(
        symbols
            .stacks
            .calls()
            .iter()
            .map(|&call| site.keeps(call))
            .collect(),
    )
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
