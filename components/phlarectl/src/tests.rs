//! Commands against a server that answers by rote.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use clap::Parser;
use phlare_model::Tree;
use phlare_proto::google::v1::{Profile, Sample, ValueType};
use phlare_proto::push::v1::PushRequest;
use phlare_proto::querier::v1::{
    ProfileFormat, SelectMergeProfileRequest, SelectMergeStacktracesRequest,
    SelectMergeStacktracesResponse,
};
use prost::Message;

use crate::cli::{Cli, normalise};
use crate::{commands, exit_code};

/// Requests seen: path with query, body.
type Seen = Arc<Mutex<Vec<(String, Bytes)>>>;

fn profile() -> Profile {
    Profile {
        string_table: ["", "cpu", "nanoseconds"].map(String::from).to_vec(),
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        sample: vec![Sample {
            value: vec![1],
            ..Sample::default()
        }],
        time_nanos: 1,
        ..Profile::default()
    }
}

async fn answer(State(seen): State<Seen>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    seen.lock().unwrap().push((uri.to_string(), body.clone()));
    let refuse = |status: u16, text: &'static str| {
        (StatusCode::from_u16(status).unwrap(), text).into_response()
    };
    if headers
        .get("x-scope-orgid")
        .is_some_and(|tenant| tenant == "nobody")
    {
        return refuse(
            401,
            r#"{"code":"unauthenticated","message":"no such tenant"}"#,
        );
    }
    let mut tree = Tree::new();
    tree.insert(["main"], 3);
    match uri.path() {
        "/ready" => refuse(503, "ingester: starting"),
        "/push.v1.PusherService/Push" | "/ingest" => StatusCode::OK.into_response(),
        "/querier.v1.QuerierService/SelectMergeProfile" => {
            profile().encode_to_vec().into_response()
        }
        "/querier.v1.QuerierService/SelectMergeStacktraces" => SelectMergeStacktracesResponse {
            tree: tree.to_bytes(),
            ..Default::default()
        }
        .encode_to_vec()
        .into_response(),
        _ => refuse(500, r#"{"code":"internal","message":"boom"}"#),
    }
}

/// A server and a client of it.
struct Rig {
    url: String,
    seen: Seen,
}

impl Rig {
    async fn start() -> Self {
        // Installed already by another test of this process, maybe.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let seen = Seen::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(
            clippy::disallowed_methods,
            reason = "the server ends with the test's runtime"
        )]
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    /// Runs a command; returns its exit code and its error.
    async fn run(&self, args: &[&str]) -> (u8, String) {
        let server = ["-url", self.url.as_str()];
        let all = ["phlarectl"].iter().chain(args).chain(&server);
        let cli = Cli::try_parse_from(normalise(all.map(Into::into))).unwrap();
        match commands::run(&cli).await {
            Ok(()) => (0, String::new()),
            Err(error) => (exit_code(&error), format!("{error:#}")),
        }
    }

    fn last(&self) -> (String, Bytes) {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

#[tokio::test]
async fn exit_codes_tell_who_is_to_blame() {
    let rig = Rig::start().await;
    assert_eq!(
        rig.run(&["ready"]).await,
        (
            1,
            "not ready: ingester: starting (503 Service Unavailable)".into()
        )
    );
    assert_eq!(
        rig.run(&["labels"]).await,
        (4, "the server failed: boom (internal)".into())
    );
    let refused = rig.run(&["labels", "--tenant-id", "nobody"]).await;
    assert_eq!(
        refused,
        (
            3,
            "the server refused: no such tenant (unauthenticated)".into()
        )
    );
    assert_eq!(rig.run(&["labels", "--from", "tomorrow"]).await.0, 2);
    let closed = Rig {
        url: "http://127.0.0.1:1".into(),
        seen: Seen::default(),
    };
    assert_eq!(closed.run(&["labels"]).await.0, 4);
    let wrong = Rig {
        url: "ftp://x".into(),
        seen: Seen::default(),
    };
    assert_eq!(wrong.run(&["ready"]).await.0, 2);
}

#[tokio::test]
async fn upload_sends_each_file_to_its_api() {
    let (rig, dir) = (Rig::start().await, tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("a.pprof"), profile().encode_to_vec()).unwrap();
    std::fs::write(dir.path().join("b.folded"), "main;work 1\n").unwrap();
    let path = dir.path().to_str().unwrap();
    let args = [
        "upload",
        path,
        "--service-name",
        "app",
        "--extra-labels",
        "env=test",
        "-override-timestamp",
    ];
    assert_eq!(rig.run(&args).await, (0, String::new()));

    let mut seen = rig.seen.lock().unwrap().clone();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(
        seen[0]
            .0
            .starts_with("/ingest?name=app.cpu%7Benv%3Dtest%7D&format=folded&"),
        "{}",
        seen[0].0
    );
    let request = PushRequest::decode(seen[1].1.clone()).unwrap();
    let labels: Vec<(&str, &str)> = request.series[0]
        .labels
        .iter()
        .map(|label| (label.name.as_str(), label.value.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("__delta__", "false"),
            ("__name__", "process_cpu"),
            ("env", "test"),
            ("service_name", "app")
        ]
    );
}

#[tokio::test]
async fn upload_tries_all_files_and_fails_with_the_first_error() {
    let (rig, dir) = (Rig::start().await, tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("a.pprof"), "nonsense").unwrap();
    std::fs::write(dir.path().join("b.pprof"), profile().encode_to_vec()).unwrap();
    let (code, error) = rig.run(&["upload", dir.path().to_str().unwrap()]).await;
    assert_eq!(code, 1);
    assert!(
        error.starts_with("1 of 2 files were not sent; the first: ") && error.contains("a.pprof"),
        "{error}"
    );
    assert_eq!(rig.seen.lock().unwrap().len(), 1);

    let file = dir.path().join("b.pprof");
    let (code, error) = rig
        .run(&["upload", file.to_str().unwrap(), "--tenant-id", "nobody"])
        .await;
    assert_eq!(code, 3);
    assert!(
        error.contains("1970-01-01T00:00:00Z; --override-timestamp"),
        "{error}"
    );
}

#[tokio::test]
async fn a_pprof_file_is_not_overwritten_unless_forced() {
    let (rig, dir) = (Rig::start().await, tempfile::tempdir().unwrap());
    let path = dir.path().join("out.pb.gz");
    let output = format!("pprof={}", path.display());
    assert_eq!(
        rig.run(&["query", "profile", "--output", &output]).await.0,
        0
    );
    let mut bytes = Vec::new();
    phlare_pprof::gzip::Inflater::new()
        .gunzip(&std::fs::read(&path).unwrap(), 1 << 20, &mut bytes)
        .unwrap();
    assert_eq!(Profile::decode(bytes.as_slice()).unwrap(), profile());

    let requests = rig.seen.lock().unwrap().len();
    let (code, error) = rig.run(&["query", "merge", "--output", &output]).await;
    assert!(code == 1 && error.contains("-f overwrites it"), "{error}");
    assert_eq!(rig.seen.lock().unwrap().len(), requests);
    assert_eq!(
        rig.run(&["query", "merge", "--output", &output, "-f"])
            .await
            .0,
        0
    );
}

#[tokio::test]
async fn queries_carry_their_selectors() {
    let rig = Rig::start().await;
    for output in ["table", "tree", "json", "collapsed"] {
        let args = [
            "query",
            "profile",
            "--output",
            output,
            "--query",
            "{a=\"b\"}",
            "--max-nodes",
            "9",
            "--stacktrace-selector",
            "main",
            "--stacktrace-selector",
            "work",
            "--span-selector",
            "0123456789abcdef",
        ];
        assert_eq!(rig.run(&args).await, (0, String::new()));
        let request = SelectMergeStacktracesRequest::decode(rig.last().1).unwrap();
        assert_eq!(
            (request.label_selector.as_str(), request.max_nodes),
            ("{a=\"b\"}", Some(9))
        );
        assert_eq!(request.format, i32::from(ProfileFormat::Tree));
        assert_eq!(request.stack_trace_selector.unwrap().call_site.len(), 2);
        assert_eq!(request.span_selector, ["0123456789abcdef"]);
        assert_eq!(request.end - request.start, 3_600_000);
    }
}

#[tokio::test]
async fn a_graph_is_drawn_of_the_uncut_profile() {
    let rig = Rig::start().await;
    for output in ["dot", "raw"] {
        let args = ["query", "profile", "--output", output, "--max-nodes", "5"];
        assert_eq!(rig.run(&args).await, (0, String::new()));
        let (path, body) = rig.last();
        assert_eq!(path, "/querier.v1.QuerierService/SelectMergeProfile");
        let cut = (output == "raw").then_some(5);
        assert_eq!(
            SelectMergeProfileRequest::decode(body).unwrap().max_nodes,
            cut
        );
    }
}

#[tokio::test]
async fn go_pgo_asks_for_trimmed_stacks() {
    let (rig, dir) = (Rig::start().await, tempfile::tempdir().unwrap());
    let output = format!("pprof={}", dir.path().join("default.pgo").display());
    assert_eq!(
        rig.run(&["query", "go-pgo", "--output", &output]).await.0,
        0
    );
    let request = SelectMergeProfileRequest::decode(rig.last().1).unwrap();
    let pgo = request.stack_trace_selector.unwrap().go_pgo.unwrap();
    assert_eq!((pgo.keep_locations, pgo.aggregate_callees), (5, true));
    assert_eq!(
        rig.run(&["query", "go-pgo", "--output", "table"]).await.0,
        2
    );
}
