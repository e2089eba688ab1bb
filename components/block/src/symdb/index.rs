//! The index of symdb: which partitions there are, and where each of their tables lies.
//!
//! Format: blocks.md 4.2.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::Error;
use crate::fields::{Fields, crc32c};

/// First bytes of an index.
pub(super) const MAGIC: [u8; 4] = *b"sym1";
/// Size of the header and of the table of contents.
const HEADER: usize = 32;
/// Size of a checksum.
const CRC: usize = 4;
/// Size of a chunk header.
const CHUNK: usize = 64;
/// Size of a row range.
const ROW_RANGE: usize = 12;
/// Size of the footer of format 3.
pub(super) const FOOTER: usize = 24;
/// What stacks are encoded with; there is nothing else.
const GROUP_VARINT: u8 = 1;

/// What an index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// Ascending by id, no two alike.
    pub(super) partitions: Vec<Partition>,
}

/// Where a partition lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) id: u64,
    pub(super) chunks: Vec<Chunk>,
    pub(super) tables: Tables,
}

/// Where the tables of a partition lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// Format 1: in files that all partitions share.
    Shared,
    /// Format 2: rows of Parquet files.
    Rows(Rows),
    /// Format 3: sections of the file itself.
    Sections(Box<Sections>),
}

/// A part of a partition's tree of stack traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) size: u64,
    /// Nodes, the root included.
    pub(super) nodes: u32,
    /// Ids of the next chunk begin so far behind those of this one; 0 for unlimited.
    pub(super) max_nodes: u32,
    pub(super) crc: u32,
}

/// Rows of the four tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) locations: Vec<RowRange>,
    pub(super) mappings: Vec<RowRange>,
    pub(super) functions: Vec<RowRange>,
    pub(super) strings: Vec<RowRange>,
}

/// Rows of one row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowRange {
    pub(super) row_group: u32,
    /// Within the row group.
    pub(super) first: u32,
    pub(super) rows: u32,
}

/// The four tables of format 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sections {
    pub(super) locations: Section,
    pub(super) mappings: Section,
    pub(super) functions: Section,
    pub(super) strings: Section,
}

/// A table of format 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) crc: u32,
    pub(super) items: u32,
    pub(super) items_per_block: u32,
    /// Size of the header of each block; 0 if the writer did not know of it.
    pub(super) block_header: u16,
}

impl Index {
    /// Reads an index; `base` is where it begins in `file`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`].
    pub(super) fn parse(file: &str, base: u64, bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = |at: usize, problem: &str| {
            Error::corrupt(file, base.saturating_add(at as u64), problem)
        };
        let checked = bytes.split_last_chunk::<CRC>();
        let Some((body, crc)) = checked.filter(|(body, _)| body.len() >= HEADER) else {
            return Err(corrupt(bytes.len(), "the index ends here"));
        };
        if !body.starts_with(&MAGIC) {
            return Err(corrupt(0, "it does not begin with `sym1`"));
        }
        if crc32c(body) != u32::from_be_bytes(*crc) {
            return Err(corrupt(body.len(), "the checksum of the index is wrong"));
        }
        let mut header = Fields::new(body);
        let version = header.take(MAGIC.len()).and_then(|_| header.u32());
        let contents = header.take(8).and_then(|_| {
            let size = header.u64()?;
            Some((header.u64()?, size))
        });
        let data = contents.and_then(|(offset, size)| {
            let end = usize::try_from(offset.checked_add(size)?).ok()?;
            body.get(usize::try_from(offset).ok()?..end)
        });
        let (Some(version), Some(data)) = (version, data) else {
            return Err(corrupt(16, "the table of contents points outside"));
        };
        let at = HEADER; // of the data in all files there are
        let mut fields = Fields::new(data);
        let partitions = match version {
            1 => shared(&mut fields),
            2 => partitions(&mut fields, rows_partition),
            3 => partitions(&mut fields, sections_partition),
            other => {
                return Err(Error::Unsupported {
                    file: file.to_owned(),
                    problem: format!("symdb format {other}"),
                });
            }
        };
        let mut partitions =
            partitions.map_err(|problem| corrupt(at.saturating_add(fields.position()), problem))?;
        partitions.sort_by_key(|partition| partition.id);
        let mut pairs = partitions.iter().zip(partitions.iter().skip(1));
        if let Some((twice, _)) = pairs.find(|(one, next)| one.id == next.id) {
            let problem = format!("partition {:016x} is there twice", twice.id);
            return Err(corrupt(at, &problem));
        }
        Ok(Self { partitions })
    }

    /// Where the index of a file of format 3 begins, by the footer of the file, which ends at `size`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`].
    pub(super) fn offset(file: &str, size: u64, footer: &[u8]) -> Result<u64, Error> {
        let corrupt = |problem: &str| {
            let at = size.saturating_sub(FOOTER as u64);
            Error::corrupt(file, at, problem)
        };
        let mut fields = Fields::new(footer);
        let mut parse = || {
            let magic = fields.take(MAGIC.len())?;
            let (version, offset) = (fields.u32()?, fields.u64()?);
            let _zero = fields.u32()?;
            let checked = footer.get(..fields.position())?;
            (magic == MAGIC && crc32c(checked) == fields.u32()?).then_some((version, offset))
        };
        match parse() {
            Some((3, offset)) => Ok(offset),
            Some((other, _)) => Err(Error::Unsupported {
                file: file.to_owned(),
                problem: format!("symdb format {other}"),
            }),
            None => Err(corrupt("the footer is not one, or its checksum is wrong")),
        }
    }

    /// The partition of an id.
    pub(super) fn get(&self, id: u64) -> Option<&Partition> {
        let at = self
            .partitions
            .binary_search_by_key(&id, |partition| partition.id);
        self.partitions.get(at.ok()?)
    }

    /// Bytes of memory held.
    pub(super) fn size_bytes(&self) -> usize {
        let of = |partition: &Partition| {
            let tables = match &partition.tables {
                Tables::Shared => 0,
                Tables::Rows(rows) => [
                    &rows.locations,
                    &rows.mappings,
                    &rows.functions,
                    &rows.strings,
                ]
                .map(|ranges| size_of_val(ranges.as_slice()))
                .iter()
                .sum(),
                Tables::Sections(_) => size_of::<Sections>(),
            };
            size_of_val(partition)
                .saturating_add(size_of_val(partition.chunks.as_slice()))
                .saturating_add(tables)
        };
        self.partitions.iter().map(of).sum()
    }
}

type Parsed<T> = Result<T, &'static str>;

const ENDS: &str = "the index ends within a partition";

/// Format 1: nothing but chunk headers, those of a partition beside each other.
fn shared(fields: &mut Fields<'_>) -> Parsed<Vec<Partition>> {
    let mut partitions: Vec<Partition> = Vec::new();
    while fields.left() > 0 {
        let (id, chunk) = chunk(fields)?;
        match partitions.last_mut().filter(|last| last.id == id) {
            Some(last) => last.chunks.push(chunk),
            None => partitions.push(Partition {
                id,
                chunks: vec![chunk],
                tables: Tables::Shared,
            }),
        }
    }
    Ok(partitions)
}

/// Formats 2 and 3: a number of partitions, then each.
fn partitions(
    fields: &mut Fields<'_>,
    one: impl Fn(&mut Fields<'_>) -> Parsed<Partition>,
) -> Parsed<Vec<Partition>> {
    let count = fields.u32().ok_or(ENDS)?;
    let mut partitions = Vec::new();
    for _ in 0..count {
        partitions.push(one(fields)?);
    }
    Ok(partitions)
}

fn rows_partition(fields: &mut Fields<'_>) -> Parsed<Partition> {
    let id = fields.u64().ok_or(ENDS)?;
    let mut count = || fields.u32().ok_or(ENDS);
    let (chunks, locations, mappings, functions, strings) =
        (count()?, count()?, count()?, count()?, count()?);
    Ok(Partition {
        id,
        chunks: chunks_of(fields, id, chunks)?,
        tables: Tables::Rows(Rows {
            locations: row_ranges(fields, locations)?,
            mappings: row_ranges(fields, mappings)?,
            functions: row_ranges(fields, functions)?,
            strings: row_ranges(fields, strings)?,
        }),
    })
}

fn sections_partition(fields: &mut Fields<'_>) -> Parsed<Partition> {
    let id = fields.u64().ok_or(ENDS)?;
    let chunks = fields.u32().ok_or(ENDS)?;
    let chunks = chunks_of(fields, id, chunks)?;
    let mut section = || section(fields).ok_or(ENDS);
    let sections = Sections {
        locations: section()?,
        mappings: section()?,
        functions: section()?,
        strings: section()?,
    };
    Ok(Partition {
        id,
        chunks,
        tables: Tables::Sections(Box::new(sections)),
    })
}

fn chunks_of(fields: &mut Fields<'_>, partition: u64, count: u32) -> Parsed<Vec<Chunk>> {
    let mut chunks = Vec::with_capacity(bounded(count, fields.left(), CHUNK));
    for _ in 0..count {
        let (id, chunk) = chunk(fields)?;
        if id != partition {
            return Err("a chunk is of another partition");
        }
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// A chunk and the partition it belongs to.
fn chunk(fields: &mut Fields<'_>) -> Parsed<(u64, Chunk)> {
    let header = fields.take(CHUNK).ok_or(ENDS)?;
    let mut fields = Fields::new(header);
    let mut parse = || {
        let (offset, size, partition) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let _index = fields.u16()?;
        let _unused = fields.u8()?;
        let encoding = fields.u8()?;
        let (_reserved, _stacks) = (fields.u32()?, fields.u32()?);
        let (nodes, _depth, max_nodes) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let _reserved = fields.take(12)?;
        let crc = fields.u32()?;
        let chunk = Chunk {
            offset,
            size,
            nodes,
            max_nodes,
            crc,
        };
        Some((partition, encoding, chunk))
    };
    match parse().ok_or(ENDS)? {
        (partition, GROUP_VARINT, chunk) => Ok((partition, chunk)),
        _ => Err("stacks are encoded in an unknown way"),
    }
}

fn row_ranges(fields: &mut Fields<'_>, count: u32) -> Parsed<Vec<RowRange>> {
    let mut ranges = Vec::with_capacity(bounded(count, fields.left(), ROW_RANGE));
    for _ in 0..count {
        let mut field = || fields.u32().ok_or(ENDS);
        ranges.push(RowRange {
            row_group: field()?,
            first: field()?,
            rows: field()?,
        });
    }
    Ok(ranges)
}

fn section(fields: &mut Fields<'_>) -> Option<Section> {
    let section = Section {
        offset: fields.u64()?,
        size: fields.u32()?,
        crc: fields.u32()?,
        items: fields.u32()?,
        items_per_block: fields.u32()?,
        block_header: fields.u16()?,
    };
    let (_format, _unused) = (fields.u16()?, fields.u32()?);
    Some(section)
}

/// No more than there are bytes for.
fn bounded(count: u32, bytes: usize, size: usize) -> usize {
    (count as usize).min(bytes.checked_div(size).unwrap_or(0))
}

/// An index of format 2. `partitions` ascend; reserved bytes are zero.
pub(super) fn write_rows(partitions: &[Partition]) -> Vec<u8> {
    let mut data = Vec::new();
    let put = |data: &mut Vec<u8>, value: usize| {
        data.extend_from_slice(&(value as u32).to_be_bytes());
    };
    put(&mut data, partitions.len());
    for partition in partitions {
        let Tables::Rows(rows) = &partition.tables else {
            continue;
        };
        let ranges = [
            &rows.locations,
            &rows.mappings,
            &rows.functions,
            &rows.strings,
        ];
        data.extend_from_slice(&partition.id.to_be_bytes());
        put(&mut data, partition.chunks.len());
        for ranges in ranges {
            put(&mut data, ranges.len());
        }
        for (index, chunk) in partition.chunks.iter().enumerate() {
            write_chunk(&mut data, partition.id, index as u16, chunk);
        }
        for range in ranges.into_iter().flatten() {
            for field in [range.row_group, range.first, range.rows] {
                data.extend_from_slice(&field.to_be_bytes());
            }
        }
    }
    let mut index = Vec::with_capacity(data.len().saturating_add(HEADER + CRC));
    index.extend_from_slice(&MAGIC);
    index.extend_from_slice(&2_u32.to_be_bytes());
    index.extend_from_slice(&[0; 8]);
    index.extend_from_slice(&(data.len() as u64).to_be_bytes());
    index.extend_from_slice(&(HEADER as u64).to_be_bytes());
    index.extend_from_slice(&data);
    let crc = crc32c(&index);
    index.extend_from_slice(&crc.to_be_bytes());
    index
}

fn write_chunk(data: &mut Vec<u8>, partition: u64, index: u16, chunk: &Chunk) {
    data.extend_from_slice(&chunk.offset.to_be_bytes());
    data.extend_from_slice(&chunk.size.to_be_bytes());
    data.extend_from_slice(&partition.to_be_bytes());
    data.extend_from_slice(&index.to_be_bytes());
    data.extend_from_slice(&[0, GROUP_VARINT]);
    data.extend_from_slice(&[0; 8]); // reserved, stacks
    data.extend_from_slice(&chunk.nodes.to_be_bytes());
    data.extend_from_slice(&[0; 4]); // depth
    data.extend_from_slice(&chunk.max_nodes.to_be_bytes());
    data.extend_from_slice(&[0; 12]);
    data.extend_from_slice(&chunk.crc.to_be_bytes());
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
