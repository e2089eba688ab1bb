//! Samples of rows.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType, Int64Type};

use super::cursor::{Cursor, Levels};
use super::fetch::{Fetched, fetch};
use super::footer::Group;
use super::schema::Leaf;
use super::source::Source;
use super::split::SplitCursor;
use crate::error::Error;

/// What is read beside stack traces and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Spans.
    pub spans: bool,
    /// Traces.
    pub traces: bool,
}

/// Samples of a row. The lists are as long as one another, or empty where nothing is known or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRow<'a> {
    /// The row, counted in its row group.
    pub row: u32,
    /// Stack traces, as the symbols of the row's partition number them.
    pub stacktraces: &'a [u64],
    /// Values.
    pub values: &'a [i64],
    /// Spans, 0 for a sample without one; empty if none has one.
    pub spans: &'a [u64],
    /// Traces, zeros for a sample without one; empty if none has one.
    pub traces: &'a [[u8; 16]],
}

/// Samples that are decoded at once: enough for loops over them, few enough for the second cache.
const BATCH_SAMPLES: u64 = 32 << 10;

/// Samples of successive rows, in one list.
#[derive(Debug, Default)]
pub(crate) struct SampleBatch {
    first_row: u32,
    /// By row, the sample behind its last.
    ends: Vec<usize>,
    stacktraces: Vec<u64>,
    values: Vec<i64>,
    /// As many as samples, or none.
    spans: Vec<u64>,
    /// By row, whether it has spans.
    has_spans: Vec<bool>,
    traces: Vec<[u8; 16]>,
    has_traces: Vec<bool>,
    /// Of the column that is being read.
    levels: Levels,
    other_ends: Vec<usize>,
    fixed: Vec<FixedLenByteArray>,
}

/// Decodes samples of rows that ascend.
pub(crate) struct SampleReader<'a> {
    stacktraces: SampleCursor<'a>,
    values: SampleCursor<'a>,
    spans: Option<Cursor<'a, Int64Type>>,
    traces: Option<Cursor<'a, FixedLenByteArrayType>>,
    rows_of_a_batch: u32,
}

/// A column that has a value for each sample.
enum SampleCursor<'a> {
    Split(SplitCursor<'a>),
    Other(Box<Cursor<'a, Int64Type>>),
}

impl Columns {
    /// Leaves of the samples that have to be read.
    pub(crate) fn leaves(self, group: &Group) -> Vec<Leaf> {
        let has = |leaf| group.chunk(leaf).is_some_and(|chunk| chunk.may_have_values);
        let mut leaves = vec![Leaf::Stacktrace, Leaf::Value];
        leaves.extend((self.spans && has(Leaf::Span)).then_some(Leaf::Span));
        leaves.extend((self.traces && has(Leaf::Trace)).then_some(Leaf::Trace));
        leaves
    }
}

/// See [`super::Profiles::samples`].
pub(crate) fn samples(
    source: &Source,
    group: &Group,
    rows: &[Range<u32>],
    want: Columns,
    each: &mut dyn FnMut(SampleRow<'_>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let leaves = want.leaves(group);
    let fetched = fetch(source, group, &leaves, rows)?;
    let mut reader = SampleReader::new(source, group, &leaves, &fetched)?;
    let mut batch = SampleBatch::default();
    for range in rows {
        for rows in reader.batches(range.clone()) {
            reader.read(rows, &mut batch)?;
            if batch.rows().try_for_each(&mut *each).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl<'a> SampleReader<'a> {
    pub(crate) fn new(
        source: &'a Source,
        group: &'a Group,
        leaves: &[Leaf],
        fetched: &Arc<Fetched>,
    ) -> Result<Self, Error> {
        let chunk = |leaf: Leaf| group.chunk(leaf).filter(|_| leaves.contains(&leaf));
        let required = |leaf: Leaf| {
            let missing = || source.unsupported(format!("it has no column {}", leaf.path()));
            chunk(leaf).ok_or_else(missing)
        };
        let cursor = |chunk| match SplitCursor::new(source, group.rows, chunk, fetched) {
            Some(cursor) => Ok(SampleCursor::Split(cursor)),
            None => {
                let cursor = Cursor::new(source, group, chunk, fetched)?;
                Ok(SampleCursor::Other(Box::new(cursor)))
            }
        };
        let values = required(Leaf::Value)?;
        let mean = values.values.checked_div(u64::from(group.rows));
        let rows = BATCH_SAMPLES.checked_div(mean.unwrap_or(1).max(1));
        Ok(Self {
            stacktraces: cursor(required(Leaf::Stacktrace)?)?,
            values: cursor(values)?,
            spans: match chunk(Leaf::Span) {
                Some(chunk) => Some(Cursor::new(source, group, chunk, fetched)?),
                None => None,
            },
            traces: match chunk(Leaf::Trace) {
                Some(chunk) => Some(Cursor::new(source, group, chunk, fetched)?),
                None => None,
            },
            rows_of_a_batch: rows.unwrap_or(1).clamp(1, 4096) as u32,
        })
    }

    /// Cuts rows into batches.
    pub(crate) fn batches(&self, rows: Range<u32>) -> impl Iterator<Item = Range<u32>> + use<> {
        let step = self.rows_of_a_batch;
        let starts = rows.clone().step_by(step as usize);
        starts.map(move |start| start..start.saturating_add(step).min(rows.end))
    }

    pub(crate) fn read(&mut self, rows: Range<u32>, batch: &mut SampleBatch) -> Result<(), Error> {
        batch.clear(rows.start);
        let levels = &mut batch.levels;
        self.stacktraces.read(
            rows.clone(),
            levels,
            &mut batch.ends,
            &mut batch.stacktraces,
        )?;
        let mut values = unsigned(std::mem::take(&mut batch.values));
        self.values
            .read(rows.clone(), levels, &mut batch.other_ends, &mut values)?;
        batch.values = signed(values);
        if batch.ends != batch.other_ends || batch.values.len() != batch.stacktraces.len() {
            return Err(self.uneven(rows.start));
        }
        if let Some(cursor) = &mut self.spans {
            let mut spans = signed(std::mem::take(&mut batch.spans));
            batch.levels.clear();
            cursor.read(rows.clone(), &mut batch.levels, &mut spans)?;
            if !batch.spread_spans(unsigned(spans)) {
                return Err(self.uneven(rows.start));
            }
        }
        if let Some(cursor) = &mut self.traces {
            batch.levels.clear();
            cursor.read(rows.clone(), &mut batch.levels, &mut batch.fixed)?;
            if !batch.spread_traces() {
                return Err(self.uneven(rows.start));
            }
        }
        Ok(())
    }

    fn uneven(&self, row: u32) -> Error {
        let problem = "it has other samples than the columns beside it";
        match &self.values {
            SampleCursor::Split(cursor) => cursor.corrupt_at(row, problem),
            SampleCursor::Other(cursor) => cursor.corrupt(row, problem),
        }
    }
}

impl SampleCursor<'_> {
    /// Appends the values of rows, and for each row the number of values up to its end.
    fn read(
        &mut self,
        rows: Range<u32>,
        levels: &mut Levels,
        ends: &mut Vec<usize>,
        values: &mut Vec<u64>,
    ) -> Result<(), Error> {
        let cursor = match self {
            Self::Split(cursor) => return cursor.read(rows, ends, values),
            Self::Other(cursor) => cursor,
        };
        levels.clear();
        let mut bits = signed(std::mem::take(values));
        cursor.read(rows.clone(), levels, &mut bits)?;
        *values = unsigned(bits);
        match levels.ends_of_rows(1, ends) == values.len() {
            true => Ok(()),
            false => Err(cursor.corrupt(rows.start, "it has other values than levels")),
        }
    }
}

impl SampleBatch {
    /// The rows, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = SampleRow<'_>> {
        (0..self.ends.len()).map(|i| self.row(i))
    }

    /// A row, counted in the batch; without samples if there is no such row.
    pub(crate) fn row(&self, index: usize) -> SampleRow<'_> {
        let end = |i: usize| self.ends.get(i).copied();
        let start = index.checked_sub(1).and_then(end).unwrap_or(0);
        let range = start..end(index).unwrap_or(start);
        let has = |flags: &Vec<bool>| flags.get(index).copied().unwrap_or(false);
        let spans = if has(&self.has_spans) {
            range.clone()
        } else {
            0..0
        };
        let traces = if has(&self.has_traces) {
            range.clone()
        } else {
            0..0
        };
        SampleRow {
            row: self.first_row.saturating_add(index as u32),
            stacktraces: self.stacktraces.get(range.clone()).unwrap_or_default(),
            values: self.values.get(range).unwrap_or_default(),
            spans: self.spans.get(spans).unwrap_or_default(),
            traces: self.traces.get(traces).unwrap_or_default(),
        }
    }

    /// Bytes of memory held.
    pub(crate) fn size_bytes(&self) -> usize {
        let words = [
            self.ends.capacity(),
            self.stacktraces.capacity(),
            self.values.capacity(),
            self.spans.capacity(),
            self.levels.definition.capacity(),
            self.other_ends.capacity(),
        ];
        let words: usize = words.iter().sum();
        words
            .saturating_add(self.traces.capacity().saturating_mul(6))
            .saturating_mul(8)
    }

    fn clear(&mut self, first_row: u32) {
        self.first_row = first_row;
        self.ends.clear();
        self.stacktraces.clear();
        self.values.clear();
        self.spans.clear();
        self.has_spans.clear();
        self.traces.clear();
        self.has_traces.clear();
        self.levels.clear();
        self.other_ends.clear();
        self.fixed.clear();
    }

    /// Gives each sample its span; `false` if levels do not fit.
    fn spread_spans(&mut self, mut spans: Vec<u64>) -> bool {
        let samples = self.values.len();
        // The usual case is that all samples have one, or that none has.
        if spans.len() != samples {
            let mut rest = spans.iter();
            let levels = self.levels.definition.iter().filter(|&&level| level > 0);
            let mut span = |&level: &i16| (level == 2).then(|| rest.next().copied()).flatten();
            spans = levels.map(|level| span(level).unwrap_or(0)).collect();
        }
        self.spans = spans;
        mark(&self.levels, &mut self.has_spans);
        self.spans.len() == samples && self.has_rows_of_levels()
    }

    fn spread_traces(&mut self) -> bool {
        let mut rest = self.fixed.iter();
        let levels = self.levels.definition.iter().filter(|&&level| level > 0);
        let trace = |&level: &i16| {
            let value = (level == 2).then(|| rest.next()).flatten();
            value
                .and_then(|v| v.data().try_into().ok())
                .unwrap_or([0; 16])
        };
        self.traces.extend(levels.map(trace));
        mark(&self.levels, &mut self.has_traces);
        self.traces.len() == self.values.len() && self.has_rows_of_levels()
    }

    /// Whether the levels have the same samples in the same rows.
    fn has_rows_of_levels(&mut self) -> bool {
        self.other_ends.clear();
        self.levels.ends_of_rows(1, &mut self.other_ends);
        self.ends == self.other_ends
    }
}

/// By row, whether one of its samples has a value.
fn mark(levels: &Levels, rows: &mut Vec<bool>) {
    for (&repetition, &definition) in levels.repetition.iter().zip(&levels.definition) {
        let is_set = definition == 2;
        match rows.last_mut() {
            Some(row) if repetition > 0 => *row |= is_set,
            _ => rows.push(is_set),
        }
    }
}

/// The file's INT64 of unsigned columns are bits; the buffer is used again, nothing is copied.
fn unsigned(values: Vec<i64>) -> Vec<u64> {
    values.into_iter().map(|value| value as u64).collect()
}

fn signed(values: Vec<u64>) -> Vec<i64> {
    values.into_iter().map(|value| value as i64).collect()
}
