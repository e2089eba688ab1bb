//! Symbols of several partitions in one, each row once: for compaction.

use std::hash::{BuildHasher, Hash};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::check;
use crate::error::Error;
use crate::symbols::{Function, Line, Location, Mapping, Symbols};

/// The place of what has none among the merged symbols.
pub const UNUSED: u32 = u32::MAX;
/// The place, for now, of a row that will get one.
const NEEDED: u32 = 0;

/// Grows symbols by content. Rows are equal if all their fields are, columns of lines and folding included. Costs about
/// 6 bytes more for each row than the symbols themselves.
#[derive(Debug)]
pub struct PartitionBuilder {
    symbols: Symbols,
    hasher: DefaultHashBuilder,
    strings: HashTable<u32>,
    functions: HashTable<u32>,
    mappings: HashTable<u32>,
    locations: HashTable<u32>,
    nodes: HashTable<u32>,
}

impl Default for PartitionBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl PartitionBuilder {
    /// Nothing but the empty string and the root.
    #[must_use]
    pub fn new() -> Self {
        let mut this = Self {
            symbols: Symbols::default(),
            hasher: DefaultHashBuilder::default(),
            strings: HashTable::new(),
            functions: HashTable::new(),
            mappings: HashTable::new(),
            locations: HashTable::new(),
            nodes: HashTable::new(),
        };
        drop(this.string("")); // there is room for the first
        this
    }

    /// Adds all stack traces of a source, and the rows that they need. Says where each of its nodes is. O(source).
    ///
    /// # Errors
    /// [`Error::Full`]; [`Error::Unwritable`] if something in the source refers to what isn't there. What was added
    /// before stays.
    pub fn add(&mut self, source: &Symbols) -> Result<Vec<u32>, Error> {
        self.add_used(source, &|_| true)
    }

    /// Adds the stack traces of a source for whose nodes `used` says so, and the rows that they need. Says where each
    /// node is: used ones and their callers; others are [`UNUSED`]. O(source).
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_used(
        &mut self,
        source: &Symbols,
        used: &dyn Fn(u32) -> bool,
    ) -> Result<Vec<u32>, Error> {
        check::symbols(source).map_err(|fault| Error::Unwritable {
            file: "a merged partition".to_owned(),
            problem: fault.problem,
        })?;
        let mut places = Places::needed(source, used);
        each_needed(&mut places.strings, |id| {
            self.string(source.strings.get(id as u32))
        })?;
        let strings = |id: u32| places.strings[id as usize];
        each_needed(&mut places.functions, |id| {
            let row = source.functions[id];
            self.function(Function {
                name: strings(row.name),
                system_name: strings(row.system_name),
                filename: strings(row.filename),
                start_line: row.start_line,
            })
        })?;
        each_needed(&mut places.mappings, |id| {
            let row = source.mappings[id];
            self.mapping(Mapping {
                filename: strings(row.filename),
                build_id: strings(row.build_id),
                ..row
            })
        })?;
        each_needed(&mut places.locations, |id| {
            let row = source.locations[id];
            let lines = source.lines_of(id as u32).iter().map(|line| Line {
                function: places.functions[line.function as usize],
                ..*line
            });
            self.location(
                Location {
                    mapping: places.mappings[row.mapping as usize],
                    ..row
                },
                lines,
            )
        })?;
        let mut nodes = places.nodes;
        for id in 1..nodes.len() {
            if nodes[id] == NEEDED {
                // Parents come before their children: this one's place is known.
                let parent = nodes[source.stacks.parents[id] as usize];
                let location = places.locations[source.stacks.locations[id] as usize];
                nodes[id] = self.node(parent, location)?;
            }
        }
        Ok(nodes)
    }

    /// The merged symbols.
    #[must_use]
    pub fn finish(self) -> Symbols {
        self.symbols
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let tables = [
            &self.strings,
            &self.functions,
            &self.mappings,
            &self.locations,
            &self.nodes,
        ];
        self.symbols.size_bytes() + tables.map(HashTable::allocation_size).iter().sum::<usize>()
    }

    fn string(&mut self, text: &str) -> Result<u32, Error> {
        let hash = |text: &[u8]| self.hasher.hash_one(text);
        let strings = &mut self.symbols.strings;
        let entry = self.strings.entry(
            hash(text.as_bytes()),
            |&id| strings.bytes(id) == text.as_bytes(),
            |&id| hash(strings.bytes(id)),
        );
        intern(entry, || strings.push(text))
    }

    fn function(&mut self, row: Function) -> Result<u32, Error> {
        let rows = &mut self.symbols.functions;
        row_of(&mut self.functions, &self.hasher, rows, row, "functions")
    }

    fn mapping(&mut self, row: Mapping) -> Result<u32, Error> {
        let rows = &mut self.symbols.mappings;
        row_of(&mut self.mappings, &self.hasher, rows, row, "mappings")
    }

    /// `row` says nothing of its lines yet.
    fn location(&mut self, row: Location, lines: impl Iterator<Item = Line>) -> Result<u32, Error> {
        let Symbols {
            locations,
            lines: all_lines,
            ..
        } = &mut self.symbols;
        // The lines are put behind all others, and taken away again if there is such a location already.
        let start = all_lines.len();
        all_lines.extend(lines);
        let full = Error::Full { table: "lines" };
        let row = Location {
            first_line: u32::try_from(start).map_err(|_| full)?,
            line_count: (all_lines.len() - start) as u32,
            ..row
        };
        let lines_of = |row: &Location| {
            let first = row.first_line as usize;
            &all_lines[first..first + row.line_count as usize]
        };
        let fields = |row: &Location| (row.mapping, row.address, row.is_folded);
        let hash = |row: &Location| self.hasher.hash_one((fields(row), lines_of(row)));
        let equal =
            |other: &Location| fields(other) == fields(&row) && lines_of(other) == lines_of(&row);
        let entry = self.locations.entry(
            hash(&row),
            |&id| equal(&locations[id as usize]),
            |&id| hash(&locations[id as usize]),
        );
        if let Entry::Occupied(found) = &entry {
            let id = *found.get();
            all_lines.truncate(start);
            return Ok(id);
        }
        intern(entry, || push(locations, row, "locations"))
    }

    fn node(&mut self, parent: u32, location: u32) -> Result<u32, Error> {
        let stacks = &mut self.symbols.stacks;
        let hash = |parent: u32, location: u32| self.hasher.hash_one((parent, location));
        let at = |id: u32| (stacks.parents[id as usize], stacks.locations[id as usize]);
        let entry = self.nodes.entry(
            hash(parent, location),
            |&id| at(id) == (parent, location),
            |&id| {
                let (parent, location) = at(id);
                hash(parent, location)
            },
        );
        intern(entry, || {
            stacks.locations.push(location);
            push(&mut stacks.parents, parent, "stack traces")
        })
    }
}

/// The id of an entry, which is made if there is none.
fn intern(entry: Entry<'_, u32>, make: impl FnOnce() -> Result<u32, Error>) -> Result<u32, Error> {
    match entry {
        Entry::Occupied(found) => Ok(*found.get()),
        Entry::Vacant(vacant) => Ok(*vacant.insert(make()?).get()),
    }
}

fn row_of<T: Hash + Eq + Copy>(
    table: &mut HashTable<u32>,
    hasher: &DefaultHashBuilder,
    rows: &mut Vec<T>,
    row: T,
    name: &'static str,
) -> Result<u32, Error> {
    let entry = table.entry(
        hasher.hash_one(row),
        |&id| rows[id as usize] == row,
        |&id| hasher.hash_one(rows[id as usize]),
    );
    intern(entry, || push(rows, row, name))
}

fn push<T>(rows: &mut Vec<T>, row: T, table: &'static str) -> Result<u32, Error> {
    let id = u32::try_from(rows.len()).ok();
    let id = id.filter(|&id| id < UNUSED).ok_or(Error::Full { table })?;
    rows.push(row);
    Ok(id)
}

/// By row of a source, its place among the merged ones.
struct Places {
    strings: Vec<u32>,
    functions: Vec<u32>,
    mappings: Vec<u32>,
    locations: Vec<u32>,
    nodes: Vec<u32>,
}

impl Places {
    /// Marks what is needed for the nodes that are used.
    fn needed(source: &Symbols, used: &dyn Fn(u32) -> bool) -> Self {
        let unused = |rows: usize| vec![UNUSED; rows];
        let mut this = Self {
            strings: unused(source.strings.len()),
            functions: unused(source.functions.len()),
            mappings: unused(source.mappings.len()),
            locations: unused(source.locations.len()),
            nodes: unused(source.stacks.len()),
        };
        for node in (1..this.nodes.len()).rev() {
            if this.nodes[node] == NEEDED || used(node as u32) {
                this.nodes[node] = NEEDED;
                this.nodes[source.stacks.parents[node] as usize] = NEEDED;
                this.locations[source.stacks.locations[node] as usize] = NEEDED;
            }
        }
        this.nodes[0] = 0;
        let mut need_string = |id: u32| this.strings[id as usize] = NEEDED;
        for (id, row) in source.locations.iter().enumerate() {
            if this.locations[id] == NEEDED {
                this.mappings[row.mapping as usize] = NEEDED;
                for line in source.lines_of(id as u32) {
                    this.functions[line.function as usize] = NEEDED;
                }
            }
        }
        let mappings = source.mappings.iter().zip(&this.mappings);
        for (row, _) in mappings.filter(|&(_, &place)| place == NEEDED) {
            need_string(row.filename);
            need_string(row.build_id);
        }
        let functions = source.functions.iter().zip(&this.functions);
        for (row, _) in functions.filter(|&(_, &place)| place == NEEDED) {
            need_string(row.name);
            need_string(row.system_name);
            need_string(row.filename);
        }
        this
    }
}

/// Gives each row that is needed its place.
fn each_needed(
    places: &mut [u32],
    mut place: impl FnMut(usize) -> Result<u32, Error>,
) -> Result<(), Error> {
    for (id, found) in places.iter_mut().enumerate() {
        if *found == NEEDED {
            *found = place(id)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
