//! Which format a file has, told by its content alone.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fmt;

use memchr::{memchr, memmem, memrchr};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::Error;
use crate::otlp::Encoding;
use crate::varint::Reader;
use crate::{perf, speedscope};

/// Lines of a text that are looked at.
const LINES: usize = 1000;

/// A format of files that hold profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What all others are turned into.
    Pprof,
    /// A recording of the Java Flight Recorder.
    Jfr,
    /// An export request of OpenTelemetry, [`crate::otlp`].
    Otlp(Encoding),
    /// [`crate::speedscope`].
    Speedscope,
    /// [`crate::trie`].
    Trie,
    /// [`crate::tree`].
    Tree,
    /// Collapsed stacks, [`crate::groups`].
    Groups,
    /// [`crate::lines`].
    Lines,
    /// [`crate::perf`].
    PerfScript,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pprof => f.write_str("pprof"),
            Self::Jfr => f.write_str("a JFR recording"),
            Self::Otlp(encoding) => write!(f, "OTLP profiles in {encoding}"),
            Self::Speedscope => f.write_str("a speedscope file"),
            Self::Trie => f.write_str("a trie"),
            Self::Tree => f.write_str("a tree"),
            Self::Groups => f.write_str("collapsed stacks"),
            Self::Lines => f.write_str("lines of stacks"),
            Self::PerfScript => f.write_str("the text of `perf script`"),
        }
    }
}

/// The format of a file without its gzip; `None` if it is none of these.
///
/// What is damaged is recognised by its beginning where that is unmistakable, so that its own reader can say where it is
/// wrong. O(length), nothing is built.
#[must_use]
pub fn recognise(payload: &[u8]) -> Option<Format> {
    if payload.starts_with(b"FLR\0") {
        Some(Format::Jfr)
    } else if payload.trim_ascii_start().starts_with(b"{") {
        json(payload)
    } else if is_text(payload) {
        text(payload)
    } else {
        let message = protobuf(payload);
        let nodes = || nodes(payload).ok().flatten();
        match message {
            Some((format, true)) => Some(format),
            Some((format, false)) => nodes().or(Some(format)),
            None => nodes(),
        }
    }
}

/// Whether a file is text: binary formats have zeros or other control characters near their beginning.
#[must_use]
pub fn is_text(payload: &[u8]) -> bool {
    const LOOKED_AT: usize = 512;
    let head = payload.get(..LOOKED_AT).unwrap_or(payload);
    let control = |byte: &u8| byte.is_ascii_control() && !b"\t\r\n".contains(byte);
    !head.iter().any(control)
}

/// The parts of JSON files that tell them apart.
#[derive(Deserialize)]
struct Probe {
    #[serde(alias = "resource_profiles")]
    #[serde(rename = "resourceProfiles")]
    resource_profiles: Option<IgnoredAny>,
    profiles: Option<Vec<Unit>>,
}

#[derive(Deserialize)]
struct Unit {
    #[serde(rename = "unit")]
    _unit: String,
}

fn json(payload: &[u8]) -> Option<Format> {
    let has = |text: &str| memmem::find(payload, text.as_bytes()).is_some();
    let (otlp, speedscope) = match serde_json::from_slice::<Probe>(payload) {
        Ok(probe) => (probe.resource_profiles.is_some(), probe.profiles.is_some()),
        // Damaged: its own reader says where.
        Err(_) => (has("\"resourceProfiles\""), has(speedscope::SCHEMA)),
    };
    match (otlp, speedscope) {
        (true, _) => Some(Format::Otlp(Encoding::Json)),
        (false, true) => Some(Format::Speedscope),
        (false, false) => None,
    }
}

fn text(payload: &[u8]) -> Option<Format> {
    if perf::is_perf_script(payload) {
        return Some(Format::PerfScript);
    }
    let mut several_frames = false;
    let lines = payload.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.filter(|line| !line.is_empty()).take(LINES) {
        let count = memrchr(b' ', line).and_then(|at| line.get(at.saturating_add(1)..));
        // A count that is no whole number is an error of collapsed stacks, and no frame.
        let number = count
            .and_then(|count| str::from_utf8(count).ok())
            .and_then(|count| count.parse::<f64>().ok());
        if number.is_some_and(f64::is_finite) {
            return Some(Format::Groups);
        }
        several_frames |= memchr(b';', line).is_some();
    }
    several_frames.then_some(Format::Lines)
}

/// Tells messages by the fields that they have, and whether they are whole.
fn protobuf(payload: &[u8]) -> Option<(Format, bool)> {
    const STRING_TABLE: u64 = 1 << 6;
    const OF_OTLP: u64 = 1 << 1 | 1 << 2;
    let mut reader = Reader::new(payload);
    let (mut seen, mut nested) = (0_u64, false);
    let whole = loop {
        if reader.remaining() == 0 {
            break true;
        }
        let Ok(key) = reader.uvarint("a key") else {
            break false;
        };
        let (number, wire) = (key >> 3, key & 7);
        // Fields 7 to 10, 12, 14 and 15 of pprof are numbers; 13 is a list of them, packed or not.
        let content = match (number, wire) {
            (1..=6 | 11 | 13, 2) => reader
                .uvarint("a length")
                .and_then(|length| reader.take(length, "a field")),
            (7..=10 | 12..=15, 0) => reader.uvarint("a number").map(|_| &b""[..]),
            _ => return None,
        };
        seen |= 1_u64.checked_shl(u32::try_from(number).ok()?)?;
        match content {
            // The first field of pprof holds two numbers, that of a request messages.
            Ok(content) => nested |= number == 1 && content.first().is_some_and(|key| key & 7 == 2),
            Err(_) => break false,
        }
    };
    let format = match seen {
        0 => return None,
        _ if seen & STRING_TABLE != 0 => Format::Pprof,
        _ if seen & !OF_OTLP == 0 && (whole || nested) => Format::Otlp(Encoding::Protobuf),
        _ => Format::Pprof,
    };
    Some((format, whole))
}

/// Tree and trie are nodes of the same form. Names of a trie's nodes go on where the parent's ends, with `;` between frames, and
/// as no two of its siblings begin alike, the first byte of their names tells them apart; nodes of a tree are whole frames.
fn nodes(payload: &[u8]) -> Result<Option<Format>, Error> {
    let mut reader = Reader::new(payload);
    let mut separators = false;
    let mut distinct = true;
    let mut open: Vec<(u64, [u64; 4])> = Vec::new();
    let mut root = true;
    while root || !open.is_empty() {
        let length = reader.uvarint("the length of a name")?;
        let name = reader.take(length, "a name")?;
        reader.uvarint("a value")?;
        let children = reader.uvarint("a number of children")?;
        separators |= memchr(b';', name).is_some();
        if let Some((left, seen)) = open.last_mut() {
            *left = left.saturating_sub(1);
            let first = name.first().copied().unwrap_or_default();
            let bit = 1_u64 << (first & 63);
            if let Some(seen) = seen.get_mut(usize::from(first >> 6)) {
                distinct &= *seen & bit == 0;
                *seen |= bit;
            }
        }
        root = false;
        open.push((children, [0; 4]));
        while open.last().is_some_and(|(left, _)| *left == 0) {
            open.pop();
        }
    }
    let format = match separators && distinct {
        true => Format::Trie,
        false => Format::Tree,
    };
    Ok((reader.remaining() == 0).then_some(format))
}

#[cfg(test)]
mod tests;
