use std::fs;

use phlare_model::TenantId;
use prometheus_client::encoding::text::encode;
use proptest::prelude::*;

use super::*;
use crate::yaml;

fn source(text: &str) -> Source {
    Source {
        name: "overrides.yaml".to_owned(),
        text: text.to_owned(),
    }
}

fn limits(texts: &[&str], tenant: &str) -> Limits {
    let sources: Vec<_> = texts.iter().map(|text| source(text)).collect();
    let tenants = document::read(&sources, &Limits::default()).unwrap();
    let limits = tenants.get(&TenantId::parse(tenant).unwrap());
    limits.map_or_else(Limits::default, |limits| (**limits).clone())
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let error = document::read(&[source(text)], &Limits::default()).unwrap_err();
    let message = error.to_string();
    for part in expected {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn what_is_not_named_is_as_in_limits() {
    let expected = Limits {
        compactor_blocks_retention_period: Duration::from_secs(48 * 3600),
        ..Limits::default()
    };
    let text = "overrides: {t1: {compactor_blocks_retention_period: 48h}}";
    assert_eq!(limits(&[text], "t1"), expected);
    assert_eq!(limits(&[text], "t2"), Limits::default());
    let nothing = "overrides:\n  t1:\n  t2:\n    ingestion_rate_mb:\n";
    assert_eq!(limits(&[nothing], "t1"), Limits::default());
    assert_eq!(limits(&[nothing], "t2"), Limits::default());
    for empty in ["", "# nothing\n", "overrides:\n", "overrides: {}\n"] {
        assert_eq!(limits(&[empty], "t1"), Limits::default(), "{empty:?}");
    }
}

#[test]
fn names_of_tenants_are_texts() {
    let text = "overrides:\n  007: {ingestion_rate_mb: 7}\n  true: {ingestion_rate_mb: 8}\n";
    assert!((limits(&[text], "007").ingestion_rate_mb - 7.0).abs() < f64::EPSILON);
    assert!((limits(&[text], "true").ingestion_rate_mb - 8.0).abs() < f64::EPSILON);
}

#[test]
fn later_files_win_limit_by_limit() {
    let first = "overrides:\n  a: {ingestion_rate_mb: 1, max_query_length: 2h}\n  b: &b {push_max_concurrency: 3}\n  c: *b\n";
    let second = "overrides:\n  a: {ingestion_rate_mb: 9}\n";
    let expected = Limits {
        ingestion_rate_mb: 9.0,
        max_query_length: Duration::from_secs(7200),
        ..Limits::default()
    };
    assert_eq!(limits(&[first, second], "a"), expected);
    assert_eq!(limits(&[first, second], "c").push_max_concurrency, 3);
}

#[test]
fn mistakes_say_line_key_and_what_to_write() {
    refused(
        "overrides:\n  ingestion_rate_mb: 10\n",
        &[
            "overrides.yaml, line 2",
            "`overrides.ingestion_rate_mb`",
            "write `overrides: {TENANT: {ingestion_rate_mb: 10}}`",
        ],
    );
    refused("overrides:\n  ingestion_rate_mb:\n", &["line 2", "VALUE"]);
    refused(
        "\ningestion_rate_mb: 10\n",
        &[
            "line 2",
            "write `overrides: {TENANT: {ingestion_rate_mb: 10}}`",
        ],
    );
    refused(
        "tenant-a:\n  ingestion_rate_mb: 1\n",
        &[
            "line 1",
            "`tenant-a`",
            "write `overrides: {tenant-a: {LIMIT: VALUE}}`",
        ],
    );
    refused("limits: {}\n", &["-config.file"]);
    refused("override: {}\n", &["did you mean `overrides`?"]);
    refused(
        "overrides:\n  a: {}\n  '*': {}\n",
        &["line 3", "`*` is no tenant", "-config.file"],
    );
    refused(
        "overrides:\n  a b: {}\n",
        &["line 2", "no name of a tenant"],
    );
    refused("overrides: [a]\n", &["line 1", "no mapping of tenants"]);
    refused("- a\n", &["no mapping"]);
    refused(
        "overrides:\n  a:\n    limits:\n      ingestion_rate_mb: 1\n",
        &[
            "line 3",
            "one level too many",
            "`overrides: {a: {LIMIT: VALUE}}`",
        ],
    );
    refused(
        "overrides:\n  a:\n    # so\n    ingestion_rat_mb: 1\n",
        &[
            "line 4",
            "`overrides.a.ingestion_rat_mb`",
            "did you mean `ingestion_rate_mb`?",
        ],
    );
    refused("overrides:\n\ta: {}\n", &["line 2", "tab"]);
    refused("overrides:\n  a: {\n", &["line"]);
    refused("overrides:\n  a: {}\n  a: {}\n", &["line 3", "twice"]);
}

#[test]
fn values_are_checked_as_those_of_all_tenants() {
    let limit = |text: &str| format!("overrides:\n  a:\n    {text}\n");
    refused(
        &limit("ingestion_rate_mb: many"),
        &["line 3", "expected a number"],
    );
    refused(
        &limit("max_query_length: 2 parsecs"),
        &["line 3", "2 parsecs"],
    );
    refused(&limit("push_max_concurrency: -1"), &["line 3", "0 or more"]);
    refused(
        &limit("ingestion_rate_mb: -1"),
        &["line 3", "`ingestion_rate_mb` is -1"],
    );
    refused(
        &limit("max_label_name_length: 0"),
        &["line 3", "the default is 1024"],
    );
    // Cannot hold together with what is inherited.
    refused(&limit("max_flamegraph_nodes_max: 5"), &["line 3", "(8192)"]);
    refused(
        "overrides:\n  b: &b {ingestion_rate_mb: x}\n  a: *b\n",
        &["line 2"],
    );
}

proptest! {
    #[test]
    fn what_files_name_counts_and_the_rest_is_inherited(
        rate in proptest::option::of(0.0_f64..1e6),
        series in proptest::option::of(0_usize..1_000_000),
        seconds in proptest::option::of(0_u64..10_000_000),
        base_rate in 0.0_f64..1e6,
        base_series in 0_usize..1_000_000,
    ) {
        let base = Limits {
            ingestion_rate_mb: base_rate,
            max_global_series_per_tenant: base_series,
            ..Limits::default()
        };
        let mut expected = base.clone();
        let mut text = "overrides:\n  t:\n".to_owned();
        if let Some(rate) = rate {
            expected.ingestion_rate_mb = rate;
            text += &format!("    ingestion_rate_mb: {rate:?}\n");
        }
        if let Some(series) = series {
            expected.max_global_series_per_tenant = series;
            text += &format!("    max_global_series_per_tenant: {series}\n");
        }
        if let Some(seconds) = seconds {
            expected.compactor_blocks_retention_period = Duration::from_secs(seconds);
            text += &format!("    compactor_blocks_retention_period: {seconds}s\n");
        }
        let tenants = document::read(&[source(&text)], &base).unwrap();
        let tenant = TenantId::parse("t").unwrap();
        prop_assert_eq!(&*tenants[&tenant], &expected);
        // What the page shows is a file that says the same, whatever the limits of all are.
        let value = serde_json::to_string(&yaml::to_value(&expected)).unwrap();
        let shown = format!("overrides:\n  t: {value}");
        let again = document::read(&[source(&shown)], &Limits::default()).unwrap();
        prop_assert_eq!(&*again[&tenant], &expected);
    }

    #[test]
    fn hostile_files_never_panic(text in "(overrides:)?[ \n\t{}\\[\\]&*<>:a-c0-9\"'|-]{0,60}") {
        let _ = document::read(&[source(&text)], &Limits::default());
    }
}

fn figures(runtime: &RuntimeConfig) -> String {
    let mut registry = Registry::default();
    runtime.register(&mut registry, &Health::new(), true);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

#[tokio::test]
async fn a_broken_file_leaves_in_force_what_was_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overrides.yaml");
    let write = |text: &str| fs::write(&path, text).unwrap();
    let config = Config {
        file: vec![path.display().to_string()],
        ..Config::default()
    };
    let begin = async || RuntimeConfig::begin(&config, &Limits::default()).await;
    let error = begin().await.unwrap_err().to_string();
    assert!(error.contains("overrides.yaml"), "{error}");
    write("overrides: {a: 5}");
    let error = begin().await.unwrap_err().to_string();
    assert!(error.contains("-runtime-config.file"), "{error}");

    write("overrides: {a: {ingestion_rate_mb: 1}, b: {}}\n");
    let runtime = begin().await.unwrap();
    let a = TenantId::parse("a").unwrap();
    let rate = || runtime.overrides().limits(&a).ingestion_rate_mb;
    assert!((rate() - 1.0).abs() < f64::EPSILON);
    let page = runtime.page(true);
    assert!(
        page.contains("ingestion_rate_mb: 1.0") && page.contains("b: {}"),
        "{page}"
    );
    assert!(page.contains("`*` is no tenant"), "{page}");
    assert!(runtime.page(false).contains("max_query_length: 24h0m0s"));
    let shown = figures(&runtime);
    for line in [
        "pyroscope_runtime_config_last_reload_successful{config=\"pyroscope\"} 1.0",
        "pyroscope_limits_defaults{limit_name=\"ingestion_rate_mb\"} 4.0",
        "pyroscope_limits_overrides{limit_name=\"ingestion_rate_mb\",tenant=\"a\"} 1.0",
        // sha256sum of the file.
        "pyroscope_runtime_config_hash{config=\"pyroscope\",sha256=\"44e3227dcd213782851e564c27930ef386d9b2dbef2125a0e1bbea8ca7c4910e\"} 1.0",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }

    write("overrides: {a: {ingestion_rate_mb: 1}, '*': {}}\n");
    runtime.reload().await;
    assert!((rate() - 1.0).abs() < f64::EPSILON);
    assert!(runtime.page(false).contains("# NOT in force"));
    assert!(figures(&runtime).contains("successful{config=\"pyroscope\"} 0.0"));
    fs::remove_file(&path).unwrap();
    runtime.reload().await;
    assert!((rate() - 1.0).abs() < f64::EPSILON);

    write("overrides: {c: {ingestion_rate_mb: 2}}\n");
    runtime.reload().await;
    assert!((rate() - 4.0).abs() < f64::EPSILON);
    let shown = figures(&runtime);
    assert!(
        !shown.contains("tenant=\"a\"") && shown.contains("tenant=\"c\""),
        "{shown}"
    );
    assert!(!runtime.page(false).contains("NOT in force"));
}

#[tokio::test]
async fn without_files_there_is_nothing_to_show() {
    let (config, limits) = (Config::default(), Limits::default());
    let runtime = RuntimeConfig::begin(&config, &limits).await.unwrap();
    assert_eq!(runtime.page(false), "runtime config file doesn't exist\n");
    assert!(!figures(&runtime).contains("runtime_config"));
}
