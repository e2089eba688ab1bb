//! The whole program against a server that takes everything and holds one series.

use std::io::Read;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::Parser;
use phlare_proto::google::v1::{Profile, ValueType};
use phlare_proto::push::v1::PushRequest;
use phlare_proto::querier::v1::{
    FlameGraph, SelectMergeStacktracesRequest, SelectMergeStacktracesResponse, SeriesResponse,
};
use phlare_proto::types::v1::{LabelPair, Labels};
use prost::Message;

use crate::report::Report;
use crate::{cli, run, stamp};

/// What the server saw.
#[derive(Debug, Default)]
struct Seen {
    pushes: Vec<(Vec<(String, String)>, Profile)>,
    ingests: Vec<String>,
    tenants: Vec<String>,
    selectors: Vec<String>,
    refuse: u32,
}

type Shared = Arc<Mutex<Seen>>;

fn proto(message: &impl Message) -> Response {
    (
        [("content-type", "application/proto")],
        message.encode_to_vec(),
    )
        .into_response()
}

async fn push(State(seen): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut seen = seen.lock().unwrap();
    if seen.refuse > 0 {
        seen.refuse -= 1;
        let body = r#"{"code":"resource_exhausted","message":"slow down"}"#;
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], body).into_response();
    }
    seen.tenants
        .push(headers["x-scope-orgid"].to_str().unwrap().to_owned());
    let request = PushRequest::decode(body).unwrap();
    for series in request.series {
        let labels = series
            .labels
            .into_iter()
            .map(|label| (label.name, label.value))
            .collect();
        let pprof = stamp::gunzip(series.samples[0].raw_profile.to_vec()).unwrap();
        seen.pushes
            .push((labels, Profile::decode(pprof.as_slice()).unwrap()));
    }
    proto(&())
}

async fn ingest(State(seen): State<Shared>, RawQuery(query): RawQuery, body: Bytes) -> StatusCode {
    let mut pprof = Vec::new();
    flate2::read::GzDecoder::new(&body[..])
        .read_to_end(&mut pprof)
        .unwrap();
    assert!(Profile::decode(pprof.as_slice()).unwrap().time_nanos > 0);
    seen.lock().unwrap().ingests.push(query.unwrap());
    StatusCode::OK
}

async fn series() -> Response {
    let label = |name: &str, value: &str| LabelPair {
        name: name.into(),
        value: value.into(),
    };
    let labels = vec![label("__profile_type__", "t"), label("service_name", "s")];
    proto(&SeriesResponse {
        labels_set: vec![Labels { labels }],
    })
}

async fn stacktraces(State(seen): State<Shared>, body: Bytes) -> Response {
    let request = SelectMergeStacktracesRequest::decode(body).unwrap();
    seen.lock().unwrap().selectors.push(request.label_selector);
    let graph = FlameGraph {
        total: 12,
        names: vec!["total".into()],
        ..FlameGraph::default()
    };
    proto(&SelectMergeStacktracesResponse {
        flamegraph: Some(graph),
        ..Default::default()
    })
}

/// Starts the server; returns its URL.
async fn serve(seen: &Shared) -> String {
    let app = Router::new()
        .route("/ready", get(async || "ready"))
        .route("/push.v1.PusherService/Push", post(push))
        .route("/ingest", post(ingest))
        .route("/querier.v1.QuerierService/Series", post(series))
        .route(
            "/querier.v1.QuerierService/SelectMergeStacktraces",
            post(stacktraces),
        )
        .with_state(Arc::clone(seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(
        clippy::disallowed_methods,
        reason = "the server ends with the test's runtime"
    )]
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn fixture(dir: &tempfile::TempDir) -> String {
    let profile = Profile {
        string_table: ["", "cpu", "nanoseconds"].map(String::from).to_vec(),
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        time_nanos: 1,
        ..Profile::default()
    };
    let path = dir.path().join("app.pprof");
    std::fs::write(&path, profile.encode_to_vec()).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn load(args: &[&str]) -> Report {
    // Installed already by another test of this process, maybe.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = std::iter::once("phlare-load").chain(args.iter().copied());
    let settings = cli::Args::try_parse_from(args).unwrap().settings().unwrap();
    run::run(&settings).await.unwrap()
}

#[tokio::test]
async fn every_profile_arrives_once_with_its_own_time_and_series() {
    let (seen, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let (url, file) = (serve(&seen).await, fixture(&dir));
    let json = dir.path().join("report.json");
    let report = load(&[
        "--url",
        &url,
        "--tenant",
        "t1",
        "--wait-ready",
        "10s",
        "--files",
        &file,
        "--profiles",
        "40",
        "--concurrency",
        "3",
        "--series-per-file",
        "4",
        "--json",
        json.to_str().unwrap(),
    ])
    .await;
    assert_eq!((report.phases[0].succeeded, report.errors()), (40, 0));

    let seen = seen.lock().unwrap();
    let mut times: Vec<i64> = seen
        .pushes
        .iter()
        .map(|(_, profile)| profile.time_nanos)
        .collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), 40);
    let mut series: Vec<_> = seen
        .pushes
        .iter()
        .map(|(labels, _)| labels.clone())
        .collect();
    series.sort();
    series.dedup();
    assert_eq!(series.len(), 4);
    assert!(series[0].contains(&("__name__".into(), "process_cpu".into())));
    assert!(series[0].contains(&("service_name".into(), "app".into())));
    assert!(seen.tenants.iter().all(|tenant| tenant == "t1"));

    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(json["phases"][0]["succeeded"], 40);
    assert!(json["phases"][0]["latency_ms"]["p99"].as_f64().unwrap() > 0.0);
    assert!(json["phases"][0]["generator"]["cpu_seconds"].is_number());
}

#[tokio::test]
async fn refusals_are_retried_or_reported() {
    let (seen, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let (url, file) = (serve(&seen).await, fixture(&dir));
    let common = [
        "--url",
        &url,
        "--tenant",
        "t",
        "--files",
        &file,
        "--profiles",
        "5",
        "--concurrency",
        "1",
    ];

    seen.lock().unwrap().refuse = 2;
    let report = load(&common).await;
    assert_eq!(report.phases[0].succeeded, 3);
    assert_eq!(report.phases[0].errors["resource_exhausted"].count, 2);
    assert_eq!(
        report.phases[0].errors["resource_exhausted"].messages,
        ["slow down"]
    );

    seen.lock().unwrap().refuse = 2;
    let report = load(&[&common[..], &["--retry-429", "5"]].concat()).await;
    assert_eq!(
        (report.phases[0].succeeded, report.phases[0].retries),
        (5, 2)
    );
}

#[tokio::test]
async fn ingest_names_the_application_and_its_tags() {
    let (seen, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let (url, file) = (serve(&seen).await, fixture(&dir));
    let args = [
        "--url",
        &url,
        "--files",
        &file,
        "--profiles",
        "1",
        "--api",
        "ingest",
        "--rate",
        "1000/s",
    ];
    let report = load(&args).await;
    assert_eq!(report.errors(), 0);
    let query = seen.lock().unwrap().ingests[0].clone();
    assert!(
        query.starts_with("name=app%7Bpod%3Dpod-0%2Cregion%3Deu-west%7D&format=pprof&"),
        "{query}"
    );
}

#[tokio::test]
async fn queries_ask_about_what_the_server_holds() {
    let (seen, dir) = (Shared::default(), tempfile::tempdir().unwrap());
    let url = serve(&seen).await;
    let mix = dir.path().join("mix.json");
    std::fs::write(&mix, r#"[{"name":"q","method":"SelectMergeStacktraces","request":{"labelSelector":"{x=\"y\"}"}}]"#)
        .unwrap();
    let report = load(&[
        "--url",
        &url,
        "--queries",
        mix.to_str().unwrap(),
        "--query-count",
        "6",
        "--query-concurrency",
        "2",
    ])
    .await;
    assert_eq!(report.phases[0].succeeded, 6);
    assert_eq!(
        report.phases[0].last_answer.as_deref(),
        Some("total 12, 1 names")
    );
    assert_eq!(seen.lock().unwrap().selectors, vec!["{x=\"y\"}"; 6]);

    let report = load(&["--url", &url, "--query-count", "1"]).await;
    assert_eq!(report.phases.len(), 8);
    assert!(
        seen.lock()
            .unwrap()
            .selectors
            .contains(&"{service_name=\"s\"}".to_owned())
    );
}
