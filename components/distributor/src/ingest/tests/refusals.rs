//! What is refused, and what the answer says.

use axum::body::Body;
use axum::extract::Request;
use phlare_tenancy::Limits;
use tower::ServiceExt;

use super::{FORM, RAW, form, post, small};
use crate::testing::{NOW, bench, bench_with, gzip, profile, typed};

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
    let cut = gzip(&small());
    check_refusal(
        post(
            &bench,
            "name=a&format=pprof",
            RAW,
            cut[..cut.len() - 9].to_vec(),
        )
        .await,
        422,
        "damaged gzip",
    );
    check_refusal(
        post(&bench, "name=a&format=jfr", RAW, "FLR\0").await,
        422,
        "byte 4: the version expected",
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
    let bomb = gzip(&vec![0; 64 << 20]);
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
