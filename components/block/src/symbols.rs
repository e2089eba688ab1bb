//! The symbols of one partition: strings, functions, mappings, locations and stack traces, as columns.
//!
//! An id is a position in its table. Nothing here is hashed or looked up by content; a table that grows by content
//! belongs to whoever grows it.

use crate::error::Error;

/// Id of a string; 0 is the empty one.
pub type StringId = u32;
/// Id of a function.
pub type FunctionId = u32;
/// Id of a location.
pub type LocationId = u32;
/// Id of a stack trace: a node of the tree of stack traces, 0 is the empty one.
pub type StacktraceId = u32;

/// A function; 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Function {
    /// Name for people.
    pub name: StringId,
    /// Name in the binary.
    pub system_name: StringId,
    /// Source file.
    pub filename: StringId,
    /// First line in it.
    pub start_line: i64,
}

/// A mapping: a binary, or a part of it, in the memory of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// First address.
    pub memory_start: u64,
    /// Address behind the last.
    pub memory_limit: u64,
    /// Where it begins in the file.
    pub file_offset: u64,
    /// The file.
    pub filename: StringId,
    /// Its build id.
    pub build_id: StringId,
    /// Bits of [`flags`].
    pub flags: u8,
}

/// Bits of [`Mapping::flags`].
pub mod flags {
    /// Functions are known.
    pub const HAS_FUNCTIONS: u8 = 8;
    /// File names are known.
    pub const HAS_FILENAMES: u8 = 4;
    /// Line numbers are known.
    pub const HAS_LINE_NUMBERS: u8 = 2;
    /// Inlined functions are known.
    pub const HAS_INLINE_FRAMES: u8 = 1;
}

/// A location; its lines are in [`Symbols::lines`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// Id of its mapping.
    pub mapping: u32,
    /// The instruction.
    pub address: u64,
    /// First of its lines in the table of lines.
    pub first_line: u32,
    /// How many lines it has.
    pub line_count: u32,
    /// Several functions are folded into one.
    pub is_folded: bool,
}

/// A line of a location, innermost inlined function first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// Id of the function.
    pub function: FunctionId,
    /// Column in the source, 0 if not known.
    pub column: i32,
    /// Line in the source.
    pub line: i64,
}

/// Strings in one arena.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Strings {
    /// Adds a string without looking for an equal one.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn push(&mut self, text: &str) -> Result<StringId, Error> {
        let full = Error::Full { table: "strings" };
        let id = u32::try_from(self.ends.len())
            .ok()
            .filter(|&id| id < u32::MAX);
        let end = u32::try_from(self.bytes.len() + text.len());
        let (Some(id), Ok(end)) = (id, end) else {
            return Err(full);
        };
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(end);
        Ok(id)
    }

    /// The text of a string; empty if there is no such string.
    #[must_use]
    pub fn get(&self, id: StringId) -> &str {
        std::str::from_utf8(self.bytes(id)).unwrap_or_default()
    }

    /// The bytes of a string, which are UTF-8.
    pub(crate) fn bytes(&self, id: StringId) -> &[u8] {
        let index = id as usize;
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or_default() as usize,
            None => 0,
        };
        let end = self.ends.get(index).map_or(start, |&end| end as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Gives back what memory is not in use.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Number of strings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// The tree of stack traces: a node is the stack trace from the root to itself. Node 0 is the root; a parent's id is
/// smaller than its children's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacks {
    /// By node, its caller; 0 for the root itself.
    pub parents: Vec<StacktraceId>,
    /// By node, its location; meaningless for the root.
    pub locations: Vec<LocationId>,
}

impl Default for Stacks {
    fn default() -> Self {
        Self {
            parents: vec![0],
            locations: vec![0],
        }
    }
}

impl Stacks {
    /// Number of nodes, the root included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether there is nothing but the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }

    /// Locations from the leaf to the root.
    pub fn frames(&self, id: StacktraceId) -> impl Iterator<Item = LocationId> {
        std::iter::successors((id != 0).then_some(id), |&node| {
            Some(self.parents[node as usize]).filter(|&parent| parent != 0)
        })
        .map(|node| self.locations[node as usize])
    }
}

/// All symbols of a partition. What a reader hands out is consistent: every id in it has a row, `strings` begins with
/// the empty one, parents come before their children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// Strings.
    pub strings: Strings,
    /// Functions.
    pub functions: Vec<Function>,
    /// Mappings.
    pub mappings: Vec<Mapping>,
    /// Locations.
    pub locations: Vec<Location>,
    /// Lines of all locations.
    pub lines: Vec<Line>,
    /// Stack traces.
    pub stacks: Stacks,
    /// In blocks of meta version 1 only: by stack trace id of the profiles table, the node. Otherwise they are the same.
    pub stack_nodes: Option<Vec<StacktraceId>>,
}

impl Symbols {
    /// Lines of a location, innermost first.
    #[must_use]
    pub fn lines_of(&self, location: LocationId) -> &[Line] {
        let Some(row) = self.locations.get(location as usize) else {
            return &[];
        };
        let first = row.first_line as usize;
        self.lines
            .get(first..first + row.line_count as usize)
            .unwrap_or_default()
    }

    /// The node of a stack trace id of the profiles table; `None` if there is none.
    #[must_use]
    pub fn node(&self, stacktrace: u64) -> Option<StacktraceId> {
        let index = usize::try_from(stacktrace).ok()?;
        match &self.stack_nodes {
            Some(nodes) => nodes.get(index).copied(),
            None => (index < self.stacks.len()).then_some(index as StacktraceId),
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.strings.size_bytes()
            + self.functions.capacity() * size_of::<Function>()
            + self.mappings.capacity() * size_of::<Mapping>()
            + self.locations.capacity() * size_of::<Location>()
            + self.lines.capacity() * size_of::<Line>()
            + (self.stacks.parents.capacity() + self.stacks.locations.capacity()) * size_of::<u32>()
            + self
                .stack_nodes
                .as_ref()
                .map_or(0, |nodes| nodes.capacity() * size_of::<u32>())
    }
}
