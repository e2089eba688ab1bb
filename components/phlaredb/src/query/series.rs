//! Totals over time (api.md 1.8).

use std::collections::BTreeMap;

use phlare_model::labels::Labels;
use phlare_model::query::{Aggregation, SeriesQuery, TimeSeries};

use super::Bounds;

/// Sum and number of the totals of one step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    sum: f64,
    count: u64,
}

/// What one store knows of one series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPart {
    /// The group's labels.
    pub labels: Labels,
    /// Steps with a profile, ascending.
    pub steps: Vec<StepPart>,
}

/// What one store knows of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPart {
    /// Time of the step in ms.
    pub time_ms: i64,
    /// Sum of the totals.
    pub sum: f64,
    /// Number of profiles with a total.
    pub count: u64,
}

/// The answer that several stores make together: what one view would say that holds all that they counted.
#[must_use]
pub fn merge_series(
    query: &SeriesQuery,
    parts: impl IntoIterator<Item = SeriesPart>,
) -> Vec<TimeSeries> {
    let mut totals = Totals::new(query);
    for part in parts {
        totals.add_part(part);
    }
    totals.finish()
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
        Self {
            query,
            bounds: Bounds::new(query.times()),
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

    /// What one store adds up, so that several can be.
    pub(super) fn into_parts(self) -> Vec<SeriesPart> {
        let groups = self.groups.into_iter();
        let part = |(labels, steps): (Labels, BTreeMap<i64, Step>)| SeriesPart {
            labels,
            steps: steps
                .into_iter()
                .map(|(time_ms, Step { sum, count })| StepPart {
                    time_ms,
                    sum,
                    count,
                })
                .collect(),
        };
        groups.map(part).collect()
    }

    fn add_part(&mut self, part: SeriesPart) {
        let steps = self.groups.entry(part.labels).or_default();
        for StepPart {
            time_ms,
            sum,
            count,
        } in part.steps
        {
            let step = steps.entry(time_ms).or_default();
            step.sum += sum;
            step.count = step.count.saturating_add(count);
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
