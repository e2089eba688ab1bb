//! Where we keep what upstream loses, on purpose: a profile is worth more than the rule that one of its parts breaks.

use phlare_pprof::{BadReference, Error, Workspace};
use phlare_proto::google::v1::{Label, Mapping, Profile, ValueType};
use prost::Message;

use super::build::{location, normalized, options, profile, refused, rows, sample, string};
use super::malformed::check_refused;

/// B14: upstream answers 200 and stores nothing.
#[test]
fn a_profile_of_which_nothing_is_left_is_refused_with_the_first_bad_reference() {
    let mut p = profile();
    p.sample = vec![
        sample(&[1], &[0]),
        sample(&[2, 9, 8], &[5]),
        sample(&[7], &[1]),
    ];
    match refused(&p, &options()) {
        Error::NothingLeft { samples: 2, first } => {
            assert_eq!(first, BadReference::Location { sample: 1, id: 9 })
        }
        other => panic!("{other}"),
    }
    check_refused(
        |p| p.location[0].line[0].function_id = 77,
        "function_id 77 in the location with id 1",
    );
    check_refused(
        |p| p.location[0].line.clear(),
        "the location with id 1, which has neither an address nor lines",
    );
}

/// B14: what can be stored is, and the rest is counted.
#[test]
fn samples_with_broken_references_are_dropped_and_counted() {
    let mut p = profile();
    p.sample = vec![
        sample(&[2, 9], &[5]),
        sample(&[1], &[3]),
        sample(&[0], &[1]),
        sample(&[9], &[0]),
    ];
    normalized(&p, &options(), |n| {
        assert_eq!(rows(n), ["{} f 3"]);
        assert_eq!((n.dropped.broken_samples, n.dropped.zero_samples), (2, 1));
    });
}

/// B14: upstream drops the location, and with it the samples.
#[test]
fn locations_with_an_unknown_mapping_are_kept_on_a_stand_in() {
    let mut p = profile();
    p.mapping = vec![
        Mapping {
            id: 1000,
            ..Mapping::default()
        },
        Mapping {
            id: 2000,
            ..Mapping::default()
        },
    ];
    p.location = vec![
        location(1, 0, &[(1, 1)]),
        location(2, 1, &[(2, 2)]),
        location(3, 2000, &[(2, 2)]),
    ];
    p.location[1].address = 77;
    p.sample = vec![sample(&[2, 1], &[5]), sample(&[3, 2], &[2])];
    normalized(&p, &options(), |n| {
        assert_eq!(rows(n), ["{} f;g 5", "{} g;g 2"]);
        assert_eq!(
            n.dropped.unknown_mappings, 1,
            "0 means none, 1 does not exist"
        );
        assert_eq!(
            n.locations.iter().map(|l| l.mapping).collect::<Vec<_>>(),
            [2, 2, 1]
        );
        assert_eq!(
            n.locations[1].address, 77,
            "the stand-in has no functions of its own"
        );
    });
    p.mapping.clear();
    normalized(&p, &options(), |n| {
        assert_eq!((n.mappings.len(), n.dropped.unknown_mappings), (1, 2))
    });
}

/// B15: upstream refuses the profile.
#[test]
fn strings_that_are_not_utf8_are_repaired_and_counted_if_they_are_used() {
    const WRONG: &[u8] = &[0xd6, 0x14, 0x50, 0x8c];
    // prost checks UTF-8 as well: the wrong strings are put in place of others of the same length.
    let check = |change: &dyn Fn(&mut Profile, i64), expected: &str, repaired| {
        let mut p = profile();
        let index = string(&mut p, "@@@@");
        change(&mut p, index);
        let mut bytes = p.encode_to_vec();
        let at = bytes
            .windows(4)
            .position(|window| window == b"@@@@")
            .unwrap();
        bytes[at..at + 4].copy_from_slice(WRONG);
        let mut workspace = Workspace::new();
        let n = workspace
            .decode(&bytes, 0)
            .unwrap()
            .normalize(&options())
            .unwrap();
        assert_eq!(rows(&n), [expected]);
        assert_eq!(n.dropped.repaired_strings, repaired);
    };
    check(
        &|p, wrong| {
            p.sample[0].label.push(Label {
                key: 5,
                str: wrong,
                ..Label::default()
            })
        },
        "{k=\u{fffd}\u{14}P\u{fffd}} f;g 5",
        1,
    );
    check(
        &|p, wrong| {
            p.sample[0].label.push(Label {
                key: wrong,
                str: 6,
                ..Label::default()
            })
        },
        "{\u{fffd}\u{14}P\u{fffd}=v} f;g 5",
        1,
    );
    check(
        &|p, wrong| p.function[1].name = wrong,
        "{} f;\u{fffd}\u{14}P\u{fffd} 5",
        1,
    );
    check(&|_, _| {}, "{} f;g 5", 0);
}

/// B18: upstream drops the sample.
#[test]
fn only_the_negative_value_is_dropped_and_totals_do_not_overflow() {
    let mut p = profile();
    p.sample_type = vec![ValueType { r#type: 1, unit: 2 }; 4];
    p.sample = vec![
        sample(&[1], &[5, 5, -1, -1]),
        sample(&[2], &[i64::MIN, 0, 7, i64::MAX]),
        sample(&[2], &[0, 0, 0, i64::MAX]),
        sample(&[2, 1], &[-1, -1, 0, -1]),
    ];
    normalized(&p, &options(), |n| {
        assert_eq!(
            rows(n),
            [
                "{} f 5,5,0,0".to_owned(),
                format!("{{}} g 0,0,7,{}", i64::MAX)
            ]
        );
        assert_eq!(n.dropped.negative_values, 6);
        assert_eq!(n.totals(), [5, 5, 7, i64::MAX]);
    });
}

/// B20: columns make locations differ; `doc_url` and comments stay.
#[test]
fn columns_and_texts_about_the_profile_are_kept() {
    let mut p = profile();
    p.location = vec![
        location(1, 1, &[(1, 10), (2, 20)]),
        location(2, 1, &[(1, 10), (2, 20)]),
    ];
    p.location[0].line[0].column = 3;
    p.location[1].line[0].column = 9;
    p.sample = vec![sample(&[1], &[1]), sample(&[2], &[2])];
    p.doc_url = string(&mut p, "https://example.org");
    p.comment = vec![string(&mut p, "hello")];
    p.default_sample_type = 1;
    normalized(&p, &options(), |n| {
        assert_eq!(rows(n), ["{} g;f 1", "{} g;f 2"]);
        assert_eq!(n.stacks.len(), 2);
        assert_eq!(
            (n.doc_url, n.default_sample_type),
            ("https://example.org", "cpu")
        );
        assert_eq!(n.comments, ["hello"]);
    });
}
