//! Lists of durations in settings, as [`list`](crate::flag::list); each as [`duration`](super::duration).
//!
//! The module fits `#[serde(with = "durations")]`.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserializer, Serializer};

use super::{duration, format_duration};
use crate::flag::list;

/// Writes one text with commas.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    let texts: Vec<_> = durations
        .iter()
        .map(|each| format_duration(*each))
        .collect();
    list::serialize(&texts, serializer)
}

/// Reads a text with commas or a list.
///
/// # Errors
/// Names the first part that is no duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let texts = list::deserialize(deserializer)?;
    let durations = texts.iter().map(|text| duration::parse(text));
    durations
        .collect::<Result<_, _>>()
        .map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_come_back() {
        let ranges = vec![Duration::from_secs(3600), Duration::from_secs(90)];
        let mut written = Vec::new();
        serialize(&ranges, &mut serde_json::Serializer::new(&mut written)).unwrap();
        assert_eq!(written, br#""1h0m0s,1m30s""#);
        let read = |json: &[u8]| deserialize(&mut serde_json::Deserializer::from_slice(json));
        assert_eq!(read(&written).unwrap(), ranges);
        assert_eq!(read(br#"["1h0m0s", "1m30s"]"#).unwrap(), ranges);
        let error = read(br#""1h,soon""#).unwrap_err().to_string();
        assert!(error.contains("soon"), "{error}");
    }
}
