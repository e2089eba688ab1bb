//! Who is let in.

use futures_util::future::join_all;
use phlare_credentials::{Figures, LoginsDocument, LoginsFile, Right, TokenEntry, UserEntry};
use phlare_server::{Guard, TenantMode};
use tempfile::NamedTempFile;

use crate::support::{LABEL_NAMES, PUSH, TestServer};

const AGENT: &str = "token of the agent";
const READER: &str = "token of the reader";
const OPERATOR: &str = "token of the operator";
/// Of `secret`, by `crypt(3)`.
const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
const APPEND: &str = "/phlare.ingest.v1.IngestService/Append";

fn document(_: &str) -> Result<LoginsDocument, String> {
    let token = |name: &str, token: &str, rights: &[Right], tenants: Option<&[&str]>| TokenEntry {
        name: name.to_owned(),
        sha256: None,
        token: Some(token.to_owned()),
        rights: rights.to_vec(),
        tenants: tenants.map(|ids| ids.iter().map(ToString::to_string).collect()),
    };
    Ok(LoginsDocument {
        tokens: vec![
            token("agent", AGENT, &[Right::Write], Some(&["a"])),
            token("reader", READER, &[Right::Read], Some(&["a", "b"])),
            token("operator", OPERATOR, &[Right::Admin, Right::Metrics], None),
        ],
        users: vec![UserEntry {
            name: "grafana".to_owned(),
            bcrypt: BCRYPT.to_owned(),
            rights: vec![Right::Read],
            tenants: Some(vec!["c".to_owned()]),
        }],
        ..LoginsDocument::default()
    })
}

async fn server() -> TestServer {
    let file = NamedTempFile::new().unwrap();
    let logins = LoginsFile::open(file.path(), document, true, &Figures::default());
    let guard = Guard {
        logins: Some(logins.unwrap()),
        ..Guard::default()
    };
    TestServer::guarded(TenantMode::Multi, guard).await
}

/// Status and body.
async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn names(server: &TestServer) -> reqwest::RequestBuilder {
    server.post(LABEL_NAMES, "application/json", "{}")
}

fn refused(answer: (u16, String), status: u16, texts: &[&str]) {
    assert_eq!(answer.0, status, "{}", answer.1);
    for text in texts {
        assert!(answer.1.contains(text), "{}", answer.1);
    }
}

#[tokio::test]
async fn who_is_not_known_is_told_how_to_log_in() {
    let server = server().await;
    let response = names(&server).send().await.unwrap();
    assert_eq!(response.status(), 401);
    let ways = response.headers().get_all("www-authenticate").iter();
    let ways: Vec<_> = ways.map(|way| way.to_str().unwrap().to_owned()).collect();
    assert!(
        ways[0].starts_with("Bearer") && ways[1].starts_with("Basic"),
        "{ways:?}"
    );
    refused(
        answer(names(&server)).await,
        401,
        &["\"unauthenticated\"", "Authorization"],
    );
    refused(
        answer(names(&server).bearer_auth("stranger")).await,
        401,
        &["not known"],
    );
    refused(
        answer(names(&server).basic_auth("grafana", Some("x"))).await,
        401,
        &["go together"],
    );
    refused(
        answer(names(&server).basic_auth("nobody", Some("secret"))).await,
        401,
        &["go together"],
    );
    let odd = names(&server).header("authorization", "Digest x");
    refused(answer(odd).await, 401, &["Bearer TOKEN"]);
    let plain = server.client.get(server.url("/whoami"));
    refused(answer(plain).await, 401, &["\"unauthenticated\""]);

    let grpc = server
        .post(LABEL_NAMES, "application/grpc", "")
        .send()
        .await
        .unwrap();
    assert_eq!(grpc.status(), 200);
    assert_eq!(grpc.headers()["grpc-status"], "16");
}

#[tokio::test]
async fn probes_need_no_login() {
    let server = server().await;
    for path in ["/ready", "/livez", "/healthz"] {
        assert_eq!(server.get(path).await.status(), 200, "{path}");
    }
    let body = server.post("/grpc.health.v1.Health/Check", "application/json", "{}");
    assert_eq!(answer(body).await.0, 200);
    for path in ["/metrics", "/nowhere", "/", "//ready"] {
        assert_eq!(server.get(path).await.status(), 401, "{path}");
    }
}

#[tokio::test]
async fn a_login_may_what_it_is_for() {
    let server = server().await;
    let push = |token| {
        server
            .post(PUSH, "application/json", "{}")
            .bearer_auth(token)
    };
    // Let in, and then found to be empty.
    refused(answer(push(AGENT)).await, 400, &["no series"]);
    refused(
        answer(push(READER)).await,
        403,
        &["permission_denied", "`reader` lacks the right `write`"],
    );
    refused(
        answer(names(&server).bearer_auth(AGENT)).await,
        403,
        &["`read`"],
    );
    let ask = async |path, token| {
        let request = server.client.get(server.url(path)).bearer_auth(token);
        answer(request.header("x-scope-orgid", "a")).await.0
    };
    assert_eq!(ask("/metrics", OPERATOR).await, 200);
    assert_eq!(ask("/whoami", OPERATOR).await, 200);
    assert_eq!(ask("/nowhere", OPERATOR).await, 404);
    assert_eq!(ask("/metrics", READER).await, 403);
    assert_eq!(ask("/whoami", READER).await, 403);
    for token in [AGENT, READER, OPERATOR] {
        let call = server
            .post(APPEND, "application/proto", "")
            .bearer_auth(token);
        refused(answer(call).await, 403, &["lacks the right `internal`"]);
    }
}

#[tokio::test]
async fn a_login_is_for_its_tenants_only() {
    let server = server().await;
    let ask = async |tenant: Option<&str>, request: reqwest::RequestBuilder| {
        let request = match tenant {
            Some(tenant) => request.header("x-scope-orgid", tenant),
            None => request,
        };
        answer(request).await
    };
    let reader = || names(&server).bearer_auth(READER);
    refused(ask(Some("a"), reader()).await, 200, &["\"a\""]);
    refused(ask(Some("b"), reader()).await, 200, &["\"b\""]);
    refused(ask(Some("c"), reader()).await, 403, &["not for tenant `c`"]);
    refused(ask(Some("a|c"), reader()).await, 401, &["multiple org IDs"]);
    refused(ask(None, reader()).await, 401, &["no org id"]);
    // Who is for one tenant need not name it.
    let user = || names(&server).basic_auth("grafana", Some("secret"));
    refused(ask(None, user()).await, 200, &["\"c\""]);
    refused(ask(Some("c"), user()).await, 200, &["\"c\""]);
    refused(ask(Some("a"), user()).await, 403, &["not for tenant `a`"]);
}

#[tokio::test]
async fn many_passwords_at_once_are_answered() {
    let server = server().await;
    let tries = (0..200).map(|number| {
        let password = format!("wrong {number}");
        answer(names(&server).basic_auth("grafana", Some(password)))
    });
    for (status, text) in join_all(tries).await {
        assert!(matches!(status, 401 | 503), "{status}: {text}");
    }
    let right = names(&server).basic_auth("grafana", Some("secret"));
    assert_eq!(answer(right).await.0, 200);
    let metrics = server
        .client
        .get(server.url("/metrics"))
        .bearer_auth(OPERATOR);
    let (_, metrics) = answer(metrics).await;
    let admitted = "phlare_server_logins_total{method=\"password\",outcome=\"admitted\"} 1\n";
    assert!(metrics.contains(admitted), "{metrics}");
}
