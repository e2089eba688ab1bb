//! Totals over time (api.md 1.8).

use std::collections::BTreeMap;

use phlare_model::labels::Labels;
use phlare_model::query::{Aggregation, SeriesQuery, TimeRange, TimeSeries};

use super::Bounds;

/// Sum and number of the totals of one step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    sum: f64,
    count: u64,
}

/// Totals of profiles, grouped by labels and step, whatever they come from.
#[derive(Debug)]
pub(super) struct Totals<'a> {
    pub(super) query: &'a SeriesQuery,
    /// Times of profiles that belong to a step.
    pub(super) bounds: Bounds,
    groups: BTreeMap<Labels, BTreeMap<i64, Step>>,
}

impl<'a> Totals<'a> {
    pub(super) fn new(query: &'a SeriesQuery) -> Self {
        let TimeRange { start_ms, end_ms } = query.range;
        // A point covers (t − step, t]: the first one begins a step before the range.
        let start_ms = start_ms
            .saturating_sub(query.step_ms.max(1))
            .saturating_add(1);
        Self {
            query,
            bounds: Bounds::new(TimeRange { start_ms, end_ms }),
            groups: BTreeMap::new(),
        }
    }

    /// Adds profiles of one series: their times in ns, inside of `bounds`, and totals.
    pub(super) fn add(&mut self, labels: &Labels, profiles: &[(i64, u64)]) {
        let in_steps: Vec<(i64, u64)> = profiles
            .iter()
            .filter(|&&(_, total)| total > 0)
            .filter_map(|&(time_ns, total)| Some((step_of(self.query, time_ns)?, total)))
            .filter(|&(at, _)| at <= self.query.range.end_ms)
            .collect();
        if in_steps.is_empty() {
            return;
        }
        let group = labels.project(&self.query.group_by);
        let steps = self.groups.entry(group).or_default();
        for (at, total) in in_steps {
            let step = steps.entry(at).or_default();
            step.sum += total as f64;
            step.count += 1;
        }
    }

    pub(super) fn finish(self) -> Vec<TimeSeries> {
        let value = |step: &Step| match self.query.aggregation {
            Aggregation::Sum => step.sum,
            Aggregation::Average => step.sum / step.count as f64,
        };
        self.groups
            .into_iter()
            .map(|(labels, steps)| TimeSeries {
                labels,
                points: steps.iter().map(|(&at, step)| (at, value(step))).collect(),
            })
            .collect()
    }
}

/// The first of `start, start + step, …` that is not before the profile.
fn step_of(query: &SeriesQuery, time_ns: i64) -> Option<i64> {
    let (start_ms, step_ms) = (query.range.start_ms, query.step_ms.max(1));
    let after_start = time_ns.div_euclid(1_000_000).saturating_sub(start_ms);
    let steps = after_start.div_euclid(step_ms) + i64::from(after_start.rem_euclid(step_ms) != 0);
    start_ms.checked_add(steps.checked_mul(step_ms)?)
}
