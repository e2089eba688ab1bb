use clap::{Args, Command, FromArgMatches};

use super::*;

fn with_flags(flags: &[&str]) -> Config {
    let mut config = Config::default();
    let command = Config::augment_args_for_update(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(flags).unwrap();
    config.update_from_arg_matches(&matches).unwrap();
    config
}

#[track_caller]
fn refused(flags: &[&str], expected: &str) {
    let error = with_flags(flags).validate().unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn defaults_hold_and_survive_a_round_trip() {
    let config = Config::default();
    config.validate().unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
}

#[test]
fn flags_are_upstreams() {
    let config = with_flags(&[
        "--storage.backend=s3",
        "--storage.prefix=a/b",
        "--storage.s3.endpoint=minio:9000",
        "--storage.s3.bucket-name=profiles",
        "--storage.s3.access-key-id=id",
        "--storage.s3.secret-access-key=hush",
        "--storage.s3.insecure",
        "--storage.s3.bucket-lookup-type=path-style",
        "--storage.s3.sse.type=SSE-S3",
        "--storage.s3.http.response-header-timeout=1m",
        "--storage.s3.max-idle-connections-per-host=7",
    ]);
    config.validate().unwrap();
    assert_eq!(config.backend, Backend::S3);
    assert_eq!(config.s3.secret_access_key.expose(), "hush");
    assert_eq!(config.s3.bucket_lookup_type, Lookup::PathStyle);
    assert_eq!(config.s3.http.max_idle_connections_per_host, 7);
    assert!(config.s3.insecure);
}

#[test]
fn yaml_keys_are_upstreams() {
    let text = r#"{
        "backend": "s3",
        "prefix": "p",
        "s3": {
            "bucket_name": "b", "endpoint": "e", "region": "r", "access_key_id": "i", "secret_access_key": "k",
            "insecure": true, "bucket_lookup_type": "virtual-hosted-style", "signature_version": "v4",
            "native_aws_auth_enabled": true, "sse": {"type": "SSE-KMS", "kms_key_id": "q"},
            "http": {"insecure_skip_verify": true, "response_header_timeout": "2m", "max_idle_connections_per_host": 3}
        },
        "filesystem": {"dir": "d"}
    }"#;
    let config: Config = serde_json::from_str(text).unwrap();
    config.validate().unwrap();
    assert_eq!(config.s3.sse.kms_key_id, "q");
    assert!(serde_json::from_str::<Config>(r#"{"s4": {}}"#).is_err());
}

#[test]
fn secrets_are_shown_nowhere() {
    let config = with_flags(&[
        "--storage.s3.secret-access-key=hush-1",
        "--storage.s3.session-token=hush-2",
    ]);
    let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
    assert!(shown.contains("********"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
    // Even when they are refused.
    let error = serde_json::from_str::<S3Config>(r#"{"secret_access_key": 4711}"#).unwrap_err();
    assert!(!error.to_string().contains("4711"), "{error}");
    assert!(error.to_string().contains("quotes"), "{error}");
}

#[test]
fn settings_that_cannot_hold_are_named() {
    refused(&["--storage.prefix=a b"], "`storage.prefix`");
    refused(&["--storage.prefix=a/../b"], "`storage.prefix`");
    refused(&["--storage.prefix=a//b"], "`storage.prefix`");
    let nowhere: Config = serde_json::from_str(r#"{"filesystem": {"dir": ""}}"#).unwrap();
    let error = nowhere.validate().unwrap_err().to_string();
    assert!(error.contains("`storage.filesystem.dir`"), "{error}");
    let s3 = |flag| ["--storage.backend=s3", "--storage.s3.bucket-name=b", flag];
    refused(&["--storage.backend=s3"], "`storage.s3.bucket_name`");
    refused(
        &s3("--storage.s3.access-key-id=id"),
        "`storage.s3.access_key_id`",
    );
    refused(
        &s3("--storage.s3.signature-version=v2"),
        "`storage.s3.signature_version`",
    );
    refused(&s3("--storage.s3.sse.type=SSE-C"), "`storage.s3.sse.type`");
    refused(
        &s3("--storage.s3.sse.kms-key-id=k"),
        "`storage.s3.sse.kms_key_id`",
    );
    refused(
        &s3("--storage.s3.endpoint=ftp://x"),
        "`storage.s3.endpoint`",
    );
    refused(
        &s3("--storage.s3.http.response-header-timeout=0s"),
        "response_header_timeout",
    );
}

#[test]
fn an_unknown_store_is_refused_with_those_that_exist() {
    let error = "cos".parse::<Backend>().unwrap_err();
    assert!(
        error.contains("`cos`") && error.contains("filesystem, s3, gcs, azure, swift"),
        "{error}"
    );
}

#[test]
fn line_breaks_around_secrets_are_none_of_them() {
    let config: S3Config =
        serde_json::from_str(r#"{"secret_access_key": "hush\n", "session_token": " token\r\n"}"#)
            .unwrap();
    assert_eq!(config.secret_access_key.expose(), "hush");
    assert_eq!(config.session_token.expose(), "token");
    assert_eq!("hush \n".parse(), Ok(Secret::from("hush")));
}
