use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Where secrets stand in what people send each other; `@` is the secret.
const PLACES: [&str; 19] = [
    "secret_access_key: @",
    "secret_access_key: \"@\"",
    "    sas-token: '@'",
    "{\"password\":\"@\"}",
    "{\"data\": \"{\\\"password\\\": \\\"@\\\"}\"}",
    "args: -storage.s3.secret-access-key=@",
    "level=error msg=\"login failed\" token=@ user=me",
    "https://someone:@@profiles.example/push",
    "GET https://bucket.example/a?X-Amz-Signature=@&x=1",
    "https://account.blob.core.windows.net/c?sig=@",
    "Authorization: Bearer @",
    "authorization: Basic @",
    "-----BEGIN PRIVATE KEY-----\n@\n-----END PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\n@",
    "client_secret = @",
    "PHLARE_TOKEN=@",
    "password: |\n  @\n  more\nuser: me",
    "tokens_and_passwords: [@, other]",
    "env=\"-a=1 -b.token=@\"",
];

fn secret() -> impl Strategy<Value = String> {
    // Letters that need no quotes anywhere; a digit at the end, so that it is no word of the places.
    "[A-Za-z0-9][A-Za-z0-9]{10,50}[0-9]"
}

proptest! {
    #[test]
    fn secrets_are_nowhere_in_what_is_passed_on(secret in secret(), place in 0..PLACES.len(), before in "[ -~\n]{0,40}", after in "[ -~\n]{0,40}") {
        let line = PLACES[place].replacen('@', "\u{1}", 1).replace('\u{1}', &secret);
        // The URL has a second one, which is no place.
        let given = format!("{before}\n{line}\n{after}");
        let passed_on = text(&given);
        prop_assert!(!passed_on.contains(&secret), "{passed_on}");
    }

    #[test]
    fn what_was_redacted_stays_as_it_is(secret in secret(), place in 0..PLACES.len()) {
        let once = text(&PLACES[place].replacen('@', &secret, 1));
        prop_assert_eq!(text(&once), once);
    }

    #[test]
    fn any_text_is_taken(given in "\\PC{0,200}") {
        let _ = text(&given);
    }

    #[test]
    fn values_of_variables_are_nowhere_in_objects(secret in secret(), name in "[A-Z][A-Z_]{3,12}") {
        prop_assume!(!PLAIN_VARIABLES.contains(&name.as_str()));
        let mut pod = json!({"spec": {"containers": [{"name": "phlare", "env": [{"name": name, "value": secret}]}]}});
        object(&mut pod);
        prop_assert!(!pod.to_string().contains(&secret));
    }
}

#[test]
fn what_helps_stays() {
    for line in [
        "2026-11-27T00:00:00Z level=warn msg=\"upload failed\" tenant=anonymous block=01HZXK3V7Q8J5T6Y9N2M4P0RAB error=\"403 Forbidden\"",
        "image: phlare/phlare@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "num_tokens: 128",
        "secretName: prod-bucket",
        "credentialsSecretRef: {name: prod-bucket}",
        "secret_access_key: ${PHLARE_S3_SECRET_ACCESS_KEY}",
        "token_file: /etc/phlare/token",
        "pyroscope_ring_tokens_total{name=\"ingester\"} 128",
        "automountServiceAccountToken: false",
        "endpoint: https://s3.eu-west-1.amazonaws.com",
        "url: http://prod.obs:4040/ring?forget=prod-ingester-a-0",
        "phlare_querier_query_duration_seconds_bucket{operation=\"select_merge_stacktraces\",le=\"0.5\"} 7",
    ] {
        assert_eq!(text(line), line);
    }
}

#[test]
fn objects_keep_names_of_secrets_and_lose_the_rest() {
    let mut given = json!({
        "metadata": {
            "managedFields": [{"manager": "x"}],
            "annotations": {
                COPIES: "{\"spec\":{\"token\":\"abc\"}}",
                "example.com/api-token": "abc",
                "webhook": "https://hooks.example/x?token=abcdef",
                "owner": "team-a",
            },
        },
        "spec": {
            "volumes": [{"name": "login", "secret": {"secretName": "prod-bucket"}}],
            "containers": [{"name": "phlare", "args": ["-target=all", "-x.secret-key=abcdefgh"], "env": [
                {"name": "PHLARE_S3_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "prod-bucket", "key": "secret_access_key"}}},
                {"name": "HTTP_PROXY", "value": "http://me:pass@proxy:3128"},
                {"name": "RUST_LOG", "value": "debug"},
                {"name": "ANYTHING", "value": "at all"},
            ]}],
        },
        "secureJsonData": {"httpHeaderValue1": "team-a"},
    });
    object(&mut given);
    assert_eq!(
        given,
        json!({
            "metadata": {"annotations": {
                "example.com/api-token": REDACTED,
                "webhook": "https://hooks.example/x?token=[redacted]",
                "owner": "team-a",
            }},
            "spec": {
                "volumes": [{"name": "login", "secret": {"secretName": "prod-bucket"}}],
                "containers": [{"name": "phlare", "args": ["-target=all", "-x.secret-key=[redacted]"], "env": [
                    {"name": "PHLARE_S3_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "prod-bucket", "key": "secret_access_key"}}},
                    {"name": "HTTP_PROXY", "value": REDACTED},
                    {"name": "RUST_LOG", "value": "debug"},
                    {"name": "ANYTHING", "value": REDACTED},
                ]}],
            },
            "secureJsonData": {"httpHeaderValue1": REDACTED},
        })
    );
}

#[test]
fn all_patterns_compile() {
    assert_eq!(PATTERNS.len(), 8);
    assert!(NAMES.is_some() && VALUE.is_some() && WORDS_OF_KEYS.is_some());
}
