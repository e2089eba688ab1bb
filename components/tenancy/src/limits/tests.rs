use clap::{Args, Command, FromArgMatches};

use super::*;

fn from_flags(mut limits: Limits, flags: &[&str]) -> Result<Limits, clap::Error> {
    let command = Limits::augment_args_for_update(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(flags)?;
    limits.update_from_arg_matches(&matches)?;
    Ok(limits)
}

#[test]
fn defaults_hold_and_survive_a_round_trip() {
    let limits = Limits::default();
    assert_eq!(limits.validate(), Ok(()));
    let text = serde_json::to_string(&limits).unwrap();
    assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
}

#[test]
fn what_is_not_named_keeps_its_default() {
    let limits: Limits =
        serde_json::from_str(r#"{"max_query_lookback":"2d","ingestion_rate_mb":1}"#).unwrap();
    let expected = Limits {
        max_query_lookback: Duration::from_secs(2 * 86_400),
        ingestion_rate_mb: 1.0,
        ..Limits::default()
    };
    assert_eq!(limits, expected);
}

#[test]
fn an_unknown_key_is_refused() {
    let error = serde_json::from_str::<Limits>(r#"{"ingestion_rate":1}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("ingestion_rate_mb"), "{error}");
}

#[test]
fn flags_override_what_was_there() {
    let before = Limits {
        max_label_names_per_series: 7,
        ..Limits::default()
    };
    let after = from_flags(
        before,
        &[
            "--validation.reject-older-than=1w",
            "--validation.enforce-labels-order",
            "--validation.disable-label-sanitization=F",
            "--distributor.ingestion-relabeling-default-rules-position=last",
            r#"--distributor.ingestion-relabeling-rules=[{"action":"labeldrop","regex":"pod"}]"#,
        ],
    )
    .unwrap();
    assert_eq!(after.max_label_names_per_series, 7);
    assert_eq!(after.reject_older_than, Duration::from_secs(7 * 86_400));
    assert!(after.enforce_labels_order);
    assert!(!after.disable_label_sanitization);
    assert_eq!(
        after.ingestion_relabeling_default_rules_position,
        RulesPosition::Last
    );
    assert_eq!(after.ingestion_relabeling_rules.len(), 1);
}

#[test]
fn a_bad_rule_in_a_flag_says_what_is_wrong() {
    let flag =
        r#"--distributor.ingestion-relabeling-rules=[{"action":"hashmod","target_label":"x"}]"#;
    let error = from_flags(Limits::default(), &[flag])
        .unwrap_err()
        .to_string();
    assert!(error.contains("modulus"), "{error}");
}

#[test]
fn the_burst_lets_the_largest_allowed_profile_pass() {
    for burst in [0.0, 2.0] {
        let limits = Limits {
            ingestion_burst_size_mb: burst,
            ..Limits::default()
        };
        assert_eq!(limits.validate(), Ok(()));
        assert!(limits.ingestion_burst_bytes() > limits.max_profile_size_bytes as f64);
    }
    let limits = Limits {
        ingestion_burst_size_mb: 16.0,
        ..Limits::default()
    };
    assert_eq!(limits.ingestion_burst_bytes(), 16.0 * MIB);
}

#[test]
fn limits_that_cannot_hold_are_named() {
    let check = |limits: Limits, expected: &str| {
        let error = limits.validate().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let ok = Limits::default;
    check(
        Limits {
            ingestion_rate_mb: -1.0,
            ..ok()
        },
        "`ingestion_rate_mb` is -1",
    );
    check(
        Limits {
            ingestion_burst_size_mb: f64::NAN,
            ..ok()
        },
        "`ingestion_burst_size_mb` is NaN",
    );
    check(
        Limits {
            max_label_names_per_series: 0,
            ..ok()
        },
        "`max_label_names_per_series` is 0",
    );
    check(
        Limits {
            max_flamegraph_nodes_default: -1,
            ..ok()
        },
        "`max_flamegraph_nodes_default` is -1",
    );
    check(
        Limits {
            max_flamegraph_nodes_max: 10,
            ..ok()
        },
        "above `max_flamegraph_nodes_max` (10)",
    );
    check(
        Limits {
            ingestion_body_limit_mb: 1.0,
            ..ok()
        },
        "below `max_profile_size_bytes`",
    );
}

#[test]
fn zero_turns_a_size_limit_off() {
    let limits = Limits {
        ingestion_rate_mb: 0.0,
        ingestion_body_limit_mb: 0.0,
        ..Limits::default()
    };
    assert_eq!(limits.validate(), Ok(()));
    assert_eq!(limits.ingestion_rate_bytes(), None);
    assert_eq!(limits.ingestion_body_limit_bytes(), None);
}
