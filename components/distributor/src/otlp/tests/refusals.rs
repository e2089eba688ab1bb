//! Requests that are refused, in whole or in part.

use super::*;

#[tokio::test]
async fn other_content_types_are_refused_in_plain_text() {
    let bench = bench();
    for content_type in [
        "text/plain",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/grpc",
    ] {
        let answer = send(&bench, to(content_type), one().encode_to_vec()).await;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (415, "text/plain; charset=utf-8"),
            "{content_type}"
        );
        assert!(answer.text().contains(content_type), "{}", answer.text());
    }
    let none = Request::builder()
        .method("POST")
        .uri(PATH)
        .header("X-Scope-OrgID", "t");
    assert_eq!(send(&bench, none, "").await.status, 415);
    assert_eq!(
        send(&bench, to(PROTOBUF).method("GET"), "").await.status,
        405
    );
    assert_eq!(bench.total(), 0);
}

#[tokio::test]
async fn a_request_without_a_tenant_is_refused_in_json() {
    let request = Request::builder()
        .method("POST")
        .uri(PATH)
        .header(CONTENT_TYPE, PROTOBUF);
    let answer = send(&bench(), request, one().encode_to_vec()).await;
    assert_eq!(
        (answer.status, answer.content_type.as_str()),
        (401, "application/json")
    );
    assert!(
        answer.text().contains(r#""code":"unauthenticated""#),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn damaged_requests_are_refused_and_counted() {
    let bench = bench();
    let plain = one().encode_to_vec();
    let check = async |request: http::request::Builder, body: Vec<u8>, reason: &str| {
        let answer = send(&bench, request, body).await;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (400, "text/plain; charset=utf-8")
        );
        assert!(answer.text().contains(reason), "{}", answer.text());
    };
    check(
        to(PROTOBUF),
        plain[..plain.len() - 3].to_vec(),
        "is no ExportProfilesServiceRequest as protobuf",
    )
    .await;
    check(
        to("application/json"),
        b"{".to_vec(),
        "is no ExportProfilesServiceRequest as JSON",
    )
    .await;
    check(
        to(PROTOBUF),
        Vec::new(),
        "the request has no `resource_profiles`",
    )
    .await;
    check(
        to("application/json"),
        b"{}".to_vec(),
        "the request has no `resource_profiles`",
    )
    .await;
    let no_dictionary = ExportProfilesServiceRequest {
        dictionary: None,
        ..one()
    };
    check(
        to(PROTOBUF),
        no_dictionary.encode_to_vec(),
        "the request has no `dictionary`",
    )
    .await;
    assert_eq!(
        bench.metric(r#"pyroscope_discarded_samples_total{reason="malformed_profile",tenant="t"}"#),
        5
    );
    check(
        to(PROTOBUF).header("Content-Encoding", "gzip"),
        b"no gzip".to_vec(),
        "gzip",
    )
    .await;
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused() {
    let limits = Limits {
        ingestion_body_limit_mb: 0.01,
        max_profile_size_bytes: 1 << 10,
        ..Limits::default()
    };
    let bench = bench_with(limits, NOW);
    let large = vec![0; 11 << 10];
    for (request, body) in [
        (to(PROTOBUF), large.clone()),
        (
            to(PROTOBUF).header("Content-Encoding", "gzip"),
            gzip(&large),
        ),
    ] {
        let answer = send(&bench, request, body).await;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (413, "text/plain; charset=utf-8")
        );
        assert!(
            answer.text().contains("`ingestion_body_limit_mb`"),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn times_outside_of_the_window_are_named_and_the_rest_is_stored() {
    let bench = bench();
    let times = [2_300_000_000, NOW, NOW + 3600 * S];
    let (rejected, message) = post_request(&bench, &request(&["s"], &times.map(profile)))
        .await
        .partial();
    assert_eq!(rejected, 2);
    for expected in [
        "2 of 3 profiles were not stored completely",
        "resource 0, scope 0, profile 0: profile time 1970-01-01T00:00:02.3Z is outside",
        "resource 0, scope 0, profile 2: profile time 2025-11-13T03:13:20Z is outside",
        "after 2025-11-13T01:13:20Z and before 2025-11-13T02:23:20Z",
    ] {
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(bench.stored().len(), 1);
    assert_eq!(
        bench.metric(
            r#"pyroscope_discarded_samples_total{reason="not_in_ingestion_window",tenant="t"}"#
        ),
        2
    );
}

#[tokio::test]
async fn a_client_of_the_previous_version_is_told_so() {
    let bench = bench();
    let mut request = real();
    let scopes = request
        .resource_profiles
        .iter_mut()
        .flat_map(|resource| &mut resource.scope_profiles);
    for sample in scopes
        .flat_map(|scope| &mut scope.profiles)
        .flat_map(|profile| &mut profile.samples)
    {
        sample.attribute_indices = sample.values.drain(..).map(|value| value as i32).collect();
    }
    let (rejected, message) = post_request(&bench, &request).await.partial();
    assert_eq!(rejected, 77);
    assert!(
        message.contains("opentelemetry-proto v1.10.0") && message.contains("and 67 more"),
        "{message}"
    );
    assert_eq!(
        bench.metric(
            r#"pyroscope_discarded_samples_total{reason="otlp_broken_reference",tenant="t"}"#
        ),
        77
    );
}

#[tokio::test]
async fn samples_without_values_are_refused_and_counted() {
    let bench = bench();
    let mut empty = profile(NOW);
    empty.samples[0].values.clear();
    let answer = post_request(&bench, &request(&["s"], &[empty])).await;
    assert_eq!((answer.status, bench.total()), (400, 0));
    assert!(
        answer
            .text()
            .contains("sample 0 has neither `values` nor `timestamps_unix_nano`"),
        "{}",
        answer.text()
    );
    assert_eq!(
        bench.metric(
            r#"pyroscope_discarded_samples_total{reason="otlp_sample_without_values",tenant="t"}"#
        ),
        1
    );
}

#[tokio::test]
async fn a_request_of_which_nothing_is_stored_fails_with_the_kind_of_the_failure() {
    let check = async |fate: Fate, expected: u16| {
        let bench = bench();
        *bench.recorder.fate.lock() = fate;
        let broken = proto::Profile {
            period: 0,
            ..profile(NOW)
        };
        let answer = post_request(&bench, &request(&["s"], &[broken, profile(NOW)])).await;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (expected, "text/plain; charset=utf-8"),
            "{fate:?}"
        );
        assert!(
            answer.text().contains("2 of 2 profiles were not stored"),
            "{}",
            answer.text()
        );
    };
    check(Fate::Refused, 429).await;
    check(Fate::LogFails, 503).await;
    check(Fate::NeverDurable, 503).await;
}

#[tokio::test]
async fn a_series_that_is_refused_costs_no_other() {
    let bench = bench();
    let mut unnamed = profile(NOW);
    unnamed.period_type = None;
    let (rejected, message) = post_request(&bench, &request(&["a", "b"], &[profile(NOW), unnamed]))
        .await
        .partial();
    assert_eq!((rejected, bench.stored().len()), (2, 2));
    assert!(
        message.contains("resource 1, scope 0, profile 1: series {"),
        "{message}"
    );
}
