//! Strings, functions, mappings and locations of a profile: checked as a whole, resolved one by one when a sample
//! uses them first.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod check;

use self::check::check;
use super::ids::{IdIndex, UNKNOWN};
use super::text::Text;
use crate::error::{BadReference, Error};
use crate::hash::{ROOT, Seed};
use crate::normalized::{Function, HAS_FUNCTIONS, Line, Location, Mapping, StringIndex};
use crate::reuse::reset;
use crate::tables::{Span, Tables};
use crate::wire::Reader;

/// In a table of hashes: nobody has asked yet.
const UNRESOLVED: u64 = 0;
/// In a table of hashes: refers to what does not exist.
const BROKEN: u64 = 1;
/// The smallest number that is a hash.
pub(crate) const FIRST_HASH: u64 = 2;

/// Look-up tables and hashes; reused.
#[derive(Debug, Default)]
pub(crate) struct SymbolBuffers {
    pub(crate) location_ids: IdIndex,
    function_ids: IdIndex,
    mapping_ids: IdIndex,
    strings: Vec<u64>,
    functions: Vec<u64>,
    mappings: Vec<u64>,
    locations: Vec<u64>,
}

/// The symbols of one profile.
#[derive(Debug)]
pub(crate) struct Symbols<'a> {
    seed: Seed,
    text: Text<'a>,
    tables: &'a mut Tables,
    buffers: &'a mut SymbolBuffers,
    stand_in: Option<u32>,
    unknown_mappings: u64,
}

/// What of the symbols goes into the result.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) strings: Vec<&'a str>,
    pub(crate) functions: &'a [Function],
    pub(crate) mappings: &'a [Mapping],
    pub(crate) locations: &'a [Location],
    pub(crate) lines: &'a [Line],
    pub(crate) string_hashes: &'a [u64],
    pub(crate) function_hashes: &'a [u64],
    pub(crate) mapping_hashes: &'a [u64],
    pub(crate) location_hashes: &'a [u64],
    pub(crate) unknown_mappings: u64,
    pub(crate) repaired_strings: u64,
    pub(crate) truncated_strings: u64,
}

impl<'a> Symbols<'a> {
    /// Checks ids and string indices of the tables and prepares their look-up.
    pub(crate) fn new(
        seed: Seed,
        text: Text<'a>,
        tables: &'a mut Tables,
        buffers: &'a mut SymbolBuffers,
    ) -> Result<Self, Error> {
        check(tables, text.strings.len())?;
        buffers.location_ids.build(&tables.location_ids, seed);
        buffers.function_ids.build(&tables.function_ids, seed);
        buffers.mapping_ids.build(&tables.mapping_ids, seed);
        for (hashes, length) in [
            (&mut buffers.strings, text.strings.len()),
            (&mut buffers.functions, tables.functions.len()),
            (&mut buffers.mappings, tables.mappings.len()),
            (&mut buffers.locations, tables.locations.len()),
        ] {
            reset(hashes);
            hashes.resize(length, UNRESOLVED);
        }
        for mapping in &mut tables.mappings {
            if mapping.flags & HAS_FUNCTIONS != 0 {
                (
                    mapping.memory_start,
                    mapping.memory_limit,
                    mapping.file_offset,
                ) = (0, 0, 0);
            }
        }
        Ok(Self {
            seed,
            text,
            tables,
            buffers,
            stand_in: None,
            unknown_mappings: 0,
        })
    }

    /// The key of the hashes.
    pub(crate) const fn seed(&self) -> Seed {
        self.seed
    }

    /// Where the samples lie.
    pub(crate) fn samples(&self) -> &[Span] {
        &self.tables.samples
    }

    /// From location ids to indices.
    pub(crate) const fn location_ids(&self) -> &IdIndex {
        &self.buffers.location_ids
    }

    /// Number of locations.
    pub(crate) const fn location_count(&self) -> usize {
        self.buffers.locations.len()
    }

    /// Number of strings.
    pub(crate) const fn string_count(&self) -> usize {
        self.text.strings.len()
    }

    /// A string; empty if the index is out of range.
    pub(crate) fn string(&self, index: u32) -> &'a str {
        self.text
            .strings
            .get(index as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Hash of a string that is used.
    pub(crate) fn string_hash(&mut self, index: StringIndex) -> u64 {
        match self.buffers.strings.get_mut(index as usize) {
            Some(hash) => {
                if *hash == UNRESOLVED {
                    let text = self
                        .text
                        .strings
                        .get(index as usize)
                        .copied()
                        .unwrap_or_default();
                    *hash = valid(self.seed.string(text.as_bytes()));
                }
                *hash
            }
            None => valid(self.seed.string(b"")),
        }
    }

    /// Hash of a string for which [`Symbols::string_hash`] has been called.
    pub(crate) fn known_string_hash(&self, index: StringIndex) -> u64 {
        self.buffers
            .strings
            .get(index as usize)
            .copied()
            .unwrap_or_default()
    }

    /// The content hash of a stack, whose frames are given leaf first.
    /// `None` if one of them is unknown or broken.
    pub(crate) fn stack_hash(&mut self, frames: &[u32]) -> Option<u64> {
        self.push_all(ROOT, frames)
    }

    /// Folds more frames, given leaf first, into the hash of a stack.
    pub(crate) fn push_all(&mut self, mut hash: u64, frames: &[u32]) -> Option<u64> {
        for &frame in frames.iter().rev() {
            hash = self.seed.push_frame(hash, self.resolved(frame)?);
        }
        Some(hash)
    }

    /// Hash of a location that is used; `None` if it is unknown or broken.
    #[inline]
    pub(crate) fn resolved(&mut self, index: u32) -> Option<u64> {
        let known = self
            .buffers
            .locations
            .get(index as usize)
            .copied()
            .unwrap_or(BROKEN);
        if known > BROKEN {
            Some(known)
        } else {
            self.resolve(index)
        }
    }

    /// Hashes of all locations; less than [`FIRST_HASH`] of those that are not resolved or broken.
    pub(crate) fn location_hashes(&self) -> &[u64] {
        &self.buffers.locations
    }

    /// Hash of a location that was resolved.
    pub(crate) fn location_hash(&self, index: u32) -> u64 {
        self.buffers
            .locations
            .get(index as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Resolves what a location refers to, once.
    #[cold]
    fn resolve(&mut self, index: u32) -> Option<u64> {
        let at = index as usize;
        let hash = self.buffers.locations.get(at).copied().unwrap_or(BROKEN);
        if hash != UNRESOLVED {
            return if hash == BROKEN { None } else { Some(hash) };
        }
        let resolved = self.location(at);
        let slot = self.buffers.locations.get_mut(at)?;
        match resolved {
            Ok(hash) => {
                *slot = hash;
                Some(hash)
            }
            Err(_) => {
                *slot = BROKEN;
                None
            }
        }
    }

    fn location(&mut self, at: usize) -> Result<u64, BadReference> {
        let id = self
            .tables
            .location_ids
            .get(at)
            .copied()
            .unwrap_or_default();
        let location = self.tables.locations.get(at).copied().unwrap_or_default();
        let (first, end) = (
            location.first_line as usize,
            location.first_line.saturating_add(location.line_count) as usize,
        );
        for line in first..end {
            let function_id = self
                .tables
                .line_functions
                .get(line)
                .copied()
                .unwrap_or_default();
            let function = self.buffers.function_ids.get(function_id);
            match self.tables.lines.get_mut(line) {
                Some(line) if function != UNKNOWN => line.function = function,
                _ => {
                    return Err(BadReference::Function {
                        location: id,
                        id: function_id,
                    });
                }
            }
        }
        if location.line_count == 0 && location.address == 0 {
            return Err(BadReference::Empty { location: id });
        }
        let mapping_id = self
            .tables
            .location_mappings
            .get(at)
            .copied()
            .unwrap_or_default();
        let mut mapping = self.buffers.mapping_ids.get(mapping_id);
        if mapping == UNKNOWN {
            self.unknown_mappings = self
                .unknown_mappings
                .saturating_add(u64::from(mapping_id != 0));
            mapping = self.stand_in();
        }
        let has_functions = self
            .tables
            .mappings
            .get(mapping as usize)
            .is_some_and(|m| m.flags & HAS_FUNCTIONS != 0);
        let address = if has_functions { 0 } else { location.address };
        if let Some(location) = self.tables.locations.get_mut(at) {
            (location.mapping, location.address) = (mapping, address);
        }
        let mapping_hash = self.mapping_hash(mapping);
        let mut hash = self
            .seed
            .location(mapping_hash, address, location.is_folded);
        for line in first..end {
            let line = self.tables.lines.get(line).copied().unwrap_or_default();
            let function = self.function_hash(line.function);
            hash = self.seed.push_line(hash, function, line.line, line.column);
        }
        Ok(valid(hash))
    }

    fn function_hash(&mut self, index: u32) -> u64 {
        let known = self
            .buffers
            .functions
            .get(index as usize)
            .copied()
            .unwrap_or_default();
        if known != UNRESOLVED {
            return known;
        }
        let function = self
            .tables
            .functions
            .get(index as usize)
            .copied()
            .unwrap_or_default();
        let [name, system_name, filename] =
            [function.name, function.system_name, function.filename].map(|s| self.string_hash(s));
        let hash = valid(
            self.seed
                .function(name, system_name, filename, function.start_line),
        );
        if let Some(slot) = self.buffers.functions.get_mut(index as usize) {
            *slot = hash;
        }
        hash
    }

    fn mapping_hash(&mut self, index: u32) -> u64 {
        let known = self
            .buffers
            .mappings
            .get(index as usize)
            .copied()
            .unwrap_or_default();
        if known != UNRESOLVED {
            return known;
        }
        let m = self
            .tables
            .mappings
            .get(index as usize)
            .copied()
            .unwrap_or_default();
        let [filename, build_id] = [m.filename, m.build_id].map(|s| self.string_hash(s));
        let hash = valid(self.seed.mapping(
            m.memory_start,
            m.memory_limit,
            m.file_offset,
            filename,
            build_id,
            m.flags,
        ));
        if let Some(slot) = self.buffers.mappings.get_mut(index as usize) {
            *slot = hash;
        }
        hash
    }

    /// The mapping of locations that have none.
    fn stand_in(&mut self) -> u32 {
        if let Some(index) = self.stand_in {
            return index;
        }
        let index = self.tables.mappings.len() as u32;
        self.tables.mappings.push(Mapping::default());
        self.buffers.mappings.push(UNRESOLVED);
        self.stand_in = Some(index);
        index
    }

    /// Adds a location on the stand-in mapping with one line in a function of this name; returns its index.
    pub(crate) fn add_location(&mut self, name: &'static str) -> u32 {
        let string = self.text.strings.len() as u32;
        self.text.strings.push(name);
        self.buffers.strings.push(UNRESOLVED);
        let function = self.tables.functions.len() as u32;
        self.tables.functions.push(Function {
            name: string,
            system_name: string,
            ..Function::default()
        });
        self.buffers.functions.push(UNRESOLVED);
        let first_line = self.tables.lines.len() as u32;
        self.tables.lines.push(Line {
            function,
            ..Line::default()
        });
        let mapping = self.stand_in();
        let index = self.tables.locations.len() as u32;
        self.tables.locations.push(Location {
            mapping,
            first_line,
            line_count: 1,
            ..Location::default()
        });
        let (mapping, function) = (self.mapping_hash(mapping), self.function_hash(function));
        let location = self.seed.location(mapping, 0, false);
        self.buffers
            .locations
            .push(valid(self.seed.push_line(location, function, 0, 0)));
        index
    }

    /// The first reference of a sample that cannot be followed.
    #[cold]
    pub(crate) fn bad_reference(&mut self, sample: usize, bytes: &[u8]) -> Option<BadReference> {
        let span = self.tables.samples.get(sample).copied()?;
        let mut reader = Reader::part(bytes, span.start, span.end);
        let mut bad = None;
        while let Ok(Some((field, wire))) = reader.tag() {
            let passed = match field {
                1 => reader.numbers(wire, |id| {
                    if bad.is_none() {
                        bad = match self.buffers.location_ids.get(id) {
                            UNKNOWN => Some(BadReference::Location { sample, id }),
                            index => self.location(index as usize).err(),
                        };
                    }
                }),
                _ => reader.skip(wire),
            };
            if passed.is_err() || bad.is_some() {
                break;
            }
        }
        bad
    }

    /// Ends the use of the symbols; what no sample used stays behind as an empty entry.
    pub(crate) fn finish(self) -> Resolved<'a> {
        let Self {
            text,
            tables,
            buffers,
            unknown_mappings,
            ..
        } = self;
        for (location, hash) in tables.locations.iter_mut().zip(&mut buffers.locations) {
            if *hash <= BROKEN {
                *hash = UNRESOLVED;
                *location = Location::default();
            }
            if location.line_count == 0 {
                location.first_line = 0;
            }
        }
        if tables.mappings.is_empty() && !tables.locations.is_empty() {
            tables.mappings.push(Mapping::default());
            buffers.mappings.push(UNRESOLVED);
        }
        if tables.functions.is_empty() {
            tables.lines.clear();
        }
        let used = |indices: &[u32]| {
            indices
                .iter()
                .filter(|&&index| {
                    buffers
                        .strings
                        .get(index as usize)
                        .is_some_and(|&hash| hash != UNRESOLVED)
                })
                .count() as u64
        };
        Resolved {
            repaired_strings: used(text.repaired),
            truncated_strings: used(text.truncated),
            strings: text.strings,
            functions: &tables.functions,
            mappings: &tables.mappings,
            locations: &tables.locations,
            lines: &tables.lines,
            string_hashes: &buffers.strings,
            function_hashes: &buffers.functions,
            mapping_hashes: &buffers.mappings,
            location_hashes: &buffers.locations,
            unknown_mappings,
        }
    }
}

/// A hash that is none of the marks.
const fn valid(hash: u64) -> u64 {
    if hash <= BROKEN {
        hash.wrapping_add(2)
    } else {
        hash
    }
}
