//! Queries as messages, both ways. What a message lacks or misspells is an invalid argument.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, GoPgo, MetadataQuery, ProfileStats};
use phlare_model::selector::Selector;
use phlare_model::{Aggregation, MergeQuery, SeriesQuery, TimeRange};
use phlare_proto::phlare::store::v1 as proto;
use phlare_proto::types::v1::{Labels as LabelsMessage, TimeSeriesAggregationType};
use phlare_server::Status;

/// What a message of another process lacks or misspells.
#[must_use]
pub fn malformed(what: &str) -> Status {
    Status::invalid_argument(format!(
        "{what}: the other end's version may not fit this one"
    ))
}

/// A part that a message must have.
///
/// # Errors
/// `InvalidArgument` names it.
pub fn needed<T>(part: Option<T>, what: &str) -> Result<T, Status> {
    part.ok_or_else(|| malformed(&format!("a call between processes lacks its {what}")))
}

/// A time range as a message.
#[must_use]
pub fn range(range: TimeRange) -> proto::TimeRange {
    let TimeRange { start_ms, end_ms } = range;
    proto::TimeRange { start_ms, end_ms }
}

/// A time range of a message.
#[must_use]
pub fn read_range(message: proto::TimeRange) -> TimeRange {
    let proto::TimeRange { start_ms, end_ms } = message;
    TimeRange { start_ms, end_ms }
}

fn selector(text: &str) -> Result<Selector, Status> {
    Selector::parse(text).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// Which profiles, as a message.
#[must_use]
pub fn profiles(query: &AnalyzeQuery) -> proto::ProfilesQuery {
    proto::ProfilesQuery {
        profile_type: query.profile_type.as_ref().map(ToString::to_string),
        selector: query.selector.to_string(),
        range: Some(range(query.range)),
    }
}

/// Which profiles a message asks for.
///
/// # Errors
/// `InvalidArgument` says what is missing or malformed.
pub fn read_profiles(message: Option<proto::ProfilesQuery>) -> Result<AnalyzeQuery, Status> {
    let message = needed(message, "query")?;
    let profile_type = message.profile_type.map(|text| text.parse()).transpose();
    Ok(AnalyzeQuery {
        profile_type: profile_type.map_err(
            |error: phlare_model::profile_type::ProfileTypeError| {
                Status::invalid_argument(error.to_string())
            },
        )?,
        selector: selector(&message.selector)?,
        range: read_range(needed(message.range, "time range")?),
    })
}

/// A query for merged profiles, as a message.
#[must_use]
pub fn merge(query: &MergeQuery) -> proto::MergeQuery {
    proto::MergeQuery {
        profiles: Some(profiles(&AnalyzeQuery {
            profile_type: Some(query.profile_type.clone()),
            selector: query.selector.clone(),
            range: query.range,
        })),
        spans: query
            .spans
            .as_ref()
            .map(|spans| proto::SpanList { ids: spans.clone() }),
        call_site: query.call_site.clone(),
        max_nodes: query.max_nodes,
        go_pgo: query.go_pgo.map(|pgo| proto::GoPgo {
            keep_locations: pgo.keep_locations,
            aggregate_callees: pgo.aggregate_callees,
        }),
    }
}

/// The query of a message.
///
/// # Errors
/// As [`read_profiles`].
pub fn read_merge(message: Option<proto::MergeQuery>) -> Result<MergeQuery, Status> {
    let message = needed(message, "query")?;
    let profiles = read_profiles(message.profiles)?;
    Ok(MergeQuery {
        profile_type: needed(profiles.profile_type, "profile type")?,
        selector: profiles.selector,
        range: profiles.range,
        spans: message.spans.map(|spans| spans.ids),
        call_site: message.call_site,
        max_nodes: message.max_nodes,
        go_pgo: message.go_pgo.map(|pgo| GoPgo {
            keep_locations: pgo.keep_locations,
            aggregate_callees: pgo.aggregate_callees,
        }),
    })
}

/// A query for totals over time, as a message.
#[must_use]
pub fn series(query: &SeriesQuery) -> proto::SeriesQuery {
    let aggregation = match query.aggregation {
        Aggregation::Sum => TimeSeriesAggregationType::Sum,
        Aggregation::Average => TimeSeriesAggregationType::Average,
    };
    proto::SeriesQuery {
        profiles: Some(profiles(&AnalyzeQuery {
            profile_type: Some(query.profile_type.clone()),
            selector: query.selector.clone(),
            range: query.range,
        })),
        step_ms: query.step_ms,
        group_by: query.group_by.clone(),
        aggregation: aggregation.into(),
        call_site: query.call_site.clone(),
    }
}

/// The query of a message.
///
/// # Errors
/// As [`read_profiles`].
pub fn read_series(message: Option<proto::SeriesQuery>) -> Result<SeriesQuery, Status> {
    let message = needed(message, "query")?;
    let aggregation = match message.aggregation() {
        TimeSeriesAggregationType::Sum => Aggregation::Sum,
        TimeSeriesAggregationType::Average => Aggregation::Average,
    };
    let profiles = read_profiles(message.profiles)?;
    Ok(SeriesQuery {
        profile_type: needed(profiles.profile_type, "profile type")?,
        selector: profiles.selector,
        range: profiles.range,
        step_ms: message.step_ms,
        group_by: message.group_by,
        aggregation,
        call_site: message.call_site,
    })
}

/// A query about labels, as a message.
#[must_use]
pub fn metadata(query: &MetadataQuery) -> proto::MetadataQuery {
    proto::MetadataQuery {
        selectors: query.selectors.iter().map(ToString::to_string).collect(),
        range: query.range.map(range),
    }
}

/// The query of a message.
///
/// # Errors
/// As [`read_profiles`].
pub fn read_metadata(message: Option<proto::MetadataQuery>) -> Result<MetadataQuery, Status> {
    let message = needed(message, "query")?;
    let selectors = message.selectors.iter().map(|text| selector(text));
    Ok(MetadataQuery {
        selectors: selectors.collect::<Result<_, _>>()?,
        range: message.range.map(read_range),
    })
}

/// Label sets as a message.
#[must_use]
pub fn label_sets(sets: &[Labels]) -> proto::SeriesResponse {
    let message = |labels: &Labels| LabelsMessage {
        labels: labels.to_proto(),
    };
    proto::SeriesResponse {
        series: sets.iter().map(message).collect(),
    }
}

/// The label sets of a message, in the order of their pairs.
#[must_use]
pub fn read_label_sets(message: &proto::SeriesResponse) -> Vec<Labels> {
    let labels = |set: &LabelsMessage| {
        let pairs = set.labels.iter();
        Labels::in_stored_order(pairs.map(|pair| (&pair.name, &pair.value)))
    };
    message.series.iter().map(labels).collect()
}

/// Times as a message.
#[must_use]
pub fn stats(stats: ProfileStats) -> proto::StatsResponse {
    proto::StatsResponse {
        times: stats.times.map(range),
    }
}

/// The times of a message.
#[must_use]
pub fn read_stats(message: proto::StatsResponse) -> ProfileStats {
    ProfileStats {
        times: message.times.map(read_range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(".{0,8}", 0..3)
    }

    proptest! {
        #[test]
        fn queries_come_back(
            value in ".{0,8}", call_site in texts(), spans in prop::option::of(prop::collection::vec(any::<u64>(), 0..3)),
            start_ms: i64, end_ms: i64, max_nodes: i64, pgo in prop::option::of((any::<u32>(), any::<bool>())),
        ) {
            let matchers = vec![
                phlare_model::selector::Matcher::equal("a.b \"c", value.clone()),
                phlare_model::selector::Matcher::equal("plain", value),
            ];
            let query = MergeQuery {
                profile_type: "process_cpu:cpu:nanoseconds:cpu:nanoseconds".parse().unwrap(),
                selector: Selector::from(matchers),
                range: TimeRange { start_ms, end_ms },
                spans,
                call_site,
                max_nodes,
                go_pgo: pgo.map(|(keep_locations, aggregate_callees)| GoPgo { keep_locations, aggregate_callees }),
            };
            let back = read_merge(Some(merge(&query))).unwrap();
            prop_assert_eq!(format!("{back:?}"), format!("{query:?}"));
        }

    }

    #[test]
    fn every_field_of_a_series_query_comes_back() {
        for aggregation in [Aggregation::Sum, Aggregation::Average] {
            let query = SeriesQuery {
                profile_type: "a:b:c:d:e".parse().unwrap(),
                selector: Selector::all(),
                range: TimeRange {
                    start_ms: 1,
                    end_ms: 2,
                },
                step_ms: 3,
                group_by: vec!["pod".to_owned()],
                aggregation,
                call_site: vec!["main".to_owned()],
            };
            let back = read_series(Some(series(&query))).unwrap();
            assert_eq!(format!("{back:?}"), format!("{query:?}"));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read_merge(None).unwrap_err();
        assert!(error.message.contains("lacks its query"), "{error:?}");
    }
}
