//! What queries choose rows by: series, time, partition and total.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use parquet::data_type::{DataType, Int32Type, Int64Type};

use super::cursor::Cursor;
use super::fetch::{Fetched, fetch};
use super::footer::{Chunk, Group};
use super::schema::Leaf;
use super::source::Source;
use crate::error::Error;

const LEAVES: [Leaf; 4] = [Leaf::Series, Leaf::Time, Leaf::Total, Leaf::Partition];

/// Columns of rows of a row group, as long as one another. 28 bytes a row: worth keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The rows that these are, counted in the row group; ascending.
    pub rows: Vec<Range<u32>>,
    /// Rank of the series.
    pub series: Vec<u32>,
    /// When the profile was taken, in nanoseconds since 1970.
    pub time_ns: Vec<i64>,
    /// Sum of the values; empty if the file does not say: [`super::Profiles::has_totals`].
    pub total: Vec<u64>,
    /// Partition of the symbols, 0 in files that have no such column.
    pub partition: Vec<u64>,
}

impl Headers {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Parts of one row group, ascending, as one.
    #[must_use]
    pub fn join<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut joined = Self::default();
        for part in parts {
            for range in &part.rows {
                match joined.rows.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => joined.rows.push(range.clone()),
                }
            }
            joined.series.extend_from_slice(&part.series);
            joined.time_ns.extend_from_slice(&part.time_ns);
            joined.total.extend_from_slice(&part.total);
            joined.partition.extend_from_slice(&part.partition);
        }
        joined
    }

    /// Where a row of the row group is in these columns; `None` if it is not. O(ranges in
    /// `rows`).
    #[must_use]
    pub fn place(&self, row: u32) -> Option<usize> {
        let mut before = 0usize;
        for range in &self.rows {
            if row < range.end {
                let at = row.checked_sub(range.start)?;
                return Some(before.saturating_add(at as usize));
            }
            before = before.saturating_add(range.len());
        }
        None
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let long = [
            self.time_ns.capacity(),
            self.total.capacity(),
            self.partition.capacity(),
        ];
        let long = long
            .iter()
            .fold(self.rows.capacity(), |sum, &n| sum.saturating_add(n));
        let short = self.series.capacity().saturating_mul(4);
        long.saturating_mul(8).saturating_add(short)
    }

    /// Where the rows of a series and time range are in these columns. O(log rows).
    #[must_use]
    pub fn find(&self, series: u32, time_ns: RangeInclusive<i64>) -> Range<usize> {
        let (from, to) = (*time_ns.start(), *time_ns.end());
        let start = self.series.partition_point(|&s| s < series);
        let end = self.series.partition_point(|&s| s <= series);
        let times = self.time_ns.get(start..end).unwrap_or_default();
        let first = times.partition_point(|&time| time < from);
        let last = times.partition_point(|&time| time <= to).max(first);
        start.saturating_add(first)..start.saturating_add(last)
    }

    /// The rows of the row group that are at these places of the columns, ascending. O(ranges in `rows`).
    #[must_use]
    pub fn rows_at(&self, places: Range<usize>) -> Vec<Range<u32>> {
        let mut at = 0usize;
        let mut found = Vec::new();
        for rows in &self.rows {
            let length = rows.len();
            let end = at.saturating_add(length);
            let from = places.start.clamp(at, end).saturating_sub(at) as u32;
            let to = places.end.clamp(at, end).saturating_sub(at) as u32;
            if from < to {
                found.push(rows.start.saturating_add(from)..rows.start.saturating_add(to));
            }
            at = end;
        }
        found
    }
}

/// Reads the headers of these rows, with one read of the file.
pub(crate) fn headers(
    source: &Source,
    group: &Group,
    rows: Vec<Range<u32>>,
) -> Result<Headers, Error> {
    let fetched = fetch(source, group, &LEAVES, &rows)?;
    decode(source, group, rows, &fetched)
}

/// Decodes the headers of rows whose pages were fetched.
pub(crate) fn decode(
    source: &Source,
    group: &Group,
    rows: Vec<Range<u32>>,
    fetched: &Arc<Fetched>,
) -> Result<Headers, Error> {
    let mut read = Headers::default();
    let mut short = Vec::new();
    flat::<Int32Type>(source, group, Leaf::Series, &rows, fetched, &mut short)?;
    read.series = short.into_iter().map(|series| series as u32).collect();
    flat::<Int64Type>(source, group, Leaf::Time, &rows, fetched, &mut read.time_ns)?;
    let mut long = Vec::new();
    flat::<Int64Type>(source, group, Leaf::Total, &rows, fetched, &mut long)?;
    read.total = long.into_iter().map(|total| total as u64).collect();
    let mut long = Vec::new();
    flat::<Int64Type>(source, group, Leaf::Partition, &rows, fetched, &mut long)?;
    read.partition = long.into_iter().map(|partition| partition as u64).collect();
    read.partition.resize(read.series.len(), 0);
    read.rows = rows;
    Ok(read)
}

/// Appends a column without lists and nulls; nothing if the file does not have it.
pub(crate) fn flat<T: DataType>(
    source: &Source,
    group: &Group,
    leaf: Leaf,
    rows: &[Range<u32>],
    fetched: &Arc<Fetched>,
    values: &mut Vec<T::T>,
) -> Result<(), Error> {
    let Some(chunk) = group.chunk(leaf) else {
        return Ok(());
    };
    let mut cursor = Cursor::<T>::new(source, group, chunk, fetched)?;
    for range in rows.iter().filter(|range| !range.is_empty()) {
        values.reserve(range.len());
        cursor.read_flat(range.clone(), values)?;
    }
    Ok(())
}

/// Pages of the column of series that may hold rows of one of these series, which ascend, in a time range.
pub(crate) fn pages_of(group: &Group, series: &[u32], time_ns: &RangeInclusive<i64>) -> Vec<usize> {
    let Some(chunk) = group.chunk(Leaf::Series) else {
        return Vec::new();
    };
    let times = group.chunk(Leaf::Time);
    let may_hold = |&page: &usize| {
        let has_series = chunk.bounds.get(page).is_none_or(|&(min, max)| {
            let first = series.partition_point(|&s| i64::from(s) < min);
            series.get(first).is_some_and(|&s| i64::from(s) <= max)
        });
        let rows = chunk.page_rows(page, group.rows);
        has_series && times.is_none_or(|times| may_be_in(times, &rows, time_ns))
    };
    (0..chunk.pages.len()).filter(may_hold).collect()
}

/// Whether one of these rows may have its time in a range.
fn may_be_in(times: &Chunk, rows: &Range<u32>, time_ns: &RangeInclusive<i64>) -> bool {
    let pages = times.pages_of(std::slice::from_ref(rows));
    pages.into_iter().any(|page| {
        let bounds = times.bounds.get(page);
        bounds.is_none_or(|(min, max)| min <= time_ns.end() && time_ns.start() <= max)
    })
}

/// Reads the headers of these pages of the column of series, each apart, with one read of the file.
pub(crate) fn of_pages(
    source: &Source,
    group: &Group,
    pages: &[usize],
) -> Result<Vec<Headers>, Error> {
    let rows_of = |&page: &usize| {
        let chunk = group.chunk(Leaf::Series);
        chunk.map_or(0..0, |chunk| chunk.page_rows(page, group.rows))
    };
    let rows: Vec<Range<u32>> = pages.iter().map(rows_of).collect();
    let fetched = fetch(source, group, &LEAVES, &rows)?;
    let decode = |rows| decode(source, group, std::iter::once(rows).collect(), &fetched);
    rows.into_iter().map(decode).collect()
}

/// Totals of these rows, with one read of the file.
pub(crate) fn totals(
    source: &Source,
    group: &Group,
    rows: &[Range<u32>],
) -> Result<Vec<u64>, Error> {
    let fetched = fetch(source, group, &[Leaf::Total], rows)?;
    let mut totals = Vec::new();
    flat::<Int64Type>(source, group, Leaf::Total, rows, &fetched, &mut totals)?;
    Ok(totals.into_iter().map(|total| total as u64).collect())
}
