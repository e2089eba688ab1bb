//! Samples: read from the wire, checked, those with equal stack and labels merged.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use hashbrown::HashTable;

use super::go_stacks::{CutAt, GoStacks, RepairLimits};
use super::ids::{IdIndex, Shape, UNKNOWN, dense};
use super::labels::{LabelBuffers, Marks};
use super::lanes::hash_stacks;
use super::stacks::Stacks;
use super::symbols::Symbols;
use crate::error::{BadReference, Error};
use crate::normalized::{Dropped, Sample, Stack};
use crate::reuse::{reset, reset_table};
use crate::tables::Span;
use crate::wire::{BYTES, Malformed, Reader, VARINT};

/// Scratch and results; reused.
#[derive(Debug, Default)]
pub(crate) struct SampleBuffers {
    pub(crate) stacks: Stacks,
    pub(crate) labels: LabelBuffers,
    pub(crate) rows: Rows,
    /// Values of the sample that is being read.
    wire_values: Vec<i64>,
    pending: Vec<Pending>,
    pending_values: Vec<i64>,
    /// Hashes of the pending stacks; `None` for those that refer to what does not exist.
    hashes: Vec<Option<u64>>,
    go_stacks: GoStacks,
}

/// A sample that was read and whose stack is still a list of frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Its number on the wire.
    sample: u32,
    pub(super) first_frame: u32,
    pub(super) depth: u32,
    marks: Marks,
}

impl Pending {
    #[cfg(test)]
    pub(super) const fn of(first_frame: usize, depth: usize) -> Self {
        Self {
            sample: 0,
            first_frame: first_frame as u32,
            depth: depth as u32,
            marks: Marks {
                group: 0,
                span_id: 0,
                trace: 0,
            },
        }
    }

    /// Where its frames are.
    pub(super) fn range(&self) -> Range<usize> {
        let first = self.first_frame as usize;
        first..first.saturating_add(self.depth as usize)
    }
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
    /// Where Go's profiler has cut the stacks, if that is to be repaired.
    pub(crate) cut: Option<CutAt>,
}

impl SampleBuffers {
    pub(crate) fn clear(&mut self) {
        self.stacks.clear();
        self.labels.clear();
        self.rows.clear();
        reset(&mut self.pending);
        reset(&mut self.pending_values);
        reset(&mut self.hashes);
    }

    /// Reads all samples. `keep` says for each sample type on the wire whether its values are kept.
    ///
    /// Three passes (four if stacks were cut), so that each has a short loop: wire to frames; frames to hashes, where one stack need not wait
    /// for the other; hashes to stacks and rows.
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
        if let Some(cut) = limits.cut {
            let frames = self.stacks.frames_mut();
            let limits = RepairLimits {
                members: 1,
                depth: limits.depth,
            };
            self.go_stacks
                .repair(cut, limits, &mut self.pending, frames, symbols);
        }
        self.hash(symbols, dropped);
        let types = keep.iter().filter(|&&keep| keep).count();
        let values = self.pending_values.chunks(types.max(1));
        for ((pending, hash), values) in self.pending.iter().zip(&self.hashes).zip(values) {
            let &Some(hash) = hash else { continue };
            let stack = Stack {
                hash,
                first: pending.first_frame,
                depth: pending.depth,
            };
            let stack = self.stacks.intern(stack, symbols);
            let Marks {
                group,
                span_id,
                trace,
            } = pending.marks;
            let row = Row {
                group,
                sample: Sample {
                    stack,
                    span_id,
                    trace,
                },
            };
            self.rows.add(row, values, symbols);
        }
        Ok(())
    }

    fn hash(&mut self, symbols: &mut Symbols<'_>, dropped: &mut Dropped) {
        let Self {
            stacks,
            pending,
            hashes,
            ..
        } = self;
        hashes.resize(pending.len(), None);
        let frames = |at: usize| {
            pending
                .get(at)
                .map(|p| stacks.frames_at(p.first_frame, p.depth))
        };
        hash_stacks(symbols, frames, |at, hash| {
            if let Some(slot) = hashes.get_mut(at) {
                *slot = hash;
            }
        });
        let broken = hashes.iter().filter(|hash| hash.is_none()).count();
        dropped.broken_samples = broken as u64;
    }

    /// If all samples are broken: the first reference that cannot be followed.
    pub(crate) fn nothing_left(
        &self,
        bytes: &[u8],
        symbols: &mut Symbols<'_>,
    ) -> Option<BadReference> {
        let first = self.pending.first()?;
        if self.rows.rows.is_empty() {
            symbols.bad_reference(first.sample as usize, bytes)
        } else {
            None
        }
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
        let first_frame = self.stacks.frames_mut().len();
        self.wire_values.clear();
        self.labels.begin();
        let mut reader = Reader::part(bytes, span.start, span.end);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => {
                    let frames = self.stacks.frames_mut();
                    read_frames(&mut reader, wire, symbols.location_ids(), frames)?;
                }
                2 => reader.numbers(wire, |value| self.wire_values.push(value as i64))?,
                3 => self.labels.read(reader.message(wire)?, index, symbols)?,
                _ => reader.skip(wire)?,
            }
        }
        let (values, types) = (self.wire_values.len(), keep.len());
        if values != types {
            return Err(Error::ValueCount {
                sample: index,
                values,
                types,
            });
        }
        let (labels, limit) = (self.labels.count(), limits.labels);
        if limit > 0 && labels > limit {
            return Err(Error::TooManyLabels {
                sample: index,
                labels,
                limit,
            });
        }
        if !self.keep_values(keep, dropped) {
            self.stacks.frames_mut().truncate(first_frame);
            return Ok(());
        }
        let mut depth = self.stacks.frames_mut().len().saturating_sub(first_frame);
        let mut first_frame = first_frame;
        if limits.depth > 0 && depth > limits.depth {
            // The leaf side goes.
            first_frame = first_frame.saturating_add(depth.saturating_sub(limits.depth));
            depth = limits.depth;
            dropped.truncated_stacks = dropped.truncated_stacks.saturating_add(1);
        }
        let marks = self.labels.end(symbols);
        self.pending.push(Pending {
            sample: index as u32,
            first_frame: first_frame as u32,
            depth: depth as u32,
            marks,
        });
        Ok(())
    }

    /// Takes over the values of kept types, 0 instead of negative ones. False, and nothing taken, if all are 0.
    fn keep_values(&mut self, keep: &[bool], dropped: &mut Dropped) -> bool {
        let start = self.pending_values.len();
        let (mut any, mut anything) = (0, 0);
        for (&value, &keep) in self.wire_values.iter().zip(keep) {
            anything |= value;
            if keep {
                if value < 0 {
                    dropped.negative_values = dropped.negative_values.saturating_add(1);
                }
                any |= value.max(0);
                self.pending_values.push(value.max(0));
            }
        }
        if any == 0 {
            self.pending_values.truncate(start);
            dropped.zero_samples = dropped
                .zero_samples
                .saturating_add(u64::from(anything == 0));
        }
        any != 0
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
    match (ids.shape(), wire) {
        (Shape::Dense(count), BYTES) => read_dense(reader.nested()?, count, frames),
        (Shape::Dense(count), VARINT) => loop {
            frames.push(dense(reader.varint()?, count));
            if !reader.take_byte(LOCATION_ID) {
                return Ok(());
            }
        },
        _ => reader.numbers(wire, |id| frames.push(ids.get(id))),
    }
}

/// Tag of a location id that is not packed.
const LOCATION_ID: u8 = 1 << 3 | VARINT;

/// The hottest loop: a packed list of ids that are indices plus one.
fn read_dense(list: Reader<'_>, count: u64, frames: &mut Vec<u32>) -> Result<(), Malformed> {
    let mut rest = list.rest();
    let start = frames.len();
    // Each id takes at least one byte, so there are enough slots.
    frames.resize(start.saturating_add(rest.len()), UNKNOWN);
    let mut used = start;
    for slot in frames.get_mut(start..).unwrap_or_default() {
        let id = match rest {
            [] => break,
            [byte, tail @ ..] if *byte < 0x80 => {
                rest = tail;
                u64::from(*byte)
            }
            [low, high, tail @ ..] if *high < 0x80 => {
                rest = tail;
                u64::from(low & 0x7f) | u64::from(*high) << 7
            }
            _ => {
                let mut reader = list.with_left(rest.len());
                let id = reader.varint()?;
                rest = reader.rest();
                id
            }
        };
        *slot = dense(id, count);
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
