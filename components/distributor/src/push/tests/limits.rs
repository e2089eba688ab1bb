//! What is too large, too old or broken.

use std::time::Duration;

use phlare_model::ErrorKind;
use phlare_tenancy::Limits;
use prost::Message;

use super::S;
use crate::testing::*;

#[tokio::test]
async fn a_large_profile_passes_again_and_again_on_an_idle_server() {
    let bench = bench_with(
        Limits {
            ingestion_burst_size_mb: 0.0,
            ..Limits::default()
        },
        NOW,
    );
    let large = profile().sample(&[&"f".repeat(3 << 20)], &[1]).build();
    for _ in 0..5 {
        bench.push(vec![cpu(&[&large])]).await.unwrap();
        bench.clock.advance(Duration::from_secs(10));
    }
    bench.push(vec![cpu(&[&large])]).await.unwrap();
    let status = bench.push(vec![cpu(&[&large])]).await.unwrap_err();
    assert_eq!(status.kind, ErrorKind::ResourceExhausted);
    assert!(
        status
            .retry_after
            .is_some_and(|after| after < Duration::from_secs(2)),
        "{status:?}"
    );
    assert!(
        status.message.contains("`ingestion_rate_mb`"),
        "{}",
        status.message
    );
}

#[tokio::test]
async fn a_bomb_is_refused_while_it_is_inflated() {
    let bench = bench();
    let bomb = gzip(&vec![0; 64 << 20]);
    let status = bench.push(vec![cpu(&[&bomb])]).await.unwrap_err();
    assert_eq!(status.kind, ErrorKind::InvalidArgument);
    assert!(
        status.message.contains("max_profile_size_bytes"),
        "{}",
        status.message
    );
    assert_eq!(
        bench
            .metric(r#"pyroscope_discarded_samples_total{reason="profile_size_limit",tenant="t"}"#),
        1
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_whole() {
    let limits = Limits {
        ingestion_body_limit_mb: 1.0,
        ingestion_rate_mb: 0.0,
        ..Limits::default()
    };
    let bench = bench_with(limits, NOW);
    let large = gzip(&profile().sample(&[&"f".repeat(600 << 10)], &[1]).build());
    bench.push(vec![cpu(&[&large])]).await.unwrap();
    let status = bench.push(vec![cpu(&[&large, &large])]).await.unwrap_err();
    assert_eq!(status.kind, ErrorKind::InvalidArgument);
    assert!(
        status.message.contains("`ingestion_body_limit_mb`"),
        "{}",
        status.message
    );
    assert_eq!(bench.total(), 1);
    let discarded =
        r#"pyroscope_discarded_samples_total{reason="body_size_limit_exceeded",tenant="t"}"#;
    assert_eq!(bench.metric(discarded), 2);
}

#[tokio::test]
async fn a_lie_about_the_size_does_not_help() {
    let limits = Limits {
        ingestion_body_limit_mb: 1.0,
        ingestion_rate_mb: 0.0,
        ..Limits::default()
    };
    let bench = bench_with(limits, NOW);
    // Two members: the claim is that of the last.
    let raw = profile().sample(&[&"f".repeat(600 << 10)], &[1]).build();
    let liar = [gzip(&raw[..raw.len() - 1]), gzip(&raw[raw.len() - 1..])].concat();
    let status = bench.push(vec![cpu(&[&liar, &liar])]).await.unwrap_err();
    assert!(
        status.message.contains("`ingestion_body_limit_mb`"),
        "{}",
        status.message
    );
    assert_eq!(bench.total(), 1);
}

#[tokio::test]
async fn profiles_outside_of_the_window_are_named_and_the_others_stored() {
    let bench = bench();
    let at = |ns: i64| profile().time(ns).sample(&["a"], &[1]).build();
    let status = bench
        .push(vec![cpu(&[
            &at(2_300_000_000),
            &at(NOW),
            &at(NOW + 3600 * S),
        ])])
        .await
        .unwrap_err();
    assert_eq!(status.kind, ErrorKind::InvalidArgument);
    assert!(
        status
            .message
            .contains("sample 0: profile time 1970-01-01T00:00:02.3Z is outside"),
        "{}",
        status.message
    );
    assert!(
        status
            .message
            .contains("sample 2: profile time 2025-11-13T03:13:20Z is outside"),
        "{}",
        status.message
    );
    assert!(
        status
            .message
            .contains("after 2025-11-13T01:13:20Z and before 2025-11-13T02:23:20Z"),
        "{}",
        status.message
    );
    assert_eq!(bench.total(), 1);
    bench.push(vec![cpu(&[&at(0)])]).await.unwrap();
    assert_eq!(bench.stored()[1].time_ns, NOW);
}

#[tokio::test]
async fn broken_references_are_stored_or_named() {
    let bench = bench();
    let mut builder = profile().sample(&["a"], &[3]).sample(&["b"], &[4]);
    builder.0.mapping[0].id = 1000;
    builder.0.location[0].mapping_id = 0;
    builder.0.location[1].mapping_id = 2;
    bench.push(vec![cpu(&[&builder.build()])]).await.unwrap();
    assert_eq!(bench.total(), 7);
    assert!(bench.metric(r#"phlare_distributor_repairs_total{reason="unknown_mapping"}"#) > 0);

    let mut broken = profile().sample(&["a"], &[3]);
    broken.0.sample[0].location_id = vec![77];
    let status = bench.push(vec![cpu(&[&broken.build()])]).await.unwrap_err();
    assert_eq!(status.kind, ErrorKind::InvalidArgument);
    assert!(
        status.message.contains("location_id 77 in sample 0"),
        "{}",
        status.message
    );
    assert_eq!(bench.total(), 7);
}

#[tokio::test]
async fn strings_that_are_not_utf8_are_repaired() {
    let bench = bench();
    let raw = profile()
        .labelled(&["fun~~"], &[5], &[("key", "val~~")])
        .build();
    // Cut in the middle of an é.
    let broken: Vec<u8> = raw
        .iter()
        .map(|&byte| if byte == b'~' { 0xc3 } else { byte })
        .collect();
    assert!(phlare_proto::google::v1::Profile::decode(broken.as_slice()).is_err());
    bench.push(vec![cpu(&[&broken])]).await.unwrap();
    let stored = bench.stored();
    assert_eq!(stored[0].total, 5);
    assert!(
        stored[0].labels.contains("key=\"val\u{fffd}\u{fffd}\""),
        "{}",
        stored[0].labels
    );
    assert!(
        stored[0]
            .functions
            .iter()
            .any(|name| name == "fun\u{fffd}\u{fffd}"),
        "{:?}",
        stored[0].functions
    );
    assert_eq!(
        bench.metric(r#"phlare_distributor_repairs_total{reason="repaired_string"}"#),
        2
    );
}

#[tokio::test]
async fn negative_values_are_dropped_and_counted_and_the_others_kept() {
    let bench = bench();
    let negative = profile()
        .sample(&["a", "b"], &[10])
        .sample(&["a", "c"], &[-4])
        .sample(&["a", "d"], &[i64::MIN])
        .build();
    bench.push(vec![cpu(&[&negative])]).await.unwrap();
    assert_eq!(bench.total(), 10);
    assert_eq!(
        bench.metric(r#"phlare_distributor_repairs_total{reason="negative_value"}"#),
        2
    );
    let heap = typed(&[("alloc_objects", "count"), ("inuse_objects", "count")])
        .sample(&["a"], &[5, -1])
        .build();
    bench
        .push(vec![series(
            &[("__name__", "memory"), ("service_name", "s")],
            &[&heap],
        )])
        .await
        .unwrap();
    assert_eq!(bench.total(), 15);
}

fn many_stacks() -> Vec<u8> {
    // By hand: the builder looks names up, which takes too long for so many.
    let mut builder = typed(&[("goroutine", "count")]).sample(&["f"], &[1]);
    for i in 1..20_000_u64 {
        let mut location = builder.0.location[0].clone();
        location.id = i + 1;
        location.line[0].line = i64::try_from(i).unwrap();
        builder.0.location.push(location);
        let mut sample = builder.0.sample[0].clone();
        sample.location_id = vec![i + 1];
        builder.0.sample.push(sample);
    }
    builder.build()
}

#[tokio::test]
async fn a_profile_with_too_many_stacks_keeps_its_total() {
    let goroutines =
        |raw: &[u8]| series(&[("__name__", "goroutine"), ("service_name", "s")], &[raw]);
    let bench = bench();
    bench.push(vec![goroutines(&many_stacks())]).await.unwrap();
    let stored = bench.stored();
    assert_eq!(
        (stored[0].total, stored[0].samples <= 16_000),
        (20_000, true),
        "{}",
        stored[0].samples
    );
    assert!(bench.metric(r#"phlare_distributor_repairs_total{reason="folded_sample"}"#) >= 4_000);

    let bench = bench_with(
        Limits {
            refuse_profiles_over_samples_limit: true,
            ..Limits::default()
        },
        NOW,
    );
    let status = bench
        .push(vec![goroutines(&many_stacks())])
        .await
        .unwrap_err();
    assert!(
        status.message.contains("20000 samples, 16000 are allowed"),
        "{}",
        status.message
    );
    assert_eq!(
        bench.metric(r#"pyroscope_discarded_samples_total{reason="samples_limit",tenant="t"}"#),
        1
    );
}
