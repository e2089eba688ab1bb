use std::time::Duration;

use super::*;
use crate::selector::lexer::Lexer;
use crate::selector::{MatchOp, Matcher};

/// What Go answered: see `go-regexp.go` next to it.
const GO: &str = include_str!("../../../tests/data/go-regexp.txt");

/// The texts in quotes of a line, after its first word.
fn quoted(line: &str) -> Vec<String> {
    let mut lexer = Lexer::new(line);
    lexer.label_name().unwrap();
    std::iter::from_fn(|| lexer.text().unwrap()).collect()
}

#[test]
fn patterns_mean_what_go_says() {
    let mut lines = GO.lines().filter(|line| !line.starts_with('#'));
    let probes = quoted(lines.next().unwrap());
    assert!(probes.len() > 100);
    let mut wrong = Vec::new();
    let mut patterns = 0;
    for line in lines {
        patterns += 1;
        let words = quoted(line);
        let (pattern, expected) = words.split_first().unwrap();
        match (line.starts_with("matches"), compile(pattern)) {
            (true, Ok(regex)) => {
                let got: Vec<_> = probes
                    .iter()
                    .filter(|probe| regex.is_match(probe))
                    .collect();
                if got != expected.iter().collect::<Vec<_>>() {
                    wrong.push(format!("{pattern:?}: expected {expected:?}, got {got:?}"));
                }
            }
            (true, Err(e)) => wrong.push(format!(
                "{pattern:?}: expected a regular expression, got {e}"
            )),
            (false, Ok(regex)) => {
                wrong.push(format!("{pattern:?}: expected a refusal, got {regex}"))
            }
            (false, Err(RegexError::Syntax { .. })) => {}
            (false, Err(e)) => wrong.push(format!("{pattern:?}: expected a position, got {e}")),
        }
    }
    assert!(patterns > 500);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Simpler tests than an automaton give the same answers as one.
#[test]
fn matchers_mean_what_their_expressions_mean() {
    let mut lines = GO.lines().filter(|line| !line.starts_with('#'));
    let probes = quoted(lines.next().unwrap());
    for line in lines.filter(|line| line.starts_with("matches")) {
        let words = quoted(line);
        let (pattern, expected) = words.split_first().unwrap();
        let matcher = Matcher::new("a", MatchOp::Regex, pattern).unwrap();
        for probe in &probes {
            assert_eq!(
                matcher.matches(probe),
                expected.contains(probe),
                "{pattern:?} on {probe:?}"
            );
        }
    }
}

#[test]
fn rewritten_patterns() {
    let check = |pattern: &str, expected: &str| {
        assert_eq!(rewrite::to_rust(pattern).unwrap(), expected, "{pattern:?}");
    };
    check("abc|d.*", "abc|d.*");
    check(r"\d\D", "[0-9][^0-9]");
    check(r"\w\W", "[0-9A-Za-z_][^0-9A-Za-z_]");
    check(r"\s\S", r"[\t\n\f\r ][^\t\n\f\r ]");
    check(r"[\d_]", r"[[0-9]\x{5f}]");
    check(r"\b\B", r"(?-u:\b)(?-u:\B)");
    check(r"\Qa.b\Ec", r"a\x{2e}bc");
    check("[[a]", r"[\x{5b}a]");
    check("[[:alpha:][:^digit:]]", "[[:alpha:][:^digit:]]");
    check("[a&&b]", r"[a\x{26}\x{26}b]");
    check("[+--]", r"[\x{2b}-\x{2d}]");
    check("a{,2}", r"a\x{7b}\x{2c}2\x{7d}");
    check("a{2}b{2,}c{2,3}", "a{2}b{2,}c{2,3}");
    check(r"\07", r"\x{7}");
    check(r"\101", "A");
    check(r"\<", r"\x{3c}");
    check("(?P<1a>x)(?P<_1a>y)", "(x)(?P<_1a>y)");
    check("(?<a>x)(?P<a>y)", "(?P<a>x)(y)");
    check("(?i-i)(?ms-U:a)", "(?-i)(?ms-U:a)");
    check(
        r"\p{Greek}\pL\p{letter}",
        r"\p{sc=Greek}\p{gc=L}\p{gc=letter}",
    );
    check(r"\p{^Greek}\P{^Greek}", r"\P{sc=Greek}\p{sc=Greek}");
}

#[test]
fn refusals_say_where() {
    let check = |pattern: &str, at: usize, problem: &str, found: &str| match compile(pattern) {
        Err(RegexError::Syntax {
            at: got_at,
            problem: got_problem,
            found: got_found,
        }) => {
            assert_eq!((got_at, got_found.as_str()), (at, found), "{pattern:?}");
            assert!(got_problem.contains(problem), "{pattern:?}: {got_problem}");
        }
        other => panic!("{pattern:?}: {other:?}"),
    };
    check("ab(?x)c", 2, "syntax after", "(?x");
    check("éa**", 3, "repetition of a repetition", "**");
    check("a{2}{3}", 1, "repetition of a repetition", "{2}{3}");
    check("x[a--b]", 2, "range", "a--");
    check(r"é\u0041", 2, "escape", r"\u");
    check("xa{1001}", 2, "repeat count", "{1001}");
    check("(a{1000}){2}", 9, "repeat count", "{2}");
    check("ab(c", 2, "closing parenthesis", "(c");
    check("ab)", 2, "no group is open", ")");
    check("ab[c", 2, "closing bracket", "[c");
    check("[[:foo:]]", 1, "range", "[:foo:]");
    check("|*", 1, "nothing to repeat", "*");
    check("a\\", 1, "backslash", "\\");
    check(r"a\pé", 1, "Unicode class", r"\pé");
    check(r"\p{Script=Greek}", 0, "Unicode class", r"\p{Script=Greek}");
    check("(?P<a-b>x)", 0, "name of a group", "(?P<a-b>");
    check("x(?=a)", 1, "syntax after", "(?=");
}

#[test]
fn size_and_depth_are_bounded() {
    assert_eq!(
        compile(r"\pL{1000}").unwrap_err(),
        RegexError::TooLarge { limit: SIZE_LIMIT }
    );
    assert_eq!(
        compile(&r"\pL".repeat(257)).unwrap_err(),
        RegexError::TooLarge { limit: SIZE_LIMIT }
    );
    assert_eq!(
        compile(&"(".repeat(100_000)).unwrap_err(),
        RegexError::Nesting
    );
    let deep = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(compile(&deep(200)).unwrap().is_match("a"));
    assert_eq!(compile(&deep(1000)).unwrap_err(), RegexError::Nesting);
    assert!(compile("[a-z]{1000}").is_ok());
}

#[test]
fn groups_keep_their_names_and_numbers() {
    let regex = compile("(?P<host>[^:]+):(?P<port>\\d+)").unwrap();
    let captures = regex.captures("db:5432").unwrap();
    assert_eq!((&captures["host"], &captures[2]), ("db", "5432"));
}

#[test]
fn any_pattern_is_translated_or_refused() {
    const FRAGMENTS: &[&str] = &[
        "(?i",
        "(?-s:",
        "(?P<",
        "(?<n>",
        "(?:",
        ")",
        "[",
        "[^",
        "]",
        "[:alpha:]",
        "[:",
        "{2}",
        "{2,",
        "{1000}",
        "\\Q",
        "\\E",
        "\\p{Greek}",
        "\\P",
        "\\x{",
        "\\07",
        "\\",
        "\\d",
        "\\W",
        "\\b",
        "&&",
        "--",
        "~~",
        "a-z",
        "|",
        "*?",
        "+",
        "^",
        "$",
        "é",
        "(",
    ];
    bolero::check!(name = "regex")
        .with_test_time(Duration::from_secs(1))
        .with_max_len(48)
        .for_each(|bytes: &[u8]| {
            let pattern = crate::selector::tests::from_fragments(bytes, FRAGMENTS);
            let Ok(translated) = rewrite::to_rust(&pattern) else {
                return;
            };
            // What was read as valid must be so for the engine: nothing may reach its own syntax by accident.
            if let Err(e) = parser().parse(&translated) {
                assert_eq!(
                    classify(&e),
                    RegexError::Nesting,
                    "{pattern:?} became {translated:?}"
                );
            }
        });
}
