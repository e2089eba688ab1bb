mod broken;
mod encodings;
mod real;
mod support;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use phlare_proto::google::v1 as pprof;
use proptest::prelude::*;

use self::support::*;
use super::*;

#[test]
fn samples_on_cpu_become_time() {
    let (profile, pprof) = only(on_cpu(vec![
        sample(1, &[3]),
        sample(2, &[2]),
        sample(3, &[1]),
    ]));
    assert_eq!(label(&profile, "__name__"), Some("process_cpu"));
    assert_eq!(
        shown_type(&pprof, pprof.sample_type.first()),
        "cpu:nanoseconds"
    );
    assert_eq!(
        shown_type(&pprof, pprof.period_type.as_ref()),
        "cpu:nanoseconds"
    );
    assert_eq!(pprof.period, 10_000_000);
    assert_eq!(
        shown(&pprof),
        [
            "main;work 30000000",
            "main;0x1234 20000000",
            "main;idle 10000000"
        ]
    );
}

#[test]
fn other_types_stay_and_are_named_after_the_period() {
    let check = |profile: proto::Profile, name: &str, sample_type: &str, period_type: &str| {
        let (profile, pprof) = only(profile);
        assert_eq!(label(&profile, "__name__"), Some(name));
        assert_eq!(shown_type(&pprof, pprof.sample_type.first()), sample_type);
        assert_eq!(shown_type(&pprof, pprof.period_type.as_ref()), period_type);
        assert_eq!(shown(&pprof), ["main;work 7"]);
    };
    let seven = || vec![sample(1, &[7])];
    let with_period = |kind, unit, period| proto::Profile {
        period_type: value_type(period, "nanoseconds"),
        period: 10,
        ..typed(kind, unit, seven())
    };
    check(
        with_period("cpu", "nanoseconds", "cpu"),
        "cpu",
        "cpu:nanoseconds",
        "cpu:nanoseconds",
    );
    check(
        with_period("events", "count", "wall"),
        "wall",
        "events:count",
        "wall:nanoseconds",
    );
    check(
        typed("off_cpu", "nanoseconds", seven()),
        "off_cpu",
        "off_cpu:nanoseconds",
        "",
    );
    // The distributor refuses a series without a name.
    check(typed("events", "count", seven()), "", "events:count", "");
}

#[test]
fn values_of_a_sample_are_added_and_missing_ones_are_ones() {
    let check = |values: &[i64], times: usize, expected: i64| {
        let sample = proto::Sample {
            timestamps_unix_nano: vec![5; times],
            ..sample(1, values)
        };
        let (_, pprof) = only(typed("off_cpu", "nanoseconds", vec![sample]));
        assert_eq!(pprof.sample[0].value, [expected], "{values:?} {times}");
    };
    check(&[7], 0, 7);
    check(&[100, 200], 2, 300);
    check(&[], 3, 3);
    check(&[0], 3, 0);
    check(&[i64::MAX, 1], 0, i64::MAX);
}

#[test]
fn negative_values_are_left_out_and_counted() {
    let converted = convert(&request(
        &[],
        &[],
        vec![on_cpu(vec![sample(1, &[5, -4, i64::MIN])])],
    ));
    let pprof = pprof::Profile::decode(&*converted.profiles[0].pprof).unwrap();
    assert_eq!(
        (shown(&pprof), converted.negative_values),
        (vec!["main;work 50000000".to_owned()], 2)
    );
}

#[test]
fn a_value_times_the_period_never_wraps() {
    let profile = proto::Profile {
        period: i64::MAX,
        ..on_cpu(vec![sample(1, &[2])])
    };
    assert_eq!(only(profile).1.sample[0].value, [i64::MAX]);
}

#[test]
fn times_that_are_not_set_have_defaults() {
    let check = |time: u64, duration: u64, expected: (i64, i64)| {
        let profile = proto::Profile {
            time_unix_nano: time,
            duration_nano: duration,
            ..on_cpu(vec![sample(1, &[1])])
        };
        let (_, pprof) = only(profile);
        assert_eq!((pprof.time_nanos, pprof.duration_nanos), expected);
    };
    check(0, 0, (NOW, 10_000_000_000));
    check(5, 6, (5, 6));
    check(u64::MAX, u64::MAX, (i64::MAX, i64::MAX));
}

#[test]
fn samples_are_split_by_their_own_service() {
    let of_sample = proto::Sample {
        attribute_indices: vec![1, 3],
        ..sample(1, &[1])
    };
    let profile = on_cpu(vec![
        of_sample.clone(),
        sample(1, &[2]),
        of_sample,
        sample(2, &[4]),
    ]);
    let converted = convert(&request(&service("of-resource"), &[], vec![profile]));
    let shown = |profile: &Profile| {
        let pprof = pprof::Profile::decode(&*profile.pprof).unwrap();
        (
            label(profile, "service_name").unwrap().to_owned(),
            shown(&pprof),
        )
    };
    let profiles: Vec<_> = converted.profiles.iter().map(shown).collect();
    let expected = [
        (
            "of-sample",
            [
                "main;work 10000000 thread.name=t1",
                "main;work 10000000 thread.name=t1",
            ],
        ),
        (
            "of-resource",
            ["main;work 20000000", "main;0x1234 40000000"],
        ),
    ];
    let expected =
        expected.map(|(service, lines)| (service.to_owned(), lines.map(str::to_owned).to_vec()));
    assert_eq!(profiles, expected);
    assert_eq!(
        label(&converted.profiles[0], "service.name"),
        Some("of-resource")
    );
}

#[test]
fn a_service_is_named_by_resource_or_program() {
    let check = |attributes: &[(&str, &str)], expected: &str| {
        let attributes: Vec<KeyValue> = attributes
            .iter()
            .map(|(key, value)| attribute(key, text(value)))
            .collect();
        let converted = convert(&request(
            &attributes,
            &[],
            vec![on_cpu(vec![sample(1, &[1])])],
        ));
        assert_eq!(
            label(&converted.profiles[0], "service_name"),
            Some(expected),
            "{attributes:?}"
        );
    };
    check(
        &[("service.name", "s"), ("process.executable.name", "p")],
        "s",
    );
    check(&[("process.executable.name", "p")], "unknown_service:p");
    check(&[("service.name", "")], "unknown_service");
    check(&[("service_name", "x")], "unknown_service");
    check(&[], "unknown_service");
}

#[test]
fn labels_are_attributes_that_fit() {
    let array = |values: &[Value]| {
        some(Value::ArrayValue(ArrayValue {
            values: values
                .iter()
                .map(|value| AnyValue {
                    value: Some(value.clone()),
                })
                .collect(),
        }))
    };
    let one = Value::StringValue("one".into());
    let resource = [
        attribute("host.name", text("h1")),
        attribute("n", some(Value::IntValue(-5))),
        attribute("b", some(Value::BoolValue(true))),
        attribute("d", some(Value::DoubleValue(1.5))),
        attribute("list", array(std::slice::from_ref(&one))),
        attribute("longer", array(&[one.clone(), one])),
        attribute("nested", array(&[Value::ArrayValue(ArrayValue::default())])),
        attribute("none", None),
        attribute("__name__", text("mine")),
        attribute("", text("x")),
        KeyValue {
            key_strindex: at("thread.name"),
            ..attribute("", some(Value::StringValueStrindex(at("t3"))))
        },
    ];
    let scope = [
        attribute("scope.attr", text("x")),
        attribute("host.name", text("other")),
    ];
    let converted = convert(&request(
        &resource,
        &scope,
        vec![on_cpu(vec![sample(1, &[1])])],
    ));
    let labels: Vec<(&str, &str)> = converted.profiles[0]
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("__delta__", "false"),
        ("__otel__", "true"),
        ("__name__", "process_cpu"),
        ("service_name", "unknown_service"),
        ("host.name", "h1"),
        ("n", "-5"),
        ("list", "one"),
        ("thread.name", "t3"),
        ("scope.attr", "x"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn samples_have_labels_for_strings_and_links() {
    let labelled = proto::Sample {
        attribute_indices: vec![0, 1, 5],
        ..sample(1, &[1])
    };
    let by_reference = proto::Sample {
        attribute_indices: vec![6],
        ..sample(1, &[1])
    };
    let linked = proto::Sample {
        link_index: 1,
        ..sample(1, &[1])
    };
    let (_, pprof) = only(typed(
        "off_cpu",
        "nanoseconds",
        vec![labelled, by_reference, linked],
    ));
    let expected = [
        "main;work 1 thread.name=t1",
        "main;work 1 thread.name=t3",
        "main;work 1 span_id=0102030405060708 trace_id=0102030405060708090a0b0c0d0e0f10",
    ];
    assert_eq!(shown(&pprof), expected);
}

#[test]
fn a_mapping_says_what_all_its_locations_in_a_stack_have() {
    let check = |stack: i32, expected: [bool; 4]| {
        let (_, pprof) = only(on_cpu(vec![sample(stack, &[1])]));
        let [mapping] = pprof.mapping.as_slice() else {
            panic!("{:?}", pprof.mapping)
        };
        let has = [
            mapping.has_functions,
            mapping.has_filenames,
            mapping.has_line_numbers,
            mapping.has_inline_frames,
        ];
        assert_eq!(has, expected, "stack {stack}");
        assert_eq!((mapping.memory_start, mapping.memory_limit), (4096, 8192));
        assert_eq!(
            (
                string(&pprof, mapping.filename),
                string(&pprof, mapping.build_id)
            ),
            ("app.bin", "abcdef0123")
        );
    };
    check(1, [true, true, true, false]);
    check(2, [false; 4]);
    check(3, [true; 4]);
    // One stack does not speak for another.
    let (_, pprof) = only(on_cpu(vec![
        sample(1, &[1]),
        sample(2, &[1]),
        sample(1, &[1]),
    ]));
    assert_eq!(
        (
            pprof.mapping.len(),
            pprof.location.len(),
            pprof.function.len()
        ),
        (2, 4, 2)
    );
}

#[test]
fn a_sample_without_a_stack_is_kept() {
    let (_, pprof) = only(on_cpu(vec![sample(0, &[5])]));
    assert_eq!(shown(&pprof), [" 50000000"]);
}

#[test]
fn profiles_without_samples_are_nothing() {
    let converted = convert(&request(
        &[],
        &[],
        vec![on_cpu(vec![]), proto::Profile::default()],
    ));
    assert_eq!((converted.profiles.len(), converted.received), (0, 2));
}

proptest! {
    /// Whatever the indices, a profile is converted into one with only good references, or refused.
    #[test]
    fn references_are_good_or_refused(
        stacks in prop::collection::vec(prop::collection::vec(-1..6_i32, 0..4), 0..4),
        samples in prop::collection::vec((-1..5_i32, -1..8_i32, -1..3_i32, any::<i64>()), 0..6),
        functions in prop::collection::vec(-1..5_i32, 0..4),
        mapping in -1..3_i32,
    ) {
        let of_sample = |(stack_index, attribute, link_index, value): (i32, i32, i32, i64)| proto::Sample {
            attribute_indices: vec![attribute],
            link_index,
            ..sample(stack_index, &[value])
        };
        let profile = on_cpu(samples.into_iter().map(of_sample).collect());
        let mut request = request(&service("s"), &[], vec![profile]);
        let dictionary = request.dictionary.as_mut().unwrap();
        dictionary.stack_table = stacks.into_iter().map(|location_indices| proto::Stack { location_indices }).collect();
        let lines = functions.into_iter().map(|function_index| proto::Line { function_index, ..Default::default() });
        dictionary.location_table[1].lines = lines.collect();
        dictionary.location_table[2].mapping_index = mapping;
        let converted = convert_with(&request, &LIMITS).unwrap();
        for profile in converted.profiles {
            let pprof = pprof::Profile::decode(&*profile.pprof).unwrap();
            // Panics at a bad reference.
            shown(&pprof);
            for location in &pprof.location {
                prop_assert!(location.mapping_id <= pprof.mapping.len() as u64);
            }
        }
    }
}
