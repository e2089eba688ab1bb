mod jfr;
mod refusals;

use axum::body::Body;
use http::Method;
use http_body_util::BodyExt;
use phlare_proto::google::v1 as pprof;
use phlare_tenancy::Limits;
use prost::Message;
use tower::ServiceExt;

use super::*;
use crate::testing::{Bench, NOW, bench, bench_with, gzip, profile};

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
