//! Requests that are wrong before anybody reads their message, and what upstream answers to them.

use std::time::Duration;

use phlare_server::{Config, TenantMode};
use reqwest::Method;

use crate::support::{LABEL_NAMES, PUSH, SOON, TestServer, gzip};

/// Status, media type and Connect code of an answer.
async fn kind(response: reqwest::Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let header = response
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned());
    let media_type = header
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let body = response.bytes().await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    (
        status,
        media_type,
        json["code"].as_str().unwrap_or_default().to_owned(),
    )
}

/// A request, and status, media type and Connect code of its answer.
struct Case {
    path: &'static str,
    content_type: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    expected: (u16, &'static str, &'static str),
}

const JSON: &str = "application/json";
const PROTO: &str = "application/proto";
const INVALID: (u16, &str, &str) = (400, JSON, "invalid_argument");
const UNSUPPORTED: (u16, &str, &str) = (415, "", "");
const BAD_ACCEPT: (u16, &str, &str) = (400, "text/plain", "");

fn case(
    path: &'static str,
    content_type: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: impl Into<Vec<u8>>,
    expected: (u16, &'static str, &'static str),
) -> Case {
    Case {
        path,
        content_type,
        headers,
        body: body.into(),
        expected,
    }
}

async fn check(cases: Vec<Case>) {
    let server = TestServer::start().await;
    for Case {
        path,
        content_type,
        headers,
        body,
        expected: (status, media_type, code),
    } in cases
    {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let mut call = server.post(path, content_type, body);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        let got = kind(call.send().await.unwrap()).await;
        let expected = (status, media_type.into(), code.into());
        assert_eq!(got, expected, "{path} {content_type} {headers:?} {shown:?}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_message() {
    check(vec![
        case(PUSH, PROTO, &[], "hello", INVALID),
        case(PUSH, PROTO, &[], b"\x0a\xff\x01", INVALID),
        case(PUSH, PROTO, &[], "", INVALID),
        case(PUSH, JSON, &[], "{", INVALID),
        case(PUSH, JSON, &[], "[]", INVALID),
        case(PUSH, JSON, &[], r#"{"series":"x"}"#, INVALID),
        case(PUSH, JSON, &[], r#"{"nope":1}"#, INVALID),
        case(
            PUSH,
            JSON,
            &[],
            r#"{"series":[{"samples":[{"rawProfile":"%"}]}]}"#,
            INVALID,
        ),
        case(PUSH, JSON, &[], "", INVALID),
        case(LABEL_NAMES, JSON, &[], "[]", INVALID),
        case(LABEL_NAMES, JSON, &[], r#"{"start":"x"}"#, INVALID),
        case(LABEL_NAMES, JSON, &[], r#"{"start":1.5}"#, INVALID),
    ])
    .await;
}

#[tokio::test]
async fn content_types_and_encodings() {
    let cut = &gzip(br#"{"series":[]}"#)[..20];
    let (br, packed) = (
        &[("content-encoding", "br")],
        &[("content-encoding", "gzip")],
    );
    check(vec![
        case(PUSH, "Application/JSON", &[], "{}", INVALID),
        case(PUSH, "application/json; charset=utf-8", &[], "{}", INVALID),
        case(
            PUSH,
            "application/proto; charset=utf-8",
            &[],
            "",
            UNSUPPORTED,
        ),
        case(PUSH, "text/plain", &[], "x", UNSUPPORTED),
        case(PUSH, "application/octet-stream", &[], "x", UNSUPPORTED),
        case(
            PUSH,
            "application/x-www-form-urlencoded",
            &[],
            "x",
            UNSUPPORTED,
        ),
        case(PUSH, JSON, br, "{}", (501, JSON, "unimplemented")),
        case(PUSH, JSON, packed, "{}", INVALID),
        case(PUSH, JSON, packed, cut, INVALID),
    ])
    .await;
}

#[tokio::test]
async fn other_headers() {
    check(vec![
        case(
            PUSH,
            JSON,
            &[("connect-protocol-version", "2")],
            "{}",
            INVALID,
        ),
        case(PUSH, JSON, &[("connect-timeout-ms", "x")], "{}", INVALID),
        case(
            PUSH,
            JSON,
            &[("connect-timeout-ms", "99999999999")],
            "{}",
            INVALID,
        ),
        case(
            LABEL_NAMES,
            JSON,
            &[("accept", "a/b/c;;=")],
            "{}",
            BAD_ACCEPT,
        ),
        case(
            LABEL_NAMES,
            JSON,
            &[("accept", "text/html;;;")],
            "{}",
            BAD_ACCEPT,
        ),
        case(
            LABEL_NAMES,
            JSON,
            &[("accept", "*/*; allow-utf8-labelnames=true")],
            "{}",
            (200, JSON, ""),
        ),
    ])
    .await;
}

#[tokio::test]
async fn methods_of_the_api_that_are_not_served_say_so() {
    let server = TestServer::start().await;
    let path = "/querier.v1.QuerierService/SelectHeatmap";
    let response = server.post(path, JSON, "{}").send().await.unwrap();
    assert_eq!(response.status(), 501);
    let text = response.text().await.unwrap();
    assert!(
        text.contains(r#""code":"unimplemented""#) && text.contains("SelectHeatmap"),
        "{text}"
    );
}

#[tokio::test]
async fn other_methods_are_refused_with_the_right_one() {
    let server = TestServer::start().await;
    for path in [PUSH, LABEL_NAMES] {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let response = server
                .client
                .request(method.clone(), server.url(path))
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(response.headers()["allow"], "POST");
            assert!(response.headers().get("content-type").is_none());
        }
    }
    let response = server
        .post("/whoami", "text/plain", "")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET,HEAD");
}

#[tokio::test]
async fn unknown_paths_are_not_found_as_text() {
    let server = TestServer::start().await;
    for path in [
        "/nope",
        "/push.v1.PusherService/Nope",
        "/push.v1.PusherService",
        "/querier.v1.QuerierService/",
        "/querier.v1.querierservice/LabelNames",
        "/nope.v1.Nope/Nope",
        "/whoami/x",
    ] {
        let post = server
            .post(path, "application/json", "{}")
            .send()
            .await
            .unwrap();
        assert_eq!(
            kind(post).await,
            (404, "text/plain".into(), String::new()),
            "POST {path}"
        );
        assert_eq!(
            kind(server.get(path).await).await,
            (404, "text/plain".into(), String::new()),
            "GET {path}"
        );
    }
}

#[tokio::test]
async fn requests_without_a_valid_tenant_are_refused() {
    let server = TestServer::with(TenantMode::Multi, Config::default()).await;
    let refused = (
        401,
        "application/json".to_owned(),
        "unauthenticated".to_owned(),
    );
    let long = "x".repeat(151);
    for tenant in [
        None,
        Some("team a"),
        Some("team/a"),
        Some("."),
        Some(".."),
        Some(&long),
        Some("a|b"),
        Some("a%20b"),
    ] {
        let with_tenant = |call: reqwest::RequestBuilder| match tenant {
            Some(tenant) => call.header("X-Scope-OrgID", tenant),
            None => call,
        };
        for path in [
            PUSH,
            LABEL_NAMES,
            "/querier.v1.QuerierService/SelectHeatmap",
        ] {
            let response = with_tenant(server.post(path, "application/json", "{}"))
                .send()
                .await
                .unwrap();
            assert_eq!(kind(response).await, refused, "{path} {tenant:?}");
        }
        let response = with_tenant(server.client.get(server.url("/whoami")))
            .send()
            .await
            .unwrap();
        assert_eq!(kind(response).await, refused, "/whoami {tenant:?}");
    }
    assert_eq!(
        server.seen.pushes.load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[tokio::test]
async fn valid_tenants_reach_the_handlers() {
    let server = TestServer::with(TenantMode::Multi, Config::default()).await;
    for (header, tenant) in [
        ("team-a", "team-a"),
        ("a!-_.*'()9", "a!-_.*'()9"),
        ("a|a", "a"),
        ("a:k=v", "a"),
    ] {
        let call = server
            .post(LABEL_NAMES, "application/json", "{}")
            .header("x-scope-orgid", header);
        let text = call.send().await.unwrap().text().await.unwrap();
        assert_eq!(text, serde_json::json!({ "names": [tenant] }).to_string());
        let call = server
            .client
            .get(server.url("/whoami"))
            .header("x-scope-orgid", header);
        assert_eq!(call.send().await.unwrap().text().await.unwrap(), tenant);
    }
    let open = server
        .post("/version.v1.Version/Version", "application/json", "{}")
        .send()
        .await
        .unwrap();
    assert_eq!(open.text().await.unwrap(), r#"{"QuerierAPI":"1"}"#);
}

#[tokio::test]
async fn one_tenant_for_all_ignores_the_header() {
    let server = TestServer::start().await;
    let call = server
        .client
        .get(server.url("/whoami"))
        .header("x-scope-orgid", "not/valid");
    assert_eq!(
        call.send().await.unwrap().text().await.unwrap(),
        "anonymous"
    );
}

#[tokio::test]
async fn errors_say_when_to_come_back_and_hide_what_is_internal() {
    let server = TestServer::start().await;
    let busy = server.label_names("busy").await;
    assert_eq!(busy.headers()["retry-after"], "2");
    assert_eq!(
        kind(busy).await,
        (429, "application/json".into(), "resource_exhausted".into())
    );
    let internal = server.label_names("internal").await;
    assert_eq!(internal.status(), 500);
    let text = internal.text().await.unwrap();
    assert!(
        text.contains("trace id") && !text.contains("sda1"),
        "{text}"
    );
}

#[tokio::test]
async fn the_clients_deadline_ends_the_call() {
    let server = TestServer::start().await;
    let call = server.post(LABEL_NAMES, "application/json", r#"{"matchers":["hang"]}"#);
    let response = call
        .header("connect-timeout-ms", "50")
        .send()
        .await
        .unwrap();
    assert_eq!(
        kind(response).await,
        (504, "application/json".into(), "deadline_exceeded".into())
    );
    tokio::time::timeout(SOON, server.seen.dropped.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_servers_deadline_ends_every_request() {
    let config = Config {
        http_server_write_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let server = TestServer::with(TenantMode::Single, config).await;
    let expected = (
        504,
        "application/json".to_owned(),
        "deadline_exceeded".to_owned(),
    );
    assert_eq!(kind(server.label_names("hang").await).await, expected);
    tokio::time::timeout(SOON, server.seen.dropped.notified())
        .await
        .unwrap();
    assert_eq!(kind(server.get("/hang").await).await, expected);
    tokio::time::timeout(SOON, server.seen.dropped.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_body_is_read_so_that_the_answer_arrives() {
    let server = TestServer::with(TenantMode::Multi, Config::default()).await;
    for _ in 0..20 {
        let response = server
            .post(PUSH, "application/proto", vec![0; 200_000])
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 401);
    }
}

#[tokio::test]
async fn plain_routes_compress_too() {
    let server = TestServer::start().await;
    let call = server
        .client
        .get(server.url("/large"))
        .header("accept-encoding", "deflate, gzip;q=1.0");
    let response = call.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.headers()["vary"], "Accept-Encoding");
    assert_eq!(
        crate::support::gunzip(&response.bytes().await.unwrap()).len(),
        160_000
    );
}
