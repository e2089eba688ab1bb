mod limits;

use phlare_model::ErrorKind;
use phlare_tenancy::Limits;

use crate::testing::*;

const S: i64 = 1_000_000_000;

fn small() -> Vec<u8> {
    profile()
        .period("cpu", "nanoseconds")
        .sample(&["main", "work"], &[10])
        .build()
}

#[tokio::test]
async fn each_sample_type_is_a_series_and_all_share_an_id() {
    let bench = bench();
    let heap = typed(&[("alloc_space", "bytes"), ("inuse_space", "bytes")])
        .period("space", "bytes")
        .sample(&["main"], &[7, 5])
        .build();
    bench
        .push(vec![series(
            &[("service_name", "s"), ("__name__", "memory"), ("a", "b")],
            &[&heap],
        )])
        .await
        .unwrap();
    let labels = |kind: &str| {
        format!(
            r#"{{__name__="memory", __period_type__="space", __period_unit__="bytes", __profile_type__="memory:{kind}:bytes:space:bytes", __service_name__="s", __type__="{kind}", __unit__="bytes", a="b", service_name="s"}}"#
        )
    };
    assert_eq!(
        bench.shown(),
        [
            format!("{} 7", labels("alloc_space")),
            format!("{} 5", labels("inuse_space"))
        ]
    );
    let stored = bench.stored();
    assert_eq!(stored[0].id, stored[1].id);
    assert_eq!(stored[0].id.get_version_num(), 8);
    assert_eq!([stored[0].delta, stored[1].delta], [true, false]);
    assert_eq!(stored[0].tenant.as_str(), "t");
    assert_eq!(stored[0].time_ns, NOW);
}

#[tokio::test]
async fn a_push_that_is_repeated_has_its_ids_again() {
    let bench = bench();
    let profile = |value: i64, time_ns: i64| {
        let profile = profile().time(time_ns).sample(&["main"], &[value]);
        profile.build()
    };
    let pushes = [
        ("s", profile(1, NOW)),
        ("s", profile(1, NOW)),
        ("other", profile(1, NOW)),
        ("s", profile(2, NOW)),
        ("s", profile(1, NOW + 1)),
    ];
    for (service, profile) in &pushes {
        let labels = [("service_name", *service), ("__name__", "process_cpu")];
        bench.push(vec![series(&labels, &[profile])]).await.unwrap();
    }
    let ids: Vec<_> = bench.stored().iter().map(|row| row.id).collect();
    assert_eq!(ids[0], ids[1]);
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 4, "{ids:?}");
}

#[tokio::test]
async fn control_labels_are_consumed() {
    let bench = bench();
    let heap = typed(&[("alloc_space", "bytes")])
        .sample(&["main"], &[7])
        .build();
    let control = [
        ("service_name", "s"),
        ("__name__", "memory"),
        ("__delta__", "false"),
        ("__otel__", "true"),
    ];
    bench.push(vec![series(&control, &[&heap])]).await.unwrap();
    let stored = bench.stored();
    assert!(!stored[0].delta);
    assert!(
        !stored[0].labels.contains("__delta__") && !stored[0].labels.contains("__otel__"),
        "{}",
        stored[0].labels
    );
}

#[tokio::test]
async fn enforced_order_puts_type_and_service_first() {
    let bench = bench_with(
        Limits {
            enforce_labels_order: true,
            ..Limits::default()
        },
        NOW,
    );
    bench.push(vec![cpu(&[&small()])]).await.unwrap();
    let first = r#"{__profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds", __service_name__="s", __name__="#;
    assert!(bench.shown()[0].starts_with(first), "{:?}", bench.shown());
}

#[tokio::test]
async fn go_deltas_are_stored_under_their_short_name() {
    let bench = bench();
    let heap = typed(&[("alloc_space", "bytes")])
        .sample(&["main"], &[7])
        .build();
    bench
        .push(vec![series(
            &[("__name__", "godeltaprof_memory"), ("service_name", "s")],
            &[&heap],
        )])
        .await
        .unwrap();
    let stored = bench.stored();
    assert!(!stored[0].delta);
    assert!(
        stored[0]
            .labels
            .contains(r#"__profile_type__="memory:alloc_space:bytes::""#),
        "{}",
        stored[0].labels
    );
    assert!(
        stored[0]
            .labels
            .contains(r#"__name_replaced__="godeltaprof_memory""#),
        "{}",
        stored[0].labels
    );
}

#[tokio::test]
async fn samples_are_split_by_their_labels_and_the_series_wins() {
    let bench = bench();
    let labelled = profile()
        .labelled(&["a"], &[1], &[("span_name", "x")])
        .labelled(&["a"], &[2], &[("span_name", "y")])
        .labelled(&["a"], &[4], &[("service_name", "other")])
        .labelled(&["b"], &[8], &[("service_name", "third")])
        .sample(&["b"], &[16])
        .build();
    bench.push(vec![cpu(&[&labelled])]).await.unwrap();
    let mut stored = bench.stored();
    stored.sort_by_key(|row| row.total);
    let totals: Vec<i64> = stored.iter().map(|row| row.total).collect();
    assert_eq!(totals, [1, 2, 28], "{stored:?}");
    assert!(stored[0].labels.contains(r#"span_name="x""#));
    assert_eq!(stored[2].samples, 3);
    assert_ne!(stored[0].id, stored[1].id);
    assert!(
        stored
            .iter()
            .all(|row| row.labels.contains(r#"service_name="s""#))
    );
}

#[tokio::test]
async fn the_partition_is_named_after_the_program() {
    let bench = bench();
    let with_file = profile().file("/usr/bin/app").sample(&["a"], &[1]).build();
    let vdso = profile().file("[vdso]").sample(&["a"], &[1]).build();
    bench.push(vec![cpu(&[&with_file, &vdso])]).await.unwrap();
    let otel = series(
        &[
            ("__name__", "process_cpu"),
            ("service_name", "s"),
            ("__otel__", "true"),
        ],
        &[&with_file],
    );
    bench.push(vec![otel]).await.unwrap();
    let partitions: Vec<u64> = bench.stored().iter().map(|row| row.partition).collect();
    let hash = |text: &str| xxhash_rust::xxh64::xxh64(text.as_bytes(), 0);
    assert_eq!(partitions, [hash("app"), hash("s"), hash("s")]);
}

#[tokio::test]
async fn nothing_to_store_is_refused() {
    for series in [vec![], vec![cpu(&[])]] {
        let status = bench().push(series).await.unwrap_err();
        assert_eq!(
            (status.kind, status.message.as_str()),
            (ErrorKind::InvalidArgument, "no profiles received")
        );
    }
}

#[tokio::test]
async fn profiles_of_zeros_or_without_samples_are_accepted() {
    let bench = bench();
    let zeros = profile().sample(&["a"], &[0]).build();
    bench
        .push(vec![cpu(&[&zeros, &profile().build()])])
        .await
        .unwrap();
    assert!(bench.stored().is_empty());
}

#[tokio::test]
async fn good_profiles_are_stored_beside_bad_ones() {
    let bench = bench();
    let nameless = series(&[("service_name", "x")], &[&small()]);
    let status = bench
        .push(vec![cpu(&[&small(), b"hello"]), nameless])
        .await
        .unwrap_err();
    assert_eq!(status.kind, ErrorKind::InvalidArgument);
    assert!(
        status
            .message
            .starts_with("2 of 3 profiles were not stored"),
        "{}",
        status.message
    );
    assert!(
        status
            .message
            .contains("series 0, sample 1: profile is no pprof"),
        "{}",
        status.message
    );
    assert!(
        status.message.contains("series 1, sample 0: "),
        "{}",
        status.message
    );
    assert_eq!(bench.total(), 10);
    assert_eq!(
        bench.metric(r#"pyroscope_discarded_samples_total{reason="malformed_profile",tenant="t"}"#),
        1
    );
    assert_eq!(
        bench.metric(r#"pyroscope_discarded_bytes_total{reason="malformed_profile",tenant="t"}"#),
        5
    );
    assert_eq!(
        bench.metric(r#"pyroscope_discarded_samples_total{reason="invalid_labels",tenant="t"}"#),
        1
    );
    let received =
        r#"pyroscope_distributor_received_compressed_bytes_count{type="process_cpu",tenant="t"}"#;
    assert_eq!(bench.metric(received), 1);
}

#[tokio::test]
async fn equal_repeats_of_a_label_fold_and_unequal_ones_are_named() {
    let bench = bench();
    let twice = [
        ("__name__", "process_cpu"),
        ("service_name", "s"),
        ("service_name", "s"),
    ];
    bench.push(vec![series(&twice, &[&small()])]).await.unwrap();
    assert_eq!(bench.total(), 10);
    let unequal = [
        ("__name__", "process_cpu"),
        ("service_name", "s"),
        ("service_name", "t"),
    ];
    let status = bench
        .push(vec![series(&unequal, &[&small()])])
        .await
        .unwrap_err();
    assert_eq!(status.kind, ErrorKind::InvalidArgument);
    assert!(
        status
            .message
            .contains(r#"label "service_name" comes twice with different values: "s" and "t""#)
    );
}

async fn push_odd_labels(limits: Limits) -> Bench {
    let bench = bench_with(limits, NOW);
    let mut odd = profile()
        .labelled(&["a"], &[1], &[("process-description", "x")])
        .labelled(&["a"], &[1], &[("local root span id", "9")])
        .labelled(&["a"], &[1], &[("k8s.pod", "é")]);
    for i in 3..100 {
        odd = odd.sample(&["a", &format!("f{i}")], &[1]);
    }
    let labels = [
        ("__name__", "process_cpu"),
        ("service_name", "s"),
        ("otel.scope.name", "n"),
        ("otel.scope.version", "1"),
    ];
    bench
        .push(vec![series(&labels, &[&odd.build()])])
        .await
        .unwrap();
    assert_eq!(bench.total(), 100);
    bench
}

#[tokio::test]
async fn odd_label_names_never_cost_the_profile() {
    let bench = push_odd_labels(Limits::default()).await;
    let all = bench.shown().join("\n");
    for name in [
        "process-description=\"x\"",
        "local root span id=\"9\"",
        "k8s.pod=\"é\"",
        "otel.scope.name=\"n\"",
    ] {
        assert!(all.contains(name), "{name} in {all}");
    }
    let bench = push_odd_labels(Limits {
        disable_label_sanitization: false,
        ..Limits::default()
    })
    .await;
    let all = bench.shown().join("\n");
    for name in [
        "process_description=\"x\"",
        "local_root_span_id=\"9\"",
        "k8s_pod=\"é\"",
        "otel_scope_name=\"n\"",
    ] {
        assert!(all.contains(name), "{name} in {all}");
    }
    // Two on each of four series, and one more on three of them.
    assert_eq!(
        bench.metric(r#"pyroscope_sanitized_label_names_total{tenant="t"}"#),
        11
    );
}

#[tokio::test]
async fn sample_types_may_be_dropped_by_rule() {
    let rules = r#"[{"action": "keep", "source_labels": ["__type__"], "regex": "inuse_.*"}]"#;
    let limits = Limits {
        sample_type_relabeling_rules: rules.parse().unwrap(),
        ..Limits::default()
    };
    let bench = bench_with(limits, NOW);
    let heap = typed(&[("alloc_space", "bytes"), ("inuse_space", "bytes")])
        .sample(&["a"], &[7, 5])
        .build();
    bench
        .push(vec![series(
            &[("__name__", "memory"), ("service_name", "s")],
            &[&heap],
        )])
        .await
        .unwrap();
    assert_eq!(bench.total(), 5);
}

#[tokio::test]
async fn dropped_series_are_counted_and_not_an_error() {
    let rules = r#"[{"action": "drop", "source_labels": ["service_name"], "regex": "s"}]"#;
    let limits = Limits {
        ingestion_relabeling_rules: rules.parse().unwrap(),
        ..Limits::default()
    };
    let bench = bench_with(limits, NOW);
    bench.push(vec![cpu(&[&small()])]).await.unwrap();
    assert!(bench.stored().is_empty());
    let discarded =
        r#"pyroscope_discarded_samples_total{reason="dropped_by_relabel_rules",tenant="t"}"#;
    assert_eq!(bench.metric(discarded), 1);
}

#[tokio::test]
async fn what_is_not_durable_is_not_acknowledged() {
    for (fate, kind, text) in [
        (
            Fate::Refused,
            ErrorKind::ResourceExhausted,
            "Maximum active series limit exceeded",
        ),
        (Fate::LogFails, ErrorKind::Unavailable, "the disk is full"),
        (
            Fate::NeverDurable,
            ErrorKind::Unavailable,
            "`-distributor.push.timeout`",
        ),
    ] {
        let bench = bench();
        *bench.recorder.fate.lock() = fate;
        let status = bench.push(vec![cpu(&[&small()])]).await.unwrap_err();
        assert_eq!(status.kind, kind, "{fate:?}");
        assert!(status.message.contains(text), "{}", status.message);
    }
}

#[tokio::test]
async fn many_profiles_are_spread_over_threads_and_all_arrive() {
    let bench = bench_with(
        Limits {
            ingestion_rate_mb: 0.0,
            ..Limits::default()
        },
        NOW,
    );
    let large = profile().sample(&[&"f".repeat(64 << 10)], &[1]).build();
    let profiles: Vec<&[u8]> = (0..33).map(|_| large.as_slice()).collect();
    bench
        .push(vec![cpu(&profiles), cpu(&profiles)])
        .await
        .unwrap();
    assert_eq!(bench.total(), 66);
}
