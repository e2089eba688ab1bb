//! What a bucket says, and does, when its store fails.

use std::time::Duration;

use bytes::Bytes;
use phlare_bucket::{Environment, Error, ErrorKind, Metrics, Operation, Retries};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::faulty::{Faulty, Reply, open, quick};

/// Every error says what was done to which key of which bucket, with whose credentials.
#[track_caller]
fn check(error: &Error, operation: Operation, kind: ErrorKind, expected: &[&str]) {
    assert_eq!(
        (error.operation(), error.kind()),
        (operation, kind),
        "{error}"
    );
    let text = error.to_string();
    for part in expected
        .iter()
        .chain(&["s3 bucket `b`", "with static keys of the settings"])
    {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(!text.contains("secret "), "{text}");
}

fn denied() -> Reply {
    Reply::refusal(403, "AccessDenied", "Access Denied")
}

#[tokio::test]
async fn a_denied_list_says_so_and_recovers() {
    let server = Faulty::start(|asked| match asked.path.contains("list-type=2") {
        true => denied(),
        false => Reply::ok("{}"),
    })
    .await;
    let bucket = server.bucket();
    let error = bucket.list("t/phlaredb").await.unwrap_err();
    let expected = [
        "list `t/phlaredb`",
        "AccessDenied (403 Forbidden): Access Denied",
        "`s3:ListBucket` on `arn:aws:s3:::b`",
    ];
    check(
        &error,
        Operation::List,
        ErrorKind::PermissionDenied,
        &expected,
    );
    assert_eq!(
        (error.code().as_deref(), error.tries()),
        (Some("AccessDenied"), 1)
    );
    let error = bucket.list_directories("").await.unwrap_err();
    check(
        &error,
        Operation::List,
        ErrorKind::PermissionDenied,
        &expected[1..],
    );
    assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
    server.becomes(|_| Reply::nothing_listed());
    assert_eq!(bucket.list("t/phlaredb").await.unwrap(), []);
}

#[tokio::test]
async fn a_denied_put_says_so_and_recovers() {
    let server = Faulty::start(|asked| match asked.method.as_str() {
        "PUT" | "POST" => denied(),
        _ => Reply::nothing_listed(),
    })
    .await;
    let bucket = server.bucket();
    let error = bucket
        .put("t/meta.json", Bytes::from_static(b"{}"))
        .await
        .unwrap_err();
    let expected = [
        "put `t/meta.json`",
        "AccessDenied",
        "`s3:PutObject` on `arn:aws:s3:::b/*`",
    ];
    check(
        &error,
        Operation::Put,
        ErrorKind::PermissionDenied,
        &expected,
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large");
    std::fs::write(&file, vec![7; 17 << 20]).unwrap();
    let error = bucket.upload("t/index.tsdb", &file).await.unwrap_err();
    let expected = ["upload `t/index.tsdb`", "AccessDenied", "`s3:PutObject`"];
    check(
        &error,
        Operation::Upload,
        ErrorKind::PermissionDenied,
        &expected,
    );
    assert_eq!(bucket.list("").await.unwrap(), []);
    server.becomes(|_| Reply::ok(""));
    bucket
        .put("t/meta.json", Bytes::from_static(b"{}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn one_denied_key_says_which() {
    let server = Faulty::start(|asked| match asked.path.contains("/b/t/x") {
        true => denied(),
        false => Reply::ok("{}"),
    })
    .await;
    let bucket = server.bucket();
    assert!(bucket.exists("t/y").await.unwrap());
    let error = bucket.get("t/x").await.unwrap_err();
    // Which of the two it is, S3 does not tell.
    let expected = [
        "get `t/x`",
        "`s3:GetObject` on `arn:aws:s3:::b/*`",
        "without `s3:ListBucket` a missing `t/x` looks the same",
    ];
    check(
        &error,
        Operation::Get,
        ErrorKind::PermissionDenied,
        &expected,
    );
    // An answer to HEAD has a status only.
    let error = bucket.exists("t/x").await.unwrap_err();
    check(
        &error,
        Operation::Exists,
        ErrorKind::PermissionDenied,
        &["look for `t/x`", "403 Forbidden"],
    );
    let error = bucket.get_range("t/x", 0..9).await.unwrap_err();
    check(
        &error,
        Operation::GetRanges,
        ErrorKind::PermissionDenied,
        &["read from `t/x`", "`s3:GetObject`"],
    );
    server.becomes(|asked| match asked.method.as_str() {
        "DELETE" => denied(),
        _ => Reply::ok("{}"),
    });
    let error = bucket.delete("t/x").await.unwrap_err();
    check(
        &error,
        Operation::Delete,
        ErrorKind::PermissionDenied,
        &["delete `t/x`", "`s3:DeleteObject`"],
    );
}

#[tokio::test]
async fn a_missing_bucket_is_no_missing_object() {
    let server = Faulty::start(|_| {
        Reply::refusal(404, "NoSuchBucket", "The specified bucket does not exist")
    })
    .await;
    let bucket = server.bucket();
    let expected = [
        "NoSuchBucket (404 Not Found)",
        "make the bucket, or correct `storage.s3.bucket_name`",
    ];
    let error = bucket.get("t/a").await.unwrap_err();
    check(&error, Operation::Get, ErrorKind::NoBucket, &expected);
    let error = bucket.list("t").await.unwrap_err();
    check(&error, Operation::List, ErrorKind::NoBucket, &expected);
    let error = bucket.put("t/a", Bytes::new()).await.unwrap_err();
    check(&error, Operation::Put, ErrorKind::NoBucket, &expected);
    let error = bucket.delete("t/a").await.unwrap_err();
    check(&error, Operation::Delete, ErrorKind::NoBucket, &expected);
}

#[tokio::test]
async fn a_region_that_somebody_wrote_down_is_corrected_by_words() {
    let redirect = || {
        let reply = Reply::refusal(
            301,
            "PermanentRedirect",
            "The bucket must be addressed using another endpoint",
        );
        reply.with("x-amz-bucket-region", "eu-central-1")
    };
    let server = Faulty::start(move |_| redirect()).await;
    let mut config = server.config();
    config.s3.region = "us-east-1".to_owned();
    let bucket = open(&config, &Environment::of([]), &Metrics::default());
    let error = bucket.list("t").await.unwrap_err();
    let expected = [
        "PermanentRedirect (301 Moved Permanently)",
        "the bucket is in region `eu-central-1`: set `storage.s3.region` to it",
    ];
    check(&error, Operation::List, ErrorKind::Misconfigured, &expected);
    // A store that does not say where the bucket is.
    server.becomes(|_| Reply::status(301, ""));
    let error = bucket.get("t").await.unwrap_err();
    check(
        &error,
        Operation::Get,
        ErrorKind::Misconfigured,
        &["301 Moved", "set `storage.s3.region` to the bucket's"],
    );
}

#[tokio::test]
async fn a_region_that_nobody_wrote_down_is_learnt() {
    let server = Faulty::start(|asked| match asked.header("authorization") {
        signed if signed.contains("/eu-central-1/s3/") => Reply::ok("{}"),
        _ => Reply::status(
            400,
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message><Region>eu-central-1</Region></Error>",
        ),
    })
    .await;
    let bucket = server.bucket();
    for _ in 0..3 {
        assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
    }
    assert_eq!(server.asked().len(), 4, "it is learnt once");
}

#[tokio::test]
async fn an_overloaded_store_is_asked_again_and_the_tries_are_counted() {
    let server = Faulty::start(|asked| match asked.before {
        0 | 1 => Reply::refusal(503, "SlowDown", "Please reduce your request rate."),
        _ => Reply::ok("{}"),
    })
    .await;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let bucket = open(&server.config(), &Environment::of([]), &metrics);
    assert_eq!(bucket.get("t/a").await.unwrap(), "{}");

    server.becomes(|_| Reply::refusal(503, "SlowDown", "Please reduce your request rate."));
    let error = bucket.get("t/a").await.unwrap_err();
    let expected = [
        "SlowDown (503 Service Unavailable): Please reduce your request rate., 3 times; the store limits requests",
    ];
    check(&error, Operation::Get, ErrorKind::Unavailable, &expected);
    assert_eq!((error.tries(), server.asked().len()), (3, 6));

    server.becomes(|_| Reply::refusal(404, "NoSuchKey", "none"));
    assert!(!bucket.exists("t/a").await.unwrap());
    let mut shown = String::new();
    text::encode(&mut shown, &registry).unwrap();
    for line in [
        "objstore_bucket_operations_total{operation=\"get\",bucket=\"b\"} 2",
        "objstore_bucket_operation_failures_total{operation=\"get\",bucket=\"b\"} 1",
        "objstore_bucket_operation_duration_seconds_count{operation=\"get\",bucket=\"b\"} 2",
        "phlare_bucket_retries_total{operation=\"get\",bucket=\"b\"} 4",
        // To be told that there is nothing is no failure.
        "objstore_bucket_operations_total{operation=\"exists\",bucket=\"b\"} 1",
        "objstore_bucket_operation_failures_total{operation=\"exists\",bucket=\"b\"} 0",
        // What was never done is there, too.
        "objstore_bucket_operations_total{operation=\"delete\",bucket=\"b\"} 0",
    ] {
        assert!(shown.contains(line), "{line} is not in:\n{shown}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let server = Faulty::start(|asked| match asked.before {
        0 => Reply::Torn("a part"),
        1 => Reply::HangUp,
        _ => Reply::ok("whole"),
    })
    .await;
    let bucket = server.bucket();
    assert_eq!(bucket.get("t/a").await.unwrap(), "whole");
    server.becomes(|_| Reply::Torn("a part"));
    let error = bucket.get("t/a").await.unwrap_err();
    check(
        &error,
        Operation::Get,
        ErrorKind::Unavailable,
        &["the answer broke off", "3 times"],
    );
}

#[tokio::test]
async fn an_object_that_is_too_short_is_not_asked_for_again() {
    let server = Faulty::start(|_| {
        let reply = Reply::status(206, "0123456789").with("content-range", "bytes 90-99/100");
        reply
            .with("etag", "\"1\"")
            .with("last-modified", "Thu, 26 Nov 2026 12:00:00 GMT")
    })
    .await;
    let error = server.bucket().get_range("t/a", 90..120).await.unwrap_err();
    check(
        &error,
        Operation::GetRanges,
        ErrorKind::Truncated,
        &["it has 100 bytes, and 90 to 120 were asked for"],
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let server = Faulty::start(|_| Reply::ok("")).await;
    let config = server.config();
    let url = server.url();
    drop(server);
    let bucket = open(&config, &Environment::of([]), &Metrics::default());
    let error = bucket.get("t/a").await.unwrap_err();
    let expected = [
        url.as_str(),
        "Connection refused",
        "3 times",
        "see whether `storage.s3.endpoint` is right",
    ];
    check(&error, Operation::Get, ErrorKind::Unavailable, &expected);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = Faulty::start(|_| Reply::Silence).await;
    let silence = Duration::from_millis(50);
    let bucket = server.bucket().with_retries(Retries { silence, ..quick() });
    let error = bucket.get("t/a").await.unwrap_err();
    check(
        &error,
        Operation::Get,
        ErrorKind::Unavailable,
        &["no answer within 50ms", "3 times"],
    );
    // All tries together are bounded, too.
    let within = Duration::from_millis(50);
    let bucket = server.bucket().with_retries(Retries { within, ..quick() });
    let error = bucket.put("t/a", Bytes::new()).await.unwrap_err();
    check(
        &error,
        Operation::Put,
        ErrorKind::Unavailable,
        &["not done after 50ms"],
    );
}

#[tokio::test]
async fn keys_of_a_session_that_ended_say_so() {
    let server =
        Faulty::start(|_| Reply::refusal(400, "ExpiredToken", "The provided token has expired."))
            .await;
    let mut config = server.config();
    config.s3.session_token = "token".into();
    let bucket = open(&config, &Environment::of([]), &Metrics::default());
    let error = bucket.get("t/a").await.unwrap_err();
    let expected = [
        "ExpiredToken (400 Bad Request)",
        "give lasting ones, a web identity, or a role, and restart",
    ];
    check(
        &error,
        Operation::Get,
        ErrorKind::PermissionDenied,
        &expected,
    );
    assert_eq!(server.asked()[0].header("x-amz-security-token"), "token");
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_says_what_to_do() {
    let server = Faulty::start_encrypted(|_| Reply::ok("{}")).await;
    let error = server.bucket().get("t/a").await.unwrap_err();
    check(
        &error,
        Operation::Get,
        ErrorKind::Misconfigured,
        &["certificate", "SSL_CERT_FILE"],
    );
    assert_eq!(error.tries(), 1);
    let mut config = server.config();
    config.s3.http.insecure_skip_verify = true;
    let bucket = open(&config, &Environment::of([]), &Metrics::default());
    assert_eq!(bucket.get("t/a").await.unwrap(), "{}");
}

#[tokio::test]
async fn encryption_by_the_server_is_asked_for() {
    let server = Faulty::start(|_| Reply::ok("")).await;
    let mut config = server.config();
    for (kind, key, expected) in [
        ("SSE-S3", "", "AES256"),
        ("SSE-KMS", "arn:key", "aws:kms"),
        ("", "", ""),
    ] {
        config.s3.sse.kind = kind.to_owned();
        config.s3.sse.kms_key_id = key.to_owned();
        let bucket = open(&config, &Environment::of([]), &Metrics::default());
        bucket.put("t/a", Bytes::new()).await.unwrap();
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.header("x-amz-server-side-encryption"), expected);
        assert_eq!(
            asked.header("x-amz-server-side-encryption-aws-kms-key-id"),
            key
        );
    }
}

#[tokio::test]
async fn the_name_of_the_bucket_goes_where_it_is_told() {
    let server = Faulty::start(|_| Reply::ok("{}")).await;
    let mut config = server.config();
    config.prefix = "p".to_owned();
    let bucket = open(&config, &Environment::of([]), &Metrics::default());
    bucket.get("t/a").await.unwrap();
    assert_eq!(server.asked()[0].line(), "GET /b/p/t/a");
    config.s3.endpoint = server.url().replace("127.0.0.1", "localhost");
    config.s3.bucket_lookup_type = "virtual-hosted-style".parse().unwrap();
    let bucket = open(&config, &Environment::of([]), &Metrics::default());
    // Names below localhost are this machine, where the system's resolver knows that.
    if bucket.get("t/a").await.is_ok() {
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.line(), "GET /p/t/a");
        assert!(asked.header("host").starts_with("b.localhost"));
    }
}
