//! The one writer of a head: from a normalised profile to log record and rows.

use std::sync::Arc;

use phlare_pprof::normalized::{NO_TRACE, Normalized};

use crate::active::ActiveSeries;
use crate::chunk::{self, Header, Sample};
use crate::defined::Defined;
use crate::head::{Append, Head, Incoming, Row, Values};
use crate::record::{self, Profile};
use crate::series::{Series, SeriesIndex};
use crate::symbols::{Full, Importer, StacktraceId};

/// Buffers above this are given back after the record that needed them.
const KEEP_BYTES: usize = 4 << 20;

/// State and buffers of appending; a lock around it gives records and ids one order.
#[derive(Debug, Default)]
pub(crate) struct Appender {
    importer: Importer,
    pub(crate) defined: Defined,
    pub(crate) active: ActiveSeries,
    record: record::Writer,
    /// Ids of the profile's stacks.
    stacktraces: Vec<StacktraceId>,
    /// (stack trace, index of the sample) of the group in `ordered_group`, sorted.
    order: Vec<(StacktraceId, u32)>,
    ordered_group: Option<usize>,
    samples: Vec<Sample>,
    /// Rows of the record, one after another; `ends` has where each ends.
    encoded: Vec<u8>,
    ends: Vec<usize>,
}

/// A row with its series.
pub(crate) struct Placed<'a> {
    row: &'a Row,
    index: SeriesIndex,
    series: Arc<Series>,
}

impl Appender {
    /// For the head that takes over: it knows the series that are active.
    pub(crate) fn after(&self, old: &Head, new: &Head) -> Self {
        let mut next = Self::default();
        let old = old.index.read();
        let mut index = new.index.write();
        for (series, seen_ns) in self.active.iter() {
            let Some(series) = old.series().get(series as usize) else {
                continue;
            };
            let known = index.find(&series.labels);
            if let Some(series) = known.or_else(|| index.insert(&series.labels)) {
                next.active.touch(series, seen_ns);
            }
        }
        next
    }

    /// Forgets the previous profile and translates the stacks of the next one.
    pub(crate) fn begin(&mut self, head: &Head, profile: &Normalized<'_>) -> Result<(), Full> {
        self.ordered_group = None;
        self.importer
            .stacks(&head.symbols, profile, &mut self.stacktraces)
    }

    /// The rows, each with its series; `known` has those that exist, the others are made.
    /// `None`: there is no index left.
    pub(crate) fn place<'a>(
        head: &Head,
        rows: &[&'a Row],
        known: &[Option<SeriesIndex>],
    ) -> Option<Vec<Placed<'a>>> {
        let mut placed = Vec::with_capacity(rows.len());
        for (&row, &known) in rows.iter().zip(known) {
            let index = match known {
                Some(index) => index,
                None => find_or_insert(head, row)?,
            };
            placed.push(Placed {
                row,
                index,
                series: head.series(index)?,
            });
        }
        Some(placed)
    }

    /// Builds the record of these rows; [`Appender::record`] has it then.
    pub(crate) fn encode(
        &mut self,
        head: &Head,
        profile: &Normalized<'_>,
        placed: &[Placed<'_>],
    ) -> Result<(), Full> {
        let header = header(head, profile)?;
        self.record.clear();
        self.encoded.clear();
        self.ends.clear();
        let symbols = head.symbols.read();
        for string in [header.default_sample_type, header.doc_url] {
            self.defined.string(&mut self.record, &symbols, string);
        }
        for &Placed {
            row,
            index,
            ref series,
        } in placed
        {
            self.fill(profile, row);
            for sample in &self.samples {
                self.defined
                    .stacktrace(&mut self.record, &symbols, sample.stacktrace);
            }
            self.defined.series(&mut self.record, index, &series.labels);
            let start = self.encoded.len();
            chunk::encode(&header, &self.samples, &mut self.encoded);
            self.ends.push(self.encoded.len());
            self.record.profile(&Profile {
                series: index,
                time_ns: profile.time_ns,
                id: row.id,
                partition: row.partition.0,
                cumulative: row.delta,
                samples: &self.encoded[start..],
            });
        }
        Ok(())
    }

    /// The record that [`Appender::encode`] built.
    pub(crate) fn record(&self) -> &[u8] {
        self.record.bytes()
    }

    /// Makes the rows that [`Appender::encode`] encoded visible.
    pub(crate) fn apply(
        &mut self,
        head: &Head,
        time_ns: i64,
        placed: &[Placed<'_>],
        now_ns: i64,
    ) -> Values {
        let mut values = Values::default();
        let mut start = 0;
        for (
            &Placed {
                row,
                index,
                ref series,
            },
            &end,
        ) in placed.iter().zip(&self.ends)
        {
            let added = head.push(&Incoming {
                series,
                time_ns,
                id: row.id,
                partition: row.partition.0,
                cumulative: row.delta,
                encoded: &self.encoded[start..end],
            });
            start = end;
            values.received += added.received;
            values.stored += added.stored;
            self.active.touch(index, now_ns);
        }
        self.record.shrink(KEEP_BYTES);
        if self.encoded.capacity() > KEEP_BYTES {
            self.encoded = Vec::new();
        }
        values
    }

    /// Fills `samples` with the values of one row, sorted by stack trace.
    fn fill(&mut self, profile: &Normalized<'_>, row: &Row) {
        self.sort_group(profile, row.group);
        let columns = profile.sample_types.len();
        self.samples.clear();
        for &(stacktrace, sample) in &self.order {
            let index = sample as usize;
            let value = profile.values[index * columns + row.sample_type];
            if value <= 0 {
                continue;
            }
            let sample = &profile.samples[index];
            let trace_id = match sample.trace {
                NO_TRACE => [0; 16],
                trace => profile.trace_ids[trace as usize],
            };
            self.samples.push(Sample {
                stacktrace,
                value: value as u64,
                span_id: sample.span_id,
                trace_id,
            });
        }
        if row.delta {
            fold_spans(&mut self.samples);
        }
    }

    fn sort_group(&mut self, profile: &Normalized<'_>, group: usize) {
        if self.ordered_group == Some(group) {
            return;
        }
        self.ordered_group = Some(group);
        let samples = &profile.groups[group];
        self.order.clear();
        for sample in samples.first..samples.first + samples.count {
            let stack = profile.samples[sample as usize].stack as usize;
            self.order.push((self.stacktraces[stack], sample));
        }
        self.order.sort_unstable();
    }
}

/// Differences are taken by stack trace, whatever span a sample belongs to.
fn fold_spans(samples: &mut Vec<Sample>) {
    samples.dedup_by(|later, kept| {
        let same = later.stacktrace == kept.stacktrace;
        if same {
            kept.value = kept.value.saturating_add(later.value);
        }
        same
    });
    for sample in samples {
        (sample.span_id, sample.trace_id) = (0, [0; 16]);
    }
}

fn header(head: &Head, profile: &Normalized<'_>) -> Result<Header, Full> {
    Ok(Header {
        duration_ns: profile.duration_ns,
        period: profile.period,
        default_sample_type: string_id(head, profile.default_sample_type)?,
        doc_url: string_id(head, profile.doc_url)?,
    })
}

fn string_id(head: &Head, text: &str) -> Result<u32, Full> {
    if text.is_empty() {
        return Ok(0);
    }
    let known = head.symbols.read().find_string(text);
    match known {
        Some(id) => Ok(id),
        None => head.symbols.write().intern_string(text),
    }
}

/// The rows of a profile that have a value above zero.
pub(crate) fn rows_with_values<'a>(append: &Append<'a>) -> Vec<&'a Row> {
    let profile = append.profile;
    let columns = profile.sample_types.len();
    let has_values = |row: &&Row| {
        let Some(group) = profile.groups.get(row.group) else {
            return false;
        };
        let (first, last) = (group.first as usize, (group.first + group.count) as usize);
        row.sample_type < columns
            && (first..last).any(|sample| profile.values[sample * columns + row.sample_type] > 0)
    };
    append.rows.iter().filter(has_values).collect()
}

/// The series of the rows, as far as they exist.
pub(crate) fn find_series(head: &Head, rows: &[&Row]) -> Vec<Option<SeriesIndex>> {
    let index = head.index.read();
    rows.iter().map(|row| index.find(&row.labels)).collect()
}

/// Looks once more: two rows of one pprof may have the same labels.
fn find_or_insert(head: &Head, row: &Row) -> Option<SeriesIndex> {
    let mut index = head.index.write();
    match index.find(&row.labels) {
        Some(known) => Some(known),
        None => index.insert(&row.labels),
    }
}
