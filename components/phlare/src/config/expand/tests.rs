use serde_yaml::Value;

use super::*;

fn with(value: &'static str) -> impl Fn(&str) -> Option<String> {
    move |name| match name {
        "VALUE" => Some(value.to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

#[test]
fn forms_of_variables() {
    let check = |text: &str, expected: Result<&str, usize>| {
        let got = expand(text, with("value"));
        assert_eq!(
            got.as_deref().map_err(|(line, _)| *line),
            expected,
            "{text}"
        );
    };
    check("a: ${VALUE}", Ok("a: value"));
    check("${UNSET}", Ok(""));
    check(
        "${UNSET:-x}${UNSET:=y}${EMPTY:-z}${VALUE:-no}",
        Ok("xyzvalue"),
    );
    check("$1 $VALUE $$ {}", Ok("$1 $VALUE $$ {}"));
    check(
        "# ${ as in shells\na: 1 # ${}",
        Ok("# ${ as in shells\na: 1 # ${}"),
    );
    check("a\nb: ${VALUE", Err(2));
    check("\n\n${}", Err(3));
    assert!(expand("a: ${VALUE}", with("a\nb")).is_err());
}

/// What `template` is with a value, as YAML.
#[track_caller]
fn read(template: &str, value: &'static str) -> Value {
    let text = expand(template, with(value)).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Texts that mean something else in YAML.
const HOSTILE: [&str; 20] = [
    "fd00:1::",
    "fd00:1::2",
    "[fd00:1::2]",
    "::",
    "a: b",
    "a:",
    "# no comment",
    "x # no comment",
    "{a: 1}",
    "- a",
    "---",
    "...",
    "*alias",
    "&anchor",
    "!tag",
    "| ",
    "\"",
    "'",
    "\\n\t\"'\u{7f}",
    "a, b]}",
];

#[test]
fn a_value_is_one_text_wherever_it_stands() {
    for value in HOSTILE {
        let trimmed = value.trim();
        let expected: Value = Value::from(trimmed);
        let one = [
            "a: ${VALUE}\nb: 2",
            "a:   ${VALUE}   # a comment\nb: 2",
            "a:\n  ${VALUE}\nb: 2",
            "{a: ${VALUE}, b: 2}",
            "{b: 2,\n a: ${VALUE}}",
        ];
        for template in one {
            let got = read(template, value);
            assert_eq!(got["a"], expected, "{template} with {value:?}");
            assert_eq!(got["b"], Value::from(2), "{template} with {value:?}");
        }
        for template in ["a: \"${VALUE}\"\nb: 2", "a: '${VALUE}'\nb: 2"] {
            // Control characters have no form in single quotes.
            if template.contains('\'') && value.contains(char::is_control) {
                continue;
            }
            let got = read(template, value);
            assert_eq!(got["a"], Value::from(value), "{template} with {value:?}");
            assert_eq!(got["b"], Value::from(2), "{template} with {value:?}");
        }
        let list = read("- ${VALUE}\n- [${VALUE}, 2]\n- - ${VALUE}\n", value);
        let two: Value = vec![expected.clone(), Value::from(2)].into();
        assert_eq!(
            list,
            Value::from(vec![expected.clone(), two, vec![expected.clone()].into()]),
            "{value:?}"
        );
        let key = read("${VALUE}: 1\nb: 2", value);
        assert_eq!(key[expected], Value::from(1), "{value:?}");
    }
}

#[test]
fn a_value_is_a_part_of_a_text() {
    let got = read("a: http://${VALUE}:80/ # b\nb: \"[${VALUE}]:80\"", "fd00::");
    assert_eq!(got["a"], Value::from("http://fd00:::80/"));
    assert_eq!(got["b"], Value::from("[fd00::]:80"));
    let got = read("a: ${VALUE}\nb: x-${VALUE}", "it's: \"so\"");
    assert_eq!(got["b"], Value::from("x-it's: \"so\""));
}

#[test]
fn numbers_and_switches_stay_what_they_are() {
    for (value, expected) in [
        ("4040", Value::from(4040)),
        ("-1.5", Value::from(-1.5)),
        ("true", Value::from(true)),
        ("30s", Value::from("30s")),
        (" 7 ", Value::from(7)),
    ] {
        assert_eq!(read("a: ${VALUE}", value)["a"], expected);
    }
    assert_eq!(read("a: '${VALUE}'", "4040")["a"], Value::from("4040"));
    assert_eq!(read("a: ${UNSET}\nb: 1", "")["a"], Value::Null);
    assert_eq!(
        read("a: [${UNSET}]", "")["a"],
        Value::from(vec![Value::from("")])
    );
}

#[test]
fn lines_of_a_block_take_values_as_they_are() {
    let template = "\
a:
  - rules: |
      # ${VALUE}

      \"x: ${VALUE}
    other: ${VALUE}
  - >-
    ${VALUE}
  - |2
      ${VALUE}
b: ${VALUE}";
    let got = read(template, "fd00::");
    let first = &got["a"][0];
    assert_eq!(first["rules"], Value::from("# fd00::\n\n\"x: fd00::\n"));
    assert_eq!(first["other"], Value::from("fd00::"));
    assert_eq!(got["a"][1], Value::from("fd00::"));
    assert_eq!(got["b"], Value::from("fd00::"));
}

#[test]
fn what_has_no_variables_is_what_it_was() {
    for text in [
        "a: {b: [1, 'it''s', \"\\\"#\"], c: x#y}\n",
        "a: &x\n  b: 1\nc:\n  <<: *x\n  d: !tag e\n",
        "# only\n---\n? a\n: b\n...\n",
        "text: |+\n  a\n\n - b\n",
        "a: b: c]}{[,\n\"unclosed",
        "ä: ö\r\n- ü\r\n",
    ] {
        assert_eq!(expand(text, with("")), Ok(text.to_owned()));
    }
}
