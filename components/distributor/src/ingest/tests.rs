use axum::body::Body;
use http::Method;
use http_body_util::BodyExt;
use phlare_proto::google::v1 as pprof;
use phlare_tenancy::Limits;
use prost::Message;
use tower::ServiceExt;

use super::*;
use crate::testing::{Bench, NOW, bench, bench_with, gzip, profile, typed};

/// Sends a request and returns status and body.
async fn send(
    bench: &Bench,
    method: Method,
    query: &str,
    content_type: &str,
    body: impl Into<Body>,
) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/ingest?{query}"))
        .header("X-Scope-OrgID", "t")
        .header(CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap();
    let response = bench.distributor.routes().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

const RAW: &str = "application/octet-stream";
const FORM: &str = "multipart/form-data; boundary=xxxx";

async fn post(
    bench: &Bench,
    query: &str,
    content_type: &str,
    body: impl Into<Body>,
) -> (u16, String) {
    send(bench, Method::POST, query, content_type, body).await
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in parts {
        let head = format!(
            "--xxxx\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xxxx--\r\n");
    body
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A server at the time at which a profile was taken.
fn bench_at(raw: &[u8]) -> Bench {
    let mut inflated = Vec::new();
    let is_gzip = raw.starts_with(&[0x1f, 0x8b]);
    let plain = if is_gzip {
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(raw), &mut inflated)
            .unwrap();
        &inflated
    } else {
        raw
    };
    let time = pprof::Profile::decode(plain).map_or(NOW, |profile| profile.time_nanos);
    bench_with(Limits::default(), time)
}

/// Sends a real profile as a form and returns `profile type total` of what is stored, without zeros.
async fn stored_types(query: &str, profile: &str, config: Option<&str>) -> Vec<String> {
    let raw = data(profile);
    let bench = bench_at(&raw);
    let config = config.map(data);
    let mut parts = vec![("profile", raw.as_slice())];
    parts.extend(
        config
            .as_ref()
            .map(|config| ("sample_type_config", config.as_slice())),
    );
    let answer = post(&bench, query, FORM, form(&parts)).await;
    assert_eq!(answer, (200, String::new()), "{profile}");
    let stored = bench.stored();
    let kind = |labels: &str| {
        labels
            .split("__profile_type__=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    let mut totals = std::collections::BTreeMap::new();
    for row in stored.iter().filter(|row| row.total > 0) {
        *totals.entry(kind(&row.labels)).or_insert(0) += row.total;
    }
    totals
        .iter()
        .map(|(kind, total)| format!("{kind} {total}"))
        .collect()
}

#[tokio::test]
async fn real_profiles_get_their_names_and_totals() {
    let go = "name=app&spyName=gospy";
    assert_eq!(
        stored_types(go, "cpu.pb.gz", None).await,
        [
            "process_cpu:cpu:nanoseconds:cpu:nanoseconds 470000000",
            "process_cpu:samples:count:cpu:nanoseconds 47"
        ]
    );
    let goroutines = ["goroutines:goroutine:count:goroutine:count 10"];
    assert_eq!(
        stored_types(go, "req_2.pprof", Some("req_2.st.json")).await,
        goroutines
    );
    assert_eq!(stored_types(go, "req_2.pprof", None).await, goroutines);
    let block = stored_types(go, "req_3.pprof", Some("req_3.st.json")).await;
    assert!(
        block.contains(&"block:delay:nanoseconds:contentions:count 22674240703".to_owned()),
        "{block:?}"
    );
    let mutex = stored_types(go, "req_3.pprof", None).await;
    assert!(
        mutex.contains(&"mutex:delay:nanoseconds:contentions:count 22674240703".to_owned()),
        "{mutex:?}"
    );
    let node = stored_types("name=app&spyName=nodespy", "cpu-js.pb.gz", None).await;
    assert_eq!(
        node,
        [
            "wall:sample:count:wall:microseconds 8849",
            "wall:wall:microseconds:wall:microseconds 8849000"
        ]
    );
    let heap = stored_types("name=app&spyName=nodespy", "nodejs-heap.pb.gz", None).await;
    assert!(
        heap.contains(&"memory:inuse_space:bytes:inuse_space:bytes 8357762".to_owned()),
        "{heap:?}"
    );
}

#[tokio::test]
async fn dotnet_profiles_are_repaired() {
    for spy in ["dotnetspy", "unknown"] {
        let query = format!("name=app&spyName={spy}");
        let types = stored_types(
            &query,
            "dotnet-pprof-3.pb.gz",
            Some("dotnet-pprof-3.st.json"),
        )
        .await;
        assert!(
            types.contains(&"process_cpu:cpu:nanoseconds::nanoseconds 5653000000".to_owned()),
            "{types:?}"
        );
    }
}

#[tokio::test]
async fn a_time_in_1970_is_that_of_the_request() {
    let bench = bench();
    let from = NOW / 1_000_000_000 - 300;
    let query = format!("name=py.app&from={from}&until={}&spyName=pyspy", from + 10);
    let answer = post(
        &bench,
        &query,
        FORM,
        form(&[("profile", &data("pyspy-1.pb.gz"))]),
    )
    .await;
    assert_eq!(answer, (200, String::new()));
    let stored = bench.stored();
    assert_eq!(
        (bench.total(), stored[0].time_ns),
        (781, from * 1_000_000_000)
    );
    assert!(
        stored[0]
            .functions
            .iter()
            .any(|name| name == "main.py fast_function"),
        "{:?}",
        stored[0].functions
    );
}

#[tokio::test]
async fn strings_that_are_not_utf8_do_not_cost_the_profile() {
    let raw = data("invalid_utf8.pb.gz");
    let bench = bench_at(&raw);
    let query = format!("name=app&from={}", NOW / 1_000_000_000);
    let (status, body) = post(&bench, &query, FORM, form(&[("profile", &raw)])).await;
    assert_eq!(status, 200, "{body}");
    assert!(bench.total() > 0);
}

fn small() -> Vec<u8> {
    profile().sample(&["main", "work"], &[10]).build()
}

#[tokio::test]
async fn a_pprof_is_taken_raw_gzipped_and_in_a_form() {
    let (raw, zipped) = (small(), gzip(&small()));
    for (query, content_type, body) in [
        ("format=pprof", RAW, raw.clone()),
        ("format=pprof", RAW, zipped.clone()),
        ("", FORM, form(&[("profile", &raw)])),
        ("format=pprof", FORM, form(&[("profile", &zipped)])),
        (
            "format=nonsense",
            FORM,
            form(&[("other", b"x"), ("profile", &raw)]),
        ),
    ] {
        let bench = bench();
        let answer = post(&bench, &format!("name=app&{query}"), content_type, body).await;
        assert_eq!(
            (answer, bench.total()),
            ((200, String::new()), 10),
            "{query} {content_type}"
        );
    }
}

#[tokio::test]
async fn labels_come_from_the_name_and_the_spy() {
    let bench = bench();
    let name =
        "a%2Fb-c%7Bregion%3Deu%2C__hidden__%3D1%2C__session_id__%3Dabc%2Ck8s.pod%3Dp%2Cempty%3D%7D";
    assert_eq!(
        post(
            &bench,
            &format!("name={name}&format=pprof&spyName=gospy"),
            RAW,
            small()
        )
        .await
        .0,
        200
    );
    let labels = r#"{__name__="process_cpu", __profile_type__="process_cpu:cpu:nanoseconds::", __service_name__="a/b-c", __type__="cpu", __unit__="nanoseconds", k8s.pod="p", pyroscope_spy="gospy", region="eu", service_name="a/b-c"} 10"#;
    assert_eq!(bench.shown(), [labels]);
    assert!(!bench.stored()[0].delta);
}

#[tokio::test]
async fn a_tag_may_name_the_service() {
    let tagged = "name=other.cpu%7Bservice_name%3Dchosen%7D";
    let pprof = bench();
    post(&pprof, &format!("{tagged}&format=pprof"), RAW, small()).await;
    assert!(
        pprof.shown()[0].contains(r#"service_name="chosen""#)
            && !pprof.shown()[0].contains("app_name")
    );
    let groups = bench();
    post(&groups, tagged, RAW, "main 1\n").await;
    assert!(
        groups.shown()[0].contains(r#"app_name="other""#),
        "{:?}",
        groups.shown()
    );
}

#[tokio::test]
async fn relays_that_name_the_service_again_are_no_mistake() {
    let twice = "name=app%7Bservice_name%3Dapp%2Capp_name%3Dapp%7D";
    for (format, body) in [
        ("pprof", small()),
        ("lines", b"main".to_vec()),
        ("groups", b"main 1".to_vec()),
    ] {
        let bench = bench();
        let answer = post(&bench, &format!("{twice}&format={format}"), RAW, body).await;
        assert_eq!(answer, (200, String::new()), "{format}");
        assert!(
            bench.shown()[0].contains(r#"app_name="app""#),
            "{:?}",
            bench.shown()
        );
    }
    let unequal = "name=app%7Bservice_name%3Dapp%2Capp_name%3Dother%7D&format=lines";
    let (status, body) = post(&bench(), unequal, RAW, "main").await;
    assert_eq!(status, 400);
    assert!(
        body.contains(
            r#"label \"app_name\" comes twice with different values: \"other\" and \"app\""#
        ),
        "{body}"
    );
}

#[tokio::test]
async fn a_name_that_the_grammar_cannot_carry_is_refused() {
    let bench = bench();
    let (status, body) = post(
        &bench,
        "name=ns-1/app%7Bpath=/c/%7Bid%7D,m=GET%7D",
        RAW,
        "a;b 1",
    )
    .await;
    assert_eq!(status, 400);
    assert!(
        body.starts_with(r#"{"code":"invalid_argument","message":"application name: "#),
        "{body}"
    );
    assert!(
        body.contains("no way to carry `}` or `,` inside a value"),
        "{body}"
    );
    assert!(bench.stored().is_empty());
    assert_eq!(
        post(&bench, "name=ns-1/app&format=groups", RAW, "a;b 1")
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn bodies_of_no_format_are_refused_with_a_reason() {
    let query = "name=abc%7Bx%3Dy%7D&spyName=nodespy";
    for (body, shown) in [
        (
            b"[object FormData]".as_slice(),
            r#"begins with \"[object FormData]\", which a JavaScript runtime"#,
        ),
        (
            b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>",
            "which looks like HTML",
        ),
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "which is a PNG image"),
    ] {
        let (status, text) = post(&bench(), query, "text/plain", body.to_vec()).await;
        assert_eq!(status, 422, "{text}");
        assert!(text.contains(
            "which was assumed because the query has no `format` and the Content-Type `text/plain`"
        ));
        assert!(
            text.contains(shown) && text.contains("accepted formats: `pprof`"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn useless_sample_rates_are_no_reason_to_refuse() {
    for (rate, total) in [
        ("0", 3),
        ("-1", 30_000_000),
        ("abc", 30_000_000),
        ("1e9", 3),
        ("0.5", 6_000_000_000),
    ] {
        let bench = bench();
        let answer = post(
            &bench,
            &format!("name=a.cpu&sampleRate={rate}&format=lines"),
            RAW,
            "f\nf\nf\n",
        )
        .await;
        assert_eq!(
            (answer.0, bench.total()),
            (200, total),
            "{rate}: {}",
            answer.1
        );
        let bench = bench_with(Limits::default(), NOW);
        let answer = post(
            &bench,
            &format!("name=a.cpu&sampleRate={rate}&format=pprof"),
            RAW,
            small(),
        )
        .await;
        assert_eq!((answer.0, bench.total()), (200, 10), "{rate}: {}", answer.1);
    }
}

#[tokio::test]
async fn other_formats_are_stored() {
    let tree = b"\0\0\x02\x04main\x01\x02\x03foo\x04\x01\x03bar\x03\0\x03baz\x02\0\x04idle\x06\0"
        .as_slice();
    let trie = b"\0\0\x02\x05main;\0\x02\x03foo\x07\x01\x04;bar\x03\0\x03baz\x02\0\x05other\x01\0"
        .as_slice();
    let groups = b"main;a;b 10\nmain;a 5\nmain;c 1\nmain;a;b 2\n".as_slice();
    for (format, content_type, body, total) in [
        ("", RAW, groups, 180_000_000),
        ("folded", RAW, groups, 180_000_000),
        ("lines", RAW, b"main;a;b\nmain;a;b\nmain;c\n", 30_000_000),
        ("tree", RAW, tree, 160_000_000),
        ("", "binary/octet-stream+tree", tree, 160_000_000),
        ("trie", RAW, trie, 130_000_000),
        ("", "binary/octet-stream+trie", trie, 130_000_000),
    ] {
        let bench = bench();
        let answer = post(
            &bench,
            &format!("name=app.cpu&format={format}"),
            content_type,
            body.to_vec(),
        )
        .await;
        assert_eq!(
            (answer, bench.total()),
            ((200, String::new()), total),
            "{format} {content_type}"
        );
        let stored = &bench.stored()[0];
        assert!(
            stored
                .labels
                .contains("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
            "{}",
            stored.labels
        );
        assert!(
            stored.labels.contains(r#"service_name="app""#),
            "{}",
            stored.labels
        );
    }
}

#[tokio::test]
async fn each_profile_of_a_speedscope_file_is_stored() {
    let two = include_bytes!("../../../formats/tests/data/two-sampled.speedscope.json");
    let bench = bench();
    let answer = post(
        &bench,
        "name=speed.two&format=speedscope",
        RAW,
        two.to_vec(),
    )
    .await;
    assert_eq!(answer, (200, String::new()));
    assert_eq!(bench.total(), 28_000_000_000);
    let shown = bench.shown();
    assert_eq!(shown.len(), 2);
    assert!(
        shown[0].contains(r#"profile_name="one""#) && shown[1].contains(r#"profile_name="two""#),
        "{shown:?}"
    );
}

#[track_caller]
fn check_refusal((status, body): (u16, String), expected: u16, text: &str) {
    assert_eq!(status, expected, "{body}");
    assert!(body.contains(text), "{body}");
}

#[tokio::test]
async fn failures_have_their_statuses() {
    let bench = bench();
    let groups = "main 1\n";
    check_refusal(
        post(&bench, "name=", RAW, groups).await,
        400,
        "application name is empty",
    );
    check_refusal(
        post(&bench, "name=app%7Ba-b%3D1%7D", RAW, groups).await,
        400,
        "tag key",
    );
    check_refusal(
        post(&bench, "name=some.gadget", RAW, groups).await,
        400,
        "unknown profile type: gadget",
    );
    check_refusal(
        post(&bench, "name=a&format=groups", RAW, "main;a x\n").await,
        422,
        "line 1: a whole number",
    );
    check_refusal(
        post(&bench, "name=a&format=pprof", RAW, "hello").await,
        422,
        "no pprof",
    );
    check_refusal(
        post(&bench, "name=a&format=tree", RAW, "").await,
        422,
        "byte 0",
    );
    check_refusal(
        post(&bench, "name=a&format=jfr", RAW, "FLR\0").await,
        422,
        "JFR is not supported yet",
    );
    check_refusal(
        post(&bench, "name=a&format=speedscope", RAW, "{").await,
        422,
        "`speedscope` file",
    );
    let previous = form(&[("profile", &small()), ("prev_profile", &small())]);
    check_refusal(
        post(&bench, "name=a", FORM, previous).await,
        422,
        "unsupported client version",
    );
    let config = form(&[("profile", &small()), ("sample_type_config", b"{")]);
    check_refusal(
        post(&bench, "name=a", FORM, config).await,
        422,
        "sample_type_config",
    );
    let old = profile()
        .time(NOW - 7_200_000_000_000)
        .sample(&["a"], &[1])
        .build();
    check_refusal(
        post(&bench, "name=a&format=pprof", RAW, old).await,
        422,
        "outside of the ingestion window",
    );
    assert!(bench.stored().is_empty());
}

#[tokio::test]
async fn a_client_with_nothing_to_report_is_no_error() {
    let bench = bench();
    for (query, content_type, body) in [
        ("name=a&format=pprof", RAW, Vec::new()),
        ("name=a", FORM, form(&[("profile", b"")])),
        ("name=a", FORM, form(&[("other", b"x")])),
        ("name=a&format=groups", RAW, Vec::new()),
        ("name=a.cpu%7Bprofile_id%3D239%7D", RAW, b"main 1".to_vec()),
    ] {
        assert_eq!(
            post(&bench, query, content_type, body).await,
            (200, String::new()),
            "{query}"
        );
    }
    assert!(bench.stored().is_empty());
}

#[tokio::test]
async fn other_methods_are_told_which_is_allowed() {
    let request = Request::get("/ingest?name=x").body(Body::empty()).unwrap();
    let response = bench().distributor.routes().oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 405);
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn bombs_and_huge_bodies_are_refused_by_the_limits_name() {
    let limits = Limits {
        ingestion_body_limit_mb: 5.0,
        ..Limits::default()
    };
    let bench = bench_with(limits, NOW);
    let bomb = |size: usize| gzip(&vec![0; size]);
    check_refusal(
        post(&bench, "name=a&format=pprof", RAW, bomb(64 << 20)).await,
        413,
        "ingestion_body_limit_mb",
    );
    let bomb = bomb((4 << 20) + 1);
    check_refusal(
        post(&bench, "name=a&format=pprof", RAW, bomb).await,
        413,
        "max_profile_size_bytes",
    );
    let huge = vec![b'x'; 6 << 20];
    check_refusal(
        post(&bench, "name=a&format=pprof", RAW, huge).await,
        413,
        "ingestion_body_limit_mb",
    );
    // 90 KB that spell out 100 MB of stacks.
    let deep: String = (0..300)
        .map(|i| format!("{};x{i} 1\n", "f;".repeat(150)))
        .collect();
    assert_eq!(post(&bench, "name=a&format=groups", RAW, deep).await.0, 200);
    let mut chain = b"\0\0\x01".to_vec();
    chain.extend_from_slice(&b"\x01f\x01\x01".repeat(20_000));
    chain.extend_from_slice(b"\x01f\x01\0");
    check_refusal(
        post(&bench, "name=a&format=tree", RAW, chain).await,
        413,
        "max_profile_size_bytes",
    );
}

#[tokio::test]
async fn over_the_rate_is_429_with_advice() {
    let bench = bench();
    let large = typed(&[("cpu", "nanoseconds")])
        .sample(&[&"f".repeat(3 << 20)], &[1])
        .build();
    assert_eq!(
        post(&bench, "name=a&format=pprof", RAW, large.clone())
            .await
            .0,
        200
    );
    let request =
        Request::post("/pyroscope/ingest?name=a&format=pprof").header("X-Scope-OrgID", "t");
    let response = bench
        .distributor
        .routes()
        .oneshot(request.body(Body::from(large)).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_request_without_its_tenant_is_401() {
    let request = Request::post("/ingest?name=a&format=pprof")
        .body(Body::from(small()))
        .unwrap();
    let response = bench().distributor.routes().oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
}
