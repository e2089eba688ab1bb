//! Why a query is refused before anything is read.

use std::time::Duration;

use phlare_model::error::{Classify, ErrorKind};
use phlare_model::selector::SelectorError;
use phlare_model::time;

/// A refusal; every variant is the client's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A query over profiles without `start` or `end`.
    #[error(
        "missing time range in the query: set `start` and `end`, in milliseconds since the epoch"
    )]
    MissingRange,
    /// The range runs backwards.
    #[error("query start time is after end time: `start` {start_ms} > `end` {end_ms}")]
    ReversedRange {
        /// The first millisecond.
        start_ms: i64,
        /// The last millisecond.
        end_ms: i64,
    },
    /// A time in seconds, where the API speaks milliseconds.
    #[error(
        "`{field}` {value} looks like seconds since the epoch, but milliseconds are expected: multiply by 1000"
    )]
    Seconds {
        /// `start` or `end`.
        field: &'static str,
        /// What was sent.
        value: i64,
    },
    /// The range is longer than the tenant may ask for.
    #[error(
        "the query time range is {} long, the limit is {}: shorten the range or raise `max_query_length`",
        time::format_duration(*length), time::format_duration(*limit)
    )]
    RangeTooLong {
        /// Length after the lookback was applied.
        length: Duration,
        /// The limit `max_query_length`.
        limit: Duration,
    },
    /// A negative node limit.
    #[error("max nodes limit {max_nodes} must be set: send 1 to {limit}, or 0 for the default")]
    NegativeMaxNodes {
        /// What was sent.
        max_nodes: i64,
        /// The limit `max_flamegraph_nodes_max`.
        limit: i64,
    },
    /// A node limit beyond what the tenant may ask for.
    #[error(
        "max nodes limit {max_nodes} is greater than the allowed {limit}: ask for less or raise `max_flamegraph_nodes_max`"
    )]
    MaxNodes {
        /// What was sent.
        max_nodes: i64,
        /// The limit `max_flamegraph_nodes_max`.
        limit: i64,
    },
    /// A step that is no number, too small, or longer than any range.
    #[error("`step` {step} has no meaning: send seconds, at least 0.001 (1 ms) and at most {max}")]
    Step {
        /// What was sent, in seconds.
        step: f64,
        /// The longest step, in seconds.
        max: f64,
    },
    /// More points than one series may have.
    #[error(
        "`step` {step_ms} ms makes {points} points of this range, the limit is {limit}: \
         use a longer step or a shorter range, or raise `max_query_points`"
    )]
    TooManyPoints {
        /// The step in milliseconds.
        step_ms: i64,
        /// Points of one series.
        points: u64,
        /// The limit `max_query_points`.
        limit: usize,
    },
    /// More labels in `group_by` than make sense.
    #[error("`group_by` has {names} names, the limit is {limit}")]
    TooManyGroupLabels {
        /// Different names sent.
        names: usize,
        /// The limit.
        limit: usize,
    },
    /// A label without a name.
    #[error("name is required: `{field}` is empty")]
    EmptyLabelName {
        /// The field that is empty.
        field: &'static str,
    },
    /// The profile type is not one.
    #[error("invalid profile type in `{field}`")]
    ProfileType {
        /// The field with the type.
        field: &'static str,
        /// What is wrong with it.
        source: phlare_model::profile_type::ProfileTypeError,
    },
    /// A selector that cannot be read.
    #[error("invalid selector {text:?} in `{field}`")]
    Selector {
        /// The field with the selector.
        field: &'static str,
        /// The selector, as sent.
        text: String,
        /// Where it is wrong and what was expected.
        source: Box<SelectorError>,
    },
    /// A span id of the wrong form.
    #[error(
        "invalid span id length or digits: {span:?} in `span_selector` must be 16 hexadecimal digits"
    )]
    Span {
        /// What was sent.
        span: String,
    },
    /// A number that no value of an enumeration has.
    #[error("`{field}` has the unknown value {value}")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// What was sent.
        value: i32,
    },
    /// `go_pgo` with an answer that has no source lines.
    #[error(
        "`stack_trace_selector.go_pgo` shapes pprof only: set `format` to PROFILE_FORMAT_PPROF or use SelectMergeProfile"
    )]
    GoPgoWithoutPprof,
    /// Something that this API does not do.
    #[error("{what} is not supported by this server")]
    Unsupported {
        /// The field or method.
        what: &'static str,
    },
    /// A parameter of a plain HTTP route is missing.
    #[error("\"{parameter}\" is required")]
    MissingParameter {
        /// Its name.
        parameter: &'static str,
    },
    /// A query without a profile type before its selector.
    #[error(
        "{query:?} in `{field}` must contain a profile-type selection: write `type-id{{selector}}`, for example `process_cpu:cpu:nanoseconds:cpu:nanoseconds{{}}`"
    )]
    NoProfileType {
        /// The field with the query.
        field: &'static str,
        /// What was sent.
        query: String,
    },
    /// A comparison of two profile types.
    #[error("profile types must be equal: left is {left}, right is {right}")]
    DifferentTypes {
        /// Type of the left side.
        left: String,
        /// Type of the right side.
        right: String,
    },
    /// A time that cannot be read.
    #[error("invalid time in \"{parameter}\"")]
    Time {
        /// Its parameter.
        parameter: &'static str,
        /// What is wrong with it.
        source: time::TimeError,
    },
    /// An output form that does not exist.
    #[error("unknown output {output:?}: use {known}")]
    Output {
        /// What was sent.
        output: String,
        /// The forms there are.
        known: &'static str,
    },
}

impl Error {
    /// The reason under which the refusal is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MissingRange => "missing_time_range",
            Self::ReversedRange { .. } | Self::Seconds { .. } | Self::Time { .. } => {
                "invalid_time_range"
            }
            Self::RangeTooLong { .. } => "query_limit",
            Self::NegativeMaxNodes { .. } | Self::MaxNodes { .. } => "flamegraph_limit",
            Self::TooManyPoints { .. } | Self::TooManyGroupLabels { .. } => "series_limit",
            Self::Unsupported { .. } => "unsupported",
            Self::Step { .. }
            | Self::EmptyLabelName { .. }
            | Self::ProfileType { .. }
            | Self::Selector { .. }
            | Self::Span { .. }
            | Self::UnknownValue { .. }
            | Self::GoPgoWithoutPprof
            | Self::MissingParameter { .. }
            | Self::NoProfileType { .. }
            | Self::DifferentTypes { .. }
            | Self::Output { .. } => "invalid_query",
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsupported { .. } => ErrorKind::Unimplemented,
            Self::MissingRange
            | Self::ReversedRange { .. }
            | Self::Seconds { .. }
            | Self::RangeTooLong { .. }
            | Self::NegativeMaxNodes { .. }
            | Self::MaxNodes { .. }
            | Self::Step { .. }
            | Self::TooManyPoints { .. }
            | Self::TooManyGroupLabels { .. }
            | Self::EmptyLabelName { .. }
            | Self::ProfileType { .. }
            | Self::Selector { .. }
            | Self::Span { .. }
            | Self::UnknownValue { .. }
            | Self::GoPgoWithoutPprof
            | Self::MissingParameter { .. }
            | Self::NoProfileType { .. }
            | Self::DifferentTypes { .. }
            | Self::Time { .. }
            | Self::Output { .. } => ErrorKind::InvalidArgument,
        }
    }
}
