//! The symbols of a head: strings, functions, mappings, locations and stack traces, each stored once.
//!
//! Everything is hash-consed by content ([`phlare_pprof::hash`]): a stack trace that is known is
//! recognised by its hash alone. Ids are dense, in order of first appearance, and never change.

mod calls;
mod import;
mod stacks;
mod strings;
mod table;

pub(crate) use calls::{CallId, CallTree};
pub(crate) use import::Importer;
pub(crate) use table::Full;

use phlare_pprof::Seed;

use stacks::Stacks;
use strings::Strings;
use table::Table;

pub(crate) use phlare_block::symbols::{
    Function, FunctionId, Line, Location, LocationId, Mapping, StacktraceId, StringId,
};

/// All symbols of a head.
#[derive(Debug)]
pub(crate) struct Symbols {
    pub(crate) seed: Seed,
    pub(crate) strings: Strings,
    pub(crate) functions: Table<Function>,
    pub(crate) mappings: Table<Mapping>,
    pub(crate) locations: Table<Location>,
    pub(crate) lines: Vec<Line>,
    pub(crate) stacks: Stacks,
    pub(crate) calls: CallTree,
}

impl Symbols {
    pub(crate) fn new(seed: Seed) -> Self {
        let mut strings = Strings::default();
        let empty = strings.intern(seed.string(b""), b"");
        debug_assert_eq!(empty, Ok(0));
        Self {
            seed,
            strings,
            functions: Table::default(),
            mappings: Table::default(),
            locations: Table::default(),
            lines: Vec::new(),
            stacks: Stacks::default(),
            calls: CallTree::default(),
        }
    }

    /// Bytes of memory held, hash tables included.
    pub(crate) fn size_bytes(&self) -> usize {
        self.strings.size_bytes()
            + self.functions.size_bytes()
            + self.mappings.size_bytes()
            + self.locations.size_bytes()
            + self.lines.capacity() * size_of::<Line>()
            + self.stacks.size_bytes()
            + self.calls.size_bytes()
    }

    pub(crate) fn find_string(&self, text: &str) -> Option<StringId> {
        self.strings
            .find(self.seed.string(text.as_bytes()), text.as_bytes())
    }

    pub(crate) fn intern_string(&mut self, text: &str) -> Result<StringId, Full> {
        let hash = self.seed.string(text.as_bytes());
        self.strings.intern(hash, text.as_bytes())
    }

    pub(crate) fn intern_function(&mut self, function: Function) -> Result<FunctionId, Full> {
        let hash = self.seed.function(
            self.strings.hash(function.name),
            self.strings.hash(function.system_name),
            self.strings.hash(function.filename),
            function.start_line,
        );
        self.functions
            .intern(hash, |known| *known == function, || function)
    }

    pub(crate) fn intern_mapping(&mut self, mapping: Mapping) -> Result<u32, Full> {
        let hash = self.seed.mapping(
            mapping.memory_start,
            mapping.memory_limit,
            mapping.file_offset,
            self.strings.hash(mapping.filename),
            self.strings.hash(mapping.build_id),
            mapping.flags,
        );
        self.mappings
            .intern(hash, |known| *known == mapping, || mapping)
    }

    /// A location from its parts; `first_line` and `line_count` of `location` are set here.
    pub(crate) fn intern_location(
        &mut self,
        location: Location,
        lines: &[Line],
    ) -> Result<LocationId, Full> {
        let mut hash = self.seed.location(
            self.mappings.hash(location.mapping),
            location.address,
            location.is_folded,
        );
        for line in lines {
            hash = self.seed.push_line(
                hash,
                self.functions.hash(line.function),
                line.line,
                i64::from(line.column),
            );
        }
        self.insert_location(hash, location, lines)
    }

    fn insert_location(
        &mut self,
        hash: u64,
        location: Location,
        lines: &[Line],
    ) -> Result<LocationId, Full> {
        let known_lines = &self.lines;
        let found = self.locations.find(hash, |known| {
            (known.mapping, known.address, known.is_folded)
                == (location.mapping, location.address, location.is_folded)
                && lines_of(known_lines, known) == lines
        });
        if let Some(id) = found {
            return Ok(id);
        }
        let first_line = u32::try_from(self.lines.len()).map_err(|_| Full)?;
        let line_count = u32::try_from(lines.len()).map_err(|_| Full)?;
        let id = self.locations.insert(
            hash,
            Location {
                first_line,
                line_count,
                ..location
            },
        )?;
        self.lines.extend_from_slice(lines);
        Ok(id)
    }

    pub(crate) fn location_lines(&self, location: LocationId) -> &[Line] {
        lines_of(&self.lines, &self.locations.rows()[location as usize])
    }

    /// The stack trace `parent` with one more frame on its leaf side.
    pub(crate) fn intern_frame(
        &mut self,
        parent: StacktraceId,
        location: LocationId,
    ) -> Result<StacktraceId, Full> {
        let hash = self
            .seed
            .push_frame(self.stacks.hash(parent), self.locations.hash(location));
        match self.stacks.find(hash) {
            Some(known) => Ok(known),
            None => self.insert_frame(hash, parent, location),
        }
    }

    fn insert_frame(
        &mut self,
        hash: u64,
        parent: StacktraceId,
        location: LocationId,
    ) -> Result<StacktraceId, Full> {
        // The outermost function of a location is its last line, and the one nearest to the root.
        let row = self.locations.rows()[location as usize];
        let mut call = self.stacks.call(parent);
        for line in lines_of(&self.lines, &row).iter().rev() {
            call = self
                .calls
                .child(call, self.functions.rows()[line.function as usize].name)?;
        }
        self.stacks.push(hash, parent, location, call)
    }
}

fn lines_of<'a>(lines: &'a [Line], location: &Location) -> &'a [Line] {
    let first = location.first_line as usize;
    &lines[first..first + location.line_count as usize]
}
