//! Answers that several databases make together, each profile counted once, are those of one that has it all.

use std::collections::BTreeMap;

use phlare_model::query::{AnalyzeQuery, MergeQuery, TimeRange};
use phlare_model::selector::Selector;
use phlare_model::{Aggregation, SeriesQuery};
use phlare_phlaredb::{Counted, Keys, PprofMerge, View, merge_analyses, merge_series, merge_trees};
use phlare_proto::google::v1::Profile;

use crate::support::{CPU, Fixture, GO_CPU, GO_LABELS, JAVA_CPU, T0_MS, merge, open, series};

fn all() -> AnalyzeQuery {
    let MergeQuery {
        profile_type,
        selector,
        range,
        ..
    } = merge(CPU, "{}");
    AnalyzeQuery {
        profile_type: Some(profile_type),
        selector,
        range,
    }
}

fn keys(view: &View) -> Keys {
    view.keys(&all(), usize::MAX).unwrap().keys
}

/// The profile of a number: its bytes, service and time. Number 0 has no id.
fn push(fixture: &Fixture, number: i64) {
    let (raw, service) = match number % 3 {
        0 => (GO_CPU, "cart"),
        1 => (JAVA_CPU, "orders"),
        _ => (GO_LABELS, "api"),
    };
    let at_ms = if number == 0 { 0 } else { T0_MS + number };
    fixture.push(raw, "process_cpu", service, at_ms);
}

/// Values by stack: for each frame its functions, lines, address, file and build id, leaf first.
fn stacks(profile: &Profile) -> BTreeMap<Vec<String>, i64> {
    let text = |index: i64| &profile.string_table[index as usize];
    let frame = |id: &u64| {
        let location = &profile.location[*id as usize - 1];
        let mapping = &profile.mapping[location.mapping_id as usize - 1];
        let lines = location.line.iter().map(|line| {
            let function = &profile.function[line.function_id as usize - 1];
            let name = text(function.name);
            format!("{name} {} {}", text(function.filename), line.line)
        });
        let lines: Vec<_> = lines.collect();
        let (file, build) = (text(mapping.filename), text(mapping.build_id));
        format!("{lines:?} {:x} {file} {build}", location.address)
    };
    let mut stacks = BTreeMap::new();
    for sample in &profile.sample {
        let stack = sample.location_id.iter().map(frame).collect();
        *stacks.entry(stack).or_default() += sample.value[0];
    }
    stacks
}

fn one_minute(aggregation: Aggregation) -> SeriesQuery {
    let range = TimeRange {
        start_ms: T0_MS,
        end_ms: T0_MS + 1000,
    };
    SeriesQuery {
        aggregation,
        ..series(CPU, "{}", range, &["service_name"])
    }
}

#[test]
fn a_profile_has_one_key_in_the_head_and_in_the_block_of_any_process() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (open(one.path()), open(other.path()));
    for number in 0..6 {
        push(&one, number);
        push(&other, 5 - number);
    }
    let in_head = keys(&one.database.view());
    assert!(in_head.len() > 6, "profiles with labels are several");
    assert_eq!(keys(&other.database.view()), in_head);
    let expected = one
        .database
        .view()
        .keys(&all(), usize::MAX)
        .unwrap()
        .times_ns;
    assert_eq!(expected, Some((0, (T0_MS + 5) * 1_000_000)));
    one.database.cut().unwrap();
    let found = one.database.view().keys(&all(), usize::MAX).unwrap();
    assert_eq!((found.keys, found.times_ns), (in_head, expected));
    let refused = one.database.view().keys(&all(), 3).unwrap_err();
    assert!(
        refused.to_string().contains("more than 3 profiles"),
        "{refused}"
    );
}

/// Three databases with half of the profiles each, and one with all; the first has cut its head.
fn fleet(directory: &std::path::Path) -> (Vec<Fixture>, Fixture) {
    let one = |name: &str| open(&directory.join(name));
    let (stores, whole) = (vec![one("0"), one("1"), one("2")], one("all"));
    for number in 0..12 {
        push(&whole, number);
        for (at, store) in stores.iter().enumerate() {
            if (number as usize + at) % 3 != 2 {
                push(store, number);
            }
        }
        if number == 7 {
            stores[0].database.cut().unwrap();
        }
    }
    (stores, whole)
}

/// What each store is to count.
fn assigned(views: &[View], query: &AnalyzeQuery) -> Vec<Keys> {
    let mut left: Vec<u64> = Vec::new();
    let mut assigned = Vec::new();
    for view in views {
        let found = view.keys(query, usize::MAX).unwrap().keys;
        let mine = found.as_slice().iter().copied();
        let mine = Keys::new(mine.filter(|key| !left.contains(key)).collect());
        left.extend(mine.as_slice());
        assigned.push(mine);
    }
    assigned
}

fn ask<T>(
    views: &[View],
    keys: &[Keys],
    ask: impl Fn(&View, Option<&Keys>) -> Result<Counted<T>, phlare_phlaredb::Error>,
) -> Vec<T> {
    let asked = views.iter().zip(keys).map(|(view, keys)| {
        let counted = ask(view, Some(keys)).unwrap();
        assert_eq!(counted.profiles, keys.len() as u64);
        counted.answer
    });
    asked.collect()
}

#[test]
fn several_answer_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let (stores, whole) = fleet(directory.path());
    let views: Vec<View> = stores.iter().map(|store| store.database.view()).collect();
    let whole = whole.database.view();
    let shares = assigned(&views, &all());
    for max_nodes in [0, 20] {
        let mut query = merge(CPU, "{}");
        query.max_nodes = max_nodes;
        let trees = ask(&views, &shares, |view, keys| view.tree_parts(&query, keys));
        let tree = merge_trees(&query, trees.into_iter().flatten());
        let expected = whole.select_tree(&query).unwrap();
        assert_eq!(tree.to_bytes(), expected.to_bytes(), "{max_nodes} nodes");

        let mut merged = PprofMerge::default();
        for parts in ask(&views, &shares, |view, keys| view.pprof_parts(&query, keys)) {
            merged.add(parts).unwrap();
        }
        let expected = stacks(&whole.select_pprof(&query).unwrap());
        assert_eq!(
            stacks(&merged.finish(&query)),
            expected,
            "{max_nodes} nodes"
        );
    }
    let parts = ask(&views, &shares, |view, keys| {
        view.analyze_parts(&all(), keys)
    });
    let (found, expected) = (merge_analyses(parts), whole.analyze(&all()).unwrap());
    assert_eq!(
        (found.series, found.profiles),
        (expected.series, expected.profiles)
    );
    for aggregation in [Aggregation::Sum, Aggregation::Average] {
        let query = one_minute(aggregation);
        let shares = assigned(
            &views,
            &AnalyzeQuery {
                range: query.times(),
                ..all()
            },
        );
        let parts = ask(&views, &shares, |view, keys| {
            view.series_parts(&query, keys)
        });
        let found = merge_series(&query, parts.into_iter().flatten());
        assert_eq!(found, whole.select_series(&query).unwrap());
    }
}

#[test]
fn a_store_counts_what_it_is_told_and_each_profile_once() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    push(&fixture, 1);
    let each = fixture.total(CPU, "{}");
    fixture.database.cut().unwrap();
    push(&fixture, 1);
    push(&fixture, 4);
    let view = fixture.database.view();
    let found = keys(&view);
    assert_eq!(found.len(), 2, "the block's profile is in the head, too");
    let query = merge(CPU, "{}");
    let counted = view.tree_parts(&query, Some(&found)).unwrap();
    assert_eq!(counted.profiles, 2);
    assert_eq!(merge_trees(&query, counted.answer).total(), 2 * each);
    let one = Keys::new(vec![found.as_slice()[0], 12345]);
    let counted = view.tree_parts(&query, Some(&one)).unwrap();
    assert_eq!(counted.profiles, 1, "what is not there is not counted");
    assert_eq!(merge_trees(&query, counted.answer).total(), each);
    let none = view.tree_parts(&query, Some(&Keys::default())).unwrap();
    assert_eq!((none.profiles, none.answer.len()), (0, 0));
}

#[test]
fn a_damaged_block_does_not_count_and_says_no_keys_once_that_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    push(&first, 1);
    let bad = first.database.cut().unwrap().remove(0);
    push(&first, 4);
    first.database.cut().unwrap();
    drop(first);
    let path = directory.path().join("local").join(bad.id.to_string());
    std::fs::remove_dir_all(path.join("symbols")).unwrap();
    let second = open(directory.path());
    let view = second.database.view();
    let found = keys(&view);
    assert_eq!(found.len(), 2, "ids need no symbols");
    let query = merge(CPU, "{}");
    let counted = view.tree_parts(&query, Some(&found)).unwrap();
    assert_eq!(counted.profiles, 1);
    assert_eq!(keys(&view).len(), 1);
}

#[test]
fn a_part_that_refers_to_nothing_is_no_trouble() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    push(&fixture, 1);
    let query = merge(CPU, "{}");
    let mut parts = fixture
        .database
        .view()
        .pprof_parts(&query, None)
        .unwrap()
        .answer;
    for (_, profile) in &mut parts.parts {
        profile.string_table.truncate(3);
        profile.mapping.clear();
        profile.function.truncate(1);
        profile.location.truncate(2);
        profile.sample[0].value.clear();
    }
    let mut merged = PprofMerge::default();
    merged.add(parts).unwrap();
    let _ = merged.finish(&query);
}

#[test]
fn keys_follow_the_selector() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    push(&fixture, 1);
    push(&fixture, 3);
    let view = fixture.database.view();
    let selector = Selector::parse(r#"{service_name="cart"}"#).unwrap();
    let query = AnalyzeQuery { selector, ..all() };
    let cart = view.keys(&query, usize::MAX).unwrap().keys;
    assert_eq!(cart.len(), 1);
    assert!(keys(&view).contains(cart.as_slice()[0]));
}
