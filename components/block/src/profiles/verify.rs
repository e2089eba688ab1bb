//! Checks a table from end to end.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::Arc;

use parquet::basic::Type;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::fetch::{Fetched, fetch};
use super::footer::{Chunk, Group, Tail};
use super::guard::guarded;
use super::reader::{Profiles, total};
use super::schema::Leaf;
use super::source::Source;
use crate::error::Error;

/// What a table holds that was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rows.
    pub rows: u64,
    /// Samples of all rows.
    pub samples: u64,
    /// Pages of all columns.
    pub pages: u64,
}

/// Bytes of pages that are read at once.
const READ_BYTES: u64 = 8 << 20;

pub(crate) fn verify(profiles: &Profiles) -> Result<Verified, Error> {
    let Profiles { source, footer } = profiles;
    // What an open table keeps of the column index is only what queries need.
    let tail = Tail::read(source)?;
    let metadata = tail.metadata(source)?;
    let mut verified = Verified::default();
    let columns = Leaf::of(metadata.file_metadata().schema_descr());
    for (column, leaf) in columns.into_iter().enumerate() {
        let Some(leaf) = leaf else {
            continue;
        };
        let indexed = tail.with_indexes(source, metadata.clone(), &[column], PageIndexPolicy::Skip);
        let indexed = match indexed {
            // Upstream's own are known to be broken.
            Err(_) if matches!(leaf, Leaf::Span | Leaf::Trace) => None,
            indexed => Some(indexed?),
        };
        for (i, group) in footer.groups.iter().enumerate() {
            let index = indexed.as_ref().map(|m| m.page_index_for_row_group(i));
            let index = index.as_ref().map(|index| index.column_index(column));
            if index == Some(None) {
                let problem = format!("column {} has no column index", leaf.path());
                return Err(source.unsupported(problem));
            }
            if let Some(chunk) = group.chunk(leaf) {
                verify_chunk(source, group, chunk, index.flatten())?;
                verified.pages = verified.pages.saturating_add(chunk.pages.len() as u64);
            }
        }
    }
    verify_rows(profiles, &mut verified)?;
    Ok(verified)
}

fn verify_rows(profiles: &Profiles, verified: &mut Verified) -> Result<(), Error> {
    let mut scan = profiles.scan(0..profiles.rows(), READ_BYTES as usize);
    // Phlare wrote samples without a value before there were partitions.
    let least = i64::from(profiles.has_partitions());
    let mut last = None;
    while let Some(row) = scan.next()? {
        let problem = if last > Some((row.series, row.time_ns)) {
            "lies before the row before it in series and time"
        } else if row.values.iter().any(|&value| value < least) {
            "has a value that is not greater than 0"
        } else if row.total != total(row.values) {
            "has a total that is not the sum of its values"
        } else {
            last = Some((row.series, row.time_ns));
            verified.rows = verified.rows.saturating_add(1);
            verified.samples = verified.samples.saturating_add(row.values.len() as u64);
            continue;
        };
        return Err(profiles.bad_row(verified.rows, problem));
    }
    Ok(())
}

impl Profiles {
    /// The error of a row, counted in the file, that is at odds with others or with other files.
    pub(crate) fn bad_row(&self, row: u64, problem: &str) -> Error {
        let problem = format!("row {row} {problem}");
        self.source.corrupt(page_of(self, row), problem)
    }
}

/// Where the page with the values of a row begins.
fn page_of(profiles: &Profiles, row: u64) -> u64 {
    let groups = &profiles.footer.groups;
    let behind = groups.partition_point(|group| group.first_row <= row);
    let group = behind.checked_sub(1).and_then(|i| groups.get(i));
    let Some((group, chunk)) = group.and_then(|g| Some((g, g.chunk(Leaf::Value)?))) else {
        return 0;
    };
    let row = row.saturating_sub(group.first_row) as u32;
    chunk.page_span(chunk.page_of(row)).start
}

/// Decodes each page by itself and compares it with what the indexes say of it.
fn verify_chunk(
    source: &Source,
    group: &Group,
    chunk: &Chunk,
    index: Option<&ColumnIndexMetaData>,
) -> Result<(), Error> {
    if index.is_some_and(|index| index.num_pages() != chunk.pages.len() as u64) {
        let path = chunk.leaf.path();
        let problem = format!("column {path}: its indexes have different numbers of pages");
        return Err(source.corrupt(source.size(), problem));
    }
    let mut values = 0u64;
    let mut page = 0;
    while page < chunk.pages.len() {
        let pages = page..reading_end(chunk, page);
        let rows = chunk.page_rows(page, group.rows).start
            ..chunk.page_rows(pages.end.saturating_sub(1), group.rows).end;
        let fetched = fetch(source, group, &[chunk.leaf], std::slice::from_ref(&rows))?;
        for page in pages.clone() {
            let checked = match chunk.meta.column_type() {
                Type::INT32 => check::<Int32Type>(group, chunk, page, index, &fetched),
                Type::INT64 => check::<Int64Type>(group, chunk, page, index, &fetched),
                Type::BYTE_ARRAY => check::<ByteArrayType>(group, chunk, page, index, &fetched),
                _ => check::<FixedLenByteArrayType>(group, chunk, page, index, &fetched),
            };
            let levels = checked.map_err(|problem| {
                let path = chunk.leaf.path();
                let offset = chunk.page_span(page).start;
                source.corrupt(offset, format!("page of column {path}: {problem}"))
            })?;
            values = values.saturating_add(levels);
        }
        page = pages.end;
    }
    match values == chunk.values {
        true => Ok(()),
        false => {
            let path = chunk.leaf.path();
            let problem = format!(
                "column {path}: it has {values} values, not {}",
                chunk.values
            );
            Err(source.corrupt(chunk.page_span(0).start, problem))
        }
    }
}

/// The page behind those that are read at once with a page.
fn reading_end(chunk: &Chunk, first: usize) -> usize {
    let start = chunk.page_span(first).start;
    let near = |&page: &usize| chunk.page_span(page).end.saturating_sub(start) <= READ_BYTES;
    let more = (first.saturating_add(1)..chunk.pages.len())
        .take_while(near)
        .count();
    first.saturating_add(1).saturating_add(more)
}

/// Decodes a page; its number of values, nulls included.
fn check<T: Bounded>(
    group: &Group,
    chunk: &Chunk,
    page: usize,
    index: Option<&ColumnIndexMetaData>,
    fetched: &Arc<Fetched>,
) -> Result<u64, String> {
    let rows = chunk.page_rows(page, group.rows).len();
    let (records, levels, values) = guarded(|| {
        let locations = Some(chunk.pages.clone());
        let all = Arc::clone(fetched);
        let inner = SerializedPageReader::new(all, &chunk.meta, group.rows as usize, locations)?;
        let pages = OnePage {
            inner,
            dictionary: chunk.dictionary.is_some(),
            before: page,
            is_done: false,
        };
        let column = chunk.meta.column_descr_ptr();
        let mut reader = ColumnReaderImpl::<T>::new(column, Box::new(pages));
        let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (records, _, levels) = reader.read_records(
            usize::MAX,
            Some(&mut definition),
            Some(&mut repetition),
            &mut values,
        )?;
        Ok((records, levels, values))
    })?;
    if records != rows {
        return Err(format!(
            "it has {records} rows, the offset index says {rows}"
        ));
    }
    let Some(index) = index else {
        return Ok(levels as u64);
    };
    let nulls = levels.saturating_sub(values.len()) as i64;
    if index.null_count(page).is_some_and(|said| said != nulls) {
        return Err(format!(
            "it has {nulls} nulls, the column index says otherwise"
        ));
    }
    if index.is_null_page(page) != values.is_empty() {
        return Err("the column index is wrong about its being null".to_owned());
    }
    match T::are_within(chunk.leaf, &values, index, page) {
        true => Ok(levels as u64),
        false => Err("values lie outside of the bounds of the column index".to_owned()),
    }
}

/// Types that column indexes have bounds for.
trait Bounded: DataType {
    fn are_within(leaf: Leaf, values: &[Self::T], index: &ColumnIndexMetaData, page: usize)
    -> bool;
}

/// Whether all values lie between two, which may be missing if there are none.
fn within<V: Ord>(mut values: impl Iterator<Item = V>, min: Option<V>, max: Option<V>) -> bool {
    match (min, max) {
        (Some(min), Some(max)) => values.all(|value| min <= value && value <= max),
        _ => values.next().is_none(),
    }
}

impl Bounded for Int32Type {
    fn are_within(_: Leaf, values: &[i32], index: &ColumnIndexMetaData, page: usize) -> bool {
        let ColumnIndexMetaData::INT32(index) = index else {
            return false;
        };
        let unsigned = |value: &i32| *value as u32;
        let (min, max) = (index.min_value(page), index.max_value(page));
        within(
            values.iter().map(unsigned),
            min.map(unsigned),
            max.map(unsigned),
        )
    }
}

impl Bounded for Int64Type {
    fn are_within(leaf: Leaf, values: &[i64], index: &ColumnIndexMetaData, page: usize) -> bool {
        let ColumnIndexMetaData::INT64(index) = index else {
            return false;
        };
        let (min, max) = (index.min_value(page), index.max_value(page));
        if !leaf.is_unsigned() {
            return within(values.iter(), min, max);
        }
        let unsigned = |value: &i64| *value as u64;
        within(
            values.iter().map(unsigned),
            min.map(unsigned),
            max.map(unsigned),
        )
    }
}

impl Bounded for FixedLenByteArrayType {
    fn are_within(
        _: Leaf,
        values: &[FixedLenByteArray],
        index: &ColumnIndexMetaData,
        page: usize,
    ) -> bool {
        let ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) = index else {
            return false;
        };
        let (min, max) = (index.min_value(page), index.max_value(page));
        within(values.iter().map(|value| value.data()), min, max)
    }
}

impl Bounded for ByteArrayType {
    fn are_within(_: Leaf, values: &[ByteArray], index: &ColumnIndexMetaData, page: usize) -> bool {
        let ColumnIndexMetaData::BYTE_ARRAY(index) = index else {
            return false;
        };
        let (min, max) = (index.min_value(page), index.max_value(page));
        within(values.iter().map(ByteArray::data), min, max)
    }
}

/// One page of a column chunk, after its dictionary.
struct OnePage {
    inner: SerializedPageReader<Fetched>,
    dictionary: bool,
    /// Pages to be left out.
    before: usize,
    is_done: bool,
}

impl PageReader for OnePage {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        if std::mem::take(&mut self.dictionary) {
            return self.inner.get_next_page();
        }
        for _ in 0..std::mem::take(&mut self.before) {
            self.inner.skip_next_page()?;
        }
        match std::mem::replace(&mut self.is_done, true) {
            true => Ok(None),
            false => self.inner.get_next_page(),
        }
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        // Asked for when levels are at their end: there is no page that could go on with a row.
        Ok(None)
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.get_next_page().map(|_| ())
    }
}

impl Iterator for OnePage {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
