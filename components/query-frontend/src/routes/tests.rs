use std::sync::Arc;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use phlare_model::TimeSeries;
use phlare_model::labels::Labels;
use phlare_model::tree::Tree;
use phlare_proto::google::v1::{Profile, Sample};
use prost::Message;
use tower::ServiceExt;

use crate::testing::{CPU, NOW_MS, Store, over, small_tree};

/// Status, content type and body of a GET; `CPU` in the URL stands for that type.
async fn get(store: &Arc<Store>, url: &str) -> (StatusCode, String, Vec<u8>) {
    let url = url.replace("CPU", CPU).replace("{}", "%7B%7D");
    let request = Request::get(url)
        .header("X-Scope-OrgID", "team")
        .body(Body::empty())
        .unwrap();
    let (head, body) = over(store)
        .routes()
        .oneshot(request)
        .await
        .unwrap()
        .into_parts();
    let kind = head
        .headers
        .get(CONTENT_TYPE)
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    (
        head.status,
        kind,
        body.collect().await.unwrap().to_bytes().to_vec(),
    )
}

/// The body, if all went well.
async fn ok(store: &Arc<Store>, url: &str) -> String {
    let (status, _, body) = get(store, url).await;
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, StatusCode::OK, "{url}: {body}");
    body
}

fn series(region: &str, points: &[(i64, f64)]) -> TimeSeries {
    let points = points
        .iter()
        .map(|&(ms, value)| (NOW_MS + ms, value))
        .collect();
    TimeSeries {
        labels: Labels::from_pairs([("region", region)]),
        points,
    }
}

fn full() -> Arc<Store> {
    let sample = Sample {
        value: vec![7],
        ..Sample::default()
    };
    Arc::new(Store {
        tree: small_tree(),
        profile: Profile {
            sample: vec![sample],
            ..Profile::default()
        },
        series: vec![series("eu", &[(-45_000, 6.0)])],
        ..Store::default()
    })
}

#[tokio::test]
async fn render_answers_a_graph_and_its_timeline() {
    let store = full();
    insta::assert_snapshot!(ok(&store, "/pyroscope/render?query=CPU{}&from=now-1m&maxNodes=3").await, @r#"{"version":1,"flamebearer":{"names":["total","idle","main","b","other"],"levels":[[0,6,0,0],[0,3,3,1,0,3,0,2],[3,2,2,3,0,1,1,4]],"numTicks":6,"maxSelf":3},"metadata":{"format":"single","spyName":"","sampleRate":1000000000,"units":"samples","name":"cpu"},"timeline":{"startTime":1767225540,"samples":[0,6,0,0],"durationDelta":15,"watermarks":null},"groups":null,"heatmap":null}"#);
    assert_eq!(
        store.asked(),
        [
            "team: tree {} -60000..0",
            "team: series {} -60000..0 step 15000 by [] Sum call site []"
        ]
    );
}

#[tokio::test]
async fn render_groups_by_the_first_label_only() {
    let mut store = full();
    let store_series = &mut Arc::get_mut(&mut store).unwrap().series;
    *store_series = vec![
        series("eu", &[(-45_000, 6.0)]),
        TimeSeries {
            labels: Labels::empty(),
            points: vec![(NOW_MS - 30_000, 1.0)],
        },
    ];
    let url = "/pyroscope/render?query=CPU&from=now-1m&groupBy=region&groupBy=pod&aggregation=avg";
    let body: serde_json::Value = serde_json::from_str(&ok(&store, url).await).unwrap();
    assert_eq!(body["timeline"]["samples"], serde_json::json!([0, 0, 0, 0]));
    assert_eq!(
        body["groups"]["eu"]["samples"],
        serde_json::json!([0, 6, 0, 0])
    );
    assert_eq!(
        body["groups"]["*"]["samples"],
        serde_json::json!([0, 0, 1, 0])
    );
    assert_eq!(
        store.asked()[1],
        "team: series {} -60000..0 step 15000 by [\"region\"] Average call site []"
    );
}

#[tokio::test]
async fn other_forms_have_their_own_parameter() {
    let store = full();
    let query = "/pyroscope/render?query=CPU{}&from=now-1m";
    assert_eq!(
        ok(&store, &format!("{query}&output=collapsed")).await,
        "idle 3\nmain;a 1\nmain;b 2\n"
    );
    let (_, kind, body) = get(&store, &format!("{query}&output=pprof")).await;
    assert_eq!(kind, "application/octet-stream");
    assert_eq!(Profile::decode(&body[..]).unwrap().sample.len(), 1);
    let (_, kind, body) = get(&store, &format!("{query}&output=dot")).await;
    assert!(
        kind.starts_with("text/plain") && body.starts_with(b"digraph"),
        "{}",
        String::from_utf8_lossy(&body)
    );
    for format in ["json", "pprof", "collapsed", "html"] {
        assert!(
            ok(&store, &format!("{query}&format={format}"))
                .await
                .starts_with("{\"version\":1"),
            "{format}"
        );
    }
}

#[tokio::test]
async fn dot_is_drawn_from_more_nodes_than_it_shows() {
    let check = async |parameters: &str, asked: &str| {
        let store = full();
        ok(
            &store,
            &format!("/pyroscope/render?query=CPU{{}}&from=now-1m&format=dot{parameters}"),
        )
        .await;
        assert_eq!(
            store.asked(),
            [format!("team: pprof {{}} -60000..0 max nodes {asked}")]
        );
    };
    check("", "512").await;
    check("&maxNodes=5", "512").await;
    check("&max-nodes=1000", "1000").await;
    let empty = Arc::new(Store::default());
    assert_eq!(
        ok(&empty, "/pyroscope/render?query=CPU{}&format=dot").await,
        ""
    );
}

#[tokio::test]
async fn render_without_times_or_data_has_the_usual_shape() {
    let empty = Arc::new(Store {
        tree: Tree::new(),
        ..Store::default()
    });
    insta::assert_snapshot!(ok(&empty, "/pyroscope/render?query=CPU{}").await, @r#"{"version":1,"flamebearer":{"names":["total"],"levels":[[0,0,0,0]],"numTicks":0,"maxSelf":0},"metadata":{"format":"single","spyName":"","sampleRate":1000000000,"units":"samples","name":"cpu"},"timeline":{"startTime":1767225600,"samples":[],"durationDelta":15,"watermarks":null},"groups":null,"heatmap":null}"#);
    let old = ok(
        &empty,
        "/pyroscope/render?query=CPU{}&from=20251201&until=20251202",
    )
    .await;
    let old: serde_json::Value = serde_json::from_str(&old).unwrap();
    assert_eq!(
        old["flamebearer"]["levels"],
        serde_json::json!([[0, 0, 0, 0]])
    );
    assert_eq!(old["timeline"]["samples"], serde_json::json!(vec![0; 1440]));
    assert_eq!(empty.asked().len(), 2, "an old range is not asked for");
}

#[tokio::test]
async fn render_diff_lays_two_queries_over_each_other() {
    let store = full();
    let query = "/pyroscope/render-diff?leftQuery=CPU{}&rightQuery=CPU&leftFrom=now-2m&leftUntil=now-1m&rightFrom=now-1m";
    insta::assert_snapshot!(ok(&store, query).await, @r#"{"version":1,"flamebearer":{"names":["total","idle","main","a","b"],"levels":[[0,6,0,0,6,0,0],[0,3,3,0,3,3,1,0,3,0,0,3,0,2],[3,1,1,3,1,1,3,0,2,2,0,2,2,4]],"numTicks":12,"maxSelf":3},"metadata":{"format":"double","spyName":"","sampleRate":1000000000,"units":"samples","name":"cpu"},"timeline":null,"groups":null,"heatmap":null,"leftTicks":6,"rightTicks":6}"#);
    assert_eq!(
        store.asked(),
        ["team: tree {} -120000..-60000", "team: tree {} -60000..0"]
    );
    assert_eq!(
        ok(&store, &format!("{query}&output=collapsed")).await,
        "idle 3 3\nmain;a 1 1\nmain;b 2 2\n"
    );
    let (_, _, body) = get(&store, &format!("{query}&output=pprof")).await;
    assert_eq!(Profile::decode(&body[..]).unwrap().sample.len(), 6);
}

#[tokio::test]
async fn label_values_are_an_array() {
    let store = Arc::new(Store {
        values: vec!["b".to_owned(), "a".to_owned()],
        ..Store::default()
    });
    assert_eq!(
        ok(&store, "/pyroscope/label-values?label=__name__").await,
        "[\"a\",\"b\"]"
    );
    assert_eq!(
        ok(
            &store,
            "/pyroscope/label-values?label=x&query=process_cpu&from=now-1m"
        )
        .await,
        "[\"a\",\"b\"]"
    );
    assert_eq!(
        store.asked(),
        [
            "team: values of __profile_type__ [] ever",
            "team: values of x [{__name__=\"process_cpu\"}] -60000..0"
        ]
    );
    let empty = Arc::new(Store::default());
    assert_eq!(ok(&empty, "/pyroscope/label-values?label=x").await, "[]");
}

#[tokio::test]
async fn mistakes_are_told_as_json() {
    let check = async |url: &str, expected: &str| {
        let (status, kind, body) = get(&full(), url).await;
        assert_eq!(
            (status, kind.as_str()),
            (StatusCode::BAD_REQUEST, "application/json"),
            "{url}"
        );
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "invalid_argument", "{url}");
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with(expected), "{url}: {message}");
    };
    check("/pyroscope/render?from=now-1m", "\"query\" is required").await;
    check(
        "/pyroscope/render?query=&from=now-1m",
        "\"query\" is required",
    )
    .await;
    check(
        "/pyroscope/render?query=%7Ba=%22b%22%7D",
        "\"{a=\\\"b\\\"}\" in `query` must contain a profile-type",
    )
    .await;
    check(
        "/pyroscope/render?query=cpu{}",
        "invalid profile type in `query`: ",
    )
    .await;
    check(
        "/pyroscope/render?query=CPU%7Ba=%7D",
        "invalid selector \"{a=}\" in `query`: ",
    )
    .await;
    check(
        "/pyroscope/render?query=CPU&from=now&until=now-1m",
        "query start time is after end time",
    )
    .await;
    check(
        "/pyroscope/render?query=CPU&from=yesterday",
        "invalid time in \"from\": ",
    )
    .await;
    check(
        "/pyroscope/render?query=CPU&from=now-25h",
        "the query time range is",
    )
    .await;
    check(
        "/pyroscope/render?query=CPU&maxNodes=-1",
        "max nodes limit -1",
    )
    .await;
    check(
        "/pyroscope/render?query=CPU&output=svg",
        "unknown output \"svg\": use `json`, `dot`",
    )
    .await;
    check(
        "/pyroscope/render-diff?rightQuery=CPU",
        "\"leftQuery\" is required",
    )
    .await;
    check(
        "/pyroscope/render-diff?leftQuery=CPU",
        "\"rightQuery\" is required",
    )
    .await;
    check(
        "/pyroscope/render-diff?leftQuery=CPU&rightQuery=a:b:c:d:e",
        "profile types must be equal",
    )
    .await;
    check(
        "/pyroscope/render-diff?leftQuery=CPU&rightQuery=CPU&output=dot",
        "unknown output \"dot\"",
    )
    .await;
    check("/pyroscope/label-values", "\"label\" is required").await;
    check(
        "/pyroscope/label-values?label=a&query=%7B",
        "invalid selector",
    )
    .await;
}

#[tokio::test]
async fn nobody_is_let_in_without_a_tenant() {
    for url in [
        "/pyroscope/render?query=x",
        "/pyroscope/render-diff",
        "/pyroscope/label-values?label=x",
    ] {
        let request = Request::get(url).body(Body::empty()).unwrap();
        let response = over(&full()).routes().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{url}");
    }
}

#[tokio::test]
async fn other_routes_and_methods_are_not_served() {
    let check = async |method: &str, url: &str, expected: StatusCode| {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Body::empty())
            .unwrap();
        let response = over(&full()).routes().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected, "{method} {url}");
    };
    check(
        "POST",
        "/pyroscope/render?query=x",
        StatusCode::METHOD_NOT_ALLOWED,
    )
    .await;
    check("GET", "/render?query=x", StatusCode::NOT_FOUND).await;
    check("GET", "/label-values?label=x", StatusCode::NOT_FOUND).await;
}
