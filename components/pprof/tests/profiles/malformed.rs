//! Profiles that are wrong in one way each: refused with a reason that helps, or kept as far as they make sense.
//! What upstream answers was recorded; where we differ on purpose is in `differences`.

use phlare_pprof::{Error, Workspace};
use phlare_proto::google::v1::{Function, Label, Location, Profile, Sample, ValueType};

use super::build::{
    NOW_NS, accepted, function, label, location, normalized, options, profile, refused, rows,
    sample, string,
};

/// Refused as malformed, with these words.
#[track_caller]
pub(crate) fn check_refused(change: impl FnOnce(&mut Profile), words: &str) {
    let mut p = profile();
    change(&mut p);
    let error = refused(&p, &options());
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(error.reason(), "malformed_profile");
}

/// Accepted, with these rows.
#[track_caller]
fn check_accepted(change: impl FnOnce(&mut Profile), expected: &[&str]) {
    let mut p = profile();
    change(&mut p);
    assert_eq!(accepted(&p), expected);
}

#[test]
fn a_well_formed_profile_is_accepted() {
    check_accepted(|_| {}, &["{} f;g 5"]);
}

#[test]
fn sample_types_and_values_must_match() {
    check_refused(|p| p.sample_type.clear(), "no sample type");
    check_refused(
        |p| p.sample[0].value.push(2),
        "sample 0 has 2 values for 1 sample types",
    );
    check_refused(|p| p.sample[0].value.clear(), "sample 0 has 0 values");
    check_refused(
        |p| p.sample.push(Sample::default()),
        "sample 1 has 0 values",
    );
}

#[test]
fn a_profile_without_anything_to_store_is_accepted_and_empty() {
    for (change, zeros) in [(&[][..], 0), (&[0][..], 1), (&[-1][..], 0)] {
        let mut p = profile();
        p.sample = change.iter().map(|&v| sample(&[2, 1], &[v])).collect();
        normalized(&p, &options(), |n| {
            assert!(n.is_empty());
            assert_eq!(n.totals(), [0]);
            assert_eq!(n.dropped.zero_samples, zeros);
        });
    }
}

#[test]
fn an_empty_message_is_refused() {
    assert!(matches!(
        Workspace::new()
            .decode(b"", 0)
            .unwrap()
            .normalize(&options()),
        Err(Error::NoSampleTypes)
    ));
}

#[test]
fn the_string_table_begins_with_the_empty_string() {
    check_refused(|p| p.string_table.clear(), "string_table[0] must be \"\"");
    check_refused(
        |p| p.string_table[0] = "x".into(),
        "string_table[0] must be empty, it is \"x\"",
    );
    // Further empty strings are strings like others.
    let table = ["", "cpu", "", "nanoseconds", ""]
        .map(String::from)
        .to_vec();
    let mut p = Profile {
        string_table: table,
        ..profile()
    };
    p.sample_type[0].unit = 3;
    p.function = vec![function(1, 2), function(2, 4)];
    normalized(&p, &options(), |n| {
        assert_eq!(
            (n.sample_types[0].kind, n.sample_types[0].unit),
            ("cpu", "nanoseconds")
        );
        assert_eq!(rows(n), ["{} ; 5"]);
    });
}

#[test]
fn string_indices_of_symbols_and_labels_lie_inside_of_the_table() {
    check_refused(
        |p| p.sample_type[0].r#type = 99,
        "sample_type 0: string index 99 is outside of the string table with 7 strings",
    );
    check_refused(
        |p| p.sample_type[0].r#type = -1,
        "sample_type 0: string index -1",
    );
    check_refused(|p| p.function[1].name = 7, "function 1: string index 7");
    check_refused(
        |p| p.function[0].filename = i64::MAX,
        "function 0: string index",
    );
    check_refused(|p| p.function[0].system_name = 99, "function 0");
    check_refused(|p| p.mapping[0].filename = 99, "mapping 0");
    check_refused(|p| p.mapping[0].build_id = 99, "mapping 0");
    check_refused(
        |p| {
            p.sample[0].label.push(Label {
                key: 99,
                str: 6,
                ..Label::default()
            })
        },
        "label of sample 0: string index 99",
    );
    check_refused(
        |p| {
            p.sample[0].label.push(Label {
                key: 5,
                str: 99,
                ..Label::default()
            })
        },
        "label of sample 0",
    );
    check_refused(
        |p| {
            p.sample[0].label.push(Label {
                key: -5,
                str: 1,
                ..Label::default()
            })
        },
        "string index -5",
    );
}

#[test]
fn string_indices_of_decoration_are_empty_when_they_are_wrong() {
    check_accepted(|p| p.function[1].name = -1, &["{} f; 5"]);
    let mut p = profile();
    p.sample_type[0].unit = 99;
    p.period_type = Some(ValueType {
        r#type: 99,
        unit: 2,
    });
    p.default_sample_type = 99;
    p.comment = vec![99, 3, -1];
    p.doc_url = -4;
    normalized(&p, &options(), |n| {
        assert_eq!(
            (n.sample_types[0].kind, n.sample_types[0].unit),
            ("cpu", "")
        );
        let period_type = n.period_type.unwrap();
        assert_eq!((period_type.kind, period_type.unit), ("", "nanoseconds"));
        assert_eq!((n.default_sample_type, n.doc_url), ("", ""));
        assert_eq!(n.comments, ["f"]);
    });
}

#[test]
fn a_missing_period_type_stays_missing() {
    normalized(
        &Profile {
            period_type: None,
            ..profile()
        },
        &options(),
        |n| assert_eq!(n.period_type, None),
    );
}

#[test]
fn ids_are_not_zero() {
    check_refused(|p| p.location[1].id = 0, "location 1 has the id 0");
    check_refused(|p| p.function[0].id = 0, "function 0 has the id 0");
    // A mapping is decoration.
    check_accepted(|p| p.mapping[0].id = 0, &["{} f;g 5"]);
}

#[test]
fn ids_may_have_gaps_and_the_last_of_equal_ones_counts() {
    check_accepted(
        |p| {
            p.location = vec![location(10, 1, &[(1, 0)]), location(1 << 50, 1, &[(2, 0)])];
            p.sample[0].location_id = vec![1 << 50, 10];
        },
        &["{} f;g 5"],
    );
    check_accepted(
        |p| p.location.insert(1, location(1, 1, &[(2, 0)])),
        &["{} g;g 5"],
    );
}

#[test]
fn a_dash_in_a_sample_type_is_refused() {
    check_refused(
        |p| p.string_table[1] = "cpu-x".into(),
        "sample_type 0: the name \"cpu-x\" must not contain a dash",
    );
}

#[test]
fn stacks_may_be_empty_and_locations_may_have_no_lines() {
    check_accepted(|p| p.sample[0].location_id.clear(), &["{}  5"]);
    check_accepted(
        |p| {
            p.location[0] = Location {
                id: 1,
                mapping_id: 1,
                address: 16,
                ..Location::default()
            }
        },
        &["{} g 5"],
    );
}

#[test]
fn equal_samples_are_merged_whatever_their_indices() {
    let mut p = profile();
    let again = string(&mut p, "f");
    p.function.push(Function {
        id: 3,
        name: again,
        ..Function::default()
    });
    p.location.push(location(3, 1, &[(3, 1)]));
    p.location[2].address = 4711; // goes away, as the mapping has functions
    p.sample.push(sample(&[2, 3], &[6]));
    label(&mut p, 0, "k", "v");
    label(&mut p, 1, "k", "v");
    p.sample[1].label.push(Label {
        key: 5,
        num: 12,
        ..Label::default()
    });
    check_accepted(|changed| *changed = p, &["{k=v} f;g 11"]);
}

#[test]
fn groups_are_in_the_order_of_their_first_sample_and_keep_theirs_together() {
    let mut p = profile();
    p.sample = (1..=6).map(|v| sample(&[v % 2 + 1], &[v as i64])).collect();
    for (i, text) in ["b", "a", "b", "c", "a", "b"].into_iter().enumerate() {
        label(&mut p, i, "k", text);
    }
    p.sample[5].label.push(Label {
        key: 5,
        str: 6,
        ..Label::default()
    });
    normalized(&p, &options(), |n| {
        let groups: Vec<_> = n
            .groups
            .iter()
            .map(|g| (g.labels.clone(), g.first, g.count))
            .collect();
        assert_eq!(
            groups,
            [
                (vec![("k", "b")], 0, 1),
                (vec![("k", "a")], 1, 2),
                (vec![("k", "c")], 3, 1),
                (vec![("k", "b"), ("k", "v")], 4, 1),
            ]
        );
        assert_eq!(n.values, [1 + 3, 2, 5, 4, 6]);
    });
}

#[test]
fn spans_and_traces_are_taken_out_of_the_labels() {
    let mut p = profile();
    p.sample = vec![sample(&[1], &[1]); 5];
    label(&mut p, 0, "span_id", "0100000000000000");
    label(&mut p, 1, "profile_id", "0200000000000000");
    label(&mut p, 1, "trace_id", "00112233445566778899aabbccddeeff");
    label(&mut p, 2, "profile_id", "0900000000000000");
    label(&mut p, 2, "span_id", "0100000000000000");
    label(&mut p, 2, "trace_id", "no");
    label(&mut p, 3, "span_id", "239");
    normalized(&p, &options(), |n| {
        assert_eq!(rows(n), ["{} f 1 #2", "{} f 2", "{} f 2 #1"]);
        assert_eq!(n.dropped.invalid_ids, 2);
        assert_eq!(n.trace_ids.len(), 1);
        assert_eq!(n.trace_ids[0][15], 0xff);
    });
}

#[test]
fn the_time_is_that_of_the_profile_or_of_its_receipt() {
    let time = |time_nanos, instead| {
        let options = phlare_pprof::Options {
            time_of_1970_ns: instead,
            ..options()
        };
        normalized(
            &Profile {
                time_nanos,
                ..profile()
            },
            &options,
            |n| n.time_ns,
        )
    };
    assert_eq!(
        time(5, None),
        5,
        "the window of ingestion is not ours to judge"
    );
    assert_eq!(time(0, None), NOW_NS);
    assert_eq!(time(-1, None), NOW_NS);
    assert_eq!(time(i64::MIN, Some(7)), NOW_NS);
    assert_eq!(time(0, Some(7)), 7);
    assert_eq!(
        time(2_300_000_000, Some(7)),
        7,
        "2.3 s after the epoch: microseconds taken for nanoseconds"
    );
    assert_eq!(time(NOW_NS, Some(7)), NOW_NS);
}
