//! The part of a head's symbols that one partition of a block needs.

use phlare_block::Error;
use phlare_block::symbols::{Function, Line, Location, Mapping, Stacks, Symbols as Tables};
use rustc_hash::FxHashMap;

use crate::symbols::{StacktraceId, StringId, Symbols};

/// A set of stack traces; a bit each. Ids in the block are ranks in the set, so their order stays.
#[derive(Debug)]
pub(super) struct Used {
    bits: Vec<u64>,
    /// By word, the number of bits before it.
    before: Vec<u32>,
}

impl Used {
    /// None of `stacktraces` stack traces.
    pub(super) fn new(stacktraces: usize) -> Self {
        Self {
            bits: vec![0; stacktraces.div_ceil(64)],
            before: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, stacktrace: StacktraceId) {
        if let Some(word) = self.bits.get_mut(stacktrace as usize / 64) {
            *word |= 1 << (stacktrace % 64);
        }
    }

    fn has(&self, stacktrace: StacktraceId) -> bool {
        self.bits[stacktrace as usize / 64] >> (stacktrace % 64) & 1 != 0
    }

    /// Adds all callers, and the root. From now on there are ranks.
    pub(super) fn close(&mut self, symbols: &Symbols) {
        for word in (0..self.bits.len()).rev() {
            // A caller has a smaller id, in this word or in one that comes later here.
            let mut left = self.bits[word];
            while left != 0 {
                let bit = 63 - left.leading_zeros();
                let node = (word * 64) as u32 + bit;
                let parent = symbols.stacks.parent(node);
                self.add(parent);
                if parent as usize / 64 == word {
                    left |= 1 << (parent % 64);
                }
                left &= !(1 << bit);
            }
        }
        self.add(0);
        let mut count = 0;
        self.before = self
            .bits
            .iter()
            .map(|word| {
                let before = count;
                count += word.count_ones();
                before
            })
            .collect();
    }

    /// The id in the block.
    pub(super) fn rank(&self, stacktrace: StacktraceId) -> u32 {
        let word = stacktrace as usize / 64;
        let below = self.bits[word] & ((1 << (stacktrace % 64)) - 1);
        self.before[word] + below.count_ones()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.bits.capacity() * size_of::<u64>() + self.before.capacity() * size_of::<u32>()
    }

    /// The tables of what is in the set, and nothing else.
    pub(super) fn symbols(&self, symbols: &Symbols) -> Result<Tables, Error> {
        let mut import = Import {
            symbols,
            tables: Tables::default(),
            strings: FxHashMap::default(),
            functions: FxHashMap::default(),
            mappings: FxHashMap::default(),
            locations: FxHashMap::default(),
        };
        import.string(0)?;
        let mut stacks = Stacks::default();
        for node in (1..symbols.stacks.len() as u32).filter(|&node| self.has(node)) {
            stacks.parents.push(self.rank(symbols.stacks.parent(node)));
            let location = import.location(symbols.stacks.location(node))?;
            stacks.locations.push(location);
        }
        import.tables.stacks = stacks;
        Ok(import.tables)
    }
}

/// Copies rows as they are needed.
struct Import<'a> {
    symbols: &'a Symbols,
    tables: Tables,
    strings: FxHashMap<StringId, u32>,
    functions: FxHashMap<u32, u32>,
    mappings: FxHashMap<u32, u32>,
    locations: FxHashMap<u32, u32>,
}

impl Import<'_> {
    fn string(&mut self, id: StringId) -> Result<u32, Error> {
        if let Some(&known) = self.strings.get(&id) {
            return Ok(known);
        }
        let made = self.tables.strings.push(self.symbols.strings.text(id))?;
        self.strings.insert(id, made);
        Ok(made)
    }

    fn function(&mut self, id: u32) -> Result<u32, Error> {
        if let Some(&known) = self.functions.get(&id) {
            return Ok(known);
        }
        let row = self.symbols.functions.rows()[id as usize];
        let made = Function {
            name: self.string(row.name)?,
            system_name: self.string(row.system_name)?,
            filename: self.string(row.filename)?,
            start_line: row.start_line,
        };
        self.tables.functions.push(made);
        let id_in_block = self.tables.functions.len() as u32 - 1;
        self.functions.insert(id, id_in_block);
        Ok(id_in_block)
    }

    fn mapping(&mut self, id: u32) -> Result<u32, Error> {
        if let Some(&known) = self.mappings.get(&id) {
            return Ok(known);
        }
        let row = self.symbols.mappings.rows()[id as usize];
        let made = Mapping {
            filename: self.string(row.filename)?,
            build_id: self.string(row.build_id)?,
            ..row
        };
        self.tables.mappings.push(made);
        let id_in_block = self.tables.mappings.len() as u32 - 1;
        self.mappings.insert(id, id_in_block);
        Ok(id_in_block)
    }

    fn location(&mut self, id: u32) -> Result<u32, Error> {
        if let Some(&known) = self.locations.get(&id) {
            return Ok(known);
        }
        let row = self.symbols.locations.rows()[id as usize];
        let mapping = self.mapping(row.mapping)?;
        let lines = self.symbols.location_lines(id);
        let full = |_| Error::Full { table: "lines" };
        let first_line = u32::try_from(self.tables.lines.len()).map_err(full)?;
        for line in lines {
            let function = self.function(line.function)?;
            self.tables.lines.push(Line { function, ..*line });
        }
        self.tables.locations.push(Location {
            mapping,
            first_line,
            ..row
        });
        let id_in_block = self.tables.locations.len() as u32 - 1;
        self.locations.insert(id, id_in_block);
        Ok(id_in_block)
    }
}
