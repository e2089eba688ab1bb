//! Any query, its answer, and why there is none, as messages.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::Duration;

use bytes::Bytes;
use phlare_model::ask::{Answer, Query};
use phlare_model::labels::Labels;
use phlare_model::query::Analysis;
use phlare_model::tree::Tree;
use phlare_model::{ErrorKind, TimeSeries};
use phlare_proto::phlare::query::v1 as proto;
use phlare_proto::phlare::query::v1::{answer, outcome, query};
use phlare_proto::types::v1::Series;
use phlare_server::Status;
use prost::Message;

use crate::queries::{self, malformed, needed};

/// A query as bytes.
#[must_use]
pub fn encode_query(asked: &Query) -> Bytes {
    let query = match asked {
        Query::LabelNames(query) => query::Query::LabelNames(queries::metadata(query)),
        Query::LabelValues { name, query } => query::Query::LabelValues(proto::LabelValuesQuery {
            name: name.clone(),
            query: Some(queries::metadata(query)),
        }),
        Query::LabelSets { names, query } => query::Query::LabelSets(proto::LabelSetsQuery {
            names: names.clone(),
            query: Some(queries::metadata(query)),
        }),
        Query::Tree(query) => query::Query::Tree(queries::merge(query)),
        Query::Pprof(query) => query::Query::Pprof(queries::merge(query)),
        Query::TimeSeries(query) => query::Query::TimeSeries(queries::series(query)),
        Query::Stats => query::Query::Stats(proto::StatsQuery {}),
        Query::Analyze(query) => query::Query::Analyze(queries::profiles(query)),
    };
    proto::Query { query: Some(query) }.encode_to_vec().into()
}

/// The query that bytes say.
///
/// # Errors
/// `InvalidArgument` says what is missing or malformed.
pub fn decode_query(bytes: Bytes) -> Result<Query, Status> {
    let message = proto::Query::decode(bytes);
    let message = message.map_err(|error| malformed(&format!("a query: {error}")))?;
    Ok(match needed(message.query, "query")? {
        query::Query::LabelNames(query) => Query::LabelNames(queries::read_metadata(Some(query))?),
        query::Query::LabelValues(asked) => Query::LabelValues {
            name: asked.name,
            query: queries::read_metadata(asked.query)?,
        },
        query::Query::LabelSets(asked) => Query::LabelSets {
            names: asked.names,
            query: queries::read_metadata(asked.query)?,
        },
        query::Query::Tree(query) => Query::Tree(queries::read_merge(Some(query))?),
        query::Query::Pprof(query) => Query::Pprof(queries::read_merge(Some(query))?),
        query::Query::TimeSeries(query) => Query::TimeSeries(queries::read_series(Some(query))?),
        query::Query::Stats(proto::StatsQuery {}) => Query::Stats,
        query::Query::Analyze(query) => Query::Analyze(queries::read_profiles(Some(query))?),
    })
}

/// An answer as bytes. O(its size): not for threads that serve sockets.
#[must_use]
pub fn encode_answer(found: Answer) -> Bytes {
    let answer = match found {
        Answer::Names(names) => answer::Answer::Names(proto::NameList { names }),
        Answer::LabelSets(sets) => answer::Answer::LabelSets(queries::label_sets(&sets)),
        Answer::Tree(tree) => answer::Answer::Tree(tree.to_bytes()),
        Answer::Pprof(profile) => answer::Answer::Pprof(*profile),
        Answer::TimeSeries(series) => answer::Answer::TimeSeries(proto::TimeSeriesList {
            series: series.into_iter().map(TimeSeries::into_proto).collect(),
        }),
        Answer::Stats(stats) => answer::Answer::Stats(queries::stats(stats)),
        Answer::Analysis(found) => answer::Answer::Analysis(proto::Analysis {
            series: found.series,
            profiles: found.profiles,
            samples: found.samples,
            bytes: found.bytes,
        }),
    };
    let message = proto::Answer {
        answer: Some(answer),
    };
    message.encode_to_vec().into()
}

/// The answer that bytes say. O(their size).
///
/// # Errors
/// `InvalidArgument` says what is missing or malformed.
pub fn decode_answer(bytes: Bytes) -> Result<Answer, Status> {
    let message = proto::Answer::decode(bytes);
    let message = message.map_err(|error| malformed(&format!("an answer: {error}")))?;
    Ok(match needed(message.answer, "answer")? {
        answer::Answer::Names(list) => Answer::Names(list.names),
        answer::Answer::LabelSets(sets) => Answer::LabelSets(queries::read_label_sets(&sets)),
        answer::Answer::Tree(bytes) => Answer::Tree(
            Tree::from_bytes(&bytes)
                .map_err(|error| malformed(&format!("the call tree of an answer: {error}")))?,
        ),
        answer::Answer::Pprof(profile) => Answer::Pprof(Box::new(profile)),
        answer::Answer::TimeSeries(list) => {
            Answer::TimeSeries(list.series.iter().map(time_series).collect())
        }
        answer::Answer::Stats(stats) => Answer::Stats(queries::read_stats(stats)),
        answer::Answer::Analysis(found) => Answer::Analysis(Analysis {
            series: found.series,
            profiles: found.profiles,
            samples: found.samples,
            bytes: found.bytes,
        }),
    })
}

fn time_series(series: &Series) -> TimeSeries {
    let points = series.points.iter();
    TimeSeries {
        labels: Labels::from(series.labels.as_slice()),
        points: points.map(|point| (point.timestamp, point.value)).collect(),
    }
}

/// How a query ended, as a message.
#[must_use]
pub fn outcome(ended: Result<Bytes, Status>) -> proto::Outcome {
    let outcome = match ended {
        Ok(answer) => outcome::Outcome::Answer(answer),
        Err(status) => outcome::Outcome::Failure(proto::Failure {
            code: status.kind.as_str().to_owned(),
            message: status.message,
            retry_after_ms: status
                .retry_after
                .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        }),
    };
    proto::Outcome {
        outcome: Some(outcome),
    }
}

/// How a query ended, as a message says it.
///
/// # Errors
/// What the message says; `InvalidArgument` if it says nothing.
pub fn read_outcome(message: Option<proto::Outcome>) -> Result<Bytes, Status> {
    let outcome = message.and_then(|message| message.outcome);
    match needed(outcome, "outcome")? {
        outcome::Outcome::Answer(answer) => Ok(answer),
        outcome::Outcome::Failure(failure) => {
            let kind = ErrorKind::parse(&failure.code).unwrap_or(ErrorKind::Internal);
            let status = Status::new(kind, failure.message);
            Err(match failure.retry_after_ms {
                Some(after) => status.with_retry_after(Duration::from_millis(after)),
                None => status,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use phlare_model::query::{AnalyzeQuery, MetadataQuery, ProfileStats};
    use phlare_model::selector::Selector;
    use phlare_model::{Aggregation, MergeQuery, SeriesQuery, TimeRange};
    use phlare_proto::google::v1::Profile;

    use super::*;

    const RANGE: TimeRange = TimeRange {
        start_ms: 1,
        end_ms: 2,
    };

    fn queries() -> Vec<Query> {
        let metadata = || MetadataQuery {
            selectors: vec![Selector::all()],
            range: Some(RANGE),
        };
        let merge = || MergeQuery {
            profile_type: "a:b:c:d:e".parse().unwrap(),
            selector: Selector::all(),
            range: RANGE,
            spans: Some(vec![7]),
            call_site: vec!["main".to_owned()],
            max_nodes: 3,
            go_pgo: None,
        };
        vec![
            Query::LabelNames(metadata()),
            Query::LabelValues {
                name: "n".to_owned(),
                query: metadata(),
            },
            Query::LabelSets {
                names: vec!["a".to_owned(), "b".to_owned()],
                query: metadata(),
            },
            Query::Tree(merge()),
            Query::Pprof(merge()),
            Query::TimeSeries(SeriesQuery {
                profile_type: "a:b:c:d:e".parse().unwrap(),
                selector: Selector::all(),
                range: RANGE,
                step_ms: 5,
                group_by: vec!["pod".to_owned()],
                aggregation: Aggregation::Average,
                call_site: Vec::new(),
            }),
            Query::Stats,
            Query::Analyze(AnalyzeQuery {
                profile_type: None,
                selector: Selector::all(),
                range: RANGE,
            }),
        ]
    }

    fn answers() -> Vec<Answer> {
        let mut tree = Tree::new();
        tree.insert(["main", "work"], 3);
        let profile = Profile {
            time_nanos: 4,
            ..Profile::default()
        };
        vec![
            Answer::Names(vec!["a".to_owned()]),
            Answer::LabelSets(vec![Labels::from_pairs([("a", "1"), ("b", "2")])]),
            Answer::Tree(tree),
            Answer::Pprof(Box::new(profile)),
            Answer::TimeSeries(vec![TimeSeries {
                labels: Labels::from_pairs([("a", "1")]),
                points: vec![(1, 0.5), (2, 1e300)],
            }]),
            Answer::Stats(ProfileStats { times: Some(RANGE) }),
            Answer::Stats(ProfileStats::default()),
            Answer::Analysis(Analysis {
                series: 1,
                profiles: 2,
                samples: 3,
                bytes: 4,
            }),
        ]
    }

    #[test]
    fn queries_of_every_kind_come_back() {
        for query in queries() {
            let back = decode_query(encode_query(&query)).unwrap();
            assert_eq!(format!("{back:?}"), format!("{query:?}"));
        }
    }

    #[test]
    fn answers_of_every_kind_come_back() {
        for answer in answers() {
            let said = encode_answer(answer.clone());
            let back = decode_answer(said.clone()).unwrap();
            match (&back, &answer) {
                (Answer::Tree(back), Answer::Tree(tree)) => {
                    assert_eq!(back.collapsed(), tree.collapsed());
                }
                _ => assert_eq!(format!("{back:?}"), format!("{answer:?}")),
            }
            assert_eq!(encode_answer(back), said);
        }
    }

    #[test]
    fn failures_come_back_with_all_they_say() {
        let after = Duration::from_millis(1500);
        let status = Status::new(ErrorKind::Unavailable, "gone").with_retry_after(after);
        assert_eq!(
            read_outcome(Some(outcome(Err(status.clone())))),
            Err(status)
        );
        let answer = Bytes::from_static(b"x");
        assert_eq!(read_outcome(Some(outcome(Ok(answer.clone())))), Ok(answer));
        let silent = read_outcome(None).unwrap_err();
        assert!(silent.message.contains("outcome"), "{silent:?}");
    }

    #[test]
    fn hostile_bytes_are_refused() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let bytes = Bytes::copy_from_slice(bytes);
            let _ = decode_query(bytes.clone()).is_ok();
            let _ = decode_answer(bytes).is_ok();
        });
    }
}
