//! Profiles that go to another process arrive as they are, and nothing that arrives breaks it.

use phlare_pprof::carried::{self, Carried};
use phlare_pprof::{Normalized, Seed, Workspace};
use phlare_proto::phlare::ingest::v1 as wire;
use proptest::prelude::*;
use prost::Message;

use super::build::options;
use super::canonical::of_result;

fn check(profile: &Normalized<'_>, seed: Seed) {
    let bytes = carried::encode(profile).encode_to_vec();
    let there = Carried::decode(&bytes, seed).unwrap();
    let mut arrived = there.normalized();
    // Rows have the labels.
    for (group, original) in arrived.groups.iter_mut().zip(&profile.groups) {
        group.labels.clone_from(&original.labels);
    }
    assert_eq!(of_result(&arrived), of_result(profile));
    let hashes = |profile: &Normalized<'_>| -> Vec<u64> {
        let samples = profile.samples.iter();
        let stacks = samples.map(|sample| profile.stacks[sample.stack as usize]);
        stacks.map(|stack| stack.hash).collect()
    };
    assert_eq!(hashes(&arrived), hashes(profile));
    assert_eq!(arrived.time_ns, profile.time_ns);
    assert_eq!(arrived.sample_types, profile.sample_types);
    assert_eq!(arrived.period_type, profile.period_type);
    assert_eq!(
        (arrived.duration_ns, arrived.period, arrived.doc_url),
        (profile.duration_ns, profile.period, profile.doc_url)
    );
    assert_eq!(
        (arrived.default_sample_type, arrived.comments.as_slice()),
        (profile.default_sample_type, profile.comments.as_slice())
    );
}

#[test]
fn real_profiles_arrive_as_they_are() {
    let options = options();
    let mut workspace = Workspace::new();
    let mut seen = 0;
    for (path, bytes) in super::real::real_profiles() {
        let Ok(decoded) = workspace.decode(&bytes, 64 << 20) else {
            continue;
        };
        let Ok(profile) = decoded.normalize(&options) else {
            continue;
        };
        check(&profile, options.seed);
        seen += usize::from(!path.is_empty());
    }
    assert!(seen > 3, "{seen} profiles");
}

proptest! {
    #[test]
    fn random_profiles_arrive_as_they_are(seed: u64) {
        let bytes = super::random::profile(seed).encode_to_vec();
        let options = options();
        let mut workspace = Workspace::new();
        if let Ok(decoded) = workspace.decode(&bytes, 1 << 20)
            && let Ok(profile) = decoded.normalize(&options)
        {
            check(&profile, options.seed);
        }
    }
}

fn small() -> wire::Profile {
    let bytes = super::build::profile().encode_to_vec();
    let mut workspace = Workspace::new();
    let decoded = workspace.decode(&bytes, 1 << 20).unwrap();
    carried::encode(&decoded.normalize(&options()).unwrap())
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let refused = |change: &dyn Fn(&mut wire::Profile), expected: &str| {
        let mut message = small();
        change(&mut message);
        let error = Carried::decode(&message.encode_to_vec(), options().seed).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text}, not {expected}");
    };
    refused(&|m| m.strings.clear(), "the first string is not empty");
    refused(&|m| m.sample_types.clear(), "no sample type");
    refused(
        &|m| m.function_names[0] = 99,
        "functions refers to entry 99",
    );
    refused(&|m| m.function_filenames.clear(), "functions does not fit");
    refused(
        &|m| m.mappings[0].build_id = 99,
        "mappings refers to entry 99",
    );
    refused(&|m| m.mappings[0].flags = 16, "unknown flags");
    refused(
        &|m| m.location_mappings[0] = 99,
        "locations refers to entry 99",
    );
    refused(&|m| m.location_line_counts[0] += 1, "lines does not fit");
    refused(&|m| m.line_functions[0] = 99, "lines refers to entry 99");
    refused(
        &|m| m.folded_locations.push(99),
        "folded locations refers to entry 99",
    );
    refused(&|m| m.stack_depths[0] += 1, "stacks does not fit");
    refused(&|m| m.stack_depths[0] -= 1, "frames does not fit");
    refused(&|m| m.frames[0] = 99, "frames refers to entry 99");
    refused(&|m| m.sample_stacks[0] = 99, "samples refers to entry 99");
    refused(&|m| m.group_counts[0] += 1, "groups does not fit");
    refused(&|m| m.group_counts.push(0), "groups does not fit");
    refused(&|m| m.sample_spans = vec![1; 77], "samples does not fit");
    refused(
        &|m| m.sample_traces = vec![9; m.sample_stacks.len()],
        "samples refers to entry 9",
    );
    refused(&|m| m.trace_ids = vec![0; 15], "trace ids does not fit");
    refused(&|m| m.values.push(1), "values does not fit");
    refused(&|m| m.values[0] = u64::MAX, "below zero");
}

/// Begins with what is in `__fuzz__/carried/corpus`, if there is any.
#[test]
fn hostile_carried_bytes_never_panic() {
    bolero::check!(name = "carried")
        .with_iterations(20_000)
        .for_each(|bytes: &[u8]| {
            if let Ok(carried) = Carried::decode(bytes, options().seed) {
                drop(carried.normalized().totals());
            }
        });
}

#[test]
fn every_byte_of_a_carried_profile_can_have_any_value() {
    let whole = small().encode_to_vec();
    for at in 0..whole.len() {
        for value in [0, 1, 2, 8, 0x12, 0x1a, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            if let Ok(carried) = Carried::decode(&bytes, options().seed) {
                drop(carried.normalized().totals());
            }
        }
    }
}
