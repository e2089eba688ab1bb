//! Requests that are wrong, and what is said about them.

use super::*;

/// What is said about the only profile of a request, without the hint about versions.
#[track_caller]
fn refusal(request: &ExportProfilesServiceRequest) -> String {
    let converted = convert_with(request, &LIMITS).unwrap();
    assert_eq!(converted.profiles, []);
    let [
        Refused {
            place,
            error,
            bytes,
        },
    ] = converted.refused.as_slice()
    else {
        panic!("{:?}", converted.refused)
    };
    assert_eq!(
        *place,
        Place {
            resource: 0,
            scope: 0,
            profile: 0
        }
    );
    assert!(*bytes > 0);
    error
        .to_string()
        .split("; this server reads")
        .next()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn check(
    profile: proto::Profile,
    change: impl FnOnce(&mut proto::ProfilesDictionary),
    expected: &str,
) {
    let mut request = request(&service("s"), &[], vec![profile]);
    change(request.dictionary.as_mut().unwrap());
    assert_eq!(refusal(&request), expected);
}

fn one() -> proto::Profile {
    on_cpu(vec![sample(1, &[1])])
}

#[test]
fn indices_in_samples_are_checked() {
    let check = |broken: proto::Sample, expected: &str| {
        check(on_cpu(vec![sample(1, &[1]), broken]), |_| {}, expected)
    };
    check(
        sample(77, &[1]),
        "sample 1: index 77 is outside of the dictionary's `stack_table`, which has 4 entries",
    );
    check(
        sample(-1, &[1]),
        "sample 1: index -1 is outside of the dictionary's `stack_table`, which has 4 entries",
    );
    let attribute = proto::Sample {
        attribute_indices: vec![1, 99],
        ..sample(1, &[1])
    };
    check(
        attribute,
        "sample 1: index 99 is outside of the dictionary's `attribute_table`, which has 7 entries",
    );
    let link = proto::Sample {
        link_index: 9,
        ..sample(1, &[1])
    };
    check(
        link,
        "sample 1: index 9 is outside of the dictionary's `link_table`, which has 2 entries",
    );
}

#[test]
fn indices_in_types_are_checked() {
    let broken = |type_strindex, unit_strindex| {
        Some(proto::ValueType {
            type_strindex,
            unit_strindex,
        })
    };
    let profile = proto::Profile {
        sample_type: broken(99, 0),
        ..one()
    };
    check(
        profile,
        |_| {},
        "sample_type 0: index 99 is outside of the dictionary's `string_table`, which has 20 entries",
    );
    let profile = proto::Profile {
        period_type: broken(0, -7),
        ..one()
    };
    check(
        profile,
        |_| {},
        "period_type 0: index -7 is outside of the dictionary's `string_table`, which has 20 entries",
    );
}

#[test]
fn indices_in_the_dictionary_are_checked() {
    let check =
        |change: fn(&mut proto::ProfilesDictionary), expected: &str| check(one(), change, expected);
    check(
        |d| d.stack_table[1].location_indices.push(5),
        "stack 1: index 5 is outside of the dictionary's `location_table`, which has 5 entries",
    );
    check(
        |d| d.location_table[2].mapping_index = 2,
        "location 2: index 2 is outside of the dictionary's `mapping_table`, which has 2 entries",
    );
    check(
        |d| d.location_table[2].lines[0].function_index = 4,
        "location 2: index 4 is outside of the dictionary's `function_table`, which has 4 entries",
    );
    check(
        |d| d.function_table[2].name_strindex = 20,
        "function 2: index 20 is outside of the dictionary's `string_table`, which has 20 entries",
    );
    check(
        |d| d.function_table[2].system_name_strindex = i32::MAX,
        "function 2: index 2147483647 is outside of the dictionary's `string_table`, which has 20 entries",
    );
    check(
        |d| d.mapping_table[1].filename_strindex = i32::MIN,
        "mapping 1: index -2147483648 is outside of the dictionary's `string_table`, which has 20 entries",
    );
    check(
        |d| d.mapping_table[1].attribute_indices.push(7),
        "mapping 1: index 7 is outside of the dictionary's `attribute_table`, which has 7 entries",
    );
    check(
        |d| d.attribute_table[4].key_strindex = 21,
        "attribute 4: index 21 is outside of the dictionary's `string_table`, which has 20 entries",
    );
    check(
        |d| d.attribute_table[4].value = some(Value::StringValueStrindex(22)),
        "mapping 1: index 22 is outside of the dictionary's `string_table`, which has 20 entries",
    );
}

#[test]
fn indices_in_attributes_of_resource_and_scope_are_checked() {
    let broken = [KeyValue {
        key_strindex: 50,
        ..attribute("", text("x"))
    }];
    let reason = refusal(&request(&broken, &[], vec![one()]));
    assert_eq!(
        reason,
        "resource attribute 0: index 50 is outside of the dictionary's `string_table`, which has 20 entries"
    );
    let broken = [attribute("x", some(Value::StringValueStrindex(-2)))];
    let reason = refusal(&request(&[], &broken, vec![one()]));
    assert_eq!(
        reason,
        "scope attribute 0: index -2 is outside of the dictionary's `string_table`, which has 20 entries"
    );
}

#[test]
fn what_the_profile_does_not_use_may_be_broken() {
    let mut request = request(&service("s"), &[], vec![one()]);
    let dictionary = request.dictionary.as_mut().unwrap();
    dictionary.stack_table[2].location_indices.push(99);
    dictionary.location_table[3].mapping_index = 99;
    assert_eq!(convert(&request).profiles.len(), 1);
}

#[test]
fn a_profile_without_meaning_is_refused() {
    let check = |profile, expected: &str| check(profile, |_| {}, expected);
    check(
        on_cpu(vec![sample(1, &[1]), sample(1, &[])]),
        "sample 1 has neither `values` nor `timestamps_unix_nano`",
    );
    check(
        proto::Profile {
            sample_type: None,
            ..one()
        },
        "the profile has samples but no `sample_type`",
    );
    let below = |period: i64| {
        format!(
            "`period` is {period}: samples of a CPU profile stand for `period` nanoseconds each, so it has to be above 0"
        )
    };
    let text = below(0);
    check(proto::Profile { period: 0, ..one() }, &text);
    check(
        proto::Profile {
            period: -1,
            ..one()
        },
        &below(-1),
    );
}

#[test]
fn a_request_of_nothing_is_refused() {
    let check = |request: &ExportProfilesServiceRequest, expected: &str| {
        let error = convert_with(request, &LIMITS).unwrap_err();
        assert_eq!(
            error,
            Error::Missing(if expected == "dictionary" {
                "dictionary"
            } else {
                "resource_profiles"
            })
        );
        assert!(
            error.to_string().contains("opentelemetry-proto v1.10.0"),
            "{error}"
        );
    };
    check(
        &ExportProfilesServiceRequest::default(),
        "resource_profiles",
    );
    check(
        &ExportProfilesServiceRequest {
            dictionary: None,
            ..request(&[], &[], vec![one()])
        },
        "dictionary",
    );
}

#[test]
fn one_bad_profile_costs_no_other() {
    let profiles = vec![one(), on_cpu(vec![sample(77, &[1])]), one()];
    let converted = convert_with(&request(&service("s"), &[], profiles), &LIMITS).unwrap();
    let places: Vec<usize> = converted
        .profiles
        .iter()
        .map(|profile| profile.place.profile)
        .collect();
    assert_eq!((places, converted.received), (vec![0, 2], 3));
    assert_eq!(
        converted.refused[0].place.to_string(),
        "resource 0, scope 0, profile 1"
    );
}

/// A few bytes each, and each stands for a long stack, or for labels, or for names.
#[test]
fn a_small_request_cannot_become_a_large_one() {
    let limits = Limits {
        profile_bytes: 64 << 10,
        total_bytes: 1 << 20,
    };
    let check = |request: &ExportProfilesServiceRequest, reason: &str| {
        let converted = convert_with(request, &limits).unwrap();
        let size = |profile: &Profile| {
            let labels: usize = profile
                .labels
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            labels + profile.pprof.len()
        };
        let total: usize = converted.profiles.iter().map(size).sum();
        assert!(total < 2 << 20, "{total}");
        assert_eq!(converted.refused[0].error.reason(), reason);
    };
    let many = |samples: usize| vec![on_cpu(vec![sample(1, &[1]); samples]); 1000];

    let mut long_stack = request(&service("s"), &[], many(1));
    long_stack.dictionary.as_mut().unwrap().stack_table[1].location_indices = vec![1; 10_000];
    check(&long_stack, "body_size_limit_exceeded");
    long_stack.resource_profiles[0].scope_profiles[0].profiles = many(50);
    check(&long_stack, "profile_size_limit");

    let labels = [attribute("x", text(&"x".repeat(10_000)))];
    check(&request(&labels, &[], many(1)), "body_size_limit_exceeded");

    let mut long_name = request(&service("s"), &[], many(1));
    long_name.dictionary.as_mut().unwrap().string_table[at("work") as usize] = "x".repeat(10_000);
    check(&long_name, "body_size_limit_exceeded");

    let mut long_type = request(
        &service("s"),
        &[],
        vec![typed("events", "count", vec![sample(1, &[1])]); 1000],
    );
    long_type.dictionary.as_mut().unwrap().string_table[at("events") as usize] = "x".repeat(10_000);
    check(&long_type, "body_size_limit_exceeded");

    let mut inlined = request(&service("s"), &[], many(1));
    inlined.dictionary.as_mut().unwrap().location_table[1].lines =
        vec![proto::Line::default(); 10_000];
    check(&inlined, "body_size_limit_exceeded");
}

#[test]
fn hostile_bytes_never_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let limits = Limits {
            profile_bytes: 1 << 16,
            total_bytes: 1 << 20,
        };
        for export in [Export::from_protobuf(bytes), Export::from_json(bytes)]
            .into_iter()
            .flatten()
        {
            let _ = export.convert(&limits, NOW);
        }
    });
}
