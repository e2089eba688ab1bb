use super::*;

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    labels
        .iter()
        .map(|(name, value)| LabelPair {
            name: (*name).into(),
            value: (*value).into(),
        })
        .collect()
}

fn labels(given: &[(&str, &str)]) -> LabelsBuilder {
    [(NAME, "process_cpu"), (SERVICE_NAME, "s")]
        .into_iter()
        .chain(given.iter().copied())
        .collect()
}

#[test]
fn equal_repeats_fold_into_one() {
    let read = read(&pairs(&[
        ("service_name", "s"),
        ("b", "1"),
        ("a", "1"),
        ("service_name", "s"),
    ]))
    .unwrap();
    assert_eq!(
        read.build().to_string(),
        r#"{a="1", b="1", service_name="s"}"#
    );
}

#[test]
fn unequal_repeats_are_refused_with_both_values() {
    let error = read(&pairs(&[("app_name", "x"), ("app_name", "y")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"label "app_name" comes twice with different values: "x" and "y""#
    );
    assert_eq!(error.reason(), "duplicate_label_names");
}

#[test]
fn a_missing_service_is_unknown() {
    assert_eq!(
        read(&[]).unwrap().get(SERVICE_NAME),
        Some("unknown_service")
    );
    assert_eq!(
        read(&pairs(&[("service_name", "")]))
            .unwrap()
            .get(SERVICE_NAME),
        Some("unknown_service")
    );
}

#[test]
fn an_empty_name_is_refused() {
    assert_eq!(
        read(&pairs(&[("", "1")])).unwrap_err().reason(),
        "invalid_labels"
    );
}

#[track_caller]
fn refused(given: &[(&str, &str)], reason: &str, named: &str) {
    let error = validate(&mut labels(given), &|_| false, &Limits::default()).unwrap_err();
    assert_eq!(error.reason(), reason);
    assert!(error.to_string().contains(named), "{error}");
}

#[test]
fn limits_are_refused_by_name() {
    let (name, value) = ("n".repeat(1025), "é".repeat(1025));
    refused(
        &[(&name, "v")],
        "label_name_too_long",
        "has 1025 bytes, the limit `max_label_name_length` is 1024",
    );
    refused(
        &[("n", &value)],
        "label_value_too_long",
        "has 2050 bytes, the limit `max_label_value_length` is 2048",
    );
    let many: Vec<String> = (0..29).map(|i| format!("l{i}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
    refused(&many, "max_label_names_per_series", "has 31 labels");
}

#[test]
fn what_is_just_allowed_is_stored() {
    let (name, value) = ("n".repeat(1024), "v".repeat(2048));
    let many: Vec<String> = (0..26).map(|i| format!("l{i}")).collect();
    let mut all: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
    all.extend([
        (name.as_str(), "v"),
        ("n", value.as_str()),
        (DELTA, "false"),
    ]);
    assert!(validate(&mut labels(&all), &|_| false, &Limits::default()).is_ok());
}

#[test]
fn a_series_needs_a_name_and_a_service() {
    let mut without = LabelsBuilder::from_iter([(SERVICE_NAME, "s")]);
    let error = validate(&mut without, &|_| false, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("invalid metric name"), "{error}");
    let mut without = LabelsBuilder::from_iter([(NAME, "cpu")]);
    assert_eq!(
        validate(&mut without, &|_| false, &Limits::default())
            .unwrap_err()
            .reason(),
        "missing_labels"
    );
}

const ODD: [(&str, &str); 4] = [
    ("1a", "w"),
    ("k8s.pod", "é"),
    ("local root span id", "9"),
    ("process-description", "x"),
];

#[test]
fn odd_names_are_stored_as_they_are() {
    let mut odd = labels(&ODD);
    assert_eq!(
        validate(&mut odd, &|_| false, &Limits::default()).unwrap(),
        0
    );
    assert_eq!(odd.build(), labels(&ODD).build());
}

fn legacy() -> Limits {
    Limits {
        disable_label_sanitization: false,
        ..Limits::default()
    }
}

#[test]
fn odd_names_are_rewritten_in_legacy_mode_and_counted() {
    let mut odd = labels(&ODD);
    assert_eq!(validate(&mut odd, &|_| false, &legacy()).unwrap(), 4);
    let expected = [
        ("_1a", "w"),
        ("k8s_pod", "é"),
        ("local_root_span_id", "9"),
        ("process_description", "x"),
    ];
    assert_eq!(odd.build(), labels(&expected).build());
}

#[test]
fn rewritten_names_that_meet() {
    let mut equal = labels(&[("a.b", "1"), ("a_b", "1")]);
    assert_eq!(validate(&mut equal, &|_| false, &legacy()).unwrap(), 1);
    assert_eq!(equal.build(), labels(&[("a_b", "1")]).build());

    let mut other = labels(&[("a.b", "1"), ("a_b", "2")]);
    let error = validate(&mut other, &|_| false, &legacy()).unwrap_err();
    assert_eq!(error.reason(), "duplicate_label_names");

    // The label of a sample gives way to that of the series, whichever is the odd one.
    let mut sample = labels(&[("a.b", "1"), ("a_b", "2")]);
    validate(&mut sample, &|name| name == "a.b", &legacy()).unwrap();
    assert_eq!(sample.build(), labels(&[("a_b", "2")]).build());
    let mut sample = labels(&[("a.b", "1"), ("a_b", "2")]);
    validate(&mut sample, &|name| name == "a_b", &legacy()).unwrap();
    assert_eq!(sample.build(), labels(&[("a_b", "1")]).build());
}
