//! The tables of symbols in Parquet files.
//!
//! Format: blocks.md 4.8. The ids in the files are stale at times and never read: a row's id is its position.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod write;

pub(super) use write::TablesWriter;

use super::columns::Columns;
use super::index::{self, RowRange};
use super::layout::{self, Named};
use crate::error::Error;
use crate::files::{Files, both};
use crate::symbols::{Function, Line, Location, Mapping, Strings, Symbols, flags};
use crate::table::{Fetched, Physical, Rows, TableFile};

/// The files of tables, opened.
#[derive(Debug)]
pub(super) struct Tables {
    strings: Table<1>,
    functions: Table<4>,
    mappings: Table<9>,
    locations: Table<5>,
    line_columns: Columns,
}

/// A file, and its columns in the order in which they are read.
#[derive(Debug)]
struct Table<const N: usize> {
    file: TableFile,
    columns: [usize; N],
}

/// Which rows of the tables.
#[derive(Debug)]
pub(super) struct TableRows {
    strings: Vec<Rows>,
    functions: Vec<Rows>,
    mappings: Vec<Rows>,
    locations: Vec<Rows>,
}

impl TableRows {
    /// Rows as the index names them.
    pub(super) fn of(rows: &index::Rows) -> Self {
        let all = |ranges: &[RowRange]| {
            let one = |range: &RowRange| Rows {
                row_group: range.row_group as usize,
                first: range.first.into(),
                count: range.rows.into(),
            };
            ranges.iter().map(one).collect()
        };
        Self {
            strings: all(&rows.strings),
            functions: all(&rows.functions),
            mappings: all(&rows.mappings),
            locations: all(&rows.locations),
        }
    }
}

impl Tables {
    pub(super) fn open(files: &dyn Files, names: &layout::Tables) -> Result<Self, Error> {
        use Physical::{Boolean, ByteArray, Int64};
        let locations = || {
            let columns = [
                ("MappingId", Int64),
                ("Address", Int64),
                ("Line.FunctionId", Int64),
                ("Line.Line", Int64),
                ("IsFolded", Boolean),
            ];
            Table::open(files, &names.locations, columns)
        };
        let mappings = || {
            let columns = [
                ("MemoryStart", Int64),
                ("MemoryLimit", Int64),
                ("FileOffset", Int64),
                ("Filename", Int64),
                ("BuildId", Int64),
                ("HasFunctions", Boolean),
                ("HasFilenames", Boolean),
                ("HasLineNumbers", Boolean),
                ("HasInlineFrames", Boolean),
            ];
            Table::open(files, &names.mappings, columns)
        };
        let functions = || {
            let columns = [
                ("Name", Int64),
                ("SystemName", Int64),
                ("Filename", Int64),
                ("StartLine", Int64),
            ];
            Table::open(files, &names.functions, columns)
        };
        let strings = || Table::open(files, &names.strings, [("String", ByteArray)]);
        let first = || both(files, locations, mappings);
        let second = || both(files, functions, strings);
        let ((locations, mappings), (functions, strings)) = both(files, first, second);
        let (locations, mappings) = (locations?, mappings?);
        let (functions, strings) = (functions?, strings?);
        Ok(Self {
            line_columns: Columns::find(locations.file.key_values()),
            strings,
            functions,
            mappings,
            locations,
        })
    }

    /// All rows of all tables.
    pub(super) fn all_rows(&self) -> TableRows {
        TableRows {
            strings: self.strings.file.all_rows(),
            functions: self.functions.file.all_rows(),
            mappings: self.mappings.file.all_rows(),
            locations: self.locations.file.all_rows(),
        }
    }

    /// Reads rows into symbols that have none. One read of each file. Columns of lines are those of `partition`.
    pub(super) fn load(
        &self,
        files: &dyn Files,
        partition: u64,
        rows: &TableRows,
        symbols: &mut Symbols,
    ) -> Result<(), Error> {
        let strings = || self.strings.fetch(files, &rows.strings)?.strings();
        let functions = || self.functions.fetch(files, &rows.functions)?.functions();
        let mappings = || self.mappings.fetch(files, &rows.mappings)?.mappings();
        let locations = || self.locations.fetch(files, &rows.locations)?.locations();
        let first = || both(files, locations, mappings);
        let second = || both(files, functions, strings);
        let ((locations, mappings), (functions, strings)) = both(files, first, second);
        (symbols.locations, symbols.lines) = locations?;
        symbols.mappings = mappings?;
        symbols.functions = functions?;
        symbols.strings = strings?;
        self.line_columns.put(partition, &mut symbols.lines);
        Ok(())
    }

    /// About as many bytes as [`Self::load`] will fill.
    pub(super) fn estimated_bytes(&self, rows: &TableRows) -> u64 {
        let count = |rows: &[Rows]| {
            let counts = rows.iter().map(|rows| rows.count);
            counts.fold(0, u64::saturating_add)
        };
        let [strings] = self.strings.columns;
        let [.., functions_of_lines, _, _] = self.locations.columns;
        let times = |rows: &[Rows], size: usize| count(rows).saturating_mul(size as u64);
        let lines = self
            .locations
            .file
            .uncompressed_bytes(functions_of_lines, &rows.locations)
            .saturating_mul(2); // 8 bytes there, 16 here
        [
            times(&rows.strings, size_of::<u32>()),
            self.strings.file.uncompressed_bytes(strings, &rows.strings),
            times(&rows.functions, size_of::<Function>()),
            times(&rows.mappings, size_of::<Mapping>()),
            times(&rows.locations, size_of::<Location>()),
            lines.max(times(&rows.locations, size_of::<Line>())),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// How messages name the files.
    pub(super) fn names(&self) -> [&str; 4] {
        [
            self.strings.file.full_name(),
            self.functions.file.full_name(),
            self.mappings.file.full_name(),
            self.locations.file.full_name(),
        ]
    }

    /// Bytes of memory held.
    pub(super) fn size_bytes(&self) -> usize {
        [
            self.strings.file.size_bytes(),
            self.functions.file.size_bytes(),
            self.mappings.file.size_bytes(),
            self.locations.file.size_bytes(),
            self.line_columns.size_bytes(),
        ]
        .iter()
        .sum()
    }
}

impl<const N: usize> Table<N> {
    fn open(
        files: &dyn Files,
        named: &Named,
        columns: [(&str, Physical); N],
    ) -> Result<Self, Error> {
        let file = TableFile::open(files, &named.name, named.size)?;
        let mut found = [0; N];
        for (found, (path, physical)) in found.iter_mut().zip(columns) {
            *found = file.column(path, physical)?;
        }
        Ok(Self {
            file,
            columns: found,
        })
    }

    fn fetch(&self, files: &dyn Files, rows: &[Rows]) -> Result<Loaded<'_, N>, Error> {
        Ok(Loaded {
            table: self,
            fetched: self.file.fetch(files, &self.columns, rows)?,
        })
    }
}

/// Rows that were read but not decoded.
struct Loaded<'a, const N: usize> {
    table: &'a Table<N>,
    fetched: Fetched<'a>,
}

impl<const N: usize> Loaded<'_, N> {
    fn integers(&self, column: usize) -> Result<std::vec::IntoIter<i64>, Error> {
        Ok(self.fetched.integers(column)?.into_iter())
    }

    /// A column of references to another table.
    fn ids(&self, column: usize) -> Result<std::vec::IntoIter<u32>, Error> {
        let values = self.fetched.integers(column)?;
        Ok(self.to_ids(values)?.into_iter())
    }

    fn to_ids(&self, values: Vec<i64>) -> Result<Vec<u32>, Error> {
        let id = |value: i64| {
            u32::try_from(value).map_err(|_| {
                let problem = format!("a row refers to row {value} of another table");
                Error::corrupt(self.table.file.full_name(), 0, problem)
            })
        };
        values.into_iter().map(id).collect()
    }

    /// As many rows as were fetched, if each of the columns before had so many values.
    fn rows<T>(&self, mut row: impl FnMut() -> Option<T>) -> Vec<T> {
        let count = self.fetched.count() as usize;
        let mut rows = Vec::with_capacity(count);
        rows.extend((0..count).map_while(|_| row()));
        rows
    }
}

impl Loaded<'_, 1> {
    fn strings(&self) -> Result<Strings, Error> {
        let mut strings = Strings::default();
        let [column] = self.table.columns;
        self.fetched.byte_arrays(column, |text| {
            strings.push(&String::from_utf8_lossy(text)).map(drop)
        })?;
        Ok(strings)
    }
}

impl Loaded<'_, 4> {
    fn functions(&self) -> Result<Vec<Function>, Error> {
        let [name, system_name, filename, start_line] = self.table.columns;
        let mut name = self.ids(name)?;
        let mut system_name = self.ids(system_name)?;
        let mut filename = self.ids(filename)?;
        let mut start_line = self.integers(start_line)?;
        Ok(self.rows(|| {
            Some(Function {
                name: name.next()?,
                system_name: system_name.next()?,
                filename: filename.next()?,
                start_line: start_line.next()?,
            })
        }))
    }
}

impl Loaded<'_, 9> {
    fn mappings(&self) -> Result<Vec<Mapping>, Error> {
        let [start, limit, offset, filename, build_id, has @ ..] = self.table.columns;
        let mut start = self.integers(start)?;
        let mut limit = self.integers(limit)?;
        let mut offset = self.integers(offset)?;
        let mut filename = self.ids(filename)?;
        let mut build_id = self.ids(build_id)?;
        let bits = [
            flags::HAS_FUNCTIONS,
            flags::HAS_FILENAMES,
            flags::HAS_LINE_NUMBERS,
            flags::HAS_INLINE_FRAMES,
        ];
        let mut flags = vec![0; start.len()];
        for (column, bit) in has.into_iter().zip(bits) {
            for (flags, has) in flags.iter_mut().zip(self.fetched.booleans(column)?) {
                *flags |= if has { bit } else { 0 };
            }
        }
        let mut flags = flags.into_iter();
        Ok(self.rows(|| {
            Some(Mapping {
                memory_start: start.next()? as u64,
                memory_limit: limit.next()? as u64,
                file_offset: offset.next()? as u64,
                filename: filename.next()?,
                build_id: build_id.next()?,
                flags: flags.next()?,
            })
        }))
    }
}

impl Loaded<'_, 5> {
    fn locations(&self) -> Result<(Vec<Location>, Vec<Line>), Error> {
        let corrupt = |problem: &str| Error::corrupt(self.table.file.full_name(), 0, problem);
        let [mapping, address, functions, line_numbers, is_folded] = self.table.columns;
        let (line_counts, functions) = self.fetched.lists(functions)?;
        let (same_counts, line_numbers) = self.fetched.lists(line_numbers)?;
        if line_counts != same_counts || functions.len() != line_numbers.len() {
            return Err(corrupt(
                "a location has more functions than line numbers, or fewer",
            ));
        }
        if u32::try_from(functions.len()).is_err() {
            return Err(corrupt("locations have more than 2^32 - 1 lines"));
        }
        let line = |(function, line)| Line {
            function,
            column: 0,
            line,
        };
        let functions = self.to_ids(functions)?;
        let lines = functions.into_iter().zip(line_numbers).map(line).collect();

        let mut mapping = self.ids(mapping)?;
        let mut address = self.integers(address)?;
        let mut is_folded = self.fetched.booleans(is_folded)?.into_iter();
        let mut line_counts = line_counts.into_iter();
        let mut first_line = 0_u32;
        let locations = self.rows(|| {
            let location = Location {
                mapping: mapping.next()?,
                address: address.next()? as u64,
                first_line,
                line_count: line_counts.next()?,
                is_folded: is_folded.next()?,
            };
            first_line = first_line.saturating_add(location.line_count);
            Some(location)
        });
        Ok((locations, lines))
    }
}

/// The table of stack traces of the first blocks: locations of each, leaf first.
#[derive(Debug)]
pub(super) struct Stacktraces(Table<1>);

impl Stacktraces {
    pub(super) fn open(files: &dyn Files, named: &Named) -> Result<Self, Error> {
        let column = ("LocationIDs.list.element", Physical::Int64);
        Ok(Self(Table::open(files, named, [column])?))
    }

    /// How many locations each stack trace has, and all of them.
    pub(super) fn load(&self, files: &dyn Files) -> Result<(Vec<u32>, Vec<u32>), Error> {
        let loaded = self.0.fetch(files, &self.0.file.all_rows())?;
        let [column] = self.0.columns;
        let (counts, locations) = loaded.fetched.lists(column)?;
        Ok((counts, loaded.to_ids(locations)?))
    }

    /// About as many bytes as the tree will have.
    pub(super) fn estimated_bytes(&self) -> u64 {
        let [column] = self.0.columns;
        let rows = self.0.file.all_rows();
        // A byte or two for a location, which is a node of 8 bytes unless it is shared.
        self.0
            .file
            .uncompressed_bytes(column, &rows)
            .saturating_mul(8)
    }

    pub(super) fn full_name(&self) -> &str {
        self.0.file.full_name()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.0.file.size_bytes()
    }
}
