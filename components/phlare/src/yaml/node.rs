//! A document as it stands in the text: keys are texts as they were written, so that a tenant may be called `007`.

use std::cell::Cell;
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml::Value;

use super::{Error, explain};

/// A mapping, or anything else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// Keys and values in their order, no key twice, `<<` merged.
    Map(Vec<(String, Self)>),
    /// A scalar, a list, or nothing.
    Leaf(Value),
}

impl Node {
    /// Nothing, as in `key:`.
    pub(crate) const NOTHING: Self = Self::Leaf(Value::Null);

    /// As a value that other types are read from.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Leaf(value) => value,
            Self::Map(entries) => {
                let entries = entries.into_iter();
                let entries = entries.map(|(key, node)| (Value::String(key), node.into_value()));
                Value::Mapping(entries.collect())
            }
        }
    }
}

/// Reads a document; an empty one is nothing.
pub(crate) fn parse(text: &str) -> Result<Node, Error> {
    let read = serde_yaml::from_str::<Option<Node>>(text);
    match read {
        Ok(node) => Ok(node.unwrap_or(Node::NOTHING)),
        Err(error) => Err(tab(text).unwrap_or_else(|| explain(&error))),
    }
}

/// The first line that a tab character indents: libyaml's own words for it help nobody.
fn tab(text: &str) -> Option<Error> {
    let indented = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        line[..indent].contains('\t')
    };
    let line = text.lines().position(indented)? + 1;
    Some(Error {
        problem: "a tab character at the begin of the line: YAML is indented with spaces only"
            .to_owned(),
        line: Some(line),
        place: String::new(),
        hint: String::new(),
    })
}

/// The line (from 1) of the last key of `path`: keys from the top of the document on. `None` if the document does not
/// have it, or only by an alias.
pub(crate) fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let found = Cell::new(false);
    let probe = Probe {
        path,
        found: &found,
    };
    // The reader knows where it is when something fails, so the probe fails where it wants to know.
    let failed = probe
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .err()?;
    found.get().then(|| failed.location().map(|at| at.line()))?
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::NOTHING)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::NOTHING)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Node, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(seq)).map(Node::Leaf)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut merged = Vec::new();
        while let Some(key) = map.next_key_seed(NewKey(&entries))? {
            match (key.as_str(), map.next_value()?) {
                ("<<", Node::Map(others)) => merged.extend(others),
                ("<<", Node::Leaf(_)) => return Err(A::Error::custom("`<<` takes a mapping")),
                (_, node) => entries.push((key, node)),
            }
        }
        for (key, node) in merged {
            if !entries.iter().any(|(known, _)| *known == key) {
                entries.push((key, node));
            }
        }
        Ok(Node::Map(entries))
    }
}

/// A key that is not among these.
struct NewKey<'a>(&'a [(String, Node)]);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.0.iter().any(|(known, _)| known == key) {
            return Err(E::custom(format_args!("key `{key}` is there twice")));
        }
        Ok(key.to_owned())
    }
}

/// Fails at a key.
struct Probe<'a> {
    path: &'a [&'a str],
    found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else {
            return Ok(());
        };
        let found = self.found;
        let key = || ProbedKey {
            wanted: first,
            last: rest.is_empty(),
            found,
        };
        while let Some(is_first) = map.next_key_seed(key())? {
            if is_first {
                map.next_value_seed(Probe { path: rest, found })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Whether a key is the wanted one; fails if that is all there is to find.
struct ProbedKey<'a> {
    wanted: &'a str,
    last: bool,
    found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for ProbedKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ProbedKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        if key != self.wanted {
            return Ok(false);
        }
        if self.last {
            self.found.set(true);
            return Err(E::custom("found"));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_texts_as_they_were_written() {
        let Ok(Node::Map(entries)) = parse("007: 1\ntrue: 2\n1e3: {a: ~}\n~: 4\n") else {
            panic!("no mapping");
        };
        let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["007", "true", "1e3", "~"]);
    }

    #[test]
    fn lines_are_those_of_keys() {
        let text = "# a\na: {b: 1, c: 2}\nb:\n  c:\n\n    d: 1\n    e: &x\n      f: 2\n  g: *x\n";
        let check = |path: &[&str], line| assert_eq!(line_of(text, path), line, "{path:?}");
        check(&["a"], Some(2));
        check(&["a", "c"], Some(2));
        check(&["b"], Some(3));
        check(&["b", "c"], Some(4));
        check(&["b", "c", "d"], Some(6));
        check(&["b", "c", "e", "f"], Some(8));
        check(&["b", "g"], Some(9));
        check(&["b", "x"], None);
        check(&["a", "b", "c"], None);
        check(&["b", "c", "d", "e"], None);
    }

    #[test]
    fn a_key_twice_is_an_error_with_its_line() {
        let error = parse("a:\n  b: 1\n  c: 2\n  b: 3\n").unwrap_err();
        assert_eq!(error.line, Some(4));
        assert!(
            error.to_string().contains("key `b` is there twice"),
            "{error}"
        );
    }

    #[test]
    fn merge_keys_merge() {
        let merged = parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n").unwrap();
        let plain = parse("a: {x: 1, y: 2}\nb: {y: 3, x: 1}\n").unwrap();
        assert_eq!(merged, plain);
    }

    #[test]
    fn a_tab_is_named() {
        let error = parse("a:\n\tb: 1\n").unwrap_err();
        assert_eq!(error.line, Some(2));
        assert!(error.to_string().contains("tab"), "{error}");
    }
}
