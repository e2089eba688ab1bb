//! Questions about labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use phlare_model::labels::Labels;
use phlare_model::query::MetadataQuery;

use super::Bounds;
use crate::database::Database;
use crate::head::Head;
use crate::series::Series;

impl Database {
    /// Names of the matching series' labels, sorted.
    #[must_use]
    pub fn label_names(&self, query: &MetadataQuery) -> Vec<String> {
        let mut names = BTreeSet::new();
        let series = with_profiles(&self.head, query);
        for series in &series {
            for (name, _) in series.labels.iter() {
                if !names.contains(name) {
                    names.insert(name);
                }
            }
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// Values of a label in the matching series, sorted.
    #[must_use]
    pub fn label_values(&self, name: &str, query: &MetadataQuery) -> Vec<String> {
        let series = with_profiles(&self.head, query);
        let values: BTreeSet<_> = series
            .iter()
            .filter_map(|series| series.labels.get(name))
            .collect();
        values.into_iter().map(str::to_owned).collect()
    }

    /// Label sets of the matching series, cut to `names` unless that is empty; sorted, each once.
    #[must_use]
    pub fn series(&self, names: &[String], query: &MetadataQuery) -> Vec<Labels> {
        let series = with_profiles(&self.head, query);
        let sets: BTreeSet<_> = series
            .iter()
            .map(|series| match names {
                [] => series.labels.clone(),
                names => series.labels.project(names),
            })
            .collect();
        sets.into_iter().collect()
    }
}

/// Series that any of the selectors matches and that have a profile in the range.
fn with_profiles(head: &Head, query: &MetadataQuery) -> Vec<Arc<Series>> {
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
    let is_inside = |ns: i64| bounds.first_ns <= ns && ns <= bounds.last_ns;
    if is_inside(times.0) || is_inside(times.1) {
        return true;
    }
    let mut found = false;
    series.for_each(|row, _| found |= bounds.contain(row));
    found
}
