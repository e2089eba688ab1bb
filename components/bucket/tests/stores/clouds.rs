//! Logins and identities of Swift, Azure and Google.

use phlare_bucket::{Backend, Bucket, Config, Environment, Error, ErrorKind, Metrics};
use serde_json::json;
use tempfile::TempDir;

use crate::faulty::{Asked, Faulty, Reply, open};

#[track_caller]
fn check(error: &Error, kind: ErrorKind, expected: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in expected {
        assert!(
            error.to_string().contains(part),
            "{part:?} is not in: {error}"
        );
    }
    assert!(!error.to_string().contains("hush"), "{error}");
}

fn swift(auth_url: String) -> Config {
    let mut config = Config {
        backend: Backend::Swift,
        ..Config::default()
    };
    config.swift.auth_url = auth_url;
    config.swift.username = "u".to_owned();
    config.swift.password = "hush".into();
    config.swift.container_name = "c".to_owned();
    config
}

fn open_swift(config: &Config) -> Bucket {
    open(config, &Environment::of([]), &Metrics::default())
}

/// Hands out `token-N`, N counting logins, for so many seconds; the store is under `/v1/a`.
fn plain_login(asked: &Asked, seconds: u32) -> Reply {
    let host = asked.header("host");
    let reply = Reply::status(200, "").with("x-storage-url", &format!("http://{host}/v1/a"));
    reply
        .with("x-auth-token", &format!("token-{}", asked.before))
        .with("x-auth-token-expires", &seconds.to_string())
}

#[tokio::test]
async fn a_token_is_used_until_shortly_before_its_end() {
    for (seconds, logins) in [(86_400, 1), (0, 3)] {
        let server = Faulty::start(move |asked| match asked.path.as_str() {
            "/auth/v1.0" => plain_login(asked, seconds),
            _ => Reply::ok("{}"),
        })
        .await;
        let bucket = open_swift(&swift(format!("{}/auth/v1.0", server.url())));
        for _ in 0..3 {
            assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
        }
        let asked = server.asked();
        assert_eq!(
            asked
                .iter()
                .filter(|asked| asked.path == "/auth/v1.0")
                .count(),
            logins
        );
        assert_eq!(
            (
                asked[0].header("x-auth-user"),
                asked[0].header("x-auth-key")
            ),
            ("u", "hush")
        );
        assert_eq!(asked[1].line(), "GET /v1/a/c/t/a");
        assert_eq!(asked[1].header("x-auth-token"), "token-0");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let server = Faulty::start(
        |asked| match (asked.path.as_str(), asked.header("x-auth-token")) {
            ("/auth/v1.0", _) => plain_login(asked, 86_400),
            (_, "token-0") => Reply::status(401, "<html><h1>Unauthorized</h1></html>"),
            _ => Reply::ok("{}"),
        },
    )
    .await;
    let bucket = open_swift(&swift(format!("{}/auth/v1.0", server.url())));
    assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
    server.becomes(|asked| match asked.path.as_str() {
        "/auth/v1.0" => plain_login(asked, 86_400),
        _ => Reply::status(401, ""),
    });
    let error = bucket.get("t/a").await.unwrap_err();
    let expected = [
        "get `t/a` in swift container `c`",
        "with login of user `u`",
        "401 Unauthorized",
    ];
    check(&error, ErrorKind::PermissionDenied, &expected);
    let logins = server
        .asked()
        .iter()
        .filter(|asked| asked.path == "/auth/v1.0")
        .count();
    assert_eq!(logins, 2);
}

fn keystone(asked: &Asked) -> Reply {
    if asked.path != "/v3/auth/tokens" {
        return Reply::ok("{}");
    }
    let host = asked.header("host");
    let endpoint = |interface: &str, region: &str| json!({"interface": interface, "region": region, "region_id": region, "url": format!("http://{host}/{interface}-{region}/AUTH_p/")});
    let body = json!({"token": {
        "expires_at": "2099-01-01T00:00:00.000000Z",
        "catalog": [
            {"type": "compute", "endpoints": [endpoint("public", "one")]},
            {"type": "object-store", "endpoints": [endpoint("admin", "one"), endpoint("public", "one"), endpoint("public", "two")]},
        ],
    }});
    Reply::status(201, &body.to_string()).with("x-subject-token", "token")
}

#[tokio::test]
async fn keystone_says_where_the_store_is() {
    let server = Faulty::start(keystone).await;
    let mut config = swift(server.url());
    config.swift.project_name = "p".to_owned();
    for (region, line) in [
        ("", "GET /public-one/AUTH_p/c/t/a"),
        ("two", "GET /public-two/AUTH_p/c/t/a"),
    ] {
        config.swift.region_name = region.to_owned();
        open_swift(&config).get("t/a").await.unwrap();
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.line(), line);
        assert_eq!(asked.header("x-auth-token"), "token");
    }
    let sent: serde_json::Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    let domain = json!({"id": "default"});
    let user = json!({"name": "u", "domain": domain, "password": "hush"});
    let expected = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "p", "domain": domain}},
    }});
    assert_eq!(sent, expected);

    config.swift.region_name = "three".to_owned();
    let error = open_swift(&config).get("t/a").await.unwrap_err();
    check(
        &error,
        ErrorKind::PermissionDenied,
        &[
            "no public object store in region Some(\"three\")",
            "one, two",
        ],
    );
}

#[tokio::test]
async fn an_application_credential_needs_no_user() {
    let server = Faulty::start(keystone).await;
    let mut config = swift(format!("{}/v3/", server.url()));
    config.swift.application_credential_id = "id".to_owned();
    config.swift.application_credential_secret = "hush".into();
    open_swift(&config).get("t/a").await.unwrap();
    let sent: serde_json::Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    let expected = json!({"auth": {"identity": {
        "methods": ["application_credential"], "application_credential": {"id": "id", "secret": "hush"},
    }}});
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_login_that_is_refused_says_who_refused_whom() {
    let server = Faulty::start(|_| {
        Reply::status(401, r#"{"error": {"code": 401, "message": "Invalid user / password", "title": "Unauthorized"}}"#)
    })
    .await;
    let error = open_swift(&swift(server.url()))
        .get("t/a")
        .await
        .unwrap_err();
    let refusal = format!(
        "{}/v3 hands out no credentials: Unauthorized (401 Unauthorized): Invalid user / password",
        server.url()
    );
    let expected = [
        "with login of user `u`",
        refusal.as_str(),
        "correct the name and the secret",
    ];
    check(&error, ErrorKind::PermissionDenied, &expected);
    // A login that is overloaded is tried again.
    server.becomes(|asked| match asked.before {
        1 => Reply::status(503, ""),
        _ => keystone(asked),
    });
    let bucket = open_swift(&swift(server.url()));
    assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
}

fn azure() -> Config {
    let mut config = Config {
        backend: Backend::Azure,
        ..Config::default()
    };
    config.azure.account_name = "a".to_owned();
    config.azure.container_name = "c".to_owned();
    config
}

#[tokio::test]
async fn azures_workload_identity_says_what_it_lacks() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    let service = Faulty::start(|_| {
        Reply::status(401, r#"{"error": "invalid_client", "error_description": "AADSTS70021: No matching identity found."}"#)
    })
    .await;
    let environment = Environment::of([
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ("AZURE_AUTHORITY_HOST", &service.url()),
    ]);
    let bucket = open(&azure(), &environment, &Metrics::default());
    let who = "with workload identity (token file `";
    let error = bucket.get("t/a").await.unwrap_err();
    check(
        &error,
        ErrorKind::PermissionDenied,
        &[
            who,
            "azure container `c`",
            "mount the token of the service account there",
        ],
    );
    std::fs::write(&file, "hush").unwrap();
    let error = bucket.get("t/a").await.unwrap_err();
    let expected = [
        who,
        "hands out no credentials: invalid_client (401 Unauthorized): AADSTS70021",
        "let the role trust",
    ];
    check(&error, ErrorKind::PermissionDenied, &expected);
    assert_eq!(service.asked()[0].line(), "POST /tenant/oauth2/v2.0/token");
}

#[tokio::test]
async fn azures_managed_identity_says_what_it_lacks() {
    let service = Faulty::start(|_| {
        Reply::status(
            400,
            r#"{"error": "invalid_request", "error_description": "Identity not found"}"#,
        )
    })
    .await;
    let environment = Environment::of([("IDENTITY_ENDPOINT", &service.url())]);
    let error = open(&azure(), &environment, &Metrics::default())
        .list("t")
        .await
        .unwrap_err();
    let expected = [
        "with managed identity of the system",
        "invalid_request (400 Bad Request): Identity not found",
        "set `storage.azure.account_key`",
    ];
    check(&error, ErrorKind::PermissionDenied, &expected);
}

#[tokio::test]
async fn googles_key_file_says_that_it_is_missing() {
    let mut config = Config {
        backend: Backend::Gcs,
        ..Config::default()
    };
    config.gcs.bucket_name = "b".to_owned();
    let environment = Environment::of([("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/key.json")]);
    let error = open(&config, &environment, &Metrics::default())
        .list("t")
        .await
        .unwrap_err();
    let expected = [
        "gcs bucket `b`",
        "with key file `/no/such/key.json` (GOOGLE_APPLICATION_CREDENTIALS)",
        "No such file",
    ];
    check(&error, ErrorKind::PermissionDenied, &expected);
}
