//! What a Parquet file says about itself: columns, row groups, where the pages lie.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use super::thrift::{Compact, Kind};

/// How deep groups may lie in each other.
const DEPTH: usize = 16;
/// How long a name may be, as a path is made of names again and again.
const NAME: usize = 256;

/// Physical type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Physical {
    Boolean,
    Int64,
    ByteArray,
    /// Types that no table of symbols has.
    Other(i64),
}

/// A leaf of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Names from below the root to the leaf, with dots between.
    pub(crate) path: String,
    pub(crate) physical: Physical,
    /// Definition level of a value that is there.
    pub(crate) max_definition: u8,
    /// Repetition level of a value that continues the innermost list.
    pub(crate) max_repetition: u8,
}

/// How pages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Zstd,
    Other(i64),
}

/// A row group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowGroup {
    pub(crate) rows: u64,
    /// One for each column.
    pub(super) chunks: Vec<Chunk>,
}

/// The pages of one column of a row group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) codec: Codec,
    /// A bit for each number of an encoding that its pages have; those that no version of the format has are left out.
    pub(super) encodings: u32,
    /// Values, nulls included.
    pub(super) values: u64,
    /// All its bytes.
    pub(super) bytes: Range<u64>,
    /// Bytes of all pages, decompressed.
    pub(super) uncompressed: u64,
    /// Where its index of pages lies.
    pub(super) offset_index: Option<Range<u64>>,
    /// Its data pages, if there is an index.
    pub(super) pages: Vec<PageLocation>,
}

/// A data page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageLocation {
    pub(super) offset: u64,
    /// Header included.
    pub(super) size: u64,
    /// Within the row group.
    pub(super) first_row: u64,
}

/// A footer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) columns: Vec<Column>,
    pub(crate) row_groups: Vec<RowGroup>,
    pub(crate) key_values: Vec<(String, String)>,
    /// The program that wrote the file.
    pub(super) created_by: String,
}

impl Footer {
    /// Reads a footer; `None` if it isn't one. Nothing in it is compared with the size of the file.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut schema = Vec::new();
        let mut footer = Self::default();
        Compact::new(bytes).structure(|fields, number, kind| {
            match (number, kind) {
                (2, Kind::List) => fields.list(|fields| {
                    schema.push(SchemaElement::parse(fields)?);
                    Some(())
                })?,
                (4, Kind::List) => fields.list(|fields| {
                    footer.row_groups.push(RowGroup::parse(fields)?);
                    Some(())
                })?,
                (5, Kind::List) => fields.list(|fields| {
                    footer.key_values.push(key_value(fields)?);
                    Some(())
                })?,
                (6, Kind::Binary) => footer.created_by = text(fields)?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        footer.columns = leaves(&schema)?;
        let columns = footer.columns.len();
        let mut groups = footer.row_groups.iter();
        groups
            .all(|group| group.chunks.len() == columns)
            .then_some(footer)
    }

    /// Bytes of memory held.
    pub(super) fn size_bytes(&self) -> usize {
        let pages = |chunk: &Chunk| size_of_val(chunk).saturating_add(size_of_val(&*chunk.pages));
        let chunks = self.row_groups.iter().flat_map(|group| &group.chunks);
        let columns = self.columns.iter().map(|column| column.path.len());
        let key_values = self.key_values.iter();
        size_of_val(&*self.columns)
            .saturating_add(size_of_val(&*self.row_groups))
            .saturating_add(columns.sum())
            .saturating_add(chunks.map(pages).sum())
            .saturating_add(
                key_values
                    .map(|(key, value)| key.len().saturating_add(value.len()))
                    .sum(),
            )
    }
}

struct SchemaElement {
    name: String,
    physical: Option<i64>,
    repetition: i64,
    children: u64,
}

impl SchemaElement {
    fn parse(fields: &mut Compact<'_>) -> Option<Self> {
        let mut element = Self {
            name: String::new(),
            physical: None,
            repetition: 0,
            children: 0,
        };
        fields.structure(|fields, number, kind| {
            match (number, kind) {
                (1, Kind::Integer) => element.physical = Some(fields.integer()?),
                (3, Kind::Integer) => element.repetition = fields.integer()?,
                (4, Kind::Binary) => {
                    element.name = text(fields).filter(|name| name.len() <= NAME)?;
                }
                (5, Kind::Integer) => element.children = u64::try_from(fields.integer()?).ok()?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        Some(element)
    }
}

/// The leaves of a schema, which is a tree in depth-first order.
fn leaves(schema: &[SchemaElement]) -> Option<Vec<Column>> {
    struct Group {
        children_left: u64,
        path: String,
        definition: u8,
        repetition: u8,
    }
    let (root, rest) = schema.split_first()?;
    let mut groups = vec![Group {
        children_left: root.children,
        path: String::new(),
        definition: 0,
        repetition: 0,
    }];
    let mut columns = Vec::new();
    for element in rest {
        while groups.last()?.children_left == 0 {
            groups.pop();
        }
        let group = groups.last_mut()?;
        group.children_left = group.children_left.checked_sub(1)?;
        let (defined, repeated) = match element.repetition {
            0 => (0, 0),
            1 => (1, 0),
            2 => (1, 1),
            _ => return None,
        };
        let dot = if group.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{}", group.path, element.name);
        let definition = group.definition.checked_add(defined)?;
        let repetition = group.repetition.checked_add(repeated)?;
        match element.physical {
            Some(physical) if element.children == 0 => columns.push(Column {
                path,
                physical: match physical {
                    0 => Physical::Boolean,
                    2 => Physical::Int64,
                    6 => Physical::ByteArray,
                    other => Physical::Other(other),
                },
                max_definition: definition,
                max_repetition: repetition,
            }),
            _ if groups.len() >= DEPTH => return None,
            _ => groups.push(Group {
                children_left: element.children,
                path,
                definition,
                repetition,
            }),
        }
    }
    Some(columns)
}

impl RowGroup {
    fn parse(fields: &mut Compact<'_>) -> Option<Self> {
        let mut group = Self {
            rows: 0,
            chunks: Vec::new(),
        };
        fields.structure(|fields, number, kind| {
            match (number, kind) {
                (1, Kind::List) => fields.list(|fields| {
                    group.chunks.push(Chunk::parse(fields)?);
                    Some(())
                })?,
                (3, Kind::Integer) => group.rows = u64::try_from(fields.integer()?).ok()?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        Some(group)
    }
}

impl Chunk {
    fn parse(fields: &mut Compact<'_>) -> Option<Self> {
        let (mut index_offset, mut index_length) = (None, None);
        let mut chunk = None;
        fields.structure(|fields, number, kind| {
            match (number, kind) {
                (3, Kind::Structure) => chunk = Some(Self::parse_metadata(fields)?),
                (4, Kind::Integer) => index_offset = Some(fields.integer()?),
                (5, Kind::Integer) => index_length = Some(fields.integer()?),
                _ => return Some(false),
            }
            Some(true)
        })?;
        let mut chunk: Self = chunk?;
        if let (Some(offset), Some(length)) = (index_offset, index_length) {
            let offset = u64::try_from(offset).ok()?;
            let length = u64::try_from(length).ok()?;
            chunk.offset_index = Some(offset..offset.checked_add(length)?);
        }
        Some(chunk)
    }

    fn parse_metadata(fields: &mut Compact<'_>) -> Option<Self> {
        let (mut codec, mut uncompressed, mut compressed) = (0, 0, 0);
        let (mut data, mut dictionary) = (0, 0);
        let (mut values, mut encodings) = (0, 0_u32);
        fields.structure(|fields, number, kind| {
            let value = match (number, kind) {
                (2, Kind::List) => {
                    fields.list(|fields| {
                        let bit = u32::try_from(fields.integer()?).unwrap_or(u32::MAX);
                        encodings |= 1_u32.checked_shl(bit).unwrap_or(0);
                        Some(())
                    })?;
                    return Some(true);
                }
                (4, Kind::Integer) => &mut codec,
                (5, Kind::Integer) => &mut values,
                (6, Kind::Integer) => &mut uncompressed,
                (7, Kind::Integer) => &mut compressed,
                (9, Kind::Integer) => &mut data,
                (11, Kind::Integer) => &mut dictionary,
                _ => return Some(false),
            };
            *value = fields.integer()?;
            Some(true)
        })?;
        // A dictionary, if there is one, is the first page; some writers say 0 for none.
        let start = match dictionary {
            1.. if dictionary < data => dictionary,
            _ => data,
        };
        let start = u64::try_from(start).ok()?;
        let length = u64::try_from(compressed).ok()?;
        Some(Self {
            codec: match codec {
                0 => Codec::None,
                6 => Codec::Zstd,
                other => Codec::Other(other),
            },
            encodings,
            values: u64::try_from(values).ok()?,
            bytes: start..start.checked_add(length)?,
            uncompressed: u64::try_from(uncompressed).ok()?,
            offset_index: None,
            pages: Vec::new(),
        })
    }

    /// Reads the index of its pages and keeps it, if it fits to the chunk: each page inside, in order.
    pub(super) fn set_pages(&mut self, index: &[u8], rows: u64) -> Option<()> {
        let mut pages: Vec<PageLocation> = Vec::new();
        let mut end = self.bytes.start;
        Compact::new(index).structure(|fields, number, kind| {
            if (number, kind) != (1, Kind::List) {
                return Some(false);
            }
            fields.list(|fields| {
                let page = page_location(fields)?;
                let ordered = match pages.last() {
                    Some(last) => page.first_row >= last.first_row,
                    None => page.first_row == 0,
                };
                if !ordered || page.first_row > rows || page.offset < end {
                    return None;
                }
                end = page.offset.checked_add(page.size)?;
                pages.push(page);
                (end <= self.bytes.end).then_some(())
            })?;
            Some(true)
        })?;
        self.pages = pages;
        Some(())
    }
}

fn page_location(fields: &mut Compact<'_>) -> Option<PageLocation> {
    let mut values = [0; 3];
    fields.structure(|fields, number, kind| {
        let [offset, size, first_row] = &mut values;
        let value = match (number, kind) {
            (1, Kind::Integer) => offset,
            (2, Kind::Integer) => size,
            (3, Kind::Integer) => first_row,
            _ => return Some(false),
        };
        *value = u64::try_from(fields.integer()?).ok()?;
        Some(true)
    })?;
    let [offset, size, first_row] = values;
    Some(PageLocation {
        offset,
        size,
        first_row,
    })
}

fn key_value(fields: &mut Compact<'_>) -> Option<(String, String)> {
    let (mut key, mut value) = Default::default();
    fields.structure(|fields, number, kind| {
        match (number, kind) {
            (1, Kind::Binary) => key = text(fields)?,
            (2, Kind::Binary) => value = text(fields)?,
            _ => return Some(false),
        }
        Some(true)
    })?;
    Some((key, value))
}

fn text(fields: &mut Compact<'_>) -> Option<String> {
    Some(String::from_utf8_lossy(fields.binary()?).into_owned())
}
