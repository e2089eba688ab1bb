//! The rows of one input, one after the other, with merged ids of stack traces.

use super::Stage;
use super::error::CompactError;
use super::inputs::Source;
use super::maps::{Map, Maps};
use crate::profiles::{Annotation, Row, Scan};
use crate::symdb::merge::UNUSED;

/// A row that outlives the page it came from. Samples are sorted by stack trace, span, trace and value, so that equal
/// profiles have equal lists; those that came apart stay apart. Lists are used again for the next row.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    pub(super) id: [u8; 16],
    pub(super) partition: u64,
    pub(super) time_ns: i64,
    pub(super) duration_ns: i64,
    pub(super) period: i64,
    pub(super) default_sample_type: i64,
    /// Merged ids.
    pub(super) stacktraces: Vec<u32>,
    pub(super) values: Vec<i64>,
    pub(super) spans: Vec<u64>,
    pub(super) traces: Vec<[u8; 16]>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) doc_url: String,
}

/// Where a row belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Of the series.
    pub(super) rank: u32,
    pub(super) time_ns: i64,
    pub(super) id: [u8; 16],
}

/// Walks over the rows of an input whose series are in the shards of the stage.
pub(super) struct Cursor<'a> {
    stage: &'a Stage<'a>,
    source: &'a Source,
    number: usize,
    scan: Scan<'a>,
    /// Number of rows read.
    read: u64,
    before: Option<(u32, i64)>,
    /// Of the partition of the row before.
    map: Option<(u64, Map)>,
    profile: Profile,
    samples: Vec<(u32, u64, [u8; 16], i64)>,
    plain: Vec<(u32, i64)>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(stage: &'a Stage<'a>, number: usize) -> Self {
        let source = &stage.sources[number];
        let rows = 0..source.profiles.rows();
        Self {
            stage,
            source,
            number,
            scan: source.profiles.scan(rows, stage.memory.window),
            read: 0,
            before: None,
            map: None,
            profile: Profile::default(),
            samples: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// The row that [`Self::advance`] has found.
    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Goes to the next row; `None` behind the last.
    pub(super) fn advance(&mut self, maps: &mut Maps) -> Result<Option<Key>, CompactError> {
        let source = self.source;
        let failed = CompactError::input(source.id());
        loop {
            let Some(row) = self.scan.next().map_err(&failed)? else {
                return Ok(None);
            };
            let at = self.read;
            self.read += 1;
            let Some(rank) = self.stage.plan.rank(self.number, row.series) else {
                return Err(source.bad_row(at, "has a series that the index lacks"));
            };
            if self.before > Some((rank, row.time_ns)) {
                return Err(source.bad_row(at, "lies before the row before it in series and time"));
            }
            self.before = Some((rank, row.time_ns));
            if self.stage.place(rank).is_none() {
                continue;
            }
            check(source, at, &row)?;
            let map = match self.map.take() {
                Some((partition, map)) if partition == row.partition => map,
                Some(_) | None => match maps.get(self.number, row.partition)? {
                    Some(map) => map,
                    None => {
                        let partition = row.partition;
                        let problem =
                            format!("is of partition {partition:016x}, which has no symbols");
                        return Err(source.bad_row(at, &problem));
                    }
                },
            };
            let profile = &mut self.profile;
            profile.take_head(&row);
            let taken = profile.take_samples(&row, &map, &mut self.plain, &mut self.samples);
            if let Err(stacktrace) = taken {
                let problem = format!(
                    "has stack trace {stacktrace}, partition {:016x} has {}",
                    row.partition,
                    map.len()
                );
                return Err(source.bad_row(at, &problem));
            }
            self.map = Some((row.partition, map));
            return Ok(Some(Key {
                rank,
                time_ns: row.time_ns,
                id: row.id,
            }));
        }
    }
}

/// What pages without checksums can hide: a total that isn't that of the values, a time outside of the block.
fn check(source: &Source, at: u64, row: &Row<'_>) -> Result<(), CompactError> {
    let sum = row.values.iter();
    let sum = sum.fold(0u64, |sum, &value| sum.wrapping_add(value as u64));
    if sum != row.total {
        let problem = format!("has values of {sum} in total, not {}", row.total);
        return Err(source.bad_row(at, &problem));
    }
    let time_ms = row.time_ns.div_euclid(1_000_000);
    let meta = &source.meta;
    if !(meta.min_ms..=meta.max_ms).contains(&time_ms) {
        let problem = format!(
            "is of {time_ms} ms, outside of the times in meta.json, {} to {} ms",
            meta.min_ms, meta.max_ms
        );
        return Err(source.bad_row(at, &problem));
    }
    Ok(())
}

impl Profile {
    /// Everything but samples.
    fn take_head(&mut self, row: &Row<'_>) {
        self.id = row.id;
        self.partition = row.partition;
        self.time_ns = row.time_ns;
        self.duration_ns = row.duration_ns;
        self.period = row.period;
        self.default_sample_type = row.default_sample_type;
        self.annotations.clear();
        self.annotations.extend_from_slice(row.annotations);
        self.doc_url.clear();
        self.doc_url.push_str(row.doc_url);
    }

    /// Samples under new ids, sorted; those without a value greater than 0 are left out. The error is the id of a stack
    /// trace that does not exist.
    fn take_samples(
        &mut self,
        row: &Row<'_>,
        map: &[u32],
        plain: &mut Vec<(u32, i64)>,
        full: &mut Vec<(u32, u64, [u8; 16], i64)>,
    ) -> Result<(), u64> {
        self.stacktraces.clear();
        self.values.clear();
        self.spans.clear();
        self.traces.clear();
        let new_id = |&old: &u64| {
            let found = usize::try_from(old).ok().and_then(|old| map.get(old));
            found.copied().filter(|&id| id != UNUSED).ok_or(old)
        };
        if !row.spans.is_empty() || !row.traces.is_empty() {
            full.clear();
            for (at, old) in row.stacktraces.iter().enumerate() {
                let span = row.spans.get(at).copied().unwrap_or_default();
                let trace = row.traces.get(at).copied().unwrap_or_default();
                full.push((new_id(old)?, span, trace, row.values[at]));
            }
            self.set_full(full, row);
            return Ok(());
        }
        for (old, &value) in row.stacktraces.iter().zip(row.values) {
            if value > 0 {
                self.stacktraces.push(new_id(old)?);
                self.values.push(value);
            }
        }
        let samples = self.stacktraces.iter().zip(&self.values);
        if !samples.is_sorted() {
            plain.clear();
            let ids = self.stacktraces.iter().copied();
            plain.extend(ids.zip(self.values.iter().copied()));
            plain.sort_unstable();
            let pairs = self.stacktraces.iter_mut().zip(&mut self.values);
            for ((id, value), sorted) in pairs.zip(&*plain) {
                (*id, *value) = *sorted;
            }
        }
        Ok(())
    }

    fn set_full(&mut self, samples: &mut [(u32, u64, [u8; 16], i64)], row: &Row<'_>) {
        samples.sort_unstable();
        for &(id, span, trace, value) in samples.iter().filter(|sample| sample.3 > 0) {
            self.stacktraces.push(id);
            self.values.push(value);
            if !row.spans.is_empty() {
                self.spans.push(span);
            }
            if !row.traces.is_empty() {
                self.traces.push(trace);
            }
        }
    }

    /// Sum of the values, as totals wrap.
    pub(super) fn total(&self) -> u64 {
        let values = self.values.iter();
        values.fold(0, |sum, &value| sum.wrapping_add(value as u64))
    }
}
