//! A few rows as columns: what column writers take. Rows are staged because a column writer costs about as much for
//! one row as for a thousand samples.

use bytes::Bytes;
use parquet::data_type::{ByteArray, FixedLenByteArray};

use super::Row;

/// Rows, as values and levels of columns.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(crate) rows: usize,
    pub(crate) ids: Vec<u8>,
    pub(crate) series: Vec<i32>,
    pub(crate) partitions: Vec<i64>,
    pub(crate) totals: Vec<i64>,
    pub(crate) times: Vec<i64>,
    pub(crate) durations: Optional,
    pub(crate) periods: Optional,
    pub(crate) default_sample_types: Optional,
    pub(crate) stacktraces: Vec<i64>,
    pub(crate) values: Vec<i64>,
    /// Repetition levels of the samples: 0 begins a row, 1 goes on.
    pub(crate) repetition: Vec<i16>,
    /// Definition levels of the samples: 0 for a row without samples, else 1.
    pub(crate) definition: Vec<i16>,
    pub(crate) spans: Vec<i64>,
    /// As `definition`, and 2 for a span; empty if no row has spans.
    pub(crate) span_definition: Vec<i16>,
    pub(crate) traces: Vec<u8>,
    /// As `definition`, and 2 for a trace; empty if no row has traces.
    pub(crate) trace_definition: Vec<i16>,
    pub(crate) annotations: Annotations,
    /// A zero for each row: levels of columns in which no row has a value.
    pub(crate) nothing: Vec<i16>,
}

/// A column without lists in which 0 is null.
#[derive(Debug, Default)]
pub(crate) struct Optional {
    pub(crate) values: Vec<i64>,
    pub(crate) definition: Vec<i16>,
}

impl Optional {
    fn push(&mut self, value: i64) {
        self.definition.push(i16::from(value != 0));
        if value != 0 {
            self.values.push(value);
        }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.definition.clear();
    }
}

/// The list of annotations.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    pub(crate) keys: Vec<ByteArray>,
    pub(crate) values: Vec<ByteArray>,
    pub(crate) repetition: Vec<i16>,
    pub(crate) definition: Vec<i16>,
    bytes: usize,
}

impl Annotations {
    fn push(&mut self, row: &Row<'_>) {
        if row.annotations.is_empty() {
            self.repetition.push(0);
            self.definition.push(0);
        }
        for (i, annotation) in row.annotations.iter().enumerate() {
            self.repetition.push(i16::from(i > 0));
            self.definition.push(1);
            self.keys.push(annotation.key.as_str().into());
            self.values.push(annotation.value.as_str().into());
            self.bytes += annotation.key.len() + annotation.value.len();
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
        self.repetition.clear();
        self.definition.clear();
        self.bytes = 0;
    }
}

impl Staged {
    /// Adds a row whose lists fit one another.
    pub(crate) fn push(&mut self, row: &Row<'_>) {
        self.rows += 1;
        self.ids.extend_from_slice(&row.id);
        self.series.push(row.series as i32);
        self.partitions.push(row.partition as i64);
        self.totals.push(row.total as i64);
        self.times.push(row.time_ns);
        self.durations.push(row.duration_ns);
        self.periods.push(row.period);
        self.default_sample_types.push(row.default_sample_type);
        self.annotations.push(row);
        self.nothing.push(0);
        self.push_spans(row);
        self.push_traces(row);
        self.stacktraces
            .extend(row.stacktraces.iter().map(|&id| id as i64));
        self.values.extend_from_slice(row.values);
        let levels = row.values.len().max(1);
        self.repetition.push(0);
        self.repetition
            .resize(self.repetition.len() + levels - 1, 1);
        let level = i16::from(!row.values.is_empty());
        self.definition
            .resize(self.definition.len() + levels, level);
    }

    fn push_spans(&mut self, row: &Row<'_>) {
        if row.spans.is_empty() && self.span_definition.is_empty() {
            return;
        }
        if self.span_definition.is_empty() {
            self.span_definition.clone_from(&self.definition);
        }
        self.spans.extend(row.spans.iter().map(|&span| span as i64));
        let (levels, level) = levels(row, !row.spans.is_empty());
        self.span_definition
            .resize(self.span_definition.len() + levels, level);
    }

    fn push_traces(&mut self, row: &Row<'_>) {
        if row.traces.is_empty() && self.trace_definition.is_empty() {
            return;
        }
        if self.trace_definition.is_empty() {
            self.trace_definition.clone_from(&self.definition);
        }
        if row.traces.is_empty() {
            let (levels, level) = levels(row, false);
            self.trace_definition
                .resize(self.trace_definition.len() + levels, level);
        }
        for trace in row.traces {
            let is_set = *trace != [0; 16];
            self.trace_definition.push(1 + i16::from(is_set));
            if is_set {
                self.traces.extend_from_slice(trace);
            }
        }
    }

    /// Definition levels of an optional leaf of the samples: all null if no row has a value.
    pub(crate) fn levels_of<'a>(&'a self, own: &'a [i16]) -> &'a [i16] {
        match own.is_empty() {
            true => &self.definition,
            false => own,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.rows = 0;
        self.ids.clear();
        self.series.clear();
        self.partitions.clear();
        self.totals.clear();
        self.times.clear();
        self.durations.clear();
        self.periods.clear();
        self.default_sample_types.clear();
        self.stacktraces.clear();
        self.values.clear();
        self.repetition.clear();
        self.definition.clear();
        self.spans.clear();
        self.span_definition.clear();
        self.traces.clear();
        self.trace_definition.clear();
        self.annotations.clear();
        self.nothing.clear();
    }

    /// Bytes of memory in use, roughly.
    pub(crate) fn size_bytes(&self) -> usize {
        let row = 16 + 4 + 6 * 8 + 8 * 2;
        self.rows * row
            + (self.stacktraces.capacity() + self.values.capacity() + self.spans.capacity()) * 8
            + (self.repetition.capacity() + self.definition.capacity()) * 2
            + (self.span_definition.capacity() + self.trace_definition.capacity()) * 2
            + self.traces.capacity()
            + self.annotations.bytes
    }
}

/// Levels of an optional leaf of the samples of a row.
fn levels(row: &Row<'_>, is_set: bool) -> (usize, i16) {
    match row.values.len() {
        0 => (1, 0),
        samples => (samples, 1 + i16::from(is_set)),
    }
}

/// Values of 16 bytes each, as column writers take them: slices of one buffer.
pub(crate) fn fixed(bytes: &[u8]) -> Vec<FixedLenByteArray> {
    let bytes = Bytes::copy_from_slice(bytes);
    let value = |at: usize| FixedLenByteArray::from(ByteArray::from(bytes.slice(at..at + 16)));
    (0..bytes.len() / 16).map(|i| value(i * 16)).collect()
}
