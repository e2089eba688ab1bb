//! What a reader keeps of a file: where the pages of each column are.
//!
//! Everything that is used later is checked here: pages lie inside their chunk, chunks inside the file and apart from
//! one another, columns have the type that they should have.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use bytes::Bytes;
use parquet::DecodeResult;
use parquet::basic::{Compression, Type};
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::metadata::{
    ColumnChunkMask, ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData,
    ParquetMetaDataPushDecoder, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::doc_urls::{self, DocUrls};
use super::guard::guarded;
use super::schema::{Leaf, Table};
use super::source::Source;
use crate::error::Error;

/// Bytes that are read first: they hold the footer and the indexes of most files.
fn tail_bytes(size: u64) -> u64 {
    (size / 128).clamp(64 << 10, 2 << 20).min(size)
}

/// Page indexes are a small part of a file.
const INDEX_BYTES: u64 = 64 << 20;

/// Row groups, in the order of rows.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) groups: Vec<Group>,
    pub(crate) doc_urls: DocUrls,
    pub(crate) rows: u64,
    memory: usize,
}

/// A row group.
#[derive(Debug)]
pub(crate) struct Group {
    /// First row, counted in the file.
    pub(crate) first_row: u64,
    pub(crate) rows: u32,
    /// By [`Leaf`]; `None` for columns that the file does not have.
    chunks: Vec<Option<Chunk>>,
}

/// A column of a row group.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) leaf: Leaf,
    /// Types and codec; its offsets are not used.
    pub(crate) meta: ColumnChunkMetaData,
    /// Pages with values, in the order of rows. Never empty if there are rows.
    pub(crate) pages: Vec<PageLocation>,
    /// The page before them, if values are in a dictionary.
    pub(crate) dictionary: Option<Range<u64>>,
    /// Values, nulls included.
    pub(crate) values: u64,
    /// Whether some value is not null, as far as the footer says.
    pub(crate) may_have_values: bool,
    /// Of SeriesIndex and TimeNanos: by page, the least and the greatest. Empty if the file does not say.
    pub(crate) bounds: Vec<(i64, i64)>,
}

impl Footer {
    pub(crate) fn read(source: &Source) -> Result<Self, Error> {
        let tail = Tail::read(source)?;
        let metadata = tail.metadata(source)?;
        let corrupt = |problem: String| source.corrupt(source.size(), problem);
        let schema = metadata.file_metadata().schema_descr_ptr();
        let leaves = Leaf::of(&schema);
        let is_bounded = |leaf| matches!(leaf, Some(Leaf::Series | Leaf::Time));
        let columns =
            (0..leaves.len()).filter(|&at| leaves.get(at).is_some_and(|&l| is_bounded(l)));
        let columns: Vec<usize> = columns.collect();
        let metadata = tail.with_indexes(source, metadata, &columns, PageIndexPolicy::Optional)?;
        let mut first_row = 0u64;
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        check_columns(&schema, &leaves).map_err(|problem| source.unsupported(problem))?;
        for (i, row_group) in metadata.row_groups().iter().enumerate() {
            let rows = u32::try_from(row_group.num_rows())
                .map_err(|_| corrupt(format!("row group {i} has no sound number of rows")))?;
            let index = metadata.page_index_for_row_group(i);
            let mut group = Group {
                first_row,
                rows,
                chunks: Leaf::ALL.map(|_| None).into(),
            };
            group.add_chunks(source, row_group, &leaves, &index)?;
            first_row = first_row.saturating_add(u64::from(rows));
            groups.push(group);
        }
        if u64::try_from(metadata.file_metadata().num_rows()) != Ok(first_row) {
            return Err(corrupt("rows of row groups do not add up".to_owned()));
        }
        let entries = metadata.file_metadata().key_value_metadata();
        let entry = entries.and_then(|all| all.iter().find(|entry| entry.key == doc_urls::KEY));
        let doc_urls = match entry.map(|entry| entry.value.as_deref().unwrap_or_default()) {
            Some(text) => DocUrls::parse(text)
                .ok_or_else(|| corrupt(format!("{} is not what it should be", doc_urls::KEY)))?,
            None => DocUrls::default(),
        };
        let mut footer = Self {
            groups,
            doc_urls,
            rows: first_row,
            memory: 0,
        };
        footer.memory = footer.count_memory();
        Ok(footer)
    }

    /// Bytes of memory held.
    pub(crate) fn size_bytes(&self) -> usize {
        self.memory
    }

    fn count_memory(&self) -> usize {
        let chunks = self.groups.iter().flat_map(|group| group.chunks.iter());
        let pages = |chunk: &Chunk| {
            let location = size_of::<PageLocation>();
            let pages = chunk.pages.capacity().saturating_mul(location);
            let bounds = chunk.bounds.capacity().saturating_mul(16);
            // Statistics and encodings of the chunk.
            pages.saturating_add(bounds).saturating_add(256)
        };
        let chunk = |chunk: &Option<Chunk>| {
            let own = size_of::<Option<Chunk>>();
            own.saturating_add(chunk.as_ref().map_or(0, pages))
        };
        let chunks = chunks.map(chunk).fold(0, usize::saturating_add);
        chunks.saturating_add(self.doc_urls.size_bytes())
    }
}

impl Group {
    /// A column; `None` if the file has none.
    pub(crate) fn chunk(&self, leaf: Leaf) -> Option<&Chunk> {
        self.chunks.get(leaf as usize)?.as_ref()
    }

    fn add_chunks(
        &mut self,
        source: &Source,
        row_group: &RowGroupMetaData,
        leaves: &[Option<Leaf>],
        index: &RowGroupPageIndex,
    ) -> Result<(), Error> {
        for (column, (meta, leaf)) in row_group.columns().iter().zip(leaves).enumerate() {
            let &Some(leaf) = leaf else {
                continue;
            };
            let offsets = index.page_locations(column).cloned();
            let column_index = index.column_index(column);
            let chunk = chunk(source, leaf, meta, self.rows, offsets, column_index)?;
            if let Some(slot) = self.chunks.get_mut(leaf as usize) {
                *slot = Some(chunk);
            }
        }
        for leaf in [Leaf::Series, Leaf::Time, Leaf::Stacktrace, Leaf::Value] {
            if self.chunk(leaf).is_none() {
                return Err(source.unsupported(format!("it has no column {}", leaf.path())));
            }
        }
        // Whoever fetches pages relies on their being apart.
        let mut spans: Vec<_> = self
            .chunks
            .iter()
            .flatten()
            .filter_map(Chunk::span)
            .collect();
        spans.sort_unstable_by_key(|span| span.start);
        for (one, next) in spans.iter().zip(spans.iter().skip(1)) {
            if one.end > next.start {
                return Err(source.corrupt(next.start, "two columns lie at the same place"));
            }
        }
        Ok(())
    }
}

impl Chunk {
    /// Rows of a page.
    pub(crate) fn page_rows(&self, page: usize, group_rows: u32) -> Range<u32> {
        let first = |page: usize| self.pages.get(page).map(|at| at.first_row_index as u32);
        let next = page.checked_add(1).and_then(first);
        first(page).unwrap_or(group_rows)..next.unwrap_or(group_rows)
    }

    /// Where a page lies in the file.
    pub(crate) fn page_span(&self, page: usize) -> Range<u64> {
        let at = self.pages.get(page);
        let (start, length) = at.map_or((0, 0), |at| (at.offset, at.compressed_page_size));
        start as u64..(start as u64).saturating_add(length as u64)
    }

    /// Pages that hold a row of these ranges, which ascend.
    pub(crate) fn pages_of(&self, rows: &[Range<u32>]) -> Vec<usize> {
        let mut pages: Vec<usize> = Vec::new();
        for range in rows.iter().filter(|range| !range.is_empty()) {
            let first = self.page_of(range.start);
            let end = self.page_of(range.end.saturating_sub(1)).saturating_add(1);
            let next = pages
                .last()
                .map_or(first, |&last| first.max(last.saturating_add(1)));
            pages.extend(next..end.min(self.pages.len()));
        }
        pages
    }

    /// The page of a row.
    pub(crate) fn page_of(&self, row: u32) -> usize {
        let starts = |at: &PageLocation| at.first_row_index <= i64::from(row);
        self.pages.partition_point(starts).saturating_sub(1)
    }

    /// From the dictionary, or the first page, to the last.
    fn span(&self) -> Option<Range<u64>> {
        let last = self.pages.len().checked_sub(1)?;
        let start = self.dictionary.as_ref().map(|span| span.start);
        Some(start.unwrap_or(self.page_span(0).start)..self.page_span(last).end)
    }
}

/// The end of a file.
pub(crate) struct Tail {
    range: Range<u64>,
    bytes: Bytes,
}

impl Tail {
    /// Reads so much that there is nothing more to read for most files.
    pub(crate) fn read(source: &Source) -> Result<Self, Error> {
        let size = source.size();
        let range = size.saturating_sub(tail_bytes(size))..size;
        let bytes = source.read(std::slice::from_ref(&range))?;
        let bytes = bytes.into_iter().next().unwrap_or_default();
        Ok(Self { range, bytes })
    }

    /// The footer, without page indexes.
    pub(crate) fn metadata(&self, source: &Source) -> Result<ParquetMetaData, Error> {
        let decoder = ParquetMetaDataPushDecoder::try_new(source.size());
        let decoder = decoder.map_err(|error| source.corrupt(source.size(), error.to_string()))?;
        self.decode(
            source,
            decoder.with_page_index_policy(PageIndexPolicy::Skip),
        )
    }

    /// Adds the column indexes of some columns, if there are such, and, if they are asked for, the offset indexes of all.
    ///
    /// Not of all: column indexes that upstream writes of columns with dictionaries in which all is
    /// null lack their bounds, and decoding fails.
    pub(crate) fn with_indexes(
        &self,
        source: &Source,
        metadata: ParquetMetaData,
        columns: &[usize],
        offsets: PageIndexPolicy,
    ) -> Result<ParquetMetaData, Error> {
        let decoder = ParquetMetaDataPushDecoder::try_new_with_metadata(source.size(), metadata);
        let decoder = decoder
            .map_err(|error| source.corrupt(source.size(), error.to_string()))?
            .with_column_index_policy(PageIndexPolicy::Optional)
            .with_offset_index_policy(offsets)
            .with_column_index_mask(ColumnChunkMask::columns(columns.iter().copied()));
        self.decode(source, decoder)
    }

    fn decode(
        &self,
        source: &Source,
        mut decoder: ParquetMetaDataPushDecoder,
    ) -> Result<ParquetMetaData, Error> {
        let size = source.size();
        let corrupt = |problem: String| source.corrupt(size, problem);
        let pushed = decoder.push_range(self.range.clone(), self.bytes.clone());
        pushed.map_err(|error| corrupt(error.to_string()))?;
        loop {
            let wanted = match guarded(|| decoder.try_decode()).map_err(corrupt)? {
                DecodeResult::Data(metadata) => return Ok(metadata),
                DecodeResult::NeedsData(ranges) => ranges,
                DecodeResult::Finished => {
                    return Err(corrupt("the footer is empty".to_owned()));
                }
            };
            for range in &wanted {
                let length = range.end.saturating_sub(range.start);
                let too_much = length > INDEX_BYTES.saturating_add(size / 8);
                if range.start > range.end || range.end > size || too_much {
                    return Err(corrupt("the footer points outside of the file".to_owned()));
                }
            }
            let bytes = source.read(&wanted)?;
            let pushed = decoder.push_ranges(wanted, bytes);
            pushed.map_err(|error| corrupt(error.to_string()))?;
        }
    }
}

/// Columns must look as in upstream's schema. Old tables lack some; new ones may have more, but not both: then a name
/// is damaged.
fn check_columns(schema: &SchemaDescriptor, leaves: &[Option<Leaf>]) -> Result<(), String> {
    for (column, leaf) in schema.columns().iter().zip(leaves) {
        if let &Some(leaf) = leaf {
            check_type(leaf, column)?;
        }
    }
    let unknown = leaves.iter().position(Option::is_none);
    let unknown = unknown.and_then(|i| schema.columns().get(i));
    let table = Table::named(schema.name());
    let missing = table.leaves().find(|&leaf| !leaves.contains(&Some(leaf)));
    match (unknown, missing) {
        (Some(unknown), Some(missing)) => {
            let (unknown, missing) = (unknown.path(), missing.path());
            Err(format!(
                "it has column {unknown}, which is not known, and no {missing}"
            ))
        }
        _ => Ok(()),
    }
}

fn check_type(leaf: Leaf, column: &ColumnDescriptor) -> Result<(), String> {
    let (physical, definition, repetition) = leaf.shape();
    let found = (
        column.physical_type(),
        column.max_def_level(),
        column.max_rep_level(),
    );
    let is_right_size = physical != Type::FIXED_LEN_BYTE_ARRAY || column.type_length() == 16;
    match found == (physical, definition, repetition) && is_right_size {
        true => Ok(()),
        false => Err(format!("column {} has another type", leaf.path())),
    }
}

fn chunk(
    source: &Source,
    leaf: Leaf,
    meta: &ColumnChunkMetaData,
    rows: u32,
    pages: Option<Vec<PageLocation>>,
    index: Option<&ColumnIndexMetaData>,
) -> Result<Chunk, Error> {
    let path = leaf.path();
    let corrupt =
        |problem: &str| source.corrupt(source.size(), format!("column {path}: {problem}"));
    match meta.compression() {
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::GZIP(_)
        | Compression::LZ4
        | Compression::LZ4_RAW
        | Compression::ZSTD(_) => {}
        other => {
            return Err(source.unsupported(format!("column {path} is compressed with {other}")));
        }
    }
    let Some(pages) = pages else {
        return Err(source.unsupported(format!("column {path} has no offset index")));
    };
    let first = pages.first().map(|page| page.offset);
    // Writers may say 0 if there is no dictionary.
    let before = |&start: &i64| start > 0 && Some(start) < first;
    let start = meta.dictionary_page_offset().filter(before);
    let start = start.or(first.map(|first| first.min(meta.data_page_offset())));
    let start = u64::try_from(start.unwrap_or(0)).map_err(|_| corrupt("it has no place"))?;
    let length = u64::try_from(meta.compressed_size()).map_err(|_| corrupt("it has no size"))?;
    let end = start.saturating_add(length);
    if end > source.size() {
        return Err(corrupt("it ends behind the file"));
    }
    check_pages(&pages, start..end, rows).map_err(corrupt)?;
    let dictionary = first.map(|first| start..first as u64);
    let values = u64::try_from(meta.num_values()).map_err(|_| corrupt("it has no values"))?;
    let nulls = meta.statistics().and_then(|s| s.null_count_opt());
    let bounds = match index {
        Some(ColumnIndexMetaData::INT32(index)) if leaf == Leaf::Series => {
            let number = |value: Option<&i32>| value.map(|&series| i64::from(series as u32));
            let page = |i| Some((number(index.min_value(i))?, number(index.max_value(i))?));
            (0..pages.len()).map(page).collect()
        }
        Some(ColumnIndexMetaData::INT64(index)) if leaf == Leaf::Time => {
            let page = |i| Some((*index.min_value(i)?, *index.max_value(i)?));
            (0..pages.len()).map(page).collect()
        }
        _ => Some(Vec::new()),
    };
    let bounds: Option<Vec<_>> = bounds;
    let bounds = bounds.ok_or_else(|| corrupt("its index lacks pages"))?;
    // What the crate would read from the chunk's own offsets is told to it by page locations; an offset that it does
    // not like makes it panic.
    let meta = meta.clone().into_builder();
    let meta = meta
        .set_dictionary_page_offset(None)
        .set_data_page_offset(start as i64)
        .build()
        .map_err(|error| corrupt(&error.to_string()))?;
    Ok(Chunk {
        leaf,
        meta,
        dictionary: dictionary.filter(|span| !span.is_empty()),
        pages,
        values,
        may_have_values: nulls != Some(values),
        bounds,
    })
}

/// Pages follow one another inside of the chunk, each with at least one row.
fn check_pages(pages: &[PageLocation], chunk: Range<u64>, rows: u32) -> Result<(), &'static str> {
    let mut at = chunk.start;
    let mut row = None;
    for page in pages {
        let start = u64::try_from(page.offset);
        let length = u64::try_from(page.compressed_page_size);
        let (Ok(start), Ok(length)) = (start, length) else {
            return Err("a page has no place");
        };
        if start < at || length == 0 || start.saturating_add(length) > chunk.end {
            return Err("a page lies outside of it");
        }
        let is_next = match row {
            None => page.first_row_index == 0,
            Some(row) => page.first_row_index > row,
        };
        if !is_next || page.first_row_index >= i64::from(rows) {
            return Err("its pages do not follow one another");
        }
        row = Some(page.first_row_index);
        at = start.saturating_add(length);
    }
    match pages.is_empty() && rows > 0 {
        true => Err("it has rows and no pages"),
        false => Ok(()),
    }
}
