//! Credentials that others hand out: web identities, roles of containers and instances.

use std::path::Path;

use phlare_bucket::{Bucket, Environment, Error, ErrorKind, Metrics};
use tempfile::TempDir;

use crate::faulty::{Asked, Faulty, Reply, open};

const ROLE: &str = "arn:aws:iam::1:role/phlare";

fn credentials(key: &str, until: &str) -> Reply {
    Reply::ok(&format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>{until}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    ))
}

const LATER: &str = "2099-01-01T00:00:00Z";

/// The token that an exchange was asked with is the key that it hands out.
fn exchange(asked: &Asked) -> Reply {
    credentials(&token(asked), LATER)
}

fn token(asked: &Asked) -> String {
    let after = asked
        .path
        .split("WebIdentityToken=")
        .nth(1)
        .unwrap_or_default();
    after.split('&').next().unwrap().to_owned()
}

fn bucket(store: &Faulty, exchange: &Faulty, file: &Path) -> Bucket {
    let mut config = store.config();
    config.s3.access_key_id.clear();
    config.s3.secret_access_key = "".into();
    config.s3.sts_endpoint = exchange.url();
    config.s3.http.insecure_skip_verify = true;
    let environment = Environment::of([
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", ROLE),
    ]);
    open(&config, &environment, &Metrics::default())
}

#[track_caller]
fn check(error: &Error, kind: ErrorKind, expected: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in expected.iter().chain(&[
        "get `t/a` in s3 bucket `b`",
        "with web identity (token file `",
        ROLE,
    ]) {
        assert!(
            error.to_string().contains(part),
            "{part:?} is not in: {error}"
        );
    }
}

#[tokio::test]
async fn a_token_file_that_is_missing_is_read_when_it_is_there() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    let store = Faulty::start(|_| Reply::ok("{}")).await;
    let sts = Faulty::start_encrypted(exchange).await;
    let bucket = bucket(&store, &sts, &file);
    let error = bucket.get("t/a").await.unwrap_err();
    let expected = [
        "Failed to read token file",
        "mount the token of the service account there",
    ];
    check(&error, ErrorKind::PermissionDenied, &expected);
    std::fs::write(&file, "first").unwrap();
    assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
    let asked = store.asked().pop().unwrap();
    assert!(
        asked.header("authorization").contains("Credential=first/"),
        "{asked:?}"
    );
    assert_eq!(asked.header("x-amz-security-token"), "t");
    assert_eq!(sts.asked().len(), 1);
}

#[tokio::test]
async fn credentials_that_the_store_calls_expired_are_exchanged_for_others() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "first").unwrap();
    let store = Faulty::start(|_| Reply::ok("{}")).await;
    let sts = Faulty::start_encrypted(exchange).await;
    let bucket = bucket(&store, &sts, &file);
    assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
    // The clock of the store runs otherwise, or somebody revoked them; the file has a new token already.
    std::fs::write(&file, "second").unwrap();
    store.becomes(
        |asked| match asked.header("authorization").contains("Credential=second/") {
            true => Reply::ok("{}"),
            false => Reply::refusal(400, "ExpiredToken", "The provided token has expired."),
        },
    );
    assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
    assert_eq!(sts.asked().len(), 2);
    // It is not a way to ask without end.
    store.becomes(|_| Reply::refusal(400, "ExpiredToken", "The provided token has expired."));
    let error = bucket.get("t/a").await.unwrap_err();
    check(
        &error,
        ErrorKind::PermissionDenied,
        &["ExpiredToken", "others are asked for at the next try"],
    );
    assert_eq!(sts.asked().len(), 2);
}

#[tokio::test]
async fn credentials_that_end_soon_are_exchanged_with_the_token_of_then() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "first").unwrap();
    let store = Faulty::start(|_| Reply::ok("{}")).await;
    let sts =
        Faulty::start_encrypted(|asked| credentials(&token(asked), "2020-01-01T00:00:00Z")).await;
    let bucket = bucket(&store, &sts, &file);
    bucket.get("t/a").await.unwrap();
    std::fs::write(&file, "second").unwrap();
    bucket.get("t/a").await.unwrap();
    let asked = store.asked().pop().unwrap();
    assert!(
        asked.header("authorization").contains("Credential=second/"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn an_exchange_that_refuses_is_told_from_a_store_that_does() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "secret-token").unwrap();
    let store = Faulty::start(|_| Reply::ok("{}")).await;
    let sts = Faulty::start_encrypted(|_| {
        Reply::status(
            400,
            "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>No OpenIDConnect \
             provider found</Message></Error></ErrorResponse>",
        )
    })
    .await;
    let bucket = bucket(&store, &sts, &file);
    let error = bucket.get("t/a").await.unwrap_err();
    let host = sts.url().replace("https://", "");
    let refusal = format!(
        "{host} hands out no credentials: InvalidIdentityToken (400 Bad Request): No OpenIDConnect"
    );
    check(
        &error,
        ErrorKind::PermissionDenied,
        &[&refusal, "let the role trust this service account"],
    );
    assert!(!error.to_string().contains("secret-token"), "{error}");
    assert!(store.asked().is_empty());
}

#[tokio::test]
async fn a_role_that_nobody_gave_says_that_no_key_was_found() {
    let store = Faulty::start(|_| Reply::ok("{}")).await;
    let metadata = Faulty::start(|_| Reply::status(404, "")).await;
    let mut config = store.config();
    config.s3.access_key_id.clear();
    config.s3.secret_access_key = "".into();
    let environment = Environment::of([("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url())]);
    let bucket = open(&config, &environment, &Metrics::default());
    let error = bucket.get("t/a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let text = error.to_string();
    let parts = [
        "with role of the instance",
        "hands out no credentials: 404 Not Found",
        "no key is in the settings or the environment",
        "set `storage.s3.access_key_id`",
    ];
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[tokio::test]
async fn roles_of_instances_and_pods_are_used() {
    let store = Faulty::start(|_| Reply::ok("{}")).await;
    let keys = |name: &str| {
        Reply::ok(&format!(
            r#"{{"AccessKeyId": "{name}", "SecretAccessKey": "s", "Token": "t", "Expiration": "{LATER}"}}"#
        ))
    };
    let service = Faulty::start(move |asked| match asked.path.as_str() {
        "/latest/api/token" => Reply::ok("session"),
        "/latest/meta-data/iam/security-credentials/" => Reply::ok("node"),
        "/latest/meta-data/iam/security-credentials/node" => keys("of-the-node"),
        "/v1/credentials" if asked.header("authorization") == "pod-token" => keys("of-the-pod"),
        _ => Reply::status(404, ""),
    })
    .await;
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "pod-token").unwrap();
    let uri = format!("{}/v1/credentials", service.url());
    let node = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url())];
    let pod = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            file.to_str().unwrap(),
        ),
    ];
    let mut config = store.config();
    config.s3.access_key_id.clear();
    config.s3.secret_access_key = "".into();
    for (environment, key) in [
        (
            Environment::of([(node[0].0, &node[0].1)]),
            "Credential=of-the-node/",
        ),
        (Environment::of(pod), "Credential=of-the-pod/"),
    ] {
        open(&config, &environment, &Metrics::default())
            .get("t/a")
            .await
            .unwrap();
        let asked = store.asked().pop().unwrap();
        assert!(asked.header("authorization").contains(key), "{asked:?}");
    }
}
