//! The wire bytes of a profile as flat tables: one pass, nothing checked but the wire format.
//!
//! Fields may come in any order; of a field that may occur once the last one wins, unknown fields are
//! passed over. Samples are only located: they are read when all symbols are known.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::normalized::{Function, Line, Location, Mapping, StringIndex};
use crate::reuse::reset;
use crate::wire::{Malformed, Reader};

/// A part of the wire bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    fn of(reader: &Reader<'_>) -> Self {
        // In range: `Workspace::decode` refuses profiles above 4 GiB.
        Self {
            start: reader.offset() as u32,
            end: reader.end() as u32,
        }
    }
}

/// String indices of a value type as they came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawValueType {
    pub(crate) kind: i64,
    pub(crate) unit: i64,
}

/// Fields that a profile has once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    pub(crate) time_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) period_type: Option<RawValueType>,
    pub(crate) period: i64,
    pub(crate) default_sample_type: i64,
    pub(crate) doc_url: i64,
}

/// All tables of a profile. References between them are still ids, kept beside the entries.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) header: Header,
    pub(crate) sample_types: Vec<RawValueType>,
    pub(crate) comments: Vec<i64>,
    pub(crate) samples: Vec<Span>,
    pub(crate) strings: Vec<Span>,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) mapping_ids: Vec<u64>,
    pub(crate) functions: Vec<Function>,
    pub(crate) function_ids: Vec<u64>,
    pub(crate) locations: Vec<Location>,
    pub(crate) location_ids: Vec<u64>,
    /// Id of each location's mapping.
    pub(crate) location_mappings: Vec<u64>,
    pub(crate) lines: Vec<Line>,
    /// Id of each line's function.
    pub(crate) line_functions: Vec<u64>,
}

impl Tables {
    /// Replaces all content by that of `bytes`, which are at most 4 GiB.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.clear();
        let mut reader = Reader::new(bytes);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => self
                    .sample_types
                    .push(value_type(reader.message(wire)?, RawValueType::default())?),
                2 => self.samples.push(Span::of(&reader.message(wire)?)),
                3 => self.mapping(reader.message(wire)?)?,
                4 => self.location(reader.message(wire)?)?,
                5 => self.function(reader.message(wire)?)?,
                6 => self.strings.push(Span::of(&reader.message(wire)?)),
                9 => self.header.time_ns = reader.number(wire)? as i64,
                10 => self.header.duration_ns = reader.number(wire)? as i64,
                11 => {
                    let so_far = self.header.period_type.unwrap_or_default();
                    self.header.period_type = Some(value_type(reader.message(wire)?, so_far)?);
                }
                12 => self.header.period = reader.number(wire)? as i64,
                13 => reader.numbers(wire, |index| self.comments.push(index as i64))?,
                14 => self.header.default_sample_type = reader.number(wire)? as i64,
                15 => self.header.doc_url = reader.number(wire)? as i64,
                _ => reader.skip(wire)?,
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.header = Header::default();
        reset(&mut self.sample_types);
        reset(&mut self.comments);
        reset(&mut self.samples);
        reset(&mut self.strings);
        reset(&mut self.mappings);
        reset(&mut self.mapping_ids);
        reset(&mut self.functions);
        reset(&mut self.function_ids);
        reset(&mut self.locations);
        reset(&mut self.location_ids);
        reset(&mut self.location_mappings);
        reset(&mut self.lines);
        reset(&mut self.line_functions);
    }

    fn mapping(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        let mut mapping = Mapping::default();
        let mut id = 0;
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => id = reader.number(wire)?,
                2 => mapping.memory_start = reader.number(wire)?,
                3 => mapping.memory_limit = reader.number(wire)?,
                4 => mapping.file_offset = reader.number(wire)?,
                5 => mapping.filename = string_index(reader.number(wire)?),
                6 => mapping.build_id = string_index(reader.number(wire)?),
                7..=10 => {
                    // has_functions, has_filenames, has_line_numbers, has_inline_frames: bit 3 down to bit 0
                    let bit = 1_u8 << 10_u32.saturating_sub(field);
                    mapping.flags = if reader.number(wire)? != 0 {
                        mapping.flags | bit
                    } else {
                        mapping.flags & !bit
                    };
                }
                _ => reader.skip(wire)?,
            }
        }
        self.mappings.push(mapping);
        self.mapping_ids.push(id);
        Ok(())
    }

    fn location(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        let mut location = Location {
            first_line: self.lines.len() as u32,
            ..Location::default()
        };
        let (mut id, mut mapping) = (0, 0);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => id = reader.number(wire)?,
                2 => mapping = reader.number(wire)?,
                3 => location.address = reader.number(wire)?,
                4 => self.line(reader.message(wire)?)?,
                5 => location.is_folded = reader.number(wire)? != 0,
                _ => reader.skip(wire)?,
            }
        }
        location.line_count = (self.lines.len() as u32).saturating_sub(location.first_line);
        self.locations.push(location);
        self.location_ids.push(id);
        self.location_mappings.push(mapping);
        Ok(())
    }

    fn line(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        let mut line = Line::default();
        let mut function = 0;
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => function = reader.number(wire)?,
                2 => line.line = reader.number(wire)? as i64,
                3 => line.column = reader.number(wire)? as i64,
                _ => reader.skip(wire)?,
            }
        }
        self.lines.push(line);
        self.line_functions.push(function);
        Ok(())
    }

    fn function(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        let mut function = Function::default();
        let mut id = 0;
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => id = reader.number(wire)?,
                2 => function.name = string_index(reader.number(wire)?),
                3 => function.system_name = string_index(reader.number(wire)?),
                4 => function.filename = string_index(reader.number(wire)?),
                5 => function.start_line = reader.number(wire)? as i64,
                _ => reader.skip(wire)?,
            }
        }
        self.functions.push(function);
        self.function_ids.push(id);
        Ok(())
    }
}

fn value_type(mut reader: Reader<'_>, mut so_far: RawValueType) -> Result<RawValueType, Malformed> {
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => so_far.kind = reader.number(wire)? as i64,
            2 => so_far.unit = reader.number(wire)? as i64,
            _ => reader.skip(wire)?,
        }
    }
    Ok(so_far)
}

/// The index of a symbol's string. Negative ones mean the empty string, as upstream takes them;
/// those that do not fit become the largest, which no table reaches.
fn string_index(number: u64) -> StringIndex {
    if (number as i64) < 0 {
        0
    } else {
        StringIndex::try_from(number).unwrap_or(StringIndex::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Tables, Malformed> {
        let mut tables = Tables::default();
        tables.read(bytes).map(|()| tables)
    }

    #[test]
    fn the_last_of_repeated_scalars_wins_and_flags_can_be_taken_back() {
        let tables = read(&[
            9 << 3,
            5,
            9 << 3,
            7,
            3 << 3 | 2,
            6,
            7 << 3,
            1,
            8 << 3,
            1,
            7 << 3,
            0,
        ])
        .unwrap();
        assert_eq!(tables.header.time_ns, 7);
        assert_eq!(tables.mappings[0].flags, 4);
    }

    #[test]
    fn a_message_that_comes_twice_is_merged() {
        let tables = read(&[11 << 3 | 2, 2, 8, 3, 11 << 3 | 2, 2, 16, 4]).unwrap();
        let period_type = tables.header.period_type.unwrap();
        assert_eq!((period_type.kind, period_type.unit), (3, 4));
    }

    #[test]
    fn unknown_fields_are_passed_over_on_every_level() {
        // profile: field 99 = 1; location: field 9 = 1, a line with field 7 = fixed64
        let bytes = [
            &[
                0x98,
                6,
                1,
                4 << 3 | 2,
                14,
                8,
                3,
                9 << 3,
                1,
                4 << 3 | 2,
                9,
                7 << 3 | 1,
            ][..],
            &[0; 8],
            &[0],
        ]
        .concat();
        // One byte is missing inside of the line, so it reaches behind the location.
        assert!(read(&bytes).is_err());
        let bytes = [
            &[
                0x98,
                6,
                1,
                4 << 3 | 2,
                15,
                8,
                3,
                9 << 3,
                1,
                4 << 3 | 2,
                9,
                7 << 3 | 1,
            ][..],
            &[0; 8],
        ]
        .concat();
        let tables = read(&bytes).unwrap();
        assert_eq!(
            (tables.location_ids[0], tables.locations[0].line_count),
            (3, 1)
        );
    }

    #[test]
    fn a_known_field_with_the_wrong_wire_type_is_refused_with_its_offset() {
        assert_eq!(read(&[9 << 3, 1, 9 << 3 | 2, 0]).unwrap_err().offset, 3);
        assert_eq!(
            read(&[2 << 3, 1]).unwrap_err().problem,
            "a message does not have the wire type of messages"
        );
        assert_eq!(
            read(&[13 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0])
                .unwrap_err()
                .problem,
            "a list of numbers does not have the wire type of lists"
        );
        assert!(read(&[5 << 3 | 3, 5 << 3 | 4]).is_err(), "a group");
    }

    #[test]
    fn comments_are_read_packed_and_unpacked() {
        assert_eq!(
            read(&[13 << 3, 1, 13 << 3 | 2, 2, 2, 3]).unwrap().comments,
            [1, 2, 3]
        );
    }
}
