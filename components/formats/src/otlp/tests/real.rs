//! A request of a real profiler.

use std::collections::BTreeMap;

use super::*;

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn real() -> ExportProfilesServiceRequest {
    ExportProfilesServiceRequest::decode(&*data("otel-ebpf-profile.pb.bin")).unwrap()
}

/// The pprofs of this name.
fn named(converted: &Converted, name: &str) -> Vec<pprof::Profile> {
    let named = converted
        .profiles
        .iter()
        .filter(|profile| label(profile, "__name__") == Some(name));
    named
        .map(|profile| pprof::Profile::decode(&*profile.pprof).unwrap())
        .collect()
}

fn total(profiles: &[pprof::Profile]) -> i64 {
    profiles
        .iter()
        .flat_map(|profile| &profile.sample)
        .map(|sample| sample.value[0])
        .sum()
}

#[test]
fn totals_are_those_of_the_profiler() {
    let converted = convert(&real());
    let (on, off) = (
        named(&converted, "process_cpu"),
        named(&converted, "off_cpu"),
    );
    assert_eq!(
        (
            converted.received,
            converted.profiles.len(),
            on.len(),
            off.len()
        ),
        (82, 82, 5, 77)
    );
    assert_eq!((total(&on), total(&off)), (500_000_000, 267_302_249_331));
    assert_eq!(converted.negative_values, 0);
}

#[test]
fn stacks_on_cpu_are_the_expected_ones() {
    let converted = convert(&real());
    let mut stacks: BTreeMap<String, i64> = BTreeMap::new();
    for profile in named(&converted, "process_cpu") {
        for sample in &profile.sample {
            let stack: Vec<String> = sample
                .location_id
                .iter()
                .flat_map(|id| frames(&profile, *id))
                .collect();
            *stacks.entry(stack.join(";")).or_default() += sample.value[0];
        }
    }
    let expected: serde_json::Value =
        serde_json::from_slice(&data("otel-ebpf-profile-cpu.out.json")).unwrap();
    let mut expected_stacks: BTreeMap<String, i64> = BTreeMap::new();
    for sample in expected["samples"].as_array().unwrap() {
        let locations = sample["locations"].as_array().unwrap().iter();
        let lines = locations.flat_map(|location| location["lines"].as_array().unwrap());
        let names: Vec<&str> = lines
            .map(|line| line.as_str().unwrap().split('[').next().unwrap())
            .collect();
        *expected_stacks.entry(names.join(";")).or_default() +=
            sample["values"].as_str().unwrap().parse::<i64>().unwrap();
    }
    assert_eq!(stacks, expected_stacks);
}

#[test]
fn json_is_the_same_request() {
    let json = Export::from_json(&data("otel-ebpf-profile-20.pb.json")).unwrap();
    let mut real = real();
    real.resource_profiles.truncate(20);
    assert_eq!(json.request, real);
}

/// Until v1.9 the values were field 2, where now the attributes are.
#[test]
fn the_previous_version_of_the_schema_is_recognised() {
    let mut request = real();
    let profiles = request
        .resource_profiles
        .iter_mut()
        .flat_map(|r| &mut r.scope_profiles)
        .flat_map(|s| &mut s.profiles);
    let mut with_values = 0;
    for profile in profiles {
        with_values += usize::from(
            profile
                .samples
                .iter()
                .any(|sample| !sample.values.is_empty()),
        );
        for sample in &mut profile.samples {
            sample.attribute_indices = sample.values.drain(..).map(|value| value as i32).collect();
        }
    }
    let converted = convert_with(&request, &LIMITS).unwrap();
    assert_eq!((converted.refused.len(), with_values), (77, 77));
    for refused in &converted.refused {
        assert_eq!(refused.error.reason(), "otlp_broken_reference");
        assert!(
            refused
                .error
                .to_string()
                .contains("opentelemetry-proto v1.10.0"),
            "{}",
            refused.error
        );
    }
    // Without times as well, nothing of a sample is left.
    let samples = request
        .resource_profiles
        .iter_mut()
        .flat_map(|r| &mut r.scope_profiles)
        .flat_map(|s| &mut s.profiles);
    samples
        .flat_map(|profile| &mut profile.samples)
        .for_each(|sample| sample.timestamps_unix_nano.clear());
    let converted = convert_with(&request, &LIMITS).unwrap();
    assert_eq!((converted.refused.len(), converted.profiles.len()), (82, 0));
    assert!(
        converted
            .refused
            .iter()
            .all(|refused| refused.error.reason() == "otlp_sample_without_values")
    );
}
