//! JSON of the small files: errors that name the byte, times in decimal seconds.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::Serialize;

use crate::error::Error;

/// Reads a whole file. Unknown keys are the type's to ignore.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], file: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let problem = text.strip_suffix(&place).unwrap_or(&text);
        Error::corrupt(file, offset(bytes, &error), problem)
    })
}

/// Reads the `version` of a file, and refuses all but the known ones before anything else is looked at.
pub(crate) fn check_version(bytes: &[u8], file: &str, known: &[i64]) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        #[serde(default, deserialize_with = "or_default")]
        version: i64,
    }
    let Versioned { version } = parse(bytes, file)?;
    match known.contains(&version) {
        true => Ok(()),
        false => Err(Error::Unsupported {
            file: file.to_owned(),
            problem: format!("version {version}, known are {known:?}"),
        }),
    }
}

/// The byte that serde_json's line and column mean.
fn offset(bytes: &[u8], error: &serde_json::Error) -> u64 {
    let line: usize = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let offset = line.saturating_add(error.column().saturating_sub(1));
    offset.min(bytes.len()) as u64
}

/// Where a text is first found in a file, for what is noticed only after parsing.
pub(crate) fn find(bytes: &[u8], text: &str) -> u64 {
    let at = bytes
        .windows(text.len().max(1))
        .position(|window| window == text.as_bytes());
    at.unwrap_or_default() as u64
}

/// Without blanks.
pub(crate) fn compact<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("keys are texts, and memory does not refuse")
}

/// Indented by tabs, without a newline at the end.
pub(crate) fn tabbed<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    value
        .serialize(&mut serde_json::Serializer::with_formatter(
            &mut out, format,
        ))
        .expect("keys are texts, and memory does not refuse");
    out
}

/// `null` is what a missing key is.
pub(crate) fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What is not written because it says nothing.
pub(crate) fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Milliseconds as seconds with at most three decimals: `1702904400.005`.
pub(crate) mod seconds {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};
    use serde_json::value::RawValue;

    pub(crate) fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        // Serde's own numbers have exponents and a decimal point always.
        RawValue::from_string(format(*ms))
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        parse(raw.get())
            .ok_or_else(|| Error::custom(format!("not decimal seconds: {:.40}", raw.get())))
    }

    /// The shortest decimal that is the same `f64`, without an exponent. Exact up to 2⁵³ / 2 milliseconds.
    pub(super) fn format(ms: i64) -> String {
        (ms as f64 / 1000.0).to_string()
    }

    /// Digits beyond the third are cut off.
    pub(super) fn parse(text: &str) -> Option<i64> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let only_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !only_digits(whole) || !only_digits(fraction) {
            return None;
        }
        let thousandths: String = fraction.chars().chain("00".chars()).take(3).collect();
        let ms = whole
            .parse::<i64>()
            .ok()?
            .checked_mul(1000)?
            .checked_add(thousandths.parse().ok()?)?;
        if negative { ms.checked_neg() } else { Some(ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_are_written_as_a_float_without_exponent() {
        for (ms, text) in [
            (0, "0"),
            (1, "0.001"),
            (10, "0.01"),
            (1000, "1"),
            (-1500, "-1.5"),
            (-1, "-0.001"),
            (1_675_162_365_672, "1675162365.672"),
            (1_702_904_400_005, "1702904400.005"),
            (1_795_594_560_000, "1795594560"),
            (i64::MAX, "9223372036854776"),
        ] {
            assert_eq!(seconds::format(ms), text);
        }
    }

    #[test]
    fn fractions_are_padded_or_cut() {
        for (text, ms) in [
            ("1", Some(1000)),
            ("1.5", Some(1500)),
            ("1.05", Some(1050)),
            ("1.0059", Some(1005)),
            ("-0.5", Some(-500)),
            ("9223372036854775.807", Some(i64::MAX)),
            ("9223372036854775.808", None),
            ("99999999999999999999", None),
            ("1e3", None),
            ("1.5e3", None),
            ("null", None),
            ("\"1\"", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(seconds::parse(text), ms, "{text}");
        }
    }

    #[test]
    fn errors_name_the_byte_behind_what_is_wrong() {
        #[derive(Debug, serde::Deserialize)]
        struct Small {
            #[serde(with = "seconds")]
            #[expect(dead_code, reason = "only read")]
            time: i64,
        }
        let text = "{\n\t\"time\": 1.5e3\n}";
        let error = parse::<Small>(text.as_bytes(), "small.json").unwrap_err();
        let Error::Corrupt {
            file,
            offset,
            problem,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!((file.as_str(), offset), ("small.json", 17));
        assert_eq!(problem, "not decimal seconds: 1.5e3");
    }

    proptest! {
        #[test]
        fn seconds_come_back(ms in -(1_i64 << 52)..1 << 52) {
            prop_assert_eq!(seconds::parse(&seconds::format(ms)), Some(ms));
        }
    }
}
