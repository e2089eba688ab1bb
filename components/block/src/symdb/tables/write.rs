//! The tables of symbols, written as upstream has them.

#![expect(clippy::indexing_slicing, reason = "the ranges of rows are its own")]

use std::path::Path;

use parquet::data_type::ByteArray;
use parquet::errors::Result as ParquetResult;

use super::super::columns;
use super::super::index::{self, RowRange};
use crate::error::Error;
use crate::symbols::{Symbols, flags};
use crate::table::{Columns, Rows, TableWriter, Written};

const STRINGS: &str = "message String {
    required int64 ID (INTEGER(64, false));
    required binary String (STRING);
}";
const FUNCTIONS: &str = "message Function {
    required int64 Id (INTEGER(64, false));
    required int64 Name (INTEGER(64, true));
    required int64 SystemName (INTEGER(64, true));
    required int64 Filename (INTEGER(64, true));
    required int64 StartLine (INTEGER(64, true));
}";
const MAPPINGS: &str = "message Mapping {
    required int64 Id (INTEGER(64, false));
    required int64 MemoryStart (INTEGER(64, false));
    required int64 MemoryLimit (INTEGER(64, false));
    required int64 FileOffset (INTEGER(64, false));
    required int64 Filename (INTEGER(64, true));
    required int64 BuildId (INTEGER(64, true));
    required boolean HasFunctions;
    required boolean HasFilenames;
    required boolean HasLineNumbers;
    required boolean HasInlineFrames;
}";
const LOCATIONS: &str = "message Location {
    required int64 Id (INTEGER(64, false));
    required int64 MappingId (INTEGER(64, false));
    required int64 Address (INTEGER(64, false));
    repeated group Line {
        required int64 FunctionId (INTEGER(64, false));
        required int64 Line (INTEGER(64, true));
    }
    required boolean IsFolded;
}";

/// Writes the four tables.
#[derive(Debug)]
pub(in crate::symdb) struct TablesWriter {
    strings: TableWriter,
    functions: TableWriter,
    mappings: TableWriter,
    locations: TableWriter,
    /// Key-value metadata of the locations.
    line_columns: Vec<(String, String)>,
}

impl TablesWriter {
    /// Creates the files in a directory. A row group of `row_group_bytes` bytes is closed.
    pub(in crate::symdb) fn create(
        directory: &Path,
        row_group_bytes: usize,
    ) -> Result<Self, Error> {
        let create = |name: &str, schema: &str| {
            TableWriter::create(&directory.join(name), schema, row_group_bytes)
        };
        Ok(Self {
            strings: create("strings.parquet", STRINGS)?,
            functions: create("functions.parquet", FUNCTIONS)?,
            mappings: create("mappings.parquet", MAPPINGS)?,
            locations: create("locations.parquet", LOCATIONS)?,
            line_columns: Vec::new(),
        })
    }

    /// Appends the rows of a partition, and says where they are.
    pub(in crate::symdb) fn append(
        &mut self,
        partition: u64,
        symbols: &Symbols,
    ) -> Result<index::Rows, Error> {
        let lines = 0..symbols.locations.len() as u32;
        let lines = lines.flat_map(|location| symbols.lines_of(location));
        self.line_columns.extend(columns::entry(partition, lines));
        Ok(index::Rows {
            strings: strings(&mut self.strings, symbols)?,
            functions: functions(&mut self.functions, symbols)?,
            mappings: mappings(&mut self.mappings, symbols)?,
            locations: locations(&mut self.locations, symbols)?,
        })
    }

    /// Ends the files; says what is in each, by name.
    pub(in crate::symdb) fn finish(self) -> Result<[(&'static str, Written); 4], Error> {
        Ok([
            ("functions.parquet", self.functions.finish(Vec::new())?),
            (
                "locations.parquet",
                self.locations.finish(self.line_columns)?,
            ),
            ("mappings.parquet", self.mappings.finish(Vec::new())?),
            ("strings.parquet", self.strings.finish(Vec::new())?),
        ])
    }
}

fn ranges(rows: Vec<Rows>) -> Vec<RowRange> {
    let range = |rows: Rows| RowRange {
        row_group: rows.row_group as u32,
        first: rows.first as u32,
        rows: rows.count as u32,
    };
    rows.into_iter().map(range).collect()
}

/// A column of integers of some rows.
fn integers<T>(
    columns: &mut Columns,
    column: usize,
    rows: &[T],
    value: impl Fn(&T) -> i64,
) -> ParquetResult<()> {
    let values: Vec<i64> = rows.iter().map(value).collect();
    columns.integers(column, &values)
}

/// A column of positions.
fn positions(columns: &mut Columns, rows: std::ops::Range<usize>) -> ParquetResult<()> {
    let ids: Vec<i64> = rows.map(|row| row as i64).collect();
    columns.integers(0, &ids)
}

fn strings(table: &mut TableWriter, symbols: &Symbols) -> Result<Vec<RowRange>, Error> {
    let rows = table.append(symbols.strings.len(), |columns, rows| {
        columns.integers(0, &vec![0; rows.len()])?;
        let text = |id: usize| ByteArray::from(symbols.strings.get(id as u32));
        columns.byte_arrays(1, &rows.map(text).collect::<Vec<_>>())
    })?;
    Ok(ranges(rows))
}

fn functions(table: &mut TableWriter, symbols: &Symbols) -> Result<Vec<RowRange>, Error> {
    let all = &symbols.functions;
    let rows = table.append(all.len(), |columns, rows| {
        positions(columns, rows.clone())?;
        let rows = &all[rows];
        integers(columns, 1, rows, |row| row.name.into())?;
        integers(columns, 2, rows, |row| row.system_name.into())?;
        integers(columns, 3, rows, |row| row.filename.into())?;
        integers(columns, 4, rows, |row| row.start_line)
    })?;
    Ok(ranges(rows))
}

fn mappings(table: &mut TableWriter, symbols: &Symbols) -> Result<Vec<RowRange>, Error> {
    let all = &symbols.mappings;
    let rows = table.append(all.len(), |columns, rows| {
        positions(columns, rows.clone())?;
        let rows = &all[rows];
        integers(columns, 1, rows, |row| row.memory_start as i64)?;
        integers(columns, 2, rows, |row| row.memory_limit as i64)?;
        integers(columns, 3, rows, |row| row.file_offset as i64)?;
        integers(columns, 4, rows, |row| row.filename.into())?;
        integers(columns, 5, rows, |row| row.build_id.into())?;
        let bits = [
            flags::HAS_FUNCTIONS,
            flags::HAS_FILENAMES,
            flags::HAS_LINE_NUMBERS,
            flags::HAS_INLINE_FRAMES,
        ];
        for (column, bit) in (6..).zip(bits) {
            let has: Vec<bool> = rows.iter().map(|row| row.flags & bit != 0).collect();
            columns.booleans(column, &has)?;
        }
        Ok(())
    })?;
    Ok(ranges(rows))
}

fn locations(table: &mut TableWriter, symbols: &Symbols) -> Result<Vec<RowRange>, Error> {
    let all = &symbols.locations;
    let rows = table.append(all.len(), |columns, rows| {
        positions(columns, rows.clone())?;
        let (mut functions, mut numbers) = (Vec::new(), Vec::new());
        let (mut definition, mut repetition) = (Vec::new(), Vec::new());
        for location in rows.clone() {
            let lines = symbols.lines_of(location as u32);
            functions.extend(lines.iter().map(|line| i64::from(line.function)));
            numbers.extend(lines.iter().map(|line| line.line));
            definition.push(i16::from(!lines.is_empty()));
            repetition.push(0);
            let more = lines.len().saturating_sub(1);
            definition.extend(std::iter::repeat_n(1, more));
            repetition.extend(std::iter::repeat_n(1, more));
        }
        let rows = &all[rows];
        let levels = Some((&*definition, &*repetition));
        integers(columns, 1, rows, |row| row.mapping.into())?;
        integers(columns, 2, rows, |row| row.address as i64)?;
        columns.lists(3, &functions, levels)?;
        columns.lists(4, &numbers, levels)?;
        let is_folded: Vec<bool> = rows.iter().map(|row| row.is_folded).collect();
        columns.booleans(5, &is_folded)
    })?;
    Ok(ranges(rows))
}
