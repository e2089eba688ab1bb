use super::*;

fn rules(json: &str) -> RelabelRules {
    json.parse().unwrap()
}

/// Labels as `name=value` separated by blanks.
#[track_caller]
fn check(json: &str, before: &str, expected: Option<&str>) {
    let mut labels = LabelsBuilder::new();
    for (name, value) in before
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
    {
        labels.set(name, value);
    }
    let verdict = relabel(&rules(json), &mut labels);
    let after: Vec<String> = labels
        .build()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let got = (verdict == Verdict::Keep).then(|| after.join(" "));
    assert_eq!(got.as_deref(), expected, "{json} over {before}");
}

#[test]
fn replace() {
    check(
        r#"[{"source_labels":["a","b"],"target_label":"c"}]"#,
        "a=1 b=2",
        Some("a=1 b=2 c=1;2"),
    );
    check(
        r#"[{"source_labels":["pod"],"regex":"(.+)-[0-9]+","target_label":"app","replacement":"${1}_x"}]"#,
        "pod=web-12",
        Some("app=web_x pod=web-12"),
    );
    check(
        r#"[{"source_labels":["pod"],"regex":"web","target_label":"app","replacement":"x"}]"#,
        "pod=web-12",
        Some("pod=web-12"),
    );
    check(
        r#"[{"source_labels":["a"],"regex":"(.).*","target_label":"${1}_x","replacement":"v"}]"#,
        "a=bc",
        Some("a=bc b_x=v"),
    );
    check(
        r#"[{"target_label":"a","replacement":""}]"#,
        "a=1 b=2",
        Some("b=2"),
    );
    check(
        r#"[{"target_label":"a","replacement":"$$1"}]"#,
        "",
        Some("a=$1"),
    );
}

#[test]
fn keep_and_drop() {
    check(
        r#"[{"action":"keep","source_labels":["a"],"regex":"x|y"}]"#,
        "a=y",
        Some("a=y"),
    );
    check(
        r#"[{"action":"keep","source_labels":["a"],"regex":"x|y"}]"#,
        "a=yy",
        None,
    );
    check(
        r#"[{"action":"drop","source_labels":["a"],"regex":"x"}]"#,
        "a=x",
        None,
    );
    check(
        r#"[{"action":"drop","source_labels":["a"],"regex":".+"}]"#,
        "b=x",
        Some("b=x"),
    );
    check(
        r#"[{"action":"keepequal","source_labels":["a"],"target_label":"b"}]"#,
        "a=1 b=1",
        Some("a=1 b=1"),
    );
    check(
        r#"[{"action":"keepequal","source_labels":["a"],"target_label":"b"}]"#,
        "a=1 b=2",
        None,
    );
    check(
        r#"[{"action":"dropequal","source_labels":["a"],"target_label":"b"}]"#,
        "a=1 b=1",
        None,
    );
}

#[test]
fn names() {
    check(
        r#"[{"action":"labelmap","regex":"meta_(.+)"}]"#,
        "meta_a=1 b=2",
        Some("a=1 b=2 meta_a=1"),
    );
    check(
        r#"[{"action":"labeldrop","regex":"meta_.*"}]"#,
        "meta_a=1 b=2",
        Some("b=2"),
    );
    check(
        r#"[{"action":"labelkeep","regex":"meta_.*"}]"#,
        "meta_a=1 b=2",
        Some("meta_a=1"),
    );
}

#[test]
fn case_and_shards() {
    check(
        r#"[{"action":"uppercase","source_labels":["a"],"target_label":"a"}]"#,
        "a=xY",
        Some("a=XY"),
    );
    check(
        r#"[{"action":"lowercase","source_labels":["a"],"target_label":"b"}]"#,
        "a=xY",
        Some("a=xY b=xy"),
    );
    // md5("abc") ends in d6963f7d28e17f72
    let expected = format!("a=abc b={}", 0xd696_3f7d_28e1_7f72_u64 % 1000);
    check(
        r#"[{"action":"hashmod","source_labels":["a"],"target_label":"b","modulus":1000}]"#,
        "a=abc",
        Some(&expected),
    );
}

#[test]
fn rules_run_in_order_until_one_drops() {
    check(
        r#"[{"target_label":"a","replacement":"x"},{"action":"drop","source_labels":["a"],"regex":"x"}]"#,
        "a=1",
        None,
    );
}

#[test]
fn unusable_rules_are_refused() {
    let check = |json: &str, expected: &str| {
        let error = json.parse::<RelabelRules>().unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(r#"[{"action":"replace"}]"#, "`target_label` is required");
    check(
        r#"[{"action":"hashmod","target_label":"a"}]"#,
        "`modulus` is required",
    );
    check(r#"[{"action":"keep","regex":"("}]"#, "regex `(`");
    check(r#"[{"action":"nope"}]"#, "labeldrop");
    check(r#"[{"source":["a"]}]"#, "source_labels");
    check("x", "not a JSON list");
}

#[test]
fn rules_survive_a_round_trip() {
    let before = rules(r#"[{"action":"keep","source_labels":["a"],"regex":"x|y"}]"#);
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(text.parse::<RelabelRules>().unwrap(), before);
}
