//! Durations in settings: read in Go's or Prometheus' form, written in Go's.
//!
//! The module itself fits `#[serde(with = "duration")]` and clap's `value_parser = duration::parse`.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use super::{shortened, split};
use crate::error::{Classify, ErrorKind};

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("duration {text:?}: {problem}; expected numbers with units, such as `1h30m` or `{}`", if *.days { "7d" } else { "500ms" })]
pub struct DurationError {
    /// The text, shortened if it is long.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// Whether days, weeks and years are read.
    days: bool,
}

const NS_PER_S: u128 = 1_000_000_000;

/// Go's units.
const GO: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NS_PER_S),
    ("m", 60 * NS_PER_S),
    ("h", 3_600 * NS_PER_S),
];

/// What Prometheus has beyond them.
const PROMETHEUS: [(&str, u128); 3] = [
    ("d", 86_400 * NS_PER_S),
    ("w", 7 * 86_400 * NS_PER_S),
    ("y", 365 * 86_400 * NS_PER_S),
];

/// Reads `1h5m`, `1.5s`, `0`. Negative durations are refused.
///
/// # Errors
/// What is no such text, and more than Go's range of 292 years.
pub fn parse_go_duration(text: &str) -> Result<Duration, DurationError> {
    read(text, &[&GO]).map_err(|problem| DurationError {
        text: shortened(text),
        problem,
        days: false,
    })
}

/// Reads what [`parse_go_duration`] does, and days, weeks and years: `1d12h`, `2w`, `1y`.
///
/// # Errors
/// As [`parse_go_duration`].
pub fn parse_prometheus_duration(text: &str) -> Result<Duration, DurationError> {
    read(text, &[&GO, &PROMETHEUS]).map_err(|problem| DurationError {
        text: shortened(text),
        problem,
        days: true,
    })
}

fn read(text: &str, units: &[&[(&str, u128)]]) -> Result<Duration, &'static str> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.starts_with('-') {
        return Err("it must not be negative");
    }
    if unsigned.is_empty() {
        return Err("it is empty");
    }
    let mut rest = unsigned;
    let mut sum_ns = 0_u128;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let known = units
            .iter()
            .copied()
            .flatten()
            .find(|(name, _)| *name == unit);
        let unit_ns = match known {
            Some((_, ns)) => *ns,
            None if unit.is_empty() => return Err("a number has no unit"),
            None => return Err("unknown unit"),
        };
        sum_ns = sum_ns.saturating_add(scaled(number, unit_ns)?);
        rest = after;
    }
    match i64::try_from(sum_ns) {
        Ok(ns) => Ok(Duration::from_nanos(ns.unsigned_abs())),
        Err(_) => Err("it is too long"),
    }
}

/// A decimal number times a unit, cut to whole nanoseconds.
fn scaled(number: &str, unit_ns: u128) -> Result<u128, &'static str> {
    const NO_NUMBER: &str = "a unit has no number";
    /// Beyond this many digits after the point nothing changes.
    const DIGITS: usize = 18;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(NO_NUMBER);
    }
    let digits = |text: &str| {
        text.chars()
            .filter_map(|c| c.to_digit(10))
            .fold(0_u128, |value, digit| {
                value.saturating_mul(10).saturating_add(digit.into())
            })
    };
    let fraction = fraction.get(..DIGITS).unwrap_or(fraction);
    let parts = fraction
        .bytes()
        .fold(1_u128, |parts, _| parts.saturating_mul(10));
    let below = digits(fraction)
        .saturating_mul(unit_ns)
        .checked_div(parts)
        .unwrap_or(0);
    Ok(digits(whole).saturating_mul(unit_ns).saturating_add(below))
}

/// As Go prints it: `1h0m0s`, `1.5s`, `100ms`, `0s`. [`parse_go_duration`] reads it back, up to 292 years.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let ns = duration.as_nanos();
    match ns {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{ns}ns"),
        1_000..1_000_000 => return decimal(ns, 3) + "µs",
        1_000_000..NS_PER_S => return decimal(ns, 6) + "ms",
        _ => {}
    }
    let minutes = duration.as_secs() / 60;
    let seconds = decimal(ns % (60 * NS_PER_S), 9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// The number divided by ten to the power of `digits`, with no more decimals than it needs.
fn decimal(number: u128, digits: usize) -> String {
    let padded = format!("{number:0>10}");
    let point = padded.len().saturating_sub(digits);
    let (whole, below) = padded.split_at_checked(point).unwrap_or((&padded, ""));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match below.trim_end_matches('0') {
        "" => whole.to_owned(),
        below => format!("{whole}.{below}"),
    }
}

/// For clap: as [`parse_prometheus_duration`].
///
/// # Errors
/// As [`parse_prometheus_duration`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    parse_prometheus_duration(text)
}

/// For serde: as [`format_duration`].
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

/// For serde: as [`parse_prometheus_duration`]; the number 0, too.
///
/// # Errors
/// As [`parse_prometheus_duration`], and for other numbers, which have no unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(u64),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Text(text) => text,
        Written::Number(number) => number.to_string(),
    };
    parse(&text).map_err(D::Error::custom)
}

impl Classify for DurationError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}
