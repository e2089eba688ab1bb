use phlare_proto::google::v1 as pprof;
use prost::Message;

use super::*;
use crate::stacks::tests::LIMITS;

const SIMPLE: &[u8] = include_bytes!("../../tests/data/simple.speedscope.json");
const TWO: &[u8] = include_bytes!("../../tests/data/two-sampled.speedscope.json");

/// One line for each profile: service, name, type, total.
#[track_caller]
fn check(payload: &[u8], app: &str, rate: SampleRate, expected: &[&str]) {
    let shown: Vec<String> = parse(payload, app, rate, &LIMITS)
        .unwrap()
        .iter()
        .map(|profile| {
            let bytes = profile.to_pprof(Timing::default()).unwrap().unwrap();
            let decoded = pprof::Profile::decode(bytes.as_slice()).unwrap();
            let kind = &decoded.string_table[decoded.sample_type[0].r#type as usize];
            let total: i64 = decoded.sample.iter().map(|sample| sample.value[0]).sum();
            format!(
                "{} {:?} {}:{kind} {total}",
                profile.service, profile.name, profile.kind.name
            )
        })
        .collect();
    assert_eq!(shown, expected, "{app}");
}

#[test]
fn events_without_a_unit() {
    let rate = SampleRate::DEFAULT;
    check(
        SIMPLE,
        "speedok.simple.cpu",
        rate,
        &["speedok.simple \"simple.txt\" process_cpu:cpu 140000000"],
    );
    check(
        SIMPLE,
        "speed.wall",
        rate,
        &["speed \"simple.txt\" wall:wall 140000000"],
    );
    check(
        SIMPLE,
        "speed",
        rate,
        &["speed \"simple.txt\" process_cpu:cpu 140000000"],
    );
    check(
        SIMPLE,
        "speed.cpu",
        SampleRate::hertz(10),
        &["speed \"simple.txt\" process_cpu:cpu 140000000000"],
    );
}

#[test]
fn several_profiles_are_stored_each_under_its_name() {
    let expected = [
        "speed.two \"one\" wall:wall 14000000000",
        "speed.two \"two\" wall:wall 14000000000",
    ];
    check(TWO, "speed.two", SampleRate::DEFAULT, &expected);
    check(TWO, "speed.two", SampleRate::UNKNOWN, &expected);
}

fn file(profiles: &str) -> Vec<u8> {
    format!(r#"{{"$schema":"{SCHEMA}","shared":{{"frames":[{{"name":"a"}},{{"name":"b"}}]}},"profiles":[{profiles}]}}"#)
        .into_bytes()
}

#[test]
fn every_unit_of_time_ends_as_nanoseconds() {
    for (unit, ns) in [
        ("nanoseconds", 3_i64),
        ("microseconds", 2500),
        ("milliseconds", 2_500_000),
        ("seconds", 2_500_000_000),
    ] {
        let payload = file(&format!(
            r#"{{"type":"sampled","name":"x","unit":"{unit}","samples":[[0,1]],"weights":[2.5]}}"#
        ));
        check(
            &payload,
            "app",
            SampleRate::DEFAULT,
            &[format!("app \"x\" process_cpu:cpu {ns}").as_str()],
        );
    }
}

#[test]
fn bytes_stay_bytes() {
    let payload =
        file(r#"{"type":"sampled","name":"x","unit":"bytes","samples":[[0,1]],"weights":[4096]}"#);
    check(
        &payload,
        "app.inuse_space",
        SampleRate::DEFAULT,
        &["app \"x\" memory:inuse_space 4096"],
    );
}

#[test]
fn parts_of_one_profile_are_merged() {
    let part = r#"{"type":"sampled","name":"x","unit":"seconds","samples":[[0]],"weights":[1]}"#;
    check(
        &file(&format!("{part},{part}")),
        "app.wall",
        SampleRate::DEFAULT,
        &["app \"x\" wall:wall 2000000000"],
    );
}

#[test]
fn frames_left_open_last_until_the_end() {
    let events = r#"{"type":"evented","name":"x","unit":"seconds","startValue":0,"endValue":5,"events":[{"type":"O","frame":0,"at":1}]}"#;
    check(
        &file(events),
        "app",
        SampleRate::DEFAULT,
        &["app \"x\" process_cpu:cpu 4000000000"],
    );
}

#[track_caller]
fn refused(payload: &[u8], expected: &str) {
    let error = parse(payload, "app", SampleRate::DEFAULT, &LIMITS)
        .unwrap_err()
        .to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_file_that_contradicts_itself_is_refused() {
    refused(b"{", "EOF");
    refused(br#"{"$schema":"x","profiles":[]}"#, "`$schema` is \"x\"");
    let sampled = |samples: &str, weights: &str| {
        file(&format!(
            r#"{{"type":"sampled","name":"x","unit":"none","samples":{samples},"weights":{weights}}}"#
        ))
    };
    refused(&sampled("[[0]]", "[1,2]"), "1 samples have 2 weights");
    refused(&sampled("[[0]]", "[-1]"), "the weight -1 is negative");
    refused(
        &sampled("[[7]]", "[1]"),
        "frame 7 of 2 frames does not exist",
    );
    refused(
        &file(r#"{"type":"sampled","name":"x","unit":"apples","samples":[],"weights":[]}"#),
        "apples",
    );
    let evented = |events: &str| {
        file(&format!(
            r#"{{"type":"evented","name":"x","unit":"none","events":[{events}]}}"#
        ))
    };
    let open = r#"{"type":"O","frame":0,"at":2}"#;
    refused(
        &evented(&format!(r#"{open},{{"type":"C","frame":1,"at":3}}"#)),
        "frame 1 is closed at 3",
    );
    refused(
        &evented(&format!(r#"{open},{{"type":"C","frame":0,"at":1}}"#)),
        "the event at 1 follows one at 2",
    );
}

#[test]
fn an_unknown_suffix_is_refused() {
    let error = parse(SIMPLE, "speed.simple", SampleRate::DEFAULT, &LIMITS).unwrap_err();
    assert!(matches!(error, Error::UnknownKind { .. }), "{error}");
}

#[test]
fn hostile_bytes_never_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = parse(bytes, "app", SampleRate::DEFAULT, &LIMITS);
    });
}

#[test]
fn hostile_files_never_panic() {
    bolero::check!()
        .with_type::<(Vec<Vec<u8>>, Vec<f64>, Vec<(bool, u8, f64)>)>()
        .for_each(|(samples, weights, events)| {
            let json = |value: &f64| serde_json::to_string(value).unwrap();
            let weights: Vec<String> = weights.iter().map(json).collect();
            let sampled = format!(
                r#"{{"type":"sampled","unit":"none","samples":{samples:?},"weights":[{}]}}"#,
                weights.join(",")
            );
            let events: Vec<String> = events
                .iter()
                .map(|(open, frame, at)| {
                    let kind = if *open { "O" } else { "C" };
                    format!(
                        r#"{{"type":"{kind}","frame":{},"at":{}}}"#,
                        frame % 3,
                        json(at)
                    )
                })
                .collect();
            let evented = format!(
                r#"{{"type":"evented","unit":"seconds","events":[{}]}}"#,
                events.join(",")
            );
            if let Ok(profiles) = parse(
                &file(&format!("{sampled},{evented}")),
                "app",
                SampleRate::DEFAULT,
                &LIMITS,
            ) {
                for profile in profiles {
                    let _ = profile.to_pprof(Timing::default());
                }
            }
        });
}
