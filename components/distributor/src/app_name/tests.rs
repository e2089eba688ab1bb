use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, name: &str, tags: &[(&str, &str)]) {
    let tags = tags
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(
        AppName::parse(text),
        Ok(AppName {
            name: name.into(),
            tags
        }),
        "{text:?}"
    );
}

#[test]
fn names_with_and_without_tags() {
    check("app", "app", &[]);
    check("a/b-c_d.e", "a/b-c_d.e", &[]);
    check("app{}", "app", &[]);
    check(
        "app{region=eu,env=prod,version=1.2.3}",
        "app",
        &[("env", "prod"), ("region", "eu"), ("version", "1.2.3")],
    );
    check("app{a=1,}", "app", &[("a", "1")]);
    check("app{k8s.pod=p1}", "app", &[("k8s.pod", "p1")]);
}

#[test]
fn values_may_be_odd() {
    let expected = [
        ("k", "v"),
        ("empty", ""),
        ("eq", "a=b"),
        ("quote", "\"q\""),
        ("uni", "é"),
    ];
    check(
        "odd{ k = v , empty=, eq=a=b,quote=\"q\",uni=é}",
        "odd",
        &expected,
    );
    check("app{a={b}", "app", &[("a", "{b")]);
}

#[test]
fn the_last_value_of_a_key_wins() {
    check("app{a=1,a=2}", "app", &[("a", "2")]);
}

#[test]
fn a_reserved_tag_is_the_name() {
    check("app{__name__=custom,x=1}", "custom", &[("x", "1")]);
}

#[test]
fn an_incomplete_tag_is_left_out() {
    check("app{a=1,b=2", "app", &[("a", "1")]);
    check("app{a=1", "app", &[]);
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = AppName::parse(text).unwrap_err();
    assert!(error.to_string().contains(expected), "{text:?}: {error}");
}

#[test]
fn a_value_that_the_grammar_cannot_carry_is_refused() {
    refused(
        "ns-1/app{path=/c/{id},m=GET}",
        "\",m=GET}\" follows the first `}`",
    );
    refused(
        "ns-1/app{path=/c/{id},m=GET}",
        "has no way to carry `}` or `,` inside a value",
    );
    refused("app{list=a,b}", "\"b\" is no `key=value`");
}

#[test]
fn bad_names_and_keys_are_refused() {
    refused("", "the application name is empty");
    refused("{a=1}", "the application name is empty");
    refused("a b", "the character ' ' is not allowed");
    refused("app}", "the character '}' is not allowed");
    refused("app{a-b=1}", "tag key \"a-b\"");
    refused("app{=1}", "tag key \"\"");
    refused("app{__name__=a b}", "the character ' ' is not allowed");
}

proptest! {
    #[test]
    fn what_the_grammar_can_carry_arrives_unchanged(
        name in "[A-Za-z0-9_./-]{1,20}",
        tags in prop::collection::btree_map("[A-Za-z0-9_.]{1,8}", "[^,}\\s][^,}]{0,8}[^,}\\s]", 0..6),
    ) {
        prop_assume!(!tags.contains_key(NAME));
        let written: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let text = format!("{name}{{{}}}", written.join(","));
        prop_assert_eq!(AppName::parse(&text), Ok(AppName { name, tags }));
    }
}

#[test]
fn hostile_text_never_panics() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(app) = AppName::parse(&String::from_utf8_lossy(bytes)) {
            assert!(!app.name.is_empty());
            assert!(app.tags.keys().all(|key| !key.is_empty()));
        }
    });
}
