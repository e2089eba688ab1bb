//! Queries over the head.
//!
//! Merging works on ids: values are added up by stack trace, and names are looked up once, at the end.

mod calls;
mod labels;
mod merge;
mod pprof;
mod series;
mod values;

use std::sync::Arc;

use phlare_model::labels::names;
use phlare_model::profile_type::ProfileType;
use phlare_model::query::{AnalyzeQuery, MergeQuery, SeriesQuery, TimeRange, TimeSeries};
use phlare_model::selector::{Matcher, Selector};
use phlare_model::tree::Tree;
use phlare_proto::google::v1::Profile;

pub use phlare_model::query::Analysis;

use crate::chunk::ChunkRow;
use crate::database::Database;
use crate::head::Head;
use crate::series::Series;

impl Database {
    /// The call tree of all matching profiles. O(samples + stack traces + nodes).
    #[must_use]
    pub fn select_tree(&self, query: &MergeQuery) -> Tree {
        calls::tree(&self.head, query)
    }

    /// One pprof of all matching profiles; without any, the empty profile of api.md 8.4.
    #[must_use]
    pub fn select_pprof(&self, query: &MergeQuery) -> Profile {
        pprof::profile(&self.head, query)
    }

    /// Totals of the matching profiles over time, sorted by labels.
    #[must_use]
    pub fn select_series(&self, query: &SeriesQuery) -> Vec<TimeSeries> {
        series::select(&self.head, query)
    }

    /// How much a query would read.
    #[must_use]
    pub fn analyze(&self, query: &AnalyzeQuery) -> Analysis {
        let bounds = Bounds::new(query.range);
        let mut analysis = Analysis::default();
        for series in matching_series(&self.head, query.profile_type.as_ref(), &query.selector) {
            let before = analysis.profiles;
            series.for_each(|row, encoded| {
                if bounds.contain(row) {
                    analysis.profiles += 1;
                    analysis.samples += u64::from(row.samples);
                    analysis.bytes += (encoded.len() + size_of::<ChunkRow>()) as u64;
                }
            });
            analysis.series += u64::from(analysis.profiles > before);
        }
        analysis
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

    fn contain(self, row: &ChunkRow) -> bool {
        self.first_ns <= row.time_ns && row.time_ns <= self.last_ns
    }

    /// Whether a series with these first and last times may have a profile inside.
    fn overlap(self, times: (i64, i64)) -> bool {
        times.0 <= self.last_ns && self.first_ns <= times.1
    }
}

/// The series of a profile type (of any, if `None`) that a selector matches.
fn matching_series(
    head: &Head,
    profile_type: Option<&ProfileType>,
    selector: &Selector,
) -> Vec<Arc<Series>> {
    let mut selector = selector.clone();
    if let Some(profile_type) = profile_type {
        selector.matchers.push(Matcher::equal(
            names::PROFILE_TYPE,
            profile_type.to_string(),
        ));
    }
    let index = head.index.read();
    let found = index.select(&selector);
    found
        .into_iter()
        .filter_map(|series| index.series().get(series as usize).map(Arc::clone))
        .collect()
}
