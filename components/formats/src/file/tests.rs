use super::*;
use crate::recognise::recognise;
use crate::stacks::tests::LIMITS;

const ASSUMED: Assumed<'_> = Assumed {
    suffix: "wall",
    rate: SampleRate::UNKNOWN,
    now_ns: 7,
};

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn contents(payload: &[u8]) -> Contents {
    read(recognise(payload).unwrap(), payload, &ASSUMED, &LIMITS).unwrap()
}

/// Name, sample types and totals of each profile.
fn summary(profiles: &[Profile]) -> Vec<String> {
    let show = |profile: &Profile| {
        let decoded = pprof::Profile::decode(&*profile.pprof).unwrap();
        let totals = phlare_pprof::summary::summary(&decoded);
        let totals = totals
            .iter()
            .map(|t| format!("{}:{}={}", t.kind, t.unit, t.total));
        format!("{} {}", profile.name, totals.collect::<Vec<_>>().join(" "))
    };
    profiles.iter().map(show).collect()
}

#[test]
fn profiles_that_measure_the_same_are_added_up() {
    let bytes = data("otel-ebpf-profile.pb.bin");
    let all = contents(&bytes);
    assert_eq!((all.profiles.len(), all.refused.len()), (82, 0));
    let merged = all.merged();
    assert_eq!(
        summary(&merged),
        [
            "off_cpu off_cpu:nanoseconds=267302249331",
            "process_cpu cpu:nanoseconds=500000000"
        ]
    );
    let labels: Vec<&str> = merged[0].labels.iter().map(|(n, _)| n.as_str()).collect();
    assert!(labels.contains(&"__otel__"), "{labels:?}");
    assert!(!labels.contains(&"process.executable.name"), "{labels:?}");
}

#[test]
fn stacks_count_what_is_assumed() {
    let all = contents(b"main;work 3\nmain 4\n");
    assert_eq!(summary(&all.profiles), ["wall samples:count=7"]);
    let assumed = Assumed {
        suffix: "alloc_space",
        ..ASSUMED
    };
    let all = read(Format::Lines, b"main;work\n", &assumed, &LIMITS).unwrap();
    assert_eq!(summary(&all.profiles), ["memory alloc_space:bytes=1"]);
    let assumed = Assumed {
        suffix: "nonsense",
        ..ASSUMED
    };
    let error = read(Format::Lines, b"main;work\n", &assumed, &LIMITS).unwrap_err();
    let text = phlare_model::chain(&error);
    assert!(text.contains("unknown profile type: nonsense"), "{text}");
}

#[test]
fn units_of_speedscope_say_what_is_measured() {
    let all = contents(&data("two-sampled.speedscope.json"));
    assert_eq!(
        summary(&all.profiles),
        ["wall wall:nanoseconds=14000000000"; 2]
    );
}

#[test]
fn errors_name_the_format_and_the_place() {
    let refused = |payload: &[u8]| {
        let format = recognise(payload).unwrap();
        phlare_model::chain(&read(format, payload, &ASSUMED, &LIMITS).unwrap_err())
    };
    let text = refused(b"main;a 1\nmain;b 1.5\n");
    assert!(
        text.starts_with("read collapsed stacks: line 2: "),
        "{text}"
    );
    let otlp = data("otel-ebpf-profile.pb.bin");
    let text = refused(&otlp[..otlp.len() / 2]);
    assert!(
        text.starts_with("read OTLP profiles in protobuf: "),
        "{text}"
    );
}
