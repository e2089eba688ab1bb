//! What a query asks for, after validation.

use phlare_proto::types::v1::{Point, Series};

use crate::labels::Labels;
use crate::profile_type::ProfileType;
use crate::selector::Selector;

/// Milliseconds since the epoch, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first millisecond.
    pub start_ms: i64,
    /// The last millisecond.
    pub end_ms: i64,
}

impl TimeRange {
    /// Whether a time in nanoseconds lies in one of the range's milliseconds.
    #[must_use]
    pub fn contains_ns(&self, ns: i64) -> bool {
        let ms = ns.div_euclid(1_000_000);
        self.start_ms <= ms && ms <= self.end_ms
    }
}

/// Profiles of one type to be merged into one tree or one pprof.
#[derive(Clone, Debug)]
pub struct MergeQuery {
    /// Matched against the label `__profile_type__`.
    pub profile_type: ProfileType,
    /// Matched against the other labels.
    pub selector: Selector,
    /// Times of the profiles.
    pub range: TimeRange,
    /// If set: only samples with one of these span ids (the stored, little-endian form).
    pub spans: Option<Vec<u64>>,
    /// Keep only stacks whose root-side function names equal this list, root first; empty keeps all.
    pub call_site: Vec<String>,
    /// Cut the call tree of each symbol partition to about this many nodes; 0 keeps all.
    pub max_nodes: i64,
    /// For pprof: what profile-guided optimisation of Go needs; overrides `call_site` and `max_nodes`.
    pub go_pgo: Option<GoPgo>,
}

/// How stacks are cut for profile-guided optimisation (api.md 8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoPgo {
    /// Leaf locations kept of every stack; 0 keeps all.
    pub keep_locations: u32,
    /// Sets the leaf's line number to 0 before merging.
    pub aggregate_callees: bool,
}

/// How the values of one step are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// Their sum.
    #[default]
    Sum,
    /// Their arithmetic mean.
    Average,
}

/// Totals of profiles over time.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// Matched against the label `__profile_type__`.
    pub profile_type: ProfileType,
    /// Matched against the other labels.
    pub selector: Selector,
    /// The steps are `start, start + step, …` up to `end`; a point at `t` covers `(t - step, t]`.
    pub range: TimeRange,
    /// Milliseconds, at least 1.
    pub step_ms: i64,
    /// Labels that make a series of the answer; empty gives one series without labels.
    pub group_by: Vec<String>,
    /// How the totals of one step are combined.
    pub aggregation: Aggregation,
    /// Count only stacks whose root-side function names equal this list, root first; empty counts all.
    pub call_site: Vec<String>,
}

impl SeriesQuery {
    /// Times of the profiles that count: the first step covers what lies before the range.
    #[must_use]
    pub fn times(&self) -> TimeRange {
        let TimeRange { start_ms, end_ms } = self.range;
        let start_ms = start_ms
            .saturating_sub(self.step_ms.max(1))
            .saturating_add(1);
        TimeRange { start_ms, end_ms }
    }
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeSeries {
    /// The group's labels.
    pub labels: Labels,
    /// (time of the step in ms, value), ascending; steps without a profile are left out.
    pub points: Vec<(i64, f64)>,
}

impl TimeSeries {
    /// As it goes over the wire.
    #[must_use]
    pub fn into_proto(self) -> Series {
        let point = |(timestamp, value)| Point {
            value,
            timestamp,
            ..Point::default()
        };
        Series {
            labels: self.labels.to_proto(),
            points: self.points.into_iter().map(point).collect(),
        }
    }
}

/// A question about labels: which names, values or series exist.
#[derive(Clone, Debug)]
pub struct MetadataQuery {
    /// A series counts if any of them matches; none at all matches every series.
    pub selectors: Vec<Selector>,
    /// Only series with a profile in it; `None` asks for all that is stored.
    pub range: Option<TimeRange>,
}

/// A question about the size of what a query would read.
#[derive(Clone, Debug)]
pub struct AnalyzeQuery {
    /// Matched against the label `__profile_type__`, if given.
    pub profile_type: Option<ProfileType>,
    /// Matched against the other labels.
    pub selector: Selector,
    /// Times of the profiles.
    pub range: TimeRange,
}

/// How much a query would read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Series with a matching profile.
    pub series: u64,
    /// Matching profiles.
    pub profiles: u64,
    /// Samples of these profiles.
    pub samples: u64,
    /// Their size, as far as it is known.
    pub bytes: u64,
}

/// What is stored of a tenant at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileStats {
    /// Times in milliseconds of the oldest and the newest profile; `None` if there is none.
    pub times: Option<TimeRange>,
}
