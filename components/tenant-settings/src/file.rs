//! The object that holds a tenant's settings.
//!
//! Written as a map from name to setting. Read is also a list of settings, bare or below `settings`, and times as text, as
//! protobuf's JSON has them: somebody else may have written the bucket.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};

/// One setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, whatever its users mean by it.
    pub value: String,
    /// When it was modified, in milliseconds since the epoch.
    #[serde(
        rename = "modifiedAt",
        alias = "modified_at",
        deserialize_with = "whole"
    )]
    pub modified_ms: i64,
}

/// The settings of a tenant, by name.
pub(crate) type Settings = BTreeMap<String, Setting>;

/// All forms of the object.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    List(Vec<Setting>),
    Below { settings: Vec<Setting> },
    Map(BTreeMap<String, Setting>),
    Nothing(()),
}

/// Reads an object. An empty one has no settings; of several settings with one name the newest counts.
///
/// # Errors
/// If it has none of the forms.
pub(crate) fn decode(bytes: &[u8]) -> Result<Settings, serde_json::Error> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Settings::new());
    }
    let file = serde_json::from_slice(bytes)?;
    let mut settings = Settings::new();
    let mut add = |setting: Setting| {
        let newer = settings.get(&setting.name);
        if newer.is_none_or(|other| other.modified_ms <= setting.modified_ms) {
            settings.insert(setting.name.clone(), setting);
        }
    };
    match file {
        File::Nothing(()) => {}
        File::List(list) | File::Below { settings: list } => list.into_iter().for_each(add),
        File::Map(map) => map.into_iter().for_each(|(name, setting)| {
            add(Setting { name, ..setting });
        }),
    }
    Ok(settings)
}

pub(crate) fn encode(settings: &Settings) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(settings)
}

/// A number, or a text with one.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Number(i64),
        Text(String),
    }
    match Time::deserialize(deserializer)? {
        Time::Number(number) => Ok(number),
        Time::Text(text) => text.parse().map_err(de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn setting(name: &str, value: &str, modified_ms: i64) -> Setting {
        Setting {
            name: name.to_owned(),
            value: value.to_owned(),
            modified_ms,
        }
    }

    #[test]
    fn every_form_is_read() {
        let expected = Settings::from([
            ("a".to_owned(), setting("a", "1", 5)),
            ("b".to_owned(), setting("b", "", 0)),
        ]);
        for text in [
            r#"{"a":{"name":"a","value":"1","modifiedAt":5},"b":{"name":"b"}}"#,
            r#"{"a":{"value":"1","modifiedAt":"5"},"b":{}}"#,
            r#"[{"name":"b"},{"name":"a","value":"1","modifiedAt":5,"more":[]}]"#,
            r#"{"settings":[{"name":"a","value":"0","modifiedAt":4},{"name":"b"},{"name":"a","value":"1","modified_at":5}]}"#,
        ] {
            assert_eq!(decode(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for text in ["", " \n", "{}", "[]", "null", r#"{"settings":[]}"#] {
            assert!(decode(text.as_bytes()).unwrap().is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_a_map_of_settings() {
        let settings = Settings::from([("a".to_owned(), setting("a", "1", 5))]);
        let text = String::from_utf8(encode(&settings).unwrap()).unwrap();
        assert_eq!(text, r#"{"a":{"name":"a","value":"1","modifiedAt":5}}"#);
    }

    #[test]
    fn other_bytes_are_refused() {
        for text in ["{", "7", r#"{"a":7}"#, r#"[{"modifiedAt":"x"}]"#, "\u{0}"] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
        bolero::check!().for_each(|bytes: &[u8]| {
            let _ = decode(bytes);
        });
    }

    proptest! {
        #[test]
        fn written_settings_read_back_equal(
            all in prop::collection::vec((".{1,9}", ".*", any::<i64>()), 0..9),
        ) {
            let mut settings = Settings::new();
            for (name, value, modified_ms) in all {
                settings.insert(name.clone(), setting(&name, &value, modified_ms));
            }
            // A setting called `settings` is one, too.
            settings.insert("settings".to_owned(), setting("settings", "x", 1));
            prop_assert_eq!(decode(&encode(&settings).unwrap()).unwrap(), settings);
        }
    }
}
