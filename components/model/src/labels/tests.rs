use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

#[test]
fn pairs_are_sorted_and_the_last_duplicate_wins() {
    let set = labels(&[("b", "1"), ("a", "2"), ("b", "3"), ("A", "4"), ("é", "5")]);
    assert_eq!(
        set.iter().collect::<Vec<_>>(),
        [("A", "4"), ("a", "2"), ("b", "3"), ("é", "5")]
    );
    assert_eq!(set.len(), 4);
    assert_eq!(
        (set.get("b"), set.get("c"), set.get("")),
        (Some("3"), None, None)
    );
}

#[test]
fn stored_order_is_kept_and_makes_another_identity() {
    let stored = Labels::in_stored_order([("b", "1"), ("a", "2")]);
    let sorted = labels(&[("b", "1"), ("a", "2")]);
    assert_eq!(stored.iter().collect::<Vec<_>>(), [("b", "1"), ("a", "2")]);
    assert_ne!(stored, sorted);
    assert_ne!(stored.fingerprint(), sorted.fingerprint());
}

#[test]
fn no_labels() {
    let none = Labels::empty();
    assert!(none.is_empty());
    assert_eq!((none.len(), none.to_string()), (0, "{}".to_owned()));
    assert_eq!(none, Labels::from_pairs::<&str, &str>([]));
    // XXH64 of nothing, from the algorithm's specification.
    assert_eq!(none.fingerprint().to_string(), "ef46db3751d8e999");
}

/// The numbers come from an implementation of XXH64 that was written for this test, from the specification.
#[test]
fn fingerprints() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        assert_eq!(
            labels(pairs).fingerprint().to_string(),
            expected,
            "{pairs:?}"
        );
    };
    check(&[("a", "1"), ("b", "2")], "cc47a7b231134517");
    let series = [
        ("__name__", "process_cpu"),
        ("namespace", "ns"),
        ("service_name", "shop/cart"),
        ("zone", "ü"),
    ];
    check(&series, "e039cbf1ce86c62d");
}

#[test]
fn the_builder_drops_empty_values() {
    let mut builder = LabelsBuilder::from(&labels(&[("a", "1"), ("empty", ""), ("b", "2")]));
    builder
        .set("c", "3")
        .set("a", "")
        .set("b", "4")
        .remove("nope");
    assert_eq!((builder.get("b"), builder.get("a")), (Some("4"), None));
    assert_eq!(builder.build().to_string(), r#"{b="4", c="3"}"#);
    builder.clear();
    assert!(builder.build().is_empty());
}

#[test]
fn the_builder_puts_chosen_names_first() {
    let builder = labels(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).to_builder();
    assert_eq!(
        builder.build_with_first(&["c", "nope", "b"]).to_string(),
        r#"{c="3", b="2", a="1", d="4"}"#
    );
}

#[test]
fn projection_keeps_what_is_present() {
    let set = labels(&[("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(
        set.project(&["c".into(), "nope".into(), "a".into()])
            .to_string(),
        r#"{a="1", c="3"}"#
    );
    assert_eq!(set.project(&[]), Labels::empty());
}

#[test]
fn values_are_quoted_as_in_go() {
    let check =
        |value: &str, expected: &str| assert_eq!(Quoted(value).to_string(), expected, "{value:?}");
    check("", r#""""#);
    check("shop/cart", r#""shop/cart""#);
    check("a\"b\\c\nd/é", r#""a\"b\\c\nd/é""#);
    check("\x07\x08\x0C\n\r\t\x0B", r#""\a\b\f\n\r\t\v""#);
    check("\0\x1b\x7f", r#""\x00\x1b\x7f""#);
    check("'`", "\"'`\"");
    check("ü–✓😀", "\"ü–✓😀\"");
    check("\u{80}\u{a0}\u{ad}", r#""\u0080\u00a0\u00ad""#);
    check(
        "\u{200b}\u{feff}\u{e000}\u{fffd}",
        "\"\\u200b\\ufeff\\ue000\u{fffd}\"",
    );
    check("\u{f0000}\u{10ffff}", r#""\U000f0000\U0010ffff""#);
    check("e\u{301}", "\"e\u{301}\"");
}

#[test]
fn the_order_is_pair_by_pair() {
    let mut sets = [
        labels(&[("b", "1")]),
        labels(&[("a", "1"), ("b", "1")]),
        labels(&[("a", "10")]),
        labels(&[("a", "1")]),
        Labels::empty(),
        labels(&[("a", "1"), ("a0", "1")]),
    ];
    sets.sort();
    let sorted: Vec<_> = sets.iter().map(ToString::to_string).collect();
    let expected = [
        "{}",
        r#"{a="1"}"#,
        r#"{a="1", a0="1"}"#,
        r#"{a="1", b="1"}"#,
        r#"{a="10"}"#,
        r#"{b="1"}"#,
    ];
    assert_eq!(sorted, expected);
}

#[test]
fn long_values_survive() {
    for length in [0, 1, 63, 64, 4095, 4096, 300_000] {
        let value = "é".repeat(length);
        let set = labels(&[("a", &value), ("b", "x")]);
        assert_eq!(
            (set.get("a"), set.get("b")),
            (Some(value.as_str()), Some("x")),
            "{length}"
        );
    }
}

#[test]
fn legacy_names() {
    for (name, expected) in [
        ("a", true),
        ("_a1", true),
        ("", false),
        ("1a", false),
        ("a.b", false),
        ("é", false),
    ] {
        assert_eq!(is_legacy_name(name), expected, "{name:?}");
    }
}

proptest! {
    #[test]
    fn labels_are_a_sorted_map(pairs in prop::collection::vec((".{0,80}", ".{0,80}"), 0..12)) {
        let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
        let set = Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v)));
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), map.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>());
        prop_assert_eq!(Labels::from(set.to_proto().as_slice()), set.clone());
        for (name, value) in &map {
            prop_assert_eq!(set.get(name), Some(value.as_str()));
        }
        let without_empty: Vec<_> = map.iter().filter(|(_, v)| !v.is_empty()).collect();
        prop_assert_eq!(set.to_builder().build(), Labels::from_pairs(without_empty));
        let bytes: Vec<u8> = map.iter().flat_map(|(n, v)| [n.as_bytes(), b"\xFF", v.as_bytes(), b"\xFF"].concat()).collect();
        prop_assert_eq!(set.fingerprint().get(), xxhash_rust::xxh64::xxh64(&bytes, 0));
    }

    #[test]
    fn the_order_is_that_of_the_pairs(
        a in prop::collection::btree_map("[ab]{1,2}", "[ab]{0,2}", 0..3),
        b in prop::collection::btree_map("[ab]{1,2}", "[ab]{0,2}", 0..3),
    ) {
        let (x, y) = (Labels::from_pairs(&a), Labels::from_pairs(&b));
        prop_assert_eq!(x.cmp(&y), a.iter().cmp(b.iter()));
        prop_assert_eq!(x == y, a == b);
    }
}
