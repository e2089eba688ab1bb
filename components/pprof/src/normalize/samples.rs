//! Samples: read from the wire, checked, those with equal stack and labels merged.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use hashbrown::HashTable;

use super::ids::{IdIndex, Shape, UNKNOWN, dense};
use super::labels::{LabelBuffers, Marks};
use super::stacks::Stacks;
use super::symbols::Symbols;
use crate::error::Error;
use crate::normalized::{Dropped, Sample};
use crate::reuse::{reset, reset_table};
use crate::tables::Span;
use crate::wire::{BYTES, Malformed, Reader};

/// Scratch and results; reused.
#[derive(Debug, Default)]
pub(crate) struct SampleBuffers {
    pub(crate) stacks: Stacks,
    pub(crate) labels: LabelBuffers,
    pub(crate) rows: Rows,
    wire_values: Vec<i64>,
}

/// A merged sample and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) group: u32,
    pub(crate) sample: Sample,
}

/// Merged samples in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    /// As many for each row as there are sample types that are kept.
    pub(crate) values: Vec<i64>,
    /// By stack: its first row.
    first: Vec<u32>,
    /// Rows that are not the first of their stack.
    others: HashTable<u32>,
}

/// What bounds the reading of samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleLimits {
    /// Labels of a sample; 0 is no limit.
    pub(crate) labels: usize,
    /// Frames of a stack; 0 is no limit.
    pub(crate) depth: usize,
}

impl SampleBuffers {
    pub(crate) fn clear(&mut self) {
        self.stacks.clear();
        self.labels.clear();
        self.rows.clear();
    }

    /// Reads all samples. `keep` says for each sample type on the wire whether its values are kept.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        keep: &[bool],
        limits: SampleLimits,
        symbols: &mut Symbols<'_>,
        dropped: &mut Dropped,
    ) -> Result<(), Error> {
        for index in 0..symbols.samples().len() {
            let Some(&span) = symbols.samples().get(index) else {
                break;
            };
            self.sample(bytes, index, span, keep, limits, symbols, dropped)?;
        }
        dropped.invalid_ids = self.labels.invalid_ids();
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the inner part of one loop")]
    fn sample(
        &mut self,
        bytes: &[u8],
        index: usize,
        span: Span,
        keep: &[bool],
        limits: SampleLimits,
        symbols: &mut Symbols<'_>,
        dropped: &mut Dropped,
    ) -> Result<(), Error> {
        let first_frame = self.stacks.frames().len();
        self.wire_values.clear();
        self.labels.begin();
        let mut reader = Reader::part(bytes, span.start, span.end);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => read_frames(
                    &mut reader,
                    wire,
                    symbols.location_ids(),
                    self.stacks.frames_mut(),
                )?,
                2 => reader.numbers(wire, |value| self.wire_values.push(value as i64))?,
                3 => self.labels.read(reader.message(wire)?, index, symbols)?,
                _ => reader.skip(wire)?,
            }
        }
        if self.wire_values.len() != keep.len() {
            return Err(Error::ValueCount {
                sample: index,
                values: self.wire_values.len(),
                types: keep.len(),
            });
        }
        if limits.labels > 0 && self.labels.count() > limits.labels {
            return Err(Error::TooManyLabels {
                sample: index,
                labels: self.labels.count(),
                limit: limits.labels,
            });
        }
        if !self.sift_values(keep, dropped) {
            self.stacks.frames_mut().truncate(first_frame);
            return Ok(());
        }
        self.cut(first_frame, limits.depth, dropped);
        match self.stacks.intern(first_frame, symbols) {
            Some(found) => {
                let Marks {
                    group,
                    span_id,
                    trace,
                } = self.labels.end(symbols);
                let row = Row {
                    group,
                    sample: Sample {
                        stack: found.stack,
                        span_id,
                        trace,
                    },
                };
                self.rows.add(row, &self.wire_values, symbols);
            }
            None => {
                symbols.note_unknown_location(index, bytes, span);
                dropped.broken_samples = dropped.broken_samples.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Leaves only the values of kept types, none of them negative. False if nothing remains.
    fn sift_values(&mut self, keep: &[bool], dropped: &mut Dropped) -> bool {
        let values = &mut self.wire_values;
        if values.iter().all(|&value| value == 0) {
            dropped.zero_samples = dropped.zero_samples.saturating_add(1);
            return false;
        }
        let mut kept = keep.iter();
        values.retain(|_| kept.next().copied().unwrap_or(true));
        let mut any = 0;
        for value in values {
            if *value < 0 {
                *value = 0;
                dropped.negative_values = dropped.negative_values.saturating_add(1);
            }
            any |= *value;
        }
        any != 0
    }

    /// Cuts the leaf side of a stack that is too deep.
    fn cut(&mut self, first_frame: usize, limit: usize, dropped: &mut Dropped) {
        let frames = self.stacks.frames_mut();
        let excess = frames
            .len()
            .saturating_sub(first_frame)
            .saturating_sub(limit);
        if limit > 0 && excess > 0 {
            frames.drain(first_frame..first_frame.saturating_add(excess));
            dropped.truncated_stacks = dropped.truncated_stacks.saturating_add(1);
        }
    }
}

/// Reads location ids and appends their indices, [`UNKNOWN`] for those that do not exist.
#[inline]
fn read_frames(
    reader: &mut Reader<'_>,
    wire: u8,
    ids: &IdIndex,
    frames: &mut Vec<u32>,
) -> Result<(), Malformed> {
    match ids.shape() {
        Shape::Dense(count) if wire == BYTES => read_dense(reader.nested()?, count, frames),
        _ => reader.numbers(wire, |id| frames.push(ids.get(id))),
    }
}

/// The hottest loop: a packed list of ids that are indices plus one.
fn read_dense(mut list: Reader<'_>, count: u64, frames: &mut Vec<u32>) -> Result<(), Malformed> {
    let start = frames.len();
    let mut used = start;
    // Each id takes at least one byte.
    frames.resize(start.saturating_add(list.rest().len()), UNKNOWN);
    while !list.is_empty() {
        let frame = dense(list.varint()?, count);
        if let Some(slot) = frames.get_mut(used) {
            *slot = frame;
        }
        used = used.wrapping_add(1);
    }
    frames.truncate(used);
    Ok(())
}

impl Rows {
    pub(crate) fn clear(&mut self) {
        reset(&mut self.rows);
        reset(&mut self.values);
        reset(&mut self.first);
        reset_table(&mut self.others);
    }

    /// Adds a row, or its values to those of the row with equal stack, labels, span and trace.
    pub(crate) fn add(&mut self, row: Row, values: &[i64], symbols: &Symbols<'_>) {
        let next = self.rows.len() as u32;
        let stack = row.sample.stack as usize;
        if self.first.len() <= stack {
            self.first.resize(stack.saturating_add(1), UNKNOWN);
        }
        let first = self.first.get(stack).copied().unwrap_or(UNKNOWN);
        let known = if first == UNKNOWN {
            if let Some(slot) = self.first.get_mut(stack) {
                *slot = next;
            }
            None
        } else if self.rows.get(first as usize) == Some(&row) {
            Some(first)
        } else {
            self.other(row, next, symbols)
        };
        match known {
            Some(known) => self.sum(known, values),
            None => {
                self.rows.push(row);
                self.values.extend_from_slice(values);
            }
        }
    }

    /// Finds a row that is not the first of its stack, or notes it as number `next`.
    fn other(&mut self, row: Row, next: u32, symbols: &Symbols<'_>) -> Option<u32> {
        let seed = symbols.seed();
        let hash = |row: &Row| {
            let place = seed.pair(
                u64::from(row.sample.stack) << 32 | u64::from(row.group),
                u64::from(row.sample.trace),
            );
            seed.pair(place, row.sample.span_id)
        };
        let Self { rows, others, .. } = self;
        let wanted = hash(&row);
        if let Some(&known) = others.find(wanted, |&other| rows.get(other as usize) == Some(&row)) {
            return Some(known);
        }
        // `row` itself gets its place in `rows` only afterwards, and is not hashed here.
        others.insert_unique(wanted, next, |&other| {
            rows.get(other as usize).map_or(wanted, hash)
        });
        None
    }

    fn sum(&mut self, row: u32, values: &[i64]) {
        let start = (row as usize).saturating_mul(values.len());
        for (sum, value) in self.values.iter_mut().skip(start).zip(values) {
            *sum = sum.saturating_add(*value);
        }
    }
}
