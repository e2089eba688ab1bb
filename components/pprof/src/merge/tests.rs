use super::*;

fn profile(name: &str, value: i64) -> Profile {
    Profile {
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        string_table: ["", "cpu", "nanoseconds", name, "https://example.org"]
            .map(String::from)
            .to_vec(),
        function: vec![Function {
            id: 5,
            name: 3,
            ..Function::default()
        }],
        mapping: vec![Mapping {
            id: 9,
            memory_start: 4096,
            memory_limit: 8192,
            filename: 3,
            ..Mapping::default()
        }],
        location: vec![Location {
            id: 7,
            mapping_id: 9,
            line: vec![Line {
                function_id: 5,
                line: 1,
                column: 2,
            }],
            ..Location::default()
        }],
        sample: vec![Sample {
            location_id: vec![7],
            value: vec![value],
            label: Vec::new(),
        }],
        time_nanos: value,
        duration_nanos: 10,
        period: value,
        doc_url: 4,
        ..Profile::default()
    }
}

#[test]
fn equal_symbols_become_one_and_equal_samples_are_summed() {
    let merged = merge(&[profile("f", 5), profile("f", 2), profile("g", i64::MAX)]).unwrap();
    assert_eq!(
        merged.sample.iter().map(|s| s.value[0]).collect::<Vec<_>>(),
        [7, i64::MAX]
    );
    assert_eq!(
        (
            merged.function.len(),
            merged.location.len(),
            merged.mapping.len()
        ),
        (2, 2, 2)
    );
    assert_eq!(merged.function[0].id, 1);
    assert_eq!(merged.location[0].line[0].column, 2);
    assert_eq!(
        (merged.time_nanos, merged.duration_nanos, merged.period),
        (2, 30, i64::MAX)
    );
    assert_eq!(
        merged.string_table[merged.doc_url as usize],
        "https://example.org"
    );
}

#[test]
fn what_makes_symbols_differ() {
    let distinct = |change: &dyn Fn(&mut Profile)| {
        let mut other = profile("f", 1);
        change(&mut other);
        let merged = merge(&[profile("f", 1), other]).unwrap();
        (
            merged.sample.len(),
            merged.function.len(),
            merged.mapping.len(),
        )
    };
    assert_eq!(distinct(&|_| {}), (1, 1, 1));
    assert_eq!(
        distinct(&|p| p.mapping[0].memory_limit -= 100),
        (1, 1, 1),
        "sizes are rounded to pages"
    );
    assert_eq!(distinct(&|p| p.mapping[0].file_offset = 1), (2, 1, 2));
    assert_eq!(distinct(&|p| p.mapping[0].build_id = 1), (2, 1, 2));
    assert_eq!(distinct(&|p| p.function[0].start_line = 1), (2, 2, 1));
    assert_eq!(distinct(&|p| p.location[0].address = 1), (2, 1, 1));
    assert_eq!(distinct(&|p| p.location[0].is_folded = true), (1, 1, 1));
    assert_eq!(distinct(&|p| p.location[0].line[0].column = 9), (2, 1, 1));
    assert_eq!(
        distinct(&|p| p.sample[0].label = vec![Label {
            key: 1,
            num: 5,
            ..Label::default()
        }]),
        (1, 1, 1)
    );
    assert_eq!(
        distinct(&|p| p.sample[0].label = vec![Label {
            key: 1,
            str: 3,
            ..Label::default()
        }]),
        (2, 1, 1)
    );
}

#[test]
fn profiles_of_other_types_are_refused_and_named() {
    let mut other = profile("f", 1);
    other.string_table[2] = "count".into();
    let error = merge(&[profile("f", 1), other]).unwrap_err().to_string();
    assert!(
        error.contains("profile 1")
            && error.contains("incompatible sample types, [cpu:count] after [cpu:nanoseconds]"),
        "{error}"
    );
    let mut other = profile("f", 1);
    other.period_type = Some(ValueType { r#type: 1, unit: 2 });
    let error = merge(&[profile("f", 1), other.clone()])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("period types, [cpu:nanoseconds] after [:]"),
        "{error}"
    );
    assert!(merge(&[other.clone(), other]).is_ok());
}

#[test]
fn nothing_merged_is_an_empty_profile() {
    let empty = Profile {
        sample_type: vec![ValueType::default()],
        period_type: Some(ValueType::default()),
        string_table: vec![String::new()],
        ..Profile::default()
    };
    assert_eq!(merge(&[]).unwrap(), empty);
    let no_samples = Profile {
        sample: Vec::new(),
        ..profile("f", 1)
    };
    let no_strings = Profile {
        string_table: vec![String::new()],
        ..profile("f", 1)
    };
    assert_eq!(
        merge(&[no_samples.clone(), no_strings.clone()]).unwrap(),
        empty
    );
    assert_eq!(
        merge(&[no_samples, profile("f", 1), no_strings])
            .unwrap()
            .sample
            .len(),
        1
    );
}

#[test]
fn broken_references_cost_only_their_samples() {
    let mut p = profile("f", 1);
    p.sample.push(Sample {
        location_id: vec![8],
        value: vec![1],
        label: Vec::new(),
    });
    p.sample.push(Sample {
        location_id: vec![7],
        value: vec![1, 2],
        label: Vec::new(),
    });
    p.location.push(Location {
        id: 8,
        line: vec![Line {
            function_id: 99,
            line: 1,
            column: 0,
        }],
        ..Location::default()
    });
    p.location[0].mapping_id = 77;
    p.default_sample_type = 99;
    let merged = merge(&[p]).unwrap();
    assert_eq!((merged.sample.len(), merged.location.len()), (1, 1));
    assert_eq!(merged.location[0].mapping_id, 2, "on an empty mapping");
    assert_eq!(merged.default_sample_type, 0);
}
