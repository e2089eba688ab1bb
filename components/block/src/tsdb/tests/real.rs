//! Indexes that upstream wrote.

use phlare_model::labels::names;

use super::*;
use crate::testdata::files_named;

#[test]
fn the_index_of_the_first_version_is_read() {
    let index = real(V1);
    let toc = Toc {
        symbols: 5,
        series: 256,
        label_indices: 351,
        label_table: 740,
        postings: 524,
        postings_table: 865,
        fingerprints: 1195,
        from_ns: 1_675_162_365_672_040_622,
        through_ns: 1_675_162_365_672_040_622,
    };
    assert_eq!(index.toc, toc);
    assert_eq!(index.bounds_ns(), (toc.from_ns, toc.through_ns));
    assert_eq!(index.series_count(), 2);
    let labels = |what: &str| {
        let profile_type = format!("memory:{what}:space:bytes");
        let (kind, unit) = what.split_once(':').unwrap();
        Labels::in_stored_order([
            ("__name__", "memory"),
            ("__period_type__", "space"),
            ("__period_unit__", "bytes"),
            ("__profile_type__", profile_type.as_str()),
            ("__type__", kind),
            ("__unit__", unit),
            ("instance", "127.0.0.1:4100"),
            ("job", "default"),
        ])
    };
    for (ordinal, what, fingerprint) in [
        (0, "inuse_objects:count", 0x01ed_6cee_1355_76ae),
        (1, "inuse_space:bytes", 0xaa81_4be6_0b28_20a1),
    ] {
        assert_eq!(index.labels(ordinal).unwrap(), labels(what));
        assert_eq!(index.fingerprint(ordinal).unwrap().get(), fingerprint);
        assert_eq!(
            index.times_ns(ordinal).unwrap(),
            (toc.from_ns, toc.through_ns)
        );
    }
    let error = index.labels(2).unwrap_err();
    assert!(
        error.to_string().contains("series 2 is asked for, 2 exist"),
        "{error}"
    );
    assert_eq!(
        index.label_names().unwrap(),
        [
            "__name__",
            "__period_type__",
            "__period_unit__",
            "__profile_type__",
            "__type__",
            "__unit__",
            "instance",
            "job",
        ]
    );
    assert_eq!(
        index.label_values("__type__").unwrap(),
        ["inuse_objects", "inuse_space"]
    );
    assert_eq!(index.label_values("nope").unwrap(), [""; 0]);
    assert_eq!(index.label_values("").unwrap(), [""; 0]);
}

#[test]
fn real_indexes_are_whole_and_are_written_again_byte_for_byte() {
    let files = files_named("index.tsdb");
    assert!(files.len() >= 5);
    for real in files {
        let index = open(real.bytes.clone()).unwrap();
        index.verify().unwrap();
        assert!(index.size_bytes() < real.bytes.len() * 5 / 4);
        let written = written(&entries(&index));
        assert!(written == real.bytes, "{}", real.name);
    }
}

#[test]
fn the_order_of_labels_stays_as_it_was_stored() {
    for real in files_named("index.tsdb") {
        let index = open(real.bytes).unwrap();
        let first = index.labels(0).unwrap();
        let enforced = first.iter().next().unwrap().0 == names::PROFILE_TYPE;
        assert_eq!(enforced, real.name.starts_with("v2arch/"), "{}", real.name);
    }
}

#[test]
fn all_values_of_real_indexes_find_their_series() {
    for real in files_named("index.tsdb") {
        let index = open(real.bytes).unwrap();
        let series = entries(&index);
        for name in index.label_names().unwrap() {
            for value in index.label_values(name).unwrap() {
                let matcher = phlare_model::selector::Matcher::equal(name, value);
                let selector = Selector::from(vec![matcher]);
                let found = index.select(&selector).unwrap();
                assert!(!found.is_empty());
                assert_eq!(found, by_definition(&series, &selector));
            }
        }
    }
}
