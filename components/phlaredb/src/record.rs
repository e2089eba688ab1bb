//! Records of the write-ahead log: what one append adds to the head.
//!
//! A record holds definitions and profiles. A definition gives the id that the head used for a string,
//! function, mapping, location, stack trace or series; each segment of the log defines whatever its
//! records use, so a segment can be replayed, or deleted, without the others. Definitions come before use.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use phlare_model::labels::Labels;
use uuid::Uuid;

use crate::symbols::{Function, Line, Location, Mapping};
use crate::varint::{self, Reader};

/// The first byte of every record.
const VERSION: u8 = 1;

const STRING: u8 = 1;
const FUNCTION: u8 = 2;
const MAPPING: u8 = 3;
const LOCATION: u8 = 4;
const STACKTRACE: u8 = 5;
const SERIES: u8 = 6;
const PROFILE: u8 = 7;
const BASELINE: u8 = 8;

/// A profile as the log keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Profile<'a> {
    pub(crate) series: u32,
    pub(crate) time_ns: i64,
    pub(crate) id: Uuid,
    pub(crate) partition: u64,
    /// Values count from the start of the process; the difference is taken when it is applied.
    pub(crate) cumulative: bool,
    /// Encoded by [`crate::chunk`].
    pub(crate) samples: &'a [u8],
}

/// One thing in a record.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry<'a> {
    String {
        id: u32,
        text: &'a str,
    },
    Function {
        id: u32,
        function: Function,
    },
    Mapping {
        id: u32,
        mapping: Mapping,
    },
    Location {
        id: u32,
        location: Location,
        lines: Vec<Line>,
    },
    Stacktrace {
        id: u32,
        parent: u32,
        location: u32,
    },
    Series {
        id: u32,
        labels: Labels,
    },
    Profile(Profile<'a>),
    /// The highest values so far of a series with cumulative profiles.
    Baseline {
        series: u32,
        time_ns: i64,
        /// Encoded by [`crate::chunk`].
        samples: &'a [u8],
    },
}

/// Builds a record in a buffer that is used again.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn clear(&mut self) {
        self.out.clear();
        self.out.push(VERSION);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Gives memory back that one huge record has left.
    pub(crate) fn shrink(&mut self, keep: usize) {
        if self.out.capacity() > keep {
            self.out = Vec::new();
        }
    }

    fn begin(&mut self, tag: u8, id: u32) -> &mut Vec<u8> {
        self.out.push(tag);
        varint::put(&mut self.out, u64::from(id));
        &mut self.out
    }

    pub(crate) fn string(&mut self, id: u32, text: &str) {
        varint::put_bytes(self.begin(STRING, id), text.as_bytes());
    }

    pub(crate) fn function(&mut self, id: u32, function: &Function) {
        let out = self.begin(FUNCTION, id);
        for string in [function.name, function.system_name, function.filename] {
            varint::put(out, u64::from(string));
        }
        varint::put_signed(out, function.start_line);
    }

    pub(crate) fn mapping(&mut self, id: u32, mapping: &Mapping) {
        let out = self.begin(MAPPING, id);
        for number in [
            mapping.memory_start,
            mapping.memory_limit,
            mapping.file_offset,
        ] {
            varint::put(out, number);
        }
        varint::put(out, u64::from(mapping.filename));
        varint::put(out, u64::from(mapping.build_id));
        out.push(mapping.flags);
    }

    pub(crate) fn location(&mut self, id: u32, location: &Location, lines: &[Line]) {
        let out = self.begin(LOCATION, id);
        varint::put(out, u64::from(location.mapping));
        varint::put(out, location.address);
        out.push(u8::from(location.is_folded));
        varint::put(out, lines.len() as u64);
        for line in lines {
            varint::put(out, u64::from(line.function));
            varint::put_signed(out, line.line);
            varint::put_signed(out, i64::from(line.column));
        }
    }

    pub(crate) fn stacktrace(&mut self, id: u32, parent: u32, location: u32) {
        let out = self.begin(STACKTRACE, id);
        varint::put(out, u64::from(parent));
        varint::put(out, u64::from(location));
    }

    pub(crate) fn series(&mut self, id: u32, labels: &Labels) {
        let out = self.begin(SERIES, id);
        varint::put(out, labels.len() as u64);
        for (name, value) in labels.iter() {
            varint::put_bytes(out, name.as_bytes());
            varint::put_bytes(out, value.as_bytes());
        }
    }

    pub(crate) fn baseline(&mut self, series: u32, time_ns: i64, samples: &[u8]) {
        let out = self.begin(BASELINE, series);
        varint::put_signed(out, time_ns);
        varint::put_bytes(out, samples);
    }

    pub(crate) fn profile(&mut self, profile: &Profile<'_>) {
        let out = self.begin(PROFILE, profile.series);
        varint::put_signed(out, profile.time_ns);
        out.extend_from_slice(profile.id.as_bytes());
        out.extend_from_slice(&profile.partition.to_le_bytes());
        out.push(u8::from(profile.cumulative));
        varint::put_bytes(out, profile.samples);
    }
}

/// The entries of a record; ends with an error if the bytes make no sense.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    reader: Reader<'a>,
    failed: bool,
}

/// The bytes are no record of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Entries<'a> {
    pub(crate) fn new(record: &'a [u8]) -> Self {
        let mut reader = Reader::new(record);
        let failed = reader.u8() != Some(VERSION);
        Self { reader, failed }
    }

    fn read(&mut self) -> Option<Entry<'a>> {
        let reader = &mut self.reader;
        let tag = reader.u8()?;
        let id = reader.u32()?;
        Some(match tag {
            STRING => Entry::String {
                id,
                text: reader.text()?,
            },
            FUNCTION => Entry::Function {
                id,
                function: function(reader)?,
            },
            MAPPING => Entry::Mapping {
                id,
                mapping: mapping(reader)?,
            },
            LOCATION => {
                let (location, lines) = location(reader)?;
                Entry::Location {
                    id,
                    location,
                    lines,
                }
            }
            STACKTRACE => Entry::Stacktrace {
                id,
                parent: reader.u32()?,
                location: reader.u32()?,
            },
            SERIES => Entry::Series {
                id,
                labels: labels(reader)?,
            },
            PROFILE => Entry::Profile(Profile {
                series: id,
                time_ns: reader.i64()?,
                id: Uuid::from_bytes(reader.array()?),
                partition: u64::from_le_bytes(reader.array()?),
                cumulative: reader.u8()? != 0,
                samples: reader.bytes()?,
            }),
            BASELINE => Entry::Baseline {
                series: id,
                time_ns: reader.i64()?,
                samples: reader.bytes()?,
            },
            _ => return None,
        })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            self.failed = false;
            self.reader = Reader::new(&[]);
            return Some(Err(Malformed));
        }
        if self.reader.is_empty() {
            return None;
        }
        let entry = self.read();
        if entry.is_none() {
            self.reader = Reader::new(&[]);
        }
        Some(entry.ok_or(Malformed))
    }
}

fn function(reader: &mut Reader<'_>) -> Option<Function> {
    Some(Function {
        name: reader.u32()?,
        system_name: reader.u32()?,
        filename: reader.u32()?,
        start_line: reader.i64()?,
    })
}

fn mapping(reader: &mut Reader<'_>) -> Option<Mapping> {
    Some(Mapping {
        memory_start: reader.u64()?,
        memory_limit: reader.u64()?,
        file_offset: reader.u64()?,
        filename: reader.u32()?,
        build_id: reader.u32()?,
        flags: reader.u8()?,
    })
}

fn location(reader: &mut Reader<'_>) -> Option<(Location, Vec<Line>)> {
    let location = Location {
        mapping: reader.u32()?,
        address: reader.u64()?,
        is_folded: reader.u8()? != 0,
        ..Location::default()
    };
    let count = reader.u64()?;
    let mut lines = Vec::new();
    for _ in 0..count {
        let function = reader.u32()?;
        let line = reader.i64()?;
        let column = i32::try_from(reader.i64()?).ok()?;
        lines.push(Line {
            function,
            column,
            line,
        });
    }
    Some((location, lines))
}

fn labels(reader: &mut Reader<'_>) -> Option<Labels> {
    let count = reader.u64()?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((reader.text()?, reader.text()?));
    }
    Some(Labels::from_pairs(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_come_back_in_order() {
        let function = Function {
            name: 1,
            system_name: 0,
            filename: 2,
            start_line: -3,
        };
        let mapping = Mapping {
            memory_start: u64::MAX,
            filename: 2,
            flags: 8,
            ..Mapping::default()
        };
        let location = Location {
            mapping: 0,
            address: 0xdead_beef,
            is_folded: true,
            ..Location::default()
        };
        let lines = vec![
            Line {
                function: 0,
                column: 7,
                line: 42,
            },
            Line {
                function: 0,
                column: 0,
                line: -1,
            },
        ];
        let labels = Labels::from_pairs([("a", "1"), ("ü", "✓")]);
        let profile = Profile {
            series: 9,
            time_ns: -5,
            id: Uuid::from_u128(77),
            partition: u64::MAX,
            cumulative: true,
            samples: b"xyz",
        };
        let mut writer = Writer::default();
        writer.clear();
        writer.string(1, "main");
        writer.function(0, &function);
        writer.mapping(0, &mapping);
        writer.location(5, &location, &lines);
        writer.stacktrace(1, 0, 5);
        writer.series(9, &labels);
        writer.profile(&profile);
        let entries: Result<Vec<_>, _> = Entries::new(writer.bytes()).collect();
        let expected = vec![
            Entry::String {
                id: 1,
                text: "main",
            },
            Entry::Function { id: 0, function },
            Entry::Mapping { id: 0, mapping },
            Entry::Location {
                id: 5,
                location,
                lines,
            },
            Entry::Stacktrace {
                id: 1,
                parent: 0,
                location: 5,
            },
            Entry::Series { id: 9, labels },
            Entry::Profile(profile),
        ];
        assert_eq!(entries, Ok(expected));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Entries::new(&bytes).count();
            bytes.insert(0, VERSION);
            let _ = Entries::new(&bytes).count();
        }
    }
}
