//! Symbols of a block, read partition by partition.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use super::check::{self, Fault, Table};
use super::index::{FOOTER, Index, Partition, Sections, Tables as TablesOf};
use super::layout::{Kind, Layout, Named};
use super::tables::{Stacktraces, TableRows, Tables};
use super::{sections, stacks};
use crate::error::Error;
use crate::files::{Files, both};
use crate::symbols::{Function, Line, Location, Mapping, Stacks, Symbols};
use crate::tail::Tail;

/// How much is read from the end of a file of format 3 at first.
const TAIL: u64 = 16 << 10;

/// The symbols of a block, opened: index and footers are in memory, tables are not. Clones share them.
#[derive(Clone, Debug)]
pub struct Reader {
    files: Arc<dyn Files>,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ids: Vec<u64>,
    source: Source,
}

/// Where the symbols come from.
#[derive(Debug)]
enum Source {
    /// Meta version 1: one partition, stack traces in a table.
    Stacktraces {
        tables: Tables,
        stacktraces: Stacktraces,
    },
    /// symdb formats 1 and 2.
    Symdb {
        index: Index,
        index_name: String,
        stacktraces: File,
        tables: Tables,
    },
    /// symdb format 3.
    Single { index: Index, file: File },
}

/// A file that is read by ranges.
#[derive(Debug)]
struct File {
    name: String,
    full_name: String,
    size: u64,
}

impl Reader {
    /// Reads index and footers: one read of each file, a few more where they are long; side by side if they are far away.
    ///
    /// # Errors
    /// As [`Files::read`]; [`Error::Corrupt`], [`Error::Unsupported`].
    pub fn open(files: Arc<dyn Files>, layout: Layout) -> Result<Self, Error> {
        let source = match layout.0 {
            Kind::Stacktraces {
                tables,
                stacktraces,
            } => {
                let open_stacktraces = || Stacktraces::open(&*files, &stacktraces);
                let open_tables = || Tables::open(&*files, &tables);
                let (stacktraces, tables) = both(&*files, open_stacktraces, open_tables);
                Source::Stacktraces {
                    tables: tables?,
                    stacktraces: stacktraces?,
                }
            }
            Kind::Symdb {
                index,
                stacktraces,
                tables,
            } => {
                let index_name = files.name(&index.name);
                let read_index = || Index::parse(&index_name, 0, &files.read_all(&index.name)?);
                let (index, opened) = both(&*files, read_index, || {
                    let stacktraces = File::open(&*files, stacktraces)?;
                    Ok::<_, Error>((stacktraces, Tables::open(&*files, &tables)?))
                });
                let (stacktraces, tables) = opened?;
                Source::Symdb {
                    index: index?,
                    index_name,
                    stacktraces,
                    tables,
                }
            }
            Kind::Single(file) => {
                let file = File::open(&*files, file)?;
                Source::Single {
                    index: file.index(&*files)?,
                    file,
                }
            }
        };
        let ids = match &source {
            Source::Stacktraces { .. } => vec![0],
            Source::Symdb { index, .. } | Source::Single { index, .. } => {
                let ids = index.partitions.iter().map(|partition| partition.id);
                ids.collect()
            }
        };
        let inner = Arc::new(Inner { ids, source });
        Ok(Self { files, inner })
    }

    /// The same symbols, read through other files: what is known of them is shared. Reads nothing.
    #[must_use]
    pub fn through(&self, files: Arc<dyn Files>) -> Self {
        Self {
            files,
            inner: Arc::clone(&self.inner),
        }
    }

    /// Ids of all partitions, ascending.
    #[must_use]
    pub fn partitions(&self) -> &[u64] {
        &self.inner.ids
    }

    /// Reads the symbols of a partition, and checks them: one read of each file. Costs O(size of the partition), and
    /// what shares pages with it: a table that upstream wrote has one page for each three megabytes of a column.
    ///
    /// In blocks whose tables are shared by all partitions (symdb format 1), each partition has all rows.
    ///
    /// # Errors
    /// As [`Files::read`]; [`Error::Corrupt`] if there is no such partition, a checksum is wrong, or something refers
    /// to what isn't there.
    pub fn load(&self, partition: u64) -> Result<Symbols, Error> {
        let files = &*self.files;
        let mut symbols = Symbols::default();
        match &self.inner.source {
            Source::Stacktraces {
                tables,
                stacktraces,
            } => {
                if partition != 0 {
                    return Err(missing(stacktraces.full_name(), partition));
                }
                let rows = tables.all_rows();
                let load_tables = || tables.load(files, partition, &rows, &mut symbols);
                let (loaded, stacktraces) = both(files, load_tables, || stacktraces.load(files));
                loaded?;
                let (counts, locations) = stacktraces?;
                let (tree, nodes) = tree(&counts, &locations);
                symbols.stacks = tree;
                symbols.stack_nodes = Some(nodes);
            }
            Source::Symdb {
                index,
                index_name,
                stacktraces,
                tables,
            } => {
                let found = index.get(partition);
                let found = found.ok_or_else(|| missing(index_name, partition))?;
                let rows = tables.rows_of(found);
                let load_tables = || tables.load(files, partition, &rows, &mut symbols);
                let (loaded, stacks) = both(files, load_tables, || {
                    let chunks = stacktraces.read(files, &stacks::ranges(&found.chunks))?;
                    stacks::read(&stacktraces.full_name, &found.chunks, &chunks)
                });
                loaded?;
                symbols.stacks = stacks?;
            }
            Source::Single { index, file } => {
                let found = index.get(partition);
                let found = found.ok_or_else(|| missing(&file.full_name, partition))?;
                if let TablesOf::Sections(sections) = &found.tables {
                    file.load(files, found, sections, &mut symbols)?;
                }
            }
        }
        complete(&mut symbols)?;
        check::symbols(&symbols).map_err(|fault| self.fault(partition, fault))?;
        Ok(symbols)
    }

    /// About as many bytes of memory as the symbols of a partition will take; 0 if there is no such partition. Reads
    /// nothing.
    #[must_use]
    pub fn estimated_bytes(&self, partition: u64) -> u64 {
        let estimated = match &self.inner.source {
            Source::Stacktraces { .. } if partition != 0 => None,
            Source::Stacktraces {
                tables,
                stacktraces,
            } => {
                let rows = tables.estimated_bytes(&tables.all_rows());
                Some(rows.saturating_add(stacktraces.estimated_bytes()))
            }
            Source::Symdb { index, tables, .. } => index.get(partition).map(|found| {
                let rows = tables.estimated_bytes(&tables.rows_of(found));
                rows.saturating_add(bytes_of_nodes(found))
            }),
            Source::Single { index, .. } => index.get(partition).map(|found| {
                let rows = match &found.tables {
                    TablesOf::Sections(sections) => bytes_of_sections(sections),
                    TablesOf::Shared | TablesOf::Rows(_) => 0,
                };
                rows.saturating_add(bytes_of_nodes(found))
            }),
        };
        estimated.unwrap_or(0)
    }

    /// Reads and checks every partition.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn verify(&self) -> Result<(), Error> {
        let mut partitions = self.partitions().iter();
        partitions.try_for_each(|&partition| self.load(partition).map(drop))
    }

    /// Bytes of memory held: index and footers.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let source = match &self.inner.source {
            Source::Stacktraces {
                tables,
                stacktraces,
            } => tables.size_bytes().saturating_add(stacktraces.size_bytes()),
            Source::Symdb { index, tables, .. } => {
                index.size_bytes().saturating_add(tables.size_bytes())
            }
            Source::Single { index, .. } => index.size_bytes(),
        };
        source
            .saturating_add(size_of_val(&*self.inner.ids))
            .saturating_add(size_of::<Inner>())
    }

    /// The error of a fault that was found in a partition.
    fn fault(&self, partition: u64, fault: Fault) -> Error {
        let (tables, stacktraces) = match &self.inner.source {
            Source::Stacktraces {
                tables,
                stacktraces,
            } => (tables.names(), stacktraces.full_name()),
            Source::Symdb {
                tables,
                stacktraces,
                ..
            } => (tables.names(), &*stacktraces.full_name),
            Source::Single { file, .. } => ([&*file.full_name; 4], &*file.full_name),
        };
        let [strings, functions, mappings, locations] = tables;
        let file = match fault.table {
            Table::Strings => strings,
            Table::Functions => functions,
            Table::Mappings => mappings,
            Table::Locations => locations,
            Table::Stacktraces => stacktraces,
        };
        let problem = format!("in partition {partition:016x} {}", fault.problem);
        Error::corrupt(file, 0, problem)
    }
}

impl Tables {
    /// The rows of a partition.
    fn rows_of(&self, partition: &Partition) -> TableRows {
        match &partition.tables {
            TablesOf::Rows(rows) => TableRows::of(rows),
            TablesOf::Shared | TablesOf::Sections(_) => self.all_rows(),
        }
    }
}

impl File {
    fn open(files: &dyn Files, named: Named) -> Result<Self, Error> {
        let size = match named.size {
            0 => files.size(&named.name)?,
            size => size,
        };
        Ok(Self {
            full_name: files.name(&named.name),
            name: named.name,
            size,
        })
    }

    /// Several ranges, in any order, each once. One read.
    fn read(&self, files: &dyn Files, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let mut order: Vec<usize> = (0..ranges.len()).collect();
        let range = |index: &usize| ranges.get(*index).cloned().unwrap_or_default();
        order.retain(|index| !range(index).is_empty());
        order.sort_by_key(|index| range(index).start);
        let wanted: Vec<Range<u64>> = order.iter().map(range).collect();
        let mut end = 0;
        for range in &wanted {
            if range.start < end || range.end > self.size {
                let problem = "what should lie here lies elsewhere, too, or behind the end";
                return Err(Error::corrupt(&self.full_name, range.start, problem));
            }
            end = range.end;
        }
        let mut parts = vec![Bytes::new(); ranges.len()];
        if !wanted.is_empty() {
            for (index, part) in order.into_iter().zip(files.read(&self.name, &wanted)?) {
                if let Some(place) = parts.get_mut(index) {
                    *place = part;
                }
            }
        }
        Ok(parts)
    }

    /// The index of a file of format 3.
    fn index(&self, files: &dyn Files) -> Result<Index, Error> {
        let start = self.size.saturating_sub(TAIL);
        let mut tail = Tail::read(files, &self.name, self.size, start)?;
        let footer = self.size.saturating_sub(FOOTER as u64);
        let bytes = tail.get(&(footer..self.size)).unwrap_or_default();
        let offset = Index::offset(&self.full_name, self.size, bytes)?;
        if offset >= footer {
            let problem = "the index begins behind it";
            return Err(Error::corrupt(&self.full_name, footer, problem));
        }
        tail.extend(files, &self.name, offset)?;
        let bytes = tail.get(&(offset..footer)).unwrap_or_default();
        Index::parse(&self.full_name, offset, bytes)
    }

    /// A partition of format 3: one read.
    fn load(
        &self,
        files: &dyn Files,
        partition: &Partition,
        tables: &Sections,
        symbols: &mut Symbols,
    ) -> Result<(), Error> {
        let Sections {
            strings,
            functions,
            mappings,
            locations,
        } = tables;
        let mut ranges = stacks::ranges(&partition.chunks);
        let section = |section: &super::index::Section| {
            section.offset..section.offset.saturating_add(section.size.into())
        };
        ranges.extend([strings, functions, mappings, locations].map(section));
        let mut parts = self.read(files, &ranges)?;
        let tables = parts.split_off(partition.chunks.len());
        symbols.stacks = stacks::read(&self.full_name, &partition.chunks, &parts)?;
        let [string_bytes, function_bytes, mapping_bytes, location_bytes] = &*tables else {
            return Ok(());
        };
        let name = &self.full_name;
        sections::strings(string_bytes, strings, &mut symbols.strings)
            .map_err(|damage| damage.in_file(name, strings))?;
        sections::functions(function_bytes, functions, &mut symbols.functions)
            .map_err(|damage| damage.in_file(name, functions))?;
        sections::mappings(mapping_bytes, mappings, &mut symbols.mappings)
            .map_err(|damage| damage.in_file(name, mappings))?;
        let (rows, lines) = (&mut symbols.locations, &mut symbols.lines);
        sections::locations(location_bytes, locations, rows, lines)
            .map_err(|damage| damage.in_file(name, locations))
    }
}

fn missing(file: &str, partition: u64) -> Error {
    Error::corrupt(file, 0, format!("it has no partition {partition:016x}"))
}

/// Gives back memory that isn't in use, and adds the rows that writers leave out: the empty string of a partition without strings, and the mapping of
/// locations in one without mappings, who refer to the first nevertheless.
fn complete(symbols: &mut Symbols) -> Result<(), Error> {
    if symbols.strings.is_empty() {
        symbols.strings.push("")?;
    }
    if symbols.mappings.is_empty() && !symbols.locations.is_empty() {
        symbols.mappings.push(Mapping::default());
    }
    symbols.strings.shrink_to_fit();
    symbols.lines.shrink_to_fit();
    Ok(())
}

/// The tree of stack traces, and the node of each. `counts` are the numbers of locations of each, leaf first.
fn tree(counts: &[u32], locations: &[u32]) -> (Stacks, Vec<u32>) {
    let mut stacks = Stacks::default();
    let mut children: HashMap<(u32, u32), u32> = HashMap::new();
    let mut rest = locations;
    let mut insert = |&count: &u32| {
        let (stack, behind) = rest.split_at_checked(count as usize).unwrap_or((rest, &[]));
        rest = behind;
        let mut node = 0;
        for &location in stack.iter().rev() {
            // A node for each location at most, whose ids fit into 32 bits.
            node = *children.entry((node, location)).or_insert_with(|| {
                stacks.parents.push(node);
                stacks.locations.push(location);
                stacks.parents.len().saturating_sub(1) as u32
            });
        }
        node
    };
    let nodes = counts.iter().map(&mut insert).collect();
    (stacks, nodes)
}

fn bytes_of_nodes(partition: &Partition) -> u64 {
    let nodes = partition.chunks.iter().map(|chunk| u64::from(chunk.nodes));
    let nodes = nodes.fold(0, u64::saturating_add);
    nodes.saturating_mul(size_of::<[u32; 2]>() as u64)
}

fn bytes_of_sections(sections: &Sections) -> u64 {
    let times = |items: u32, size: usize| u64::from(items).saturating_mul(size as u64);
    [
        u64::from(sections.strings.size),
        times(sections.strings.items, size_of::<u32>()),
        times(sections.functions.items, size_of::<Function>()),
        times(sections.mappings.items, size_of::<Mapping>()),
        times(sections.locations.items, size_of::<Location>()),
        times(sections.locations.items, size_of::<Line>()),
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests;
