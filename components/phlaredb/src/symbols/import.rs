//! From the indices of one profile to the ids of the head.

use phlare_pprof::normalized::{Location as ProfileLocation, Normalized, Stack};

use super::table::Full;
use super::{Function, Line, Location, Mapping, StacktraceId, StringId, Symbols};

const UNKNOWN: u32 = u32::MAX;

/// Translates the symbols of one profile after another. Its tables are touched only when a stack
/// trace is new, so a profile of known stack traces costs one look-up for each.
#[derive(Debug, Default)]
pub(crate) struct Importer {
    strings: Vec<u32>,
    functions: Vec<u32>,
    mappings: Vec<u32>,
    locations: Vec<u32>,
    lines: Vec<Line>,
    prepared: bool,
}

impl Importer {
    /// The ids of all stacks of a profile, in their order, into `ids`; 0 for the empty stack.
    /// Takes the write lock only if there is a stack trace that the head does not know.
    pub(crate) fn stacks(
        &mut self,
        symbols: &parking_lot::RwLock<Symbols>,
        profile: &Normalized<'_>,
        ids: &mut Vec<StacktraceId>,
    ) -> Result<(), Full> {
        ids.clear();
        let known = symbols.read();
        ids.extend(
            profile
                .stacks
                .iter()
                .map(|stack| known.stacks.find(stack.hash).unwrap_or(UNKNOWN)),
        );
        drop(known);
        if !ids.contains(&UNKNOWN) {
            return Ok(());
        }
        self.prepared = false;
        let mut symbols = symbols.write();
        for (id, stack) in ids.iter_mut().zip(profile.stacks) {
            if *id == UNKNOWN {
                *id = self.insert(&mut symbols, profile, stack)?;
            }
        }
        Ok(())
    }

    fn insert(
        &mut self,
        symbols: &mut Symbols,
        profile: &Normalized<'_>,
        stack: &Stack,
    ) -> Result<StacktraceId, Full> {
        self.prepare(profile);
        let first = stack.first as usize;
        let frames = &profile.frames[first..first + stack.depth as usize];
        let mut node = 0;
        let mut hash = symbols.stacks.hash(node);
        for &frame in frames.iter().rev() {
            hash = symbols
                .seed
                .push_frame(hash, profile.location_hashes[frame as usize]);
            node = match symbols.stacks.find(hash) {
                Some(known) => known,
                None => {
                    let location = self.location(symbols, profile, frame)?;
                    symbols.insert_frame(hash, node, location)?
                }
            };
        }
        Ok(node)
    }

    fn prepare(&mut self, profile: &Normalized<'_>) {
        if self.prepared {
            return;
        }
        self.prepared = true;
        for (table, len) in [
            (&mut self.strings, profile.strings.len()),
            (&mut self.functions, profile.functions.len()),
            (&mut self.mappings, profile.mappings.len()),
            (&mut self.locations, profile.locations.len()),
        ] {
            table.clear();
            table.resize(len, UNKNOWN);
        }
    }

    fn string(
        &mut self,
        symbols: &mut Symbols,
        profile: &Normalized<'_>,
        index: u32,
    ) -> Result<StringId, Full> {
        let index = index as usize;
        if self.strings[index] == UNKNOWN {
            let text = profile.strings[index].as_bytes();
            self.strings[index] = symbols.strings.intern(profile.string_hashes[index], text)?;
        }
        Ok(self.strings[index])
    }

    fn function(
        &mut self,
        symbols: &mut Symbols,
        profile: &Normalized<'_>,
        index: u32,
    ) -> Result<u32, Full> {
        let at = index as usize;
        if self.functions[at] == UNKNOWN {
            let theirs = profile.functions[at];
            let ours = Function {
                name: self.string(symbols, profile, theirs.name)?,
                system_name: self.string(symbols, profile, theirs.system_name)?,
                filename: self.string(symbols, profile, theirs.filename)?,
                start_line: theirs.start_line,
            };
            let hash = profile.function_hashes[at];
            self.functions[at] = symbols
                .functions
                .intern(hash, |known| *known == ours, || ours)?;
        }
        Ok(self.functions[at])
    }

    fn mapping(
        &mut self,
        symbols: &mut Symbols,
        profile: &Normalized<'_>,
        index: u32,
    ) -> Result<u32, Full> {
        let at = index as usize;
        if self.mappings[at] == UNKNOWN {
            let theirs = profile.mappings[at];
            let ours = Mapping {
                memory_start: theirs.memory_start,
                memory_limit: theirs.memory_limit,
                file_offset: theirs.file_offset,
                filename: self.string(symbols, profile, theirs.filename)?,
                build_id: self.string(symbols, profile, theirs.build_id)?,
                flags: theirs.flags,
            };
            let hash = profile.mapping_hashes[at];
            self.mappings[at] = symbols
                .mappings
                .intern(hash, |known| *known == ours, || ours)?;
        }
        Ok(self.mappings[at])
    }

    fn location(
        &mut self,
        symbols: &mut Symbols,
        profile: &Normalized<'_>,
        index: u32,
    ) -> Result<u32, Full> {
        let at = index as usize;
        if self.locations[at] == UNKNOWN {
            let ProfileLocation {
                mapping,
                address,
                first_line,
                line_count,
                is_folded,
            } = profile.locations[at];
            let mapping = self.mapping(symbols, profile, mapping)?;
            let lines = &profile.lines[first_line as usize..(first_line + line_count) as usize];
            self.lines.clear();
            for theirs in lines {
                let function = self.function(symbols, profile, theirs.function)?;
                let column = i32::try_from(theirs.column).unwrap_or(i32::MAX);
                self.lines.push(Line {
                    function,
                    column,
                    line: theirs.line,
                });
            }
            let location = Location {
                mapping,
                address,
                is_folded,
                ..Location::default()
            };
            self.locations[at] =
                symbols.insert_location(profile.location_hashes[at], location, &self.lines)?;
        }
        Ok(self.locations[at])
    }
}
