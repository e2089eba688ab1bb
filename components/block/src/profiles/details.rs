//! Columns of rows that only compaction and pprof answers need.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArrayType, Int64Type};

use super::Annotation;
use super::cursor::{Cursor, Levels};
use super::fetch::Fetched;
use super::footer::Group;
use super::headers::flat;
use super::schema::Leaf;
use super::source::Source;
use crate::error::Error;

/// What else is known of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// How long it took, in nanoseconds; 0 if not known.
    pub duration_ns: i64,
    /// Period of a sampling profiler, 0 if not known.
    pub period: i64,
    /// Index of a string in the pushed profile, 0 if there is none.
    pub default_sample_type: i64,
    /// Notes of the distributor.
    pub annotations: Vec<Annotation>,
    /// The documentation link of the pushed profile; empty if there is none.
    pub doc_url: String,
}

/// Leaves that [`read`] reads.
pub(crate) const LEAVES: [Leaf; 5] = [
    Leaf::Duration,
    Leaf::Period,
    Leaf::DefaultSampleType,
    Leaf::AnnotationKey,
    Leaf::AnnotationValue,
];

/// Details of rows, without links.
pub(crate) fn read(
    source: &Source,
    group: &Group,
    rows: &[Range<u32>],
    fetched: &Arc<Fetched>,
) -> Result<Vec<Details>, Error> {
    let count = rows.iter().map(ExactSizeIterator::len).sum();
    let mut details = vec![Details::default(); count];
    let column = |leaf| optional(source, group, leaf, rows, fetched);
    let columns = (
        column(Leaf::Duration)?,
        column(Leaf::Period)?,
        column(Leaf::DefaultSampleType)?,
    );
    let lists = annotations(source, group, rows, fetched)?;
    let at = |column: &[i64], i: usize| column.get(i).copied().unwrap_or(0);
    for (i, (one, list)) in details.iter_mut().zip(lists).enumerate() {
        one.duration_ns = at(&columns.0, i);
        one.period = at(&columns.1, i);
        one.default_sample_type = at(&columns.2, i);
        one.annotations = list;
    }
    Ok(details)
}

/// Ids of rows; empty if the file has none.
pub(crate) fn ids(
    source: &Source,
    group: &Group,
    rows: &[Range<u32>],
    fetched: &Arc<Fetched>,
) -> Result<Vec<[u8; 16]>, Error> {
    let mut ids = Vec::new();
    flat::<FixedLenByteArrayType>(source, group, Leaf::Id, rows, fetched, &mut ids)?;
    let id = |id: &parquet::data_type::FixedLenByteArray| id.data().try_into().unwrap_or_default();
    Ok(ids.iter().map(id).collect())
}

/// A column that may be null, 0 for null; empty if the file does not have it.
fn optional(
    source: &Source,
    group: &Group,
    leaf: Leaf,
    rows: &[Range<u32>],
    fetched: &Arc<Fetched>,
) -> Result<Vec<i64>, Error> {
    let Some(chunk) = group.chunk(leaf) else {
        return Ok(Vec::new());
    };
    let mut cursor = Cursor::<Int64Type>::new(source, group, chunk, fetched)?;
    let mut levels = Levels::default();
    let mut values = Vec::new();
    for range in rows.iter().filter(|range| !range.is_empty()) {
        cursor.read(range.clone(), &mut levels, &mut values)?;
    }
    let mut values = values.into_iter();
    let value = |&level: &i16| (level > 0).then(|| values.next()).flatten().unwrap_or(0);
    Ok(levels.definition.iter().map(value).collect())
}

/// By row, its annotations; a list for each row.
fn annotations(
    source: &Source,
    group: &Group,
    rows: &[Range<u32>],
    fetched: &Arc<Fetched>,
) -> Result<Vec<Vec<Annotation>>, Error> {
    let count: usize = rows.iter().map(ExactSizeIterator::len).sum();
    let (Some(keys), Some(values)) = (
        group.chunk(Leaf::AnnotationKey),
        group.chunk(Leaf::AnnotationValue),
    ) else {
        return Ok(vec![Vec::new(); count]);
    };
    let mut key_cursor = Cursor::<ByteArrayType>::new(source, group, keys, fetched)?;
    let mut value_cursor = Cursor::<ByteArrayType>::new(source, group, values, fetched)?;
    let mut levels = (Levels::default(), Levels::default());
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for range in rows.iter().filter(|range| !range.is_empty()) {
        key_cursor.read(range.clone(), &mut levels.0, &mut keys)?;
        value_cursor.read(range.clone(), &mut levels.1, &mut values)?;
    }
    let first = rows.first().map_or(0, |range| range.start);
    let uneven = || value_cursor.corrupt(first, "there are not as many values as keys");
    if levels.0.repetition != levels.1.repetition || keys.len() != values.len() {
        return Err(uneven());
    }
    let text = |bytes: &ByteArray| String::from_utf8_lossy(bytes.data()).into_owned();
    let mut pairs = keys.iter().zip(&values);
    let mut lists: Vec<Vec<Annotation>> = Vec::with_capacity(count);
    for (&repetition, &definition) in levels.0.repetition.iter().zip(&levels.0.definition) {
        if repetition == 0 {
            lists.push(Vec::new());
        }
        if definition == 0 {
            continue;
        }
        let (Some((key, value)), Some(list)) = (pairs.next(), lists.last_mut()) else {
            return Err(uneven());
        };
        let (key, value) = (text(key), text(value));
        list.push(Annotation { key, value });
    }
    match lists.len() == count {
        true => Ok(lists),
        false => Err(uneven()),
    }
}
