//! The query phases: a mix of queries, each asked many times.

mod discover;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use phlare_proto::{google::v1 as google, querier::v1 as querier, types::v1 as types};
use prost::Message;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cli::{QuerySettings, ServerSettings};
use crate::measure::Recorder;
use crate::run::now_ns;
use crate::schedule::Schedule;
use crate::target::{Answer, Connection};

/// The service of short method names.
const QUERIER: &str = "querier.v1.QuerierService";

/// One query of the mix.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// What the report calls it.
    pub(crate) name: String,
    /// How often to ask it.
    pub(crate) count: u64,
    method: Method,
    request: Bytes,
}

/// One query of a mix file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    name: String,
    /// A method of the querier service, with or without the service's name.
    method: String,
    /// The request as JSON; `start` and `end` are filled in.
    #[serde(default)]
    request: Value,
    count: Option<u64>,
}

/// The methods that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    ProfileTypes,
    LabelNames,
    LabelValues,
    Series,
    SelectMergeStacktraces,
    SelectMergeSpanProfile,
    SelectMergeProfile,
    SelectSeries,
    Diff,
}

/// The queries of the mix file, or the built-in mix about what the server holds.
pub(crate) async fn mix(
    server: &ServerSettings,
    settings: &QuerySettings,
) -> anyhow::Result<Vec<Query>> {
    let end_ms = now_ns() / 1_000_000;
    let window = i64::try_from(settings.window.as_millis()).unwrap_or(i64::MAX);
    let range = (end_ms.saturating_sub(window), end_ms);
    let specs = match &settings.file {
        Some(path) => read_mix(path)?,
        None => {
            let connection = Connection::new(server)?;
            built_in(&discover::discover(&connection, range).await?)
        }
    };
    specs
        .into_iter()
        .map(|spec| Query::new(spec, range, settings.count))
        .collect()
}

fn read_mix(path: &Path) -> anyhow::Result<Vec<Spec>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let specs: Vec<Spec> =
        serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
    ensure!(!specs.is_empty(), "{} holds no query", path.display());
    Ok(specs)
}

/// What people and dashboards ask for most.
fn built_in(found: &discover::Found) -> Vec<Spec> {
    let select =
        |selector: &str| json!({"profileTypeID": found.profile_type, "labelSelector": selector});
    let service = format!("{{service_name={}}}", discover::quote(&found.service));
    let mut by_service = select("{}");
    by_service["groupBy"] = json!(["service_name"]);
    by_service["step"] = json!(15);
    let spec = |name: &str, method: &str, request: Value| Spec {
        name: name.to_owned(),
        method: method.to_owned(),
        request,
        count: None,
    };
    vec![
        spec(
            "flame graph, all series of a type",
            "SelectMergeStacktraces",
            select("{}"),
        ),
        spec(
            "flame graph, one series",
            "SelectMergeStacktraces",
            select(&found.series),
        ),
        spec("pprof, one service", "SelectMergeProfile", select(&service)),
        spec("time series by service", "SelectSeries", by_service),
        spec(
            "series",
            "Series",
            json!({"labelNames": ["service_name", "__profile_type__"]}),
        ),
        spec("label names", "LabelNames", json!({})),
        spec(
            "label values",
            "LabelValues",
            json!({"name": "service_name"}),
        ),
        spec("profile types", "ProfileTypes", json!({})),
    ]
}

impl Query {
    fn new(spec: Spec, range: (i64, i64), count: u64) -> anyhow::Result<Self> {
        let method =
            Method::parse(&spec.method).with_context(|| format!("query `{}`", spec.name))?;
        let mut request = if spec.request.is_null() {
            json!({})
        } else {
            spec.request
        };
        match method {
            Method::Diff => {
                for side in ["left", "right"] {
                    set_range(&mut request[side], range);
                }
            }
            _ => set_range(&mut request, range),
        }
        let request = method
            .encode(request)
            .with_context(|| format!("query `{}`", spec.name))?;
        Ok(Self {
            name: spec.name,
            count: spec.count.unwrap_or(count),
            method,
            request,
        })
    }

    /// Asks it; returns what was measured, how long it took, and the last answer in a few words.
    pub(crate) async fn run(
        &self,
        server: &ServerSettings,
        concurrency: usize,
    ) -> anyhow::Result<(Recorder, Duration, Option<String>)> {
        let schedule = Arc::new(Schedule::new(Some(self.count), None, None));
        let start = Instant::now();
        let mut connections = JoinSet::new();
        for _ in 0..concurrency {
            let work = work(
                self.clone(),
                Arc::clone(&schedule),
                Connection::new(server)?,
                start,
            );
            connections.spawn(work);
        }
        let mut total = Recorder::new();
        let mut last = None;
        while let Some(ended) = connections.join_next().await {
            let (recorder, answer) = ended.context("a connection's task ended early")?;
            total.merge(recorder);
            last = answer.or(last);
        }
        let elapsed = start.elapsed();
        let summary = last
            .map(|answer| self.method.summary(&answer.message()?))
            .transpose()?;
        Ok((total, elapsed, summary))
    }
}

async fn work(
    query: Query,
    schedule: Arc<Schedule>,
    connection: Connection,
    start: Instant,
) -> (Recorder, Option<Answer>) {
    let mut recorder = Recorder::new();
    let mut last = None;
    while schedule.take(start.elapsed()).is_some() {
        let began = Instant::now();
        match connection
            .call(&query.method.path(), query.request.clone())
            .await
        {
            Ok(answer) => {
                recorder.succeeded(began.elapsed(), query.request.len(), answer.wire_bytes());
                last = Some(answer);
            }
            Err(failure) => recorder.failed(failure, query.request.len()),
        }
    }
    (recorder, last)
}

fn set_range(request: &mut Value, (start, end): (i64, i64)) {
    if request.is_null() {
        *request = json!({});
    }
    if let Value::Object(fields) = request {
        fields.entry("start").or_insert_with(|| json!(start));
        fields.entry("end").or_insert_with(|| json!(end));
    }
}

impl Method {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let short = text
            .strip_prefix(QUERIER)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(text);
        Ok(match short {
            "ProfileTypes" => Self::ProfileTypes,
            "LabelNames" => Self::LabelNames,
            "LabelValues" => Self::LabelValues,
            "Series" => Self::Series,
            "SelectMergeStacktraces" => Self::SelectMergeStacktraces,
            "SelectMergeSpanProfile" => Self::SelectMergeSpanProfile,
            "SelectMergeProfile" => Self::SelectMergeProfile,
            "SelectSeries" => Self::SelectSeries,
            "Diff" => Self::Diff,
            _ => bail!("method `{text}` is none of {QUERIER} that can be asked here"),
        })
    }

    fn path(self) -> String {
        format!("{QUERIER}/{self:?}")
    }

    fn encode(self, request: Value) -> anyhow::Result<Bytes> {
        match self {
            Self::ProfileTypes => encode::<querier::ProfileTypesRequest>(request),
            Self::LabelNames => encode::<types::LabelNamesRequest>(request),
            Self::LabelValues => encode::<types::LabelValuesRequest>(request),
            Self::Series => encode::<querier::SeriesRequest>(request),
            Self::SelectMergeStacktraces => {
                encode::<querier::SelectMergeStacktracesRequest>(request)
            }
            Self::SelectMergeSpanProfile => {
                encode::<querier::SelectMergeSpanProfileRequest>(request)
            }
            Self::SelectMergeProfile => encode::<querier::SelectMergeProfileRequest>(request),
            Self::SelectSeries => encode::<querier::SelectSeriesRequest>(request),
            Self::Diff => encode::<querier::DiffRequest>(request),
        }
    }

    /// An answer in a few words, so that a fast but empty one is seen.
    fn summary(self, answer: &Bytes) -> anyhow::Result<String> {
        let bytes = answer.clone();
        let graph = |graph: Option<querier::FlameGraph>| match graph {
            Some(graph) => format!("total {}, {} names", graph.total, graph.names.len()),
            None => "no flame graph".to_owned(),
        };
        Ok(match self {
            Self::ProfileTypes => {
                format!(
                    "{} types",
                    querier::ProfileTypesResponse::decode(bytes)?
                        .profile_types
                        .len()
                )
            }
            Self::LabelNames => format!(
                "{} names",
                types::LabelNamesResponse::decode(bytes)?.names.len()
            ),
            Self::LabelValues => {
                format!(
                    "{} values",
                    types::LabelValuesResponse::decode(bytes)?.names.len()
                )
            }
            Self::Series => format!(
                "{} series",
                querier::SeriesResponse::decode(bytes)?.labels_set.len()
            ),
            Self::SelectMergeStacktraces => {
                graph(querier::SelectMergeStacktracesResponse::decode(bytes)?.flamegraph)
            }
            Self::SelectMergeSpanProfile => {
                graph(querier::SelectMergeSpanProfileResponse::decode(bytes)?.flamegraph)
            }
            Self::SelectMergeProfile => {
                format!("{} stacks", google::Profile::decode(bytes)?.sample.len())
            }
            Self::SelectSeries => {
                let series = querier::SelectSeriesResponse::decode(bytes)?.series;
                let points: usize = series.iter().map(|series| series.points.len()).sum();
                format!("{} series, {points} points", series.len())
            }
            Self::Diff => match querier::DiffResponse::decode(bytes)?.flamegraph {
                Some(graph) => format!("total {}, {} names", graph.total, graph.names.len()),
                None => "no flame graph".to_owned(),
            },
        })
    }
}

fn encode<M: Message + DeserializeOwned>(request: Value) -> anyhow::Result<Bytes> {
    let message: M =
        serde_json::from_value(request).context("the request does not fit its method")?;
    Ok(message.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn times_are_filled_in_where_they_are_missing() {
        let text = r#"{"name":"a","method":"SelectSeries","request":{"start":"5","groupBy":["x"],"step":1.5}}"#;
        let query = Query::new(spec(text), (100, 200), 7).unwrap();
        let request = querier::SelectSeriesRequest::decode(query.request).unwrap();
        assert_eq!((request.start, request.end, request.step), (5, 200, 1.5));
        assert_eq!(query.count, 7);
    }

    #[test]
    fn both_sides_of_a_diff_get_times() {
        let text = r#"{"name":"d","method":"querier.v1.QuerierService/Diff","count":2,"request":{"left":{"labelSelector":"{a=\"b\"}"}}}"#;
        let query = Query::new(spec(text), (100, 200), 7).unwrap();
        let request = querier::DiffRequest::decode(query.request).unwrap();
        assert_eq!(request.left.unwrap().end, 200);
        assert_eq!(request.right.unwrap().start, 100);
        assert_eq!(query.count, 2);
    }

    #[test]
    fn wrong_specs_are_named() {
        let query = Query::new(spec(r#"{"name":"q","method":"Nope"}"#), (1, 2), 1);
        assert!(format!("{:#}", query.unwrap_err()).contains("query `q`: method `Nope`"));
        let query = Query::new(
            spec(r#"{"name":"q","method":"Series","request":{"matchers":7}}"#),
            (1, 2),
            1,
        );
        assert!(format!("{:#}", query.unwrap_err()).contains("does not fit"));
    }

    #[test]
    fn the_built_in_mix_makes_sound_requests() {
        let found = discover::Found {
            profile_type: "process_cpu:cpu:nanoseconds:cpu:nanoseconds".into(),
            service: "a\"b".into(),
            series: "{pod=\"p\"}".into(),
        };
        for spec in built_in(&found) {
            Query::new(spec, (100, 200), 1).unwrap();
        }
    }
}
