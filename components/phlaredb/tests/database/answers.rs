//! Answers over the head equal what the files say.

use phlare_model::query::{AnalyzeQuery, MetadataQuery, TimeRange};
use phlare_model::selector::Selector;

use crate::support::{
    CPU, GO_CPU, GO_LABELS, JAVA_CPU, T0_MS, everything, merge, open, series, sum_by_hand,
};

const SAMPLES: &str = "process_cpu:samples:count:cpu:nanoseconds";

#[test]
fn totals_are_the_sums_of_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    for i in 0..3 {
        fixture.push(GO_CPU, "process_cpu", "cart", T0_MS + i * 1000);
    }
    fixture.push(JAVA_CPU, "process_cpu", "orders", T0_MS);
    assert_eq!(
        fixture.total(CPU, r#"{service_name="cart"}"#),
        3 * sum_by_hand(GO_CPU, 1)
    );
    assert_eq!(
        fixture.total(SAMPLES, r#"{service_name="cart"}"#),
        3 * sum_by_hand(GO_CPU, 0)
    );
    assert_eq!(
        fixture.total(CPU, "{}"),
        3 * sum_by_hand(GO_CPU, 1) + sum_by_hand(JAVA_CPU, 0)
    );
    assert_eq!(fixture.total(CPU, r#"{service_name="nobody"}"#), 0);
    assert_eq!(
        fixture.total("memory:cpu:nanoseconds:cpu:nanoseconds", "{}"),
        0
    );
}

#[test]
fn samples_with_labels_are_split_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fixture.push(GO_LABELS, "process_cpu", "api", T0_MS);
    assert_eq!(fixture.total(CPU, "{}"), sum_by_hand(GO_LABELS, 1));
    assert!(fixture.database.stats().series > 2);
}

#[test]
fn the_merged_pprof_has_the_same_total_and_valid_references() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS);
    fixture.push(JAVA_CPU, "process_cpu", "orders", T0_MS);
    for max_nodes in [0, 1, 10, 100] {
        let mut query = merge(CPU, "{}");
        query.max_nodes = max_nodes;
        let profile = fixture.database.view().select_pprof(&query).unwrap();
        let total: i64 = profile.sample.iter().map(|sample| sample.value[0]).sum();
        assert_eq!(total, fixture.total(CPU, "{}"), "max_nodes {max_nodes}");
        assert_eq!(profile.string_table[0], "");
        for location in profile.sample.iter().flat_map(|sample| &sample.location_id) {
            let location = &profile.location[*location as usize - 1];
            assert!(location.mapping_id as usize <= profile.mapping.len());
            for line in &location.line {
                let function = &profile.function[line.function_id as usize - 1];
                assert!(!profile.string_table[function.name as usize].is_empty());
            }
        }
    }
}

#[test]
fn time_series_and_flame_graph_agree() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    for i in 0..5 {
        fixture.push(GO_CPU, "process_cpu", "cart", T0_MS + i * 1000);
    }
    let range = TimeRange {
        start_ms: T0_MS,
        end_ms: T0_MS + 3000,
    };
    let found = fixture
        .database
        .view()
        .select_series(&series(CPU, "{}", range, &["service_name"]))
        .unwrap();
    let value = sum_by_hand(GO_CPU, 1) as f64;
    let expected: Vec<_> = (0..4).map(|i| (T0_MS + i * 1000, value)).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].labels.get("service_name"), Some("cart"));
    assert_eq!(found[0].points, expected);
    let mut query = merge(CPU, "{}");
    query.range = range;
    assert_eq!(
        fixture.database.view().select_tree(&query).unwrap().total() as f64,
        4.0 * value
    );
}

#[test]
fn a_call_site_keeps_only_what_is_below_it() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let whole = fixture
        .database
        .view()
        .select_tree(&merge(CPU, "{}"))
        .unwrap();
    let roots: Vec<_> = whole
        .nodes()
        .filter(|node| node.index != 0 && node.parent == 0)
        .map(|node| (node.name.to_owned(), node.total))
        .collect();
    for (name, total) in roots {
        let mut query = merge(CPU, "{}");
        query.call_site = vec![name.clone()];
        assert_eq!(
            fixture.database.view().select_tree(&query).unwrap().total(),
            total,
            "{name}"
        );
    }
    let mut query = merge(CPU, "{}");
    query.call_site = vec!["nowhere".to_owned()];
    assert_eq!(
        fixture.database.view().select_tree(&query).unwrap().total(),
        0
    );
}

#[test]
fn metadata_follows_selectors_and_times() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS);
    fixture.push(JAVA_CPU, "process_cpu", "orders", T0_MS + 60_000);
    let services = |query: &MetadataQuery| {
        fixture
            .database
            .view()
            .label_values("service_name", query)
            .unwrap()
    };
    assert_eq!(services(&everything()), ["cart", "orders"]);
    let late = MetadataQuery {
        selectors: Vec::new(),
        range: Some(TimeRange {
            start_ms: T0_MS + 1,
            end_ms: T0_MS + 60_000,
        }),
    };
    assert_eq!(services(&late), ["orders"]);
    let cart = MetadataQuery {
        selectors: vec![Selector::parse(r#"{service_name="cart"}"#).unwrap()],
        range: None,
    };
    assert_eq!(services(&cart), ["cart"]);
    assert_eq!(
        fixture.database.view().label_names(&cart).unwrap(),
        ["__name__", "__profile_type__", "service_name"]
    );
    let names = ["service_name".to_owned()];
    assert_eq!(
        fixture
            .database
            .view()
            .series(&names, &everything())
            .unwrap()
            .len(),
        2
    );
    let analysis = fixture
        .database
        .view()
        .analyze(&AnalyzeQuery {
            profile_type: None,
            selector: Selector::all(),
            range: TimeRange {
                start_ms: T0_MS,
                end_ms: T0_MS,
            },
        })
        .unwrap();
    assert_eq!((analysis.series, analysis.profiles), (2, 2));
}
