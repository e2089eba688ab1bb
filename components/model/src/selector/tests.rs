use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Random bytes as something that resembles the language: ASCII stands for itself, the rest picks fragments.
pub(super) fn from_fragments(bytes: &[u8], fragments: &[&str]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte.checked_sub(0x80) {
            None => text.push(char::from(*byte)),
            Some(i) => text.push_str(fragments[usize::from(i) % fragments.len()]),
        }
    }
    text
}

#[test]
fn selectors_are_read() {
    let check = |text: &str, expected: &str| match Selector::parse(text) {
        Ok(selector) => assert_eq!(selector.to_string(), expected, "{text:?}"),
        Err(e) => panic!("{text:?}: {e}"),
    };
    check("{}", "{}");
    check(" { } ", "{}");
    check("process_cpu", r#"{__name__="process_cpu"}"#);
    check("process_cpu{}", r#"{__name__="process_cpu"}"#);
    check(
        r#"process_cpu{region="ap"}"#,
        r#"{__name__="process_cpu",region="ap"}"#,
    );
    check(":a:b1_{}", r#"{__name__=":a:b1_"}"#);
    check(r#"{"process_cpu"}"#, r#"{__name__="process_cpu"}"#);
    check(
        r#"{a="b","process cpu",}"#,
        r#"{__name__="process cpu",a="b"}"#,
    );
    check(r#"{a="b",}"#, r#"{a="b"}"#);
    check(
        r#"{a="b",a!="c",a=~"d",a!~"e"}"#,
        r#"{a="b",a!="c",a=~"d",a!~"e"}"#,
    );
    check(
        r#"{ service_name = "shop/cart" , region = "eu" }"#,
        r#"{service_name="shop/cart",region="eu"}"#,
    );
    check(r#"{"service.name"="x"}"#, r#"{"service.name"="x"}"#);
    check(r#"{"a"="x"}"#, r#"{a="x"}"#);
    check("{region='ap'}", r#"{region="ap"}"#);
    check("{region=`a\\p\n`}", r#"{region="a\\p\n"}"#);
    check(
        r#"{by="x",sum="y",offset="z"}"#,
        r#"{by="x",sum="y",offset="z"}"#,
    );
    check(
        "{ # a comment with { and }\n a=\"b\"#}\n}\n# the end",
        r#"{a="b"}"#,
    );
    check("{a\t=\r\n\"b\"}", r#"{a="b"}"#);
    check(r#"{a="é✓😀"}"#, r#"{a="é✓😀"}"#);
    check(r#"{a="\a\b\f\n\r\t\v\\\""}"#, r#"{a="\a\b\f\n\r\t\v\\\""}"#);
    check(r"{a='\'é'}", r#"{a="'é"}"#);
    check(r#"{a="\x41\101\u00e9\U0001f600"}"#, r#"{a="AAé😀"}"#);
    check(r#"{a="\xc3\xa9"}"#, r#"{a="é"}"#);
    check(r##"{a="#not a comment"}"##, r##"{a="#not a comment"}"##);
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    match Selector::parse(text) {
        Err(e) => assert_eq!(
            e.to_string(),
            format!("selector: at byte {expected}"),
            "{text:?}"
        ),
        Ok(selector) => panic!("{text:?} is read as {selector}"),
    }
}

#[test]
fn refusals_say_where_and_what_was_expected() {
    let check = check_refused;
    check(
        "",
        "0: found the end, expected a name or `{`; what selects everything is `{}`",
    );
    check(
        "  ",
        "2: found the end, expected a name or `{`; what selects everything is `{}`",
    );
    check(
        "1a{}",
        "0: found `1a`, expected a name or `{`; what selects everything is `{}`",
    );
    check(
        "a b",
        "2: found `b`, expected `{` or the end after the name",
    );
    check("{", "1: found the end, expected a label name or `}`");
    check("{,}", "1: found `,`, expected a label name or `}`");
    check(r#"{a="b",,}"#, "7: found `,`, expected a label name or `}`");
    check(r#"{1a="b"}"#, "1: found `1a`, expected a label name or `}`");
    check("{a=}", "3: found `}`, expected a value in quotes");
    check("{a=b}", "3: found `b`, expected a value in quotes");
    check(
        r#"{a "b"}"#,
        "3: found `\"`, expected one of `=`, `!=`, `=~`, `!~`",
    );
    check("{a}", "2: found `}`, expected one of `=`, `!=`, `=~`, `!~`");
    check(r#"{a=="b"}"#, "3: found `=`, expected a value in quotes");
    check(
        r#"{a:b="c"}"#,
        "2: found `:`, expected one of `=`, `!=`, `=~`, `!~`",
    );
    check(r#"{é="b"}"#, "1: found `é`, expected a label name or `}`");
    check(r#"{a="b" c="d"}"#, "7: found `c`, expected `,` or `}`");
    check(r#"{a="b""#, "6: found the end, expected `,` or `}`");
    check(
        "{}}",
        "2: found `}`, expected nothing after the closing `}`",
    );
    check(
        "{} x",
        "3: found `x`, expected nothing after the closing `}`",
    );
    check(
        r#"{a="b"},{c="d"}"#,
        "7: found `,`, expected nothing after the closing `}`",
    );
    check(r#"{""="b"}"#, "1: a name is empty");
    check(r#"{""}"#, "1: a name is empty");
    check(r#"a{"b"}"#, "2: a second name \"b\"; the first is \"a\"");
    check(
        r#"{a="b}"#,
        "3: the text in quotes that begins here has no closing \"",
    );
    check(
        "{a='b\n'}",
        "3: the text in quotes that begins here has no closing ' on its line",
    );
    check(
        "{a=`b}",
        "3: the text in quotes that begins here has no closing `",
    );
}

#[test]
fn refused_escapes() {
    let check = check_refused;
    check(
        r#"{a="é\xff"}"#,
        "3: the escapes of the text that begins here give bytes that are not valid UTF-8",
    );
    let escapes =
        "one of `a b f n r t v \\`, the quote, `xHH`, `uHHHH`, `UHHHHHHHH` or three octal digits";
    check(
        r#"{a="é\z"}"#,
        &format!("6: `\\z` is no escape sequence here, expected {escapes}"),
    );
    check(
        r#"{a="\'"}"#,
        &format!("4: `\\'` is no escape sequence here, expected {escapes}"),
    );
    check(
        r#"{a="\xg"}"#,
        "4: `\\xg` is no escape sequence here, expected two hexadecimal digits",
    );
    check(
        r#"{a="\400"}"#,
        "4: `\\400` is no escape sequence here, expected three octal digits of at most 377",
    );
    let code_point = "a Unicode code point: `u` with four or `U` with eight hexadecimal digits";
    check(
        r#"{a="\ud800"}"#,
        &format!("4: `\\ud800` is no escape sequence here, expected {code_point}"),
    );
    check(
        r#"{a="\U00110000"}"#,
        &format!("4: `\\U00110000` is no escape sequence here, expected {code_point}"),
    );
    check(r#"{b="",a=~"("}"#, "9: the regular expression in quotes");
}

#[test]
fn a_bad_expression_is_the_cause_of_the_refusal() {
    let error = Selector::parse(r#"{a=~"x(?=y)"}"#).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(
        cause,
        "at byte 1 of the regular expression: invalid or unsupported syntax after `(?`: `(?=`"
    );
}

#[test]
fn long_selectors_are_refused_unread() {
    let text = format!("{{a=\"{}\"}}", "x".repeat(1 << 16));
    let error = SelectorError::TooLong {
        bytes: text.len(),
        limit: 1 << 16,
    };
    assert_eq!(Selector::parse(&text), Err(error.clone()));
    assert_eq!(
        error.to_string(),
        "selector is too long: 65542 bytes, at most 65536"
    );
}

#[test]
fn many_expressions_share_the_memory_of_a_few() {
    let one = r#"a=~"[a-z]{900}","#;
    assert!(Selector::parse(&format!("{{{}}}", one.repeat(8))).is_ok());
    let error = Selector::parse(&format!("{{{}}}", one.repeat(3000))).unwrap_err();
    assert!(
        matches!(
            error,
            SelectorError::Regex {
                source: regex::RegexError::TooLarge { .. },
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn selectors_match_label_sets() {
    let labels = Labels::from_pairs([
        ("service_name", "shop/cart"),
        ("env", ""),
        ("path", "/conversations/{id}"),
        ("note", "a\"b\\c\nd/é"),
        ("k8s.pod", "p1"),
    ]);
    let check = |text: &str, expected: bool| {
        let selector = Selector::parse(text).unwrap();
        assert_eq!(selector.matches(&labels), expected, "{text}");
    };
    check("{}", true);
    check(r#"{service_name="shop/cart"}"#, true);
    check(r#"{service_name="cart"}"#, false);
    check(r#"{service_name=~"cart"}"#, false);
    check(r#"{service_name=~".+/cart"}"#, true);
    check(r#"{service_name=~"shop/c.*"}"#, true);
    check(r#"{service_name=~"(?i)SHOP/CART"}"#, true);
    check(r#"{service_name!~"shop/.*|jvm.*"}"#, false);
    check(r#"{service_name=~"a|shop/cart",service_name!="a"}"#, true);
    check(r#"{service_name="shop/cart",service_name="x"}"#, false);
    // An absent label and an empty one are the same.
    check(r#"{nope="",env=""}"#, true);
    check(r#"{nope!=""}"#, false);
    check(r#"{nope!="x",nope!~"x.+"}"#, true);
    check(r#"{nope=~"|dev",nope=~".*"}"#, true);
    check(r#"{env=~".+"}"#, false);
    check(r#"{"k8s.pod"="p1"}"#, true);
    check(r#"{path="/conversations/{id}"}"#, true);
    check(r#"{path=~"/conversations/\\{.*\\}"}"#, true);
    check(r#"{path=~"/conversations/{id}"}"#, true);
    check(r#"{note="a\"b\\c\nd/é"}"#, true);
    check("{note=~\"a.*é\"}", true);
}

#[test]
fn matchers_tell_what_an_index_can_use() {
    let matcher = |text: &str| Selector::parse(text).unwrap().matchers.remove(0);
    let check = |text: &str, values: Option<&[&str]>, matches_empty: bool| {
        let matcher = matcher(text);
        let expected = values.map(|v| v.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(matcher.set_values(), expected.as_deref(), "{text}");
        assert_eq!(matcher.matches_empty(), matches_empty, "{text}");
    };
    check(r#"{a="b"}"#, Some(&["b"]), false);
    check(r#"{a=""}"#, Some(&[""]), true);
    check(r#"{a!="b"}"#, None, true);
    check(r#"{a=~"c|b"}"#, Some(&["b", "c"]), false);
    check(r#"{a!~"c|b"}"#, None, true);
    check(r#"{a=~"b.*"}"#, None, false);
    check(r#"{a=~"b?"}"#, Some(&["", "b"]), true);
    assert_eq!(
        matcher(r#"{a=~"x"}"#),
        Matcher::new("a", MatchOp::Regex, "x").unwrap()
    );
    assert_ne!(matcher(r#"{a="x"}"#), matcher(r#"{a=~"x"}"#));
}

#[test]
fn a_profile_type_comes_first() {
    let id = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
    let check = |text: &str, expected: &str| {
        let (profile_type, selector) = Selector::parse_with_profile_type(text).unwrap();
        assert_eq!(
            (profile_type.to_string(), selector.to_string()),
            (id.to_owned(), expected.to_owned()),
            "{text}"
        );
    };
    check(id, "{}");
    check(&format!("{id}{{}}"), "{}");
    check(&format!("{id}:delta{{a=\"b\"}}"), r#"{a="b"}"#);
    check(&format!("{{a=\"b\",\"{id}\"}}"), r#"{a="b"}"#);
    check(&format!("{{__name__=\"{id}\",a=\"b\"}}"), r#"{a="b"}"#);
    check(
        &format!("{id}{{__name__=\"process_cpu\"}}"),
        r#"{__name__="process_cpu"}"#,
    );
}

#[test]
fn a_query_without_profile_type_is_refused() {
    let parse = |text| Selector::parse_with_profile_type(text).unwrap_err();
    assert_eq!(parse(r#"{service_name="a"}"#), SelectorError::NoProfileType);
    assert_eq!(
        parse(r#"{__name__=~"a:b:c:d:e"}"#),
        SelectorError::NoProfileType
    );
    assert!(matches!(parse("cpu{}"), SelectorError::ProfileType(_)));
    assert!(matches!(
        parse("a:b:c:d:e{a=}"),
        SelectorError::Unexpected { at: 12, .. }
    ));
}

fn round_trip(selector: &Selector) {
    let text = selector.to_string();
    assert_eq!(Selector::parse(&text).as_ref(), Ok(selector), "{text}");
}

#[test]
fn any_text_is_read_or_refused() {
    const FRAGMENTS: &[&str] = &[
        "{",
        "}",
        ",",
        "=",
        "!=",
        "=~",
        "!~",
        "\"",
        "'",
        "`",
        "\"b\"",
        "\"c|d.*\"",
        "a",
        "__name__",
        "a:b:c:d:e",
        "a=\"b\"",
        "\\",
        "\\n",
        "\\x",
        "\\u00e9",
        "\\101",
        "#",
        "\n",
        " ",
        "é",
        "{a=\"",
        "\"}",
        "(?i)x+",
    ];
    bolero::check!(name = "selector")
        .with_test_time(Duration::from_secs(1))
        .with_max_len(32)
        .for_each(|bytes: &[u8]| {
            let text = from_fragments(bytes, FRAGMENTS);
            match Selector::parse(&text) {
                Ok(selector) => {
                    round_trip(&selector);
                    let _ = selector.matches(&Labels::from_pairs([("a", "b")]));
                }
                Err(e) => assert!(!e.to_string().is_empty()),
            }
            let _ = Selector::parse_with_profile_type(&text);
        });
}

proptest! {
    #[test]
    fn what_is_displayed_is_read_back(parts in prop::collection::vec(("\\PC{1,6}|[a-z_]{1,6}|(?s).{1,4}", 0..2, "(?s).{0,12}"), 0..6)) {
        let matcher = |(name, op, value): (String, i32, String)| {
            Matcher::new(name, if op == 0 { MatchOp::Equal } else { MatchOp::NotEqual }, value).unwrap()
        };
        round_trip(&Selector::from(parts.into_iter().map(matcher).collect::<Vec<_>>()));
    }

    #[test]
    fn quoted_expressions_match_themselves(value in "(?s).{0,12}", other in "(?s).{0,12}") {
        prop_assume!(!value.contains("\\E"));
        let matcher = Matcher::new("a", MatchOp::Regex, format!("\\Q{value}\\E")).unwrap();
        prop_assert!(matcher.matches(&value));
        prop_assert_eq!(matcher.matches(&other), value == other);
    }
}
