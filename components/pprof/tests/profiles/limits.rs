//! Limits: of samples, labels, depth, length.

use phlare_pprof::{Options, OverLimit};
use phlare_proto::google::v1::{Label, Profile, Sample};

use super::build::{
    accepted, function, location, normalized, options, profile, refused, rows, sample, string,
};

/// Goroutines: `count` distinct stacks, of the values 1, 2, 3 …
fn goroutines(count: i64) -> Profile {
    let mut p = profile();
    (p.function, p.location, p.sample) = (Vec::new(), Vec::new(), Vec::new());
    for i in 1..=count {
        let name = string(&mut p, format!("f{i:05}"));
        p.function.push(function(i as u64, name));
        p.location.push(location(i as u64, 1, &[(i as u64, 1)]));
        p.sample.push(sample(&[i as u64], &[i]));
    }
    p
}

/// B24: upstream refuses the profile.
#[test]
fn above_the_limit_of_samples_the_heaviest_stay_and_the_total_is_exact() {
    let limited = Options {
        max_samples: 4,
        ..options()
    };
    normalized(&goroutines(10), &limited, |n| {
        assert_eq!(
            rows(n),
            ["{} f00008 8", "{} f00009 9", "{} f00010 10", "{} other 28"]
        );
        assert_eq!(n.dropped.folded_samples, 7);
        assert_eq!(n.totals(), [55]);
    });
    normalized(&goroutines(20_000), &options(), |n| {
        assert_eq!(n.samples.len(), 16_000);
        assert_eq!(n.totals(), [20_000 * 20_001 / 2]);
        assert_eq!(n.dropped.folded_samples, 4001);
    });
}

#[test]
fn at_the_limit_or_without_one_nothing_is_folded() {
    for max_samples in [10, 0] {
        normalized(
            &goroutines(10),
            &Options {
                max_samples,
                ..options()
            },
            |n| {
                assert_eq!((n.samples.len(), n.dropped.folded_samples), (10, 0));
            },
        );
    }
}

#[test]
fn the_limit_counts_samples_after_merging_equal_ones() {
    let mut p = profile();
    p.sample = vec![sample(&[1], &[1]); 16_001];
    assert_eq!(accepted(&p), ["{} f 16001"]);
}

#[test]
fn a_stack_of_the_name_other_takes_up_the_rest_only_if_it_is_the_same() {
    let mut p = goroutines(10);
    p.string_table[7 + 9] = "other".into(); // f00010, but on a mapping with functions
    normalized(
        &p,
        &Options {
            max_samples: 4,
            ..options()
        },
        |n| {
            assert_eq!(
                rows(n),
                ["{} f00008 8", "{} f00009 9", "{} other 10", "{} other 28"]
            );
        },
    );
}

#[test]
fn folding_keeps_the_total_of_each_group() {
    let mut p = goroutines(10);
    for sample in &mut p.sample[5..] {
        sample.label.push(Label {
            key: 5,
            str: 6,
            ..Label::default()
        });
    }
    normalized(
        &p,
        &Options {
            max_samples: 5,
            ..options()
        },
        |n| {
            assert_eq!(
                rows(n),
                [
                    "{k=v} f00008 8",
                    "{k=v} f00009 9",
                    "{k=v} f00010 10",
                    "{k=v} other 13",
                    "{} other 15"
                ]
            );
            assert_eq!(n.groups[0].labels, []);
        },
    );
}

#[test]
fn with_more_groups_than_samples_the_rest_goes_to_the_group_without_labels() {
    let mut p = goroutines(10);
    for i in 0..10 {
        let text = string(&mut p, i.to_string());
        p.sample[i].label.push(Label {
            key: 5,
            str: text,
            ..Label::default()
        });
    }
    normalized(
        &p,
        &Options {
            max_samples: 3,
            ..options()
        },
        |n| {
            assert_eq!(
                rows(n),
                ["{k=8} f00009 9", "{k=9} f00010 10", "{} other 36"]
            );
            assert_eq!(n.groups.len(), 3, "groups without samples are gone");
        },
    );
}

#[test]
fn the_switch_restores_refusal_and_counts_what_is_on_the_wire() {
    let refuse = Options {
        max_samples: 3,
        over_limit: OverLimit::Refuse,
        ..options()
    };
    let mut p = profile();
    p.sample = vec![sample(&[1], &[1]); 3];
    assert_eq!(normalized(&p, &refuse, rows), ["{} f 3"]);
    p.sample.push(sample(&[1], &[1]));
    let error = refused(&p, &refuse);
    assert_eq!(
        error.to_string(),
        "profile has 4 samples, 3 are allowed; raise max_profile_stacktrace_samples or send less"
    );
    assert_eq!(error.reason(), "samples_limit");
}

#[test]
fn too_many_labels_of_a_sample_are_refused() {
    let with = |count| {
        let label = vec![
            Label {
                key: 5,
                num: 1,
                ..Label::default()
            };
            count
        ];
        Profile {
            sample: vec![Sample {
                label,
                ..sample(&[1], &[1])
            }],
            ..profile()
        }
    };
    assert_eq!(accepted(&with(100)), ["{} f 1"]);
    let error = refused(&with(101), &options());
    assert!(
        error
            .to_string()
            .starts_with("sample 0 has 101 labels, 100 are allowed")
    );
    assert_eq!(error.reason(), "sample_labels_limit");
    assert_eq!(
        normalized(
            &with(101),
            &Options {
                max_sample_labels: 0,
                ..options()
            },
            rows
        ),
        ["{} f 1"]
    );
}

#[test]
fn deep_stacks_lose_their_leaf_side() {
    let deep = |depth: usize| {
        let mut stack = vec![2; depth - 1];
        stack.push(1);
        Profile {
            sample: vec![sample(&stack, &[5])],
            ..profile()
        }
    };
    for (depth, kept, truncated) in [(1000, 1000, 0), (1001, 1000, 1)] {
        normalized(&deep(depth), &options(), |n| {
            assert_eq!(n.stacks[0].depth, kept);
            let frames = n.frames_of(&n.stacks[0]);
            assert_eq!(frames[0], 1);
            assert_eq!(frames.last(), Some(&0), "the root");
            assert_eq!(n.dropped.truncated_stacks, truncated);
        });
    }
    normalized(
        &deep(1001),
        &Options {
            max_depth: 0,
            ..options()
        },
        |n| assert_eq!(n.stacks[0].depth, 1001),
    );
    // Stacks that differ only in what was cut are one.
    let mut p = profile();
    p.sample = vec![
        sample(&[1, 2, 1], &[1]),
        sample(&[2, 2, 1], &[2]),
        sample(&[9, 2, 1], &[4]),
    ];
    assert_eq!(
        normalized(
            &p,
            &Options {
                max_depth: 2,
                ..options()
            },
            rows
        ),
        ["{} f;g 7"]
    );
}

#[test]
fn long_symbols_keep_their_end_and_are_counted_if_they_are_used() {
    let mut p = profile();
    string(&mut p, "nobody uses this".repeat(5000));
    p.string_table[4] = format!("x{}", "g".repeat(65_535));
    normalized(&p, &options(), |n| {
        assert_eq!(n.strings[4], "g".repeat(65_535));
        assert_eq!(n.dropped.truncated_strings, 1);
    });
    p.string_table[4].remove(0);
    normalized(&p, &options(), |n| {
        assert_eq!(n.dropped.truncated_strings, 0)
    });
}
