//! The tables of symdb format 3: blocks of columns.
//!
//! Format: blocks.md 4.5.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::index::Section;
use crate::delta;
use crate::error::Error;
use crate::fields::{Fields, crc32c};
use crate::symbols::{Function, Line, Location, Mapping, Strings};

/// What is wrong with a section.
#[derive(Debug)]
pub(super) struct Damage {
    /// Byte of the section.
    at: usize,
    problem: &'static str,
    /// The strings are too many, which is no damage.
    full: Option<Error>,
}

impl Damage {
    /// The error of it; `section` says where it begins.
    pub(super) fn in_file(self, file: &str, section: &Section) -> Error {
        let at = section.offset.saturating_add(self.at as u64);
        self.full
            .unwrap_or_else(|| Error::corrupt(file, at, self.problem))
    }
}

impl From<&'static str> for Damage {
    fn from(problem: &'static str) -> Self {
        Self {
            at: 0,
            problem,
            full: None,
        }
    }
}

impl From<Error> for Damage {
    fn from(full: Error) -> Self {
        Self {
            full: Some(full),
            ..Self::from("")
        }
    }
}

type Decoded = Result<(), Damage>;

const ENDS: &str = "a table ends early";

/// The blocks of a section, one after the other.
///
/// `smallest` is the size of a block's header as far as it is known. `one` gets the header, which begins with a count
/// and whose checksum is right, what lies behind the header, and the count; it takes what belongs to the block.
fn blocks(
    bytes: &[u8],
    section: &Section,
    smallest: usize,
    mut one: impl FnMut(Fields<'_>, &mut Fields<'_>, usize) -> Decoded,
) -> Decoded {
    if crc32c(bytes) != section.crc {
        return Err("the checksum of a table is wrong".into());
    }
    let header_size = match section.block_header {
        0 => smallest,
        size => usize::from(size),
    };
    if header_size < smallest || section.items_per_block == 0 {
        return Err("a table has blocks of an impossible size".into());
    }
    let mut fields = Fields::new(bytes);
    let mut left = section.items;
    while left > 0 {
        let at = fields.position();
        let here = |damage: Damage| Damage { at, ..damage };
        let header = fields.take(header_size).ok_or(ENDS).map_err(|problem| {
            here(problem.into()) // the block that isn't there
        })?;
        let (body, crc) = header.split_last_chunk().ok_or(ENDS)?;
        if crc32c(body) != u32::from_be_bytes(*crc) {
            return Err(here("the checksum of a block is wrong".into()));
        }
        let mut header = Fields::new(body);
        let count = header.u32().ok_or(ENDS)?;
        if count != left.min(section.items_per_block) {
            return Err(here("a block has another number of rows".into()));
        }
        one(header, &mut fields, count as usize).map_err(here)?;
        left = left.saturating_sub(count);
    }
    Ok(())
}

/// The columns of a block: as many as sizes in its header, beside each other.
fn columns<'a, const N: usize>(
    header: &mut Fields<'_>,
    block: &mut Fields<'a>,
) -> Result<[&'a [u8]; N], Damage> {
    let mut sizes = [0; N];
    for size in &mut sizes {
        *size = header.u32().ok_or(ENDS)? as usize;
    }
    let mut columns = [Default::default(); N];
    for (column, size) in columns.iter_mut().zip(sizes) {
        *column = block.take(size).ok_or(ENDS)?;
    }
    Ok(columns)
}

/// Puts the values of a column into rows, in order.
fn fill<T>(
    column: &[u8],
    count: usize,
    rows: &mut [T],
    mut put: impl FnMut(&mut T, u64),
) -> Decoded {
    let mut rows = rows.iter_mut();
    delta::decode(column, count, |value| {
        if let Some(row) = rows.next() {
            put(row, value);
        }
    })?;
    Ok(())
}

/// As [`fill`], of a column that isn't there if all its values are 0.
fn fill_optional<T>(
    column: &[u8],
    count: usize,
    rows: &mut [T],
    put: impl FnMut(&mut T, u64),
) -> Decoded {
    if column.is_empty() {
        return Ok(());
    }
    fill(column, count, rows, put)
}

/// Adds `count` rows that a column of `bytes` bytes claims to have, which is not many more than there are bytes.
fn grow<T: Clone + Default>(
    rows: &mut Vec<T>,
    bytes: usize,
    count: usize,
) -> Result<usize, Damage> {
    // What packs best is 128 values in 5 bytes.
    if count > bytes.saturating_mul(26) {
        return Err(ENDS.into());
    }
    let start = rows.len();
    rows.resize(start.saturating_add(count), T::default());
    Ok(start)
}

pub(super) fn strings(bytes: &[u8], section: &Section, out: &mut Strings) -> Decoded {
    blocks(bytes, section, 12, |mut header, block, count| {
        let _garbage = header.u8().ok_or(ENDS)?;
        let encoding = header.u8().ok_or(ENDS)?;
        let width = match encoding {
            8 | 16 => usize::from(encoding) / 8,
            _ => return Err("strings are encoded in an unknown way".into()),
        };
        let lengths = block.take(count.saturating_mul(width)).ok_or(ENDS)?;
        let mut lengths = Fields::new(lengths);
        for _ in 0..count {
            let length = match width {
                1 => usize::from(lengths.u8().ok_or(ENDS)?),
                _ => usize::from(lengths.u16().ok_or(ENDS)?),
            };
            let text = block.take(length).ok_or(ENDS)?;
            out.push(&String::from_utf8_lossy(text))?;
        }
        Ok(())
    })
}

pub(super) fn functions(bytes: &[u8], section: &Section, out: &mut Vec<Function>) -> Decoded {
    blocks(bytes, section, 24, |mut header, block, count| {
        let [name, system_name, filename, start_line] = columns(&mut header, block)?;
        let start = grow(out, name.len(), count)?;
        let rows = out.get_mut(start..).unwrap_or_default();
        fill(name, count, rows, |row, value| row.name = value as u32)?;
        fill(system_name, count, rows, |row, value| {
            row.system_name = value as u32;
        })?;
        fill(filename, count, rows, |row, value| {
            row.filename = value as u32;
        })?;
        fill(start_line, count, rows, |row, value| {
            row.start_line = i64::from(value as i32);
        })
    })
}

pub(super) fn mappings(bytes: &[u8], section: &Section, out: &mut Vec<Mapping>) -> Decoded {
    blocks(bytes, section, 32, |mut header, block, count| {
        let [filename, build_id, flags, start, limit, offset] = columns(&mut header, block)?;
        let first = grow(out, filename.len(), count)?;
        let rows = out.get_mut(first..).unwrap_or_default();
        fill(filename, count, rows, |row, value| {
            row.filename = value as u32;
        })?;
        fill(build_id, count, rows, |row, value| {
            row.build_id = value as u32;
        })?;
        fill(flags, count, rows, |row, value| {
            row.flags = value as u8 & 15
        })?;
        fill_optional(start, count, rows, |row, value| row.memory_start = value)?;
        fill_optional(limit, count, rows, |row, value| row.memory_limit = value)?;
        fill_optional(offset, count, rows, |row, value| row.file_offset = value)
    })
}

pub(super) fn locations(
    bytes: &[u8],
    section: &Section,
    out: &mut Vec<Location>,
    lines: &mut Vec<Line>,
) -> Decoded {
    blocks(bytes, section, 28, |mut header, block, count| {
        let mut size = || header.u32().map(|size| size as usize).ok_or(ENDS);
        let (mapping, line_count) = (size()?, size()?);
        let (line, address, folded) = (size()?, size()?, size()?);
        let mapping = block.take(mapping).ok_or(ENDS)?;
        let counts = block.take(count).ok_or(ENDS)?;
        let line = block.take(line).ok_or(ENDS)?;
        let address = block.take(address).ok_or(ENDS)?;
        let folded = block.take(folded).ok_or(ENDS)?;

        let start = grow(out, counts.len(), count)?;
        let first_line = grow(lines, line.len(), line_count)?;
        let rows = out.get_mut(start..).unwrap_or_default();
        let line_rows = lines.get_mut(first_line..).unwrap_or_default();
        fill(mapping, count, rows, |row, value| {
            row.mapping = value as u32
        })?;
        fill_optional(address, count, rows, |row, value| row.address = value)?;
        let mut next = first_line;
        for (row, &count) in rows.iter_mut().zip(counts) {
            row.first_line = u32::try_from(next).map_err(|_| "a table has too many lines")?;
            row.line_count = u32::from(count);
            next = next.saturating_add(usize::from(count));
        }
        if next > first_line.saturating_add(line_count) {
            return Err("locations have more lines than there are".into());
        }
        fill_lines(line, line_rows)?;
        // Writers reach the first three locations of a block only.
        let folded = folded.first().copied().unwrap_or_default();
        for (row, bit) in rows.iter_mut().zip(0..3) {
            row.is_folded = folded & (1 << bit) != 0;
        }
        Ok(())
    })
}

/// Function and line number take turns.
fn fill_lines(column: &[u8], rows: &mut [Line]) -> Decoded {
    let values = rows.len().saturating_mul(2);
    if values == 0 {
        return Ok(());
    }
    let mut rows = rows.iter_mut();
    let mut function = None;
    delta::decode(column, values, |value| match function.take() {
        None => function = Some(value as u32),
        Some(function) => {
            if let Some(row) = rows.next() {
                row.function = function;
                row.line = i64::from(value as i32);
            }
        }
    })?;
    Ok(())
}
