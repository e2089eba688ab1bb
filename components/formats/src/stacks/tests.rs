use super::*;

pub(crate) const LIMITS: Limits = Limits {
    profile_bytes: 4 << 20,
    symbol_bytes: 65535,
    stacktraces: 16000,
};

/// Stacks as text, sorted: `a;b 3`.
pub(crate) fn folded(stacks: &Stacks, kind: &str, rate: SampleRate) -> Vec<String> {
    let (_, kind) = Kind::of_name(kind).unwrap();
    match stacks.to_pprof(kind, rate, Timing::default()).unwrap() {
        Some(bytes) => unfold(&bytes),
        None => Vec::new(),
    }
}

fn unfold(bytes: &[u8]) -> Vec<String> {
    let profile = pprof::Profile::decode(bytes).unwrap();
    let string = |at: i64| profile.string_table[usize::try_from(at).unwrap()].as_str();
    let name = |location: &u64| {
        let location = profile.location.iter().find(|l| l.id == *location).unwrap();
        let function = profile
            .function
            .iter()
            .find(|f| f.id == location.line[0].function_id)
            .unwrap();
        string(function.name)
    };
    let mut lines: Vec<String> = profile
        .sample
        .iter()
        .map(|sample| {
            let frames: Vec<&str> = sample.location_id.iter().rev().map(name).collect();
            format!("{} {}", frames.join(";"), sample.value[0])
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn equal_stacks_are_one_sample() {
    let mut stacks = Stacks::new(&LIMITS);
    for (stack, value) in [
        ("main;a;b", 10),
        ("main;a", 5),
        ("main;a;b", 2),
        ("main;c", 0),
    ] {
        stacks.add_joined(stack.as_bytes(), value).unwrap();
    }
    assert_eq!(
        folded(&stacks, "x.inuse_objects", SampleRate::DEFAULT),
        ["main;a 5", "main;a;b 12"]
    );
}

#[test]
fn counts_of_cpu_samples_become_time() {
    let mut stacks = Stacks::new(&LIMITS);
    stacks.add_joined(b"main", 3).unwrap();
    assert_eq!(
        folded(&stacks, "x.cpu", SampleRate::hertz(10)),
        ["main 300000000"]
    );
    assert_eq!(folded(&stacks, "x.cpu", SampleRate::UNKNOWN), ["main 3"]);
    assert_eq!(
        folded(&stacks, "x.alloc_space", SampleRate::hertz(10)),
        ["main 3"]
    );
}

#[test]
fn the_header_says_what_the_values_are() {
    let mut stacks = Stacks::new(&LIMITS);
    stacks.add_joined(b"main", 3).unwrap();
    let (_, kind) = Kind::of_name("x.wall").unwrap();
    let timing = Timing {
        time_ns: 17,
        duration_ns: 5,
    };
    let bytes = stacks
        .to_pprof(kind, SampleRate::DEFAULT, timing)
        .unwrap()
        .unwrap();
    let profile = pprof::Profile::decode(bytes.as_slice()).unwrap();
    let string = |at: i64| profile.string_table[usize::try_from(at).unwrap()].as_str();
    let show = |t: &pprof::ValueType| format!("{}:{}", string(t.r#type), string(t.unit));
    assert_eq!(show(&profile.sample_type[0]), "wall:nanoseconds");
    assert_eq!(
        show(profile.period_type.as_ref().unwrap()),
        "cpu:nanoseconds"
    );
    assert_eq!(
        (profile.period, profile.time_nanos, profile.duration_nanos),
        (10_000_000, 17, 5)
    );
    assert_eq!(profile.string_table[0], "");
}

#[test]
fn negative_values_are_left_out_and_counted() {
    let mut stacks = Stacks::new(&LIMITS);
    for (stack, value) in [
        ("a;b", 10),
        ("a;c", -4),
        ("a;d", i64::MIN),
        ("a;e", i64::MAX),
        ("a;e", 1),
    ] {
        stacks.add_joined(stack.as_bytes(), value).unwrap();
    }
    assert_eq!(stacks.negative_values, 2);
    let expected = ["a;b 10".to_owned(), format!("a;e {}", i64::MAX)];
    assert_eq!(folded(&stacks, "x.live", SampleRate::DEFAULT), expected);
}

#[test]
fn names_that_are_not_utf8_are_repaired_and_counted() {
    let mut stacks = Stacks::new(&LIMITS);
    stacks.add_joined(b"main;\xd6\x14P\x8c", 1).unwrap();
    assert_eq!(stacks.repaired_names, 1);
    assert_eq!(
        folded(&stacks, "x.live", SampleRate::DEFAULT),
        ["main;\u{fffd}\u{14}P\u{fffd} 1"]
    );
}

#[test]
fn a_profile_over_the_limit_is_refused_before_it_is_built() {
    let mut stacks = Stacks::new(&Limits {
        profile_bytes: 10_000,
        ..LIMITS
    });
    let mut node = ROOT;
    for _ in 0..5_000 {
        node = stacks.child(node, b"f").unwrap();
        stacks.add(node, 1);
    }
    let (_, kind) = Kind::of_name("x").unwrap();
    let refused = stacks.to_pprof(kind, SampleRate::DEFAULT, Timing::default());
    assert_eq!(refused, Err(Error::TooLarge { limit: 10_000 }));
}

#[test]
fn more_frames_than_the_limit_has_bytes_are_refused_while_reading() {
    let mut stacks = Stacks::new(&Limits {
        profile_bytes: 100,
        ..LIMITS
    });
    let refused = stacks.add_joined(";".repeat(1000).as_bytes(), 1);
    assert_eq!(refused, Err(Error::TooLarge { limit: 100 }));
}
