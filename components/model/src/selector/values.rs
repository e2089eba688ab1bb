//! What a regular expression asks for, where that is simpler than an automaton.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Dot, Hir, HirKind, Repetition};

/// More values than this are left to the automaton.
const MAX_VALUES: usize = 1024;

/// And more bytes than this in all of them.
const MAX_BYTES: usize = 64 << 10;

/// What a value must be to match as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One of these; sorted.
    Values(Vec<String>),
    /// Anything: `.*`.
    Any,
    /// Anything but nothing: `.+`.
    NotEmpty,
    /// This, then anything: `abc.*`.
    Prefix(String),
    /// None of these.
    Other,
}

/// The shape of a pattern.
pub(super) fn shape(hir: &Hir) -> Shape {
    if let Some(values) = finite(hir) {
        return Shape::Values(values.into_iter().collect());
    }
    match hir.kind() {
        HirKind::Repetition(repetition) => anything(repetition),
        HirKind::Concat(parts) => prefix(parts).map_or(Shape::Other, Shape::Prefix),
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Capture(_)
        | HirKind::Alternation(_) => Shape::Other,
    }
}

fn anything(repetition: &Repetition) -> Shape {
    match (is_any_char(&repetition.sub), repetition.min, repetition.max) {
        (true, 0, None) => Shape::Any,
        (true, 1, None) => Shape::NotEmpty,
        _ => Shape::Other,
    }
}

fn is_any_char(hir: &Hir) -> bool {
    *hir == Hir::dot(Dot::AnyChar)
}

/// The literal before a final `.*`.
fn prefix(parts: &[Hir]) -> Option<String> {
    let [first, rest] = parts else { return None };
    let (HirKind::Literal(literal), HirKind::Repetition(repetition)) = (first.kind(), rest.kind())
    else {
        return None;
    };
    if anything(repetition) != Shape::Any {
        return None;
    }
    String::from_utf8(literal.0.to_vec()).ok()
}

/// All texts that match as a whole, unless they are many.
fn finite(hir: &Hir) -> Option<BTreeSet<String>> {
    match hir.kind() {
        HirKind::Empty => Some(BTreeSet::from([String::new()])),
        HirKind::Literal(literal) => {
            Some(BTreeSet::from(
                [String::from_utf8(literal.0.to_vec()).ok()?],
            ))
        }
        HirKind::Class(Class::Unicode(class)) => {
            let chars = class.iter().flat_map(|range| range.start()..=range.end());
            bounded(chars.take(MAX_VALUES + 1).map(String::from).collect())
        }
        HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) => None,
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Capture(capture) => finite(&capture.sub),
        HirKind::Concat(parts) => {
            let mut all = BTreeSet::from([String::new()]);
            for part in parts {
                all = product(&all, &finite(part)?)?;
            }
            Some(all)
        }
        HirKind::Alternation(branches) => {
            let mut all = BTreeSet::new();
            for branch in branches {
                all.append(&mut finite(branch)?);
                all = bounded(all)?;
            }
            Some(all)
        }
    }
}

/// `a?` and `a{2}`; not what repeats without end.
fn repeated(repetition: &Repetition) -> Option<BTreeSet<String>> {
    let max = repetition.max?;
    let once = finite(&repetition.sub)?;
    let mut exactly = BTreeSet::from([String::new()]);
    let mut all = BTreeSet::new();
    for count in 0..=max {
        if count >= repetition.min {
            all.extend(exactly.iter().cloned());
            all = bounded(all)?;
        }
        if count < max {
            exactly = product(&exactly, &once)?;
        }
    }
    Some(all)
}

fn product(left: &BTreeSet<String>, right: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    if left.len().saturating_mul(right.len()) > MAX_VALUES {
        return None;
    }
    bounded(
        left.iter()
            .flat_map(|l| right.iter().map(move |r| format!("{l}{r}")))
            .collect(),
    )
}

fn bounded(values: BTreeSet<String>) -> Option<BTreeSet<String>> {
    let bytes: usize = values.iter().map(String::len).sum();
    (values.len() <= MAX_VALUES && bytes <= MAX_BYTES).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let check = |pattern: &str, expected: Shape| {
            let hir = crate::selector::regex::parse(pattern).unwrap();
            assert_eq!(shape(&hir), expected, "{pattern:?}");
        };
        let values =
            |values: &[&str]| Shape::Values(values.iter().map(|v| (*v).to_owned()).collect());
        check("", values(&[""]));
        check("cart", values(&["cart"]));
        check("cart-0|api-0", values(&["api-0", "cart-0"]));
        check("|dev", values(&["", "dev"]));
        check(
            "(shop|net)/(api|cart)",
            values(&["net/api", "net/cart", "shop/api", "shop/cart"]),
        );
        check("a[0-2]", values(&["a0", "a1", "a2"]));
        check("ab?", values(&["a", "ab"]));
        check("(ab){2,3}", values(&["abab", "ababab"]));
        check(
            "(?i)ok",
            values(&["OK", "Ok", "oK", "o\u{212a}", "O\u{212a}", "ok"]).sorted(),
        );
        check(r"\Qa.b\E|c\.d", values(&["a.b", "c.d"]));
        check(".*", Shape::Any);
        check(".+", Shape::NotEmpty);
        check("(?-s:.*)", Shape::Other);
        check("(?-s).+", Shape::Other);
        check("shop/.*", Shape::Prefix("shop/".into()));
        check("shop/.*?", Shape::Prefix("shop/".into()));
        check("shop/.+", Shape::Other);
        check("shop/(?-s:.*)", Shape::Other);
        check(".*/cart", Shape::Other);
        check("^a$", Shape::Other);
        check("a*", Shape::Other);
        check("[a-z]{3}", Shape::Other);
        check(r"\pL", Shape::Other);
    }

    impl Shape {
        fn sorted(self) -> Self {
            match self {
                Self::Values(mut values) => {
                    values.sort();
                    Self::Values(values)
                }
                other => other,
            }
        }
    }
}
