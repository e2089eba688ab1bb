//! YAML in and out: the one module that knows which crate reads it.
//!
//! As upstream's decoder: an empty section is its default, `<<` merges, an unknown key is an error.

mod node;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use node::{Node, line_of, parse};
pub(crate) use serde_yaml::{Mapping, Value};

/// Why a text is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}{place}{hint}")]
pub(crate) struct Error {
    pub(crate) problem: String,
    /// From 1.
    pub(crate) line: Option<usize>,
    place: String,
    hint: String,
}

/// Reads a document; an empty one is the default.
pub(crate) fn read<T: DeserializeOwned + Default>(text: &str) -> Result<T, Error> {
    match serde_yaml::from_str::<Option<T>>(text) {
        Ok(value) => Ok(value.unwrap_or_default()),
        // Merge keys need a second way, which loses line numbers.
        Err(_) if text.contains("<<") => merged(text),
        Err(error) => Err(explain(&error)),
    }
}

fn merged<T: DeserializeOwned + Default>(text: &str) -> Result<T, Error> {
    let mut value: Value = serde_yaml::from_str(text).map_err(|error| explain(&error))?;
    value.apply_merge().map_err(|error| explain(&error))?;
    serde_yaml::from_value::<Option<T>>(value)
        .map(Option::unwrap_or_default)
        .map_err(|error| explain(&error))
}

/// Whether two documents differ in scalars at most. True of what is no YAML: its reader says so.
pub(crate) fn alike(one: &str, other: &str) -> bool {
    match (serde_yaml::from_str(one), serde_yaml::from_str(other)) {
        (Ok(one), Ok(other)) => same_structure(&one, &other),
        (Ok(_), Err(_)) => false,
        (Err(_), _) => true,
    }
}

fn same_structure(one: &Value, other: &Value) -> bool {
    use Value::{Mapping, Sequence, Tagged};
    match (one, other) {
        (Mapping(one), Mapping(other)) => {
            let mut pairs = one.iter().zip(other);
            let same = |((key, value), (other_key, other))| {
                same_structure(key, other_key) && same_structure(value, other)
            };
            one.len() == other.len() && pairs.all(same)
        }
        (Sequence(one), Sequence(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| same_structure(one, other))
        }
        (Tagged(one), Tagged(other)) => {
            one.tag == other.tag && same_structure(&one.value, &other.value)
        }
        (Mapping(_) | Sequence(_) | Tagged(_), _) | (_, Mapping(_) | Sequence(_) | Tagged(_)) => {
            false
        }
        _ => true,
    }
}

/// A value as other types are read from.
pub(crate) fn to_value(value: &impl Serialize) -> Value {
    serde_yaml::to_value(value).unwrap_or_default()
}

/// Reads a type from a value.
pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_yaml::from_value(value).map_err(|error| explain(&error))
}

/// Writes a document.
pub(crate) fn write(value: &impl Serialize) -> String {
    serde_yaml::to_string(value)
        .unwrap_or_else(|error| format!("# cannot be written as YAML: {error}\n"))
}

/// Writes the keys whose values differ.
pub(crate) fn write_difference<T: Serialize>(before: &T, after: &T) -> String {
    let changed = changed(before, after);
    changed.map_or_else(|| "{}\n".to_owned(), |changed| write(&changed))
}

/// The keys whose values differ; `None` if there are none.
pub(crate) fn changed<T: Serialize>(before: &T, after: &T) -> Option<Value> {
    difference(&to_value(before), to_value(after))
}

fn difference(before: &Value, after: Value) -> Option<Value> {
    let Value::Mapping(keys) = after else {
        return (*before != after).then_some(after);
    };
    let changed: Mapping = keys
        .into_iter()
        .filter_map(|(key, after)| {
            let before = before.get(&key).unwrap_or(&Value::Null);
            Some((key, difference(before, after)?))
        })
        .collect();
    (!changed.is_empty()).then_some(Value::Mapping(changed))
}

fn explain(error: &serde_yaml::Error) -> Error {
    let text = error.to_string();
    let place = error
        .location()
        .map(|at| format!(" (line {}, column {})", at.line(), at.column()))
        .unwrap_or_default();
    let mut problem = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let mut hint = String::new();
    if let Some((before, known)) = text.split_once(", expected one of ") {
        problem = before.replace("unknown field", "unknown key");
        hint = nearest(before, known)
            .map(|key| format!(", did you mean `{key}`?"))
            .unwrap_or_default();
    }
    Error {
        problem,
        line: error.location().map(|at| at.line()),
        place,
        hint,
    }
}

/// Of the keys in serde's message, the one most like the unknown one.
fn nearest<'a>(before: &str, known: &'a str) -> Option<&'a str> {
    let unknown = before.split('`').nth(1)?;
    nearest_of(unknown, known.split('`').skip(1).step_by(2))
}

/// Of some keys, the one that somebody who wrote an unknown one may have meant.
pub(crate) fn nearest_of<'a>(
    unknown: &str,
    keys: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let (likeness, key) = keys
        .into_iter()
        .map(|key| (strsim::jaro_winkler(unknown, key), key))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness > 0.7).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Config, String> {
        super::read(text).map_err(|error| error.to_string())
    }

    #[test]
    fn empty_documents_and_sections_are_defaults() {
        for text in ["", "# nothing\n", "limits:\nserver:\n", "limits: {}\n"] {
            assert_eq!(read(text), Ok(Config::default()), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_key_names_place_and_nearest_key() {
        let error = read("server:\n  http_listen_prot: 1\n").unwrap_err();
        assert!(error.contains("unknown key `http_listen_prot`"), "{error}");
        assert!(error.contains("line 2"), "{error}");
        assert!(
            error.contains("did you mean `http_listen_port`?"),
            "{error}"
        );
    }

    #[test]
    fn a_key_twice_and_a_wrong_type_are_errors() {
        assert!(
            read("target: all\ntarget: all\n")
                .unwrap_err()
                .contains("duplicate")
        );
        let error = read("server:\n  http_listen_port: many\n").unwrap_err();
        assert!(
            error.contains("line 2") && error.contains("many"),
            "{error}"
        );
    }

    #[test]
    fn merge_keys_merge() {
        let config = read("server: &a\n  http_listen_port: 7\ndistributor: {}\n").unwrap();
        assert_eq!(config.server.http_listen_port, 7);
        let config = read("server:\n  <<: {http_listen_port: 8}\n").unwrap();
        assert_eq!(config.server.http_listen_port, 8);
    }

    #[test]
    fn a_difference_has_only_what_changed() {
        let mut changed = Config::default();
        assert_eq!(write_difference(&Config::default(), &changed), "{}\n");
        changed.server.http_listen_port = 7;
        assert_eq!(
            write_difference(&Config::default(), &changed),
            "server:\n  http_listen_port: 7\n"
        );
    }

    #[test]
    fn documents_with_other_scalars_are_alike() {
        for (one, other) in [("a: 1", "b:"), ("[1, {a: x}]", "- ~\n- b: 2"), ("a: [", "")] {
            assert!(alike(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("a: 1", "a: 1\nb: 2"),
            ("a: 1", "a: [1]"),
            ("[1]", "[1, 2]"),
            ("[{a: {}}]", "[{a: x}]"),
            ("!x 1", "1"),
            ("a: 1", "a: ]"),
        ] {
            assert!(!alike(one, other), "{one} {other}");
        }
    }

    #[test]
    fn targets_are_a_text_or_a_list() {
        assert_eq!(read("target: all,all").unwrap().target, ["all", "all"]);
        assert_eq!(read("target: [all]").unwrap().target, ["all"]);
    }
}
