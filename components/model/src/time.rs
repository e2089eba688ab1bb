//! Times and durations as people and clients write them.
//!
//! Times: api.md 5.2. Durations: Go's and Prometheus' forms, for settings.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod duration;
pub mod durations;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};

use crate::error::{Classify, ErrorKind};

pub use self::duration::{
    DurationError, format_duration, parse_go_duration, parse_prometheus_duration,
};

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "time {text:?}: {problem}; expected Unix seconds, milliseconds (13 digits), microseconds (16) or nanoseconds (19), \
     a date `YYYYMMDD`, an RFC 3339 time, or an offset such as `now-1h` (units s, m, h, d, w, M, y)"
)]
pub struct TimeError {
    /// The text, shortened if it is long.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Reads a time of the query API or of `/ingest`, to milliseconds since the epoch. An empty text is `now_ms`.
///
/// We differ from upstream, which reads what it does not know as now: that is an error here.
///
/// # Errors
/// A text of no known form, a date that does not exist, and what does not fit.
pub fn parse_time(text: &str, now_ms: i64) -> Result<i64, TimeError> {
    read(text, now_ms).map_err(|problem| TimeError {
        text: shortened(text),
        problem,
    })
}

fn read(text: &str, now_ms: i64) -> Result<i64, &'static str> {
    if let Ok(time) = text.trim().parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let compact: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '_' && *c != ',')
        .collect();
    if compact.is_empty() {
        return Ok(now_ms);
    }
    if compact.bytes().all(|b| b.is_ascii_digit()) {
        return absolute(&compact);
    }
    let word = compact
        .get(..3)
        .filter(|word| word.eq_ignore_ascii_case("now"));
    let offset = match word {
        Some(word) => compact.strip_prefix(word).unwrap_or(""),
        None => compact.as_str(),
    };
    relative(offset, word.is_some(), now_ms)
}

/// Digits only: a date, or a count since the epoch in a unit that their number tells.
fn absolute(digits: &str) -> Result<i64, &'static str> {
    if digits.len() == 8
        && let Some(date) = date(digits)?
    {
        return Ok(date);
    }
    let value: i64 = digits.parse().map_err(|_| TOO_LARGE)?;
    match digits.len() {
        13 => Ok(value),
        16 => Ok(value.div_euclid(1_000)),
        19 => Ok(value.div_euclid(1_000_000)),
        _ => value.checked_mul(1_000).ok_or(TOO_LARGE),
    }
}

const TOO_LARGE: &str = "the number is too large";

/// `YYYYMMDD` at midnight UTC; `None` for digits that do not look like a date.
fn date(digits: &str) -> Result<Option<i64>, &'static str> {
    let part = |range| {
        digits
            .get(range)
            .and_then(|part: &str| part.parse::<i16>().ok())
    };
    let (Some(year), Some(month), Some(day)) = (part(0..4), part(4..6), part(6..8)) else {
        return Ok(None);
    };
    if year <= 1900 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Ok(None);
    }
    let small = |n: i16| i8::try_from(n).unwrap_or_default();
    let date = Date::new(year, small(month), small(day)).map_err(|_| NO_DATE)?;
    let midnight = date.to_zoned(TimeZone::UTC).map_err(|_| NO_DATE)?;
    Ok(Some(midnight.timestamp().as_millisecond()))
}

const NO_DATE: &str = "there is no such date";

/// `-1h`, `+2d12h`, or nothing. After `now` a plus sign may be lacking: in a URL it means a space.
fn relative(offset: &str, after_now: bool, now_ms: i64) -> Result<i64, &'static str> {
    let (forward, mut rest) = match offset.chars().next() {
        None => return Ok(now_ms),
        Some('-') => (false, offset.strip_prefix('-').unwrap_or("")),
        Some('+') => (true, offset.strip_prefix('+').unwrap_or("")),
        Some('0'..='9') if after_now => (true, offset),
        Some(_) => return Err("it is neither a number nor an offset from `now`"),
    };
    if rest.is_empty() {
        return Err("the offset is missing");
    }
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let (count, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        let count: i64 = match count {
            "" => return Err("the offset has a unit without a number"),
            digits => digits.parse().map_err(|_| TOO_LARGE)?,
        };
        let unit_ms = unit_ms(unit).ok_or("the offset has no known unit")?;
        sum = count
            .checked_mul(unit_ms)
            .and_then(|part| sum.checked_add(part))
            .ok_or(TOO_LARGE)?;
        rest = after;
    }
    let time = if forward {
        now_ms.checked_add(sum)
    } else {
        now_ms.checked_sub(sum)
    };
    time.ok_or(TOO_LARGE)
}

/// The beginning of a unit's name tells the unit; months have 30 days, years 365.
fn unit_ms(unit: &str) -> Option<i64> {
    const SECOND: i64 = 1_000;
    const DAY: i64 = 86_400 * SECOND;
    let begins = |with: &str| unit.starts_with(with);
    Some(match unit {
        "ms" => 1,
        _ if begins("s") => SECOND,
        _ if begins("mon") || begins("M") => 30 * DAY,
        _ if begins("m") => 60 * SECOND,
        _ if begins("h") => 3_600 * SECOND,
        _ if begins("d") => DAY,
        _ if begins("w") => 7 * DAY,
        _ if begins("y") => 365 * DAY,
        _ => return None,
    })
}

/// The longest beginning of `text` whose characters satisfy `wanted`, and what follows.
fn split(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !wanted(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 64;
    match text
        .char_indices()
        .nth(SHOWN)
        .and_then(|(end, _)| text.get(..end))
    {
        Some(start) => format!("{start}…"),
        None => text.to_owned(),
    }
}

impl Classify for TimeError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

#[cfg(test)]
mod tests;
