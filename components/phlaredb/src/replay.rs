//! From the log back into the head.
//!
//! Ids in the log are those of the process that wrote it; they are translated. What a damaged record
//! would have defined is replaced: a sample keeps its value under [`LOST_SYMBOLS`], so totals stay exact;
//! only a profile whose series is unknown cannot be placed, and is counted.

use rustc_hash::FxHashMap;

use crate::chunk::{self, Sample, Samples};
use crate::head::{Head, Incoming};
use crate::record::{Entries, Entry, Profile};
use crate::symbols::{Full, Function, Line, Location, Mapping, StacktraceId, Symbols};

/// The function that stands for symbols lost with a damaged record.
pub(crate) const LOST_SYMBOLS: &str = "[symbols lost: damaged write-ahead log]";

/// What came back, and what did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) profiles: u64,
    /// Profiles whose series was defined in a damaged record.
    pub(crate) lost_profiles: u64,
    /// Samples whose stack trace was defined in a damaged record.
    pub(crate) lost_stacktraces: u64,
    /// Records that are intact but make no sense to this version.
    pub(crate) malformed_records: u64,
}

/// Applies records in order.
pub(crate) struct Replay<'a> {
    head: &'a Head,
    ids: Ids,
    pub(crate) replayed: Replayed,
}

/// Ids of the current segment → ids of the head.
#[derive(Default)]
struct Ids {
    strings: FxHashMap<u32, u32>,
    functions: FxHashMap<u32, u32>,
    mappings: FxHashMap<u32, u32>,
    locations: FxHashMap<u32, u32>,
    stacktraces: FxHashMap<u32, StacktraceId>,
    series: FxHashMap<u32, u32>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(head: &'a Head) -> Self {
        Self {
            head,
            ids: Ids::default(),
            replayed: Replayed::default(),
        }
    }

    /// Each segment defines what it uses.
    pub(crate) fn begin_segment(&mut self) {
        self.ids = Ids::default();
    }

    pub(crate) fn record(&mut self, record: &[u8]) -> Result<(), Full> {
        for entry in Entries::new(record) {
            match entry {
                Ok(Entry::Profile(profile)) => self.profile(&profile)?,
                Ok(Entry::Baseline {
                    series,
                    time_ns,
                    samples,
                }) => self.baseline(series, time_ns, samples)?,
                Ok(Entry::Series { id, labels }) => {
                    let mut index = self.head.index.write();
                    let known = index.find(&labels);
                    let series = known.or_else(|| index.insert(&labels)).ok_or(Full)?;
                    self.ids.series.insert(id, series);
                }
                Ok(symbol) => self.ids.define(&mut self.head.symbols.write(), symbol)?,
                Err(_malformed) => self.replayed.malformed_records += 1,
            }
        }
        Ok(())
    }

    fn profile(&mut self, profile: &Profile<'_>) -> Result<(), Full> {
        let series = self
            .ids
            .series
            .get(&profile.series)
            .and_then(|&index| self.head.series(index));
        let (Some(series), Some(samples)) = (series, Samples::decode(profile.samples)) else {
            self.replayed.lost_profiles += 1;
            return Ok(());
        };
        let mut header = samples.header;
        for string in [&mut header.default_sample_type, &mut header.doc_url] {
            *string = self.ids.strings.get(string).copied().unwrap_or_default();
        }
        let Some(mut samples) = samples.to_vec() else {
            self.replayed.lost_profiles += 1;
            return Ok(());
        };
        self.translate(&mut samples)?;
        let mut encoded = Vec::new();
        chunk::encode(&header, &samples, &mut encoded);
        self.head.push(&Incoming {
            series: &series,
            time_ns: profile.time_ns,
            id: profile.id,
            partition: profile.partition,
            cumulative: profile.cumulative,
            encoded: &encoded,
        });
        self.replayed.profiles += 1;
        Ok(())
    }

    /// A baseline that cannot be placed costs the difference of the series' next profile.
    fn baseline(&mut self, series: u32, time_ns: i64, samples: &[u8]) -> Result<(), Full> {
        let series = self
            .ids
            .series
            .get(&series)
            .and_then(|&index| self.head.series(index));
        let samples = Samples::decode(samples).and_then(Samples::to_vec);
        let (Some(series), Some(mut samples)) = (series, samples) else {
            self.replayed.malformed_records += 1;
            return Ok(());
        };
        self.translate(&mut samples)?;
        self.head
            .change_cumulative(&series, |state| state.resume(time_ns, samples));
        Ok(())
    }

    /// From ids of the segment to ids of the head, sorted again.
    fn translate(&mut self, samples: &mut [Sample]) -> Result<(), Full> {
        for sample in samples.iter_mut() {
            sample.stacktrace = match self.ids.stacktraces.get(&sample.stacktrace) {
                Some(&known) => known,
                None if sample.stacktrace == 0 => 0,
                None => {
                    self.replayed.lost_stacktraces += 1;
                    lost_stacktrace(&mut self.head.symbols.write())?
                }
            };
        }
        samples.sort_by_key(|sample| sample.stacktrace);
        Ok(())
    }
}

impl Ids {
    fn define(&mut self, symbols: &mut Symbols, entry: Entry<'_>) -> Result<(), Full> {
        match entry {
            Entry::String { id, text } => {
                self.strings.insert(id, symbols.intern_string(text)?);
            }
            Entry::Function { id, function } => {
                let translated = Function {
                    name: self.string(symbols, function.name)?,
                    system_name: self.string(symbols, function.system_name)?,
                    filename: self.string(symbols, function.filename)?,
                    start_line: function.start_line,
                };
                self.functions
                    .insert(id, symbols.intern_function(translated)?);
            }
            Entry::Mapping { id, mapping } => {
                let filename = self.string(symbols, mapping.filename)?;
                let build_id = self.string(symbols, mapping.build_id)?;
                self.mappings.insert(
                    id,
                    symbols.intern_mapping(Mapping {
                        filename,
                        build_id,
                        ..mapping
                    })?,
                );
            }
            Entry::Location {
                id,
                location,
                mut lines,
            } => {
                for line in &mut lines {
                    line.function = match self.functions.get(&line.function) {
                        Some(&known) => known,
                        None => lost_function(symbols)?,
                    };
                }
                let mapping = match self.mappings.get(&location.mapping) {
                    Some(&known) => known,
                    None => symbols.intern_mapping(Mapping::default())?,
                };
                self.locations.insert(
                    id,
                    symbols.intern_location(
                        Location {
                            mapping,
                            ..location
                        },
                        &lines,
                    )?,
                );
            }
            Entry::Stacktrace {
                id,
                parent,
                location,
            } => {
                let parent = match self.stacktraces.get(&parent) {
                    Some(&known) => known,
                    None if parent == 0 => 0,
                    None => lost_stacktrace(symbols)?,
                };
                let location = match self.locations.get(&location) {
                    Some(&known) => known,
                    None => lost_location(symbols)?,
                };
                self.stacktraces
                    .insert(id, symbols.intern_frame(parent, location)?);
            }
            Entry::Series { .. } | Entry::Profile(_) | Entry::Baseline { .. } => {}
        }
        Ok(())
    }

    fn string(&self, symbols: &mut Symbols, id: u32) -> Result<u32, Full> {
        match self.strings.get(&id) {
            Some(&known) => Ok(known),
            None if id == 0 => Ok(0),
            None => symbols.intern_string(LOST_SYMBOLS),
        }
    }
}

fn lost_function(symbols: &mut Symbols) -> Result<u32, Full> {
    let name = symbols.intern_string(LOST_SYMBOLS)?;
    symbols.intern_function(Function {
        name,
        ..Function::default()
    })
}

fn lost_location(symbols: &mut Symbols) -> Result<u32, Full> {
    let function = lost_function(symbols)?;
    let mapping = symbols.intern_mapping(Mapping::default())?;
    symbols.intern_location(
        Location {
            mapping,
            ..Location::default()
        },
        &[Line {
            function,
            column: 0,
            line: 0,
        }],
    )
}

fn lost_stacktrace(symbols: &mut Symbols) -> Result<StacktraceId, Full> {
    let location = lost_location(symbols)?;
    symbols.intern_frame(0, location)
}

#[cfg(test)]
mod tests {
    use super::*;
    use phlare_pprof::Seed;

    /// Whatever an intact frame holds, replay neither panics nor leaves ids that nothing defines.
    #[test]
    fn hostile_records_never_panic() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let head = Head::new(Seed::new(1, 2));
            let mut replay = Replay::new(&head);
            replay.begin_segment();
            let record = [&[1], bytes].concat();
            let _ = replay.record(&record);
            let symbols = head.symbols.read();
            for series in head.index.read().series() {
                series.for_each(|_, encoded| {
                    let samples = Samples::decode(encoded).and_then(Samples::to_vec);
                    for sample in samples.into_iter().flatten() {
                        assert!((sample.stacktrace as usize) < symbols.stacks.len());
                        let mut node = sample.stacktrace;
                        while node != 0 {
                            let location = symbols.stacks.location(node);
                            let _ = symbols.location_lines(location);
                            node = symbols.stacks.parent(node);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_record_of_another_version_is_counted_and_skipped() {
        let head = Head::new(Seed::new(1, 2));
        let mut replay = Replay::new(&head);
        assert_eq!(replay.record(&[99, 1, 2, 3]), Ok(()));
        assert_eq!(replay.replayed.malformed_records, 1);
    }
}
