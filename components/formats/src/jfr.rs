//! JFR, what Java's profilers record: chunks with types, constants and events (api.md 4.5).
//!
//! ```text
//! recording = chunk…
//! chunk     = header, events; two kinds of events are special: types (`metadata`), and constants that the chain
//!             from the header's offset leads through, last to first
//! event     = size, type, fields as the type has them; a field may be the id of a constant
//! ```
//! Nothing but what samples are made of is read; everything else is skipped by its size, so that types and events
//! that a recorder adds do no harm. Stack traces are read when the first event refers to them.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod chunk;
mod cursor;
mod events;
mod kinds;
mod labels;
mod names;
mod pools;
mod pprof;
mod symbols;
mod types;

use hashbrown::HashMap;

use self::chunk::{Chunk, chunks};
use self::events::{Layouts, Settings, Source, Values};
use self::kinds::{Kind, Samples};
use self::pools::Pools;
use self::symbols::Symbols;
use self::types::{Names, Types};
use crate::error::Error;
use crate::rate::SampleRate;
use crate::stacks::{Limits, Timing};

pub use self::chunk::MAGIC;
pub use self::labels::LabelsSnapshot;

/// What a recording became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// What was sampled, as the recorder's setting `event` says: `cpu`, `itimer`, `wall`, …; empty if it says nothing.
    pub event: String,
    /// One for each kind of event that there was.
    pub profiles: Vec<Profile>,
    /// Values below zero, left out.
    pub negative_values: u64,
    /// Names of functions in which bytes that are not UTF-8 were replaced by U+FFFD.
    pub repaired_names: u64,
}

/// The samples of one kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The label `__name__`.
    pub name: &'static str,
    /// Uncompressed.
    pub pprof: Vec<u8>,
}

/// What is known beside the recording.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// What a profile may consist of.
    pub limits: Limits,
    /// Samples per second; if unknown, what the recording says, else [`SampleRate::DEFAULT`].
    pub rate: SampleRate,
    /// When the profile was taken; if its time is 0, when the recording says that it was.
    pub timing: Timing,
    /// Labels of samples.
    pub labels: &'a LabelsSnapshot,
}

/// Reads a recording that is not compressed.
///
/// # Errors
/// [`Error::Bytes`] where it does not follow the format, [`Error::TooLarge`].
pub fn parse(recording: &[u8], options: &Options<'_>) -> Result<Recording, Error> {
    let mut reader = Reader {
        symbols: Symbols::new(&options.limits, recording.len()),
        samples: std::array::from_fn(|_| Samples::new(options.limits.profile_bytes)),
        settings: Settings::default(),
        negative_values: 0,
        timing: None,
    };
    for chunk in chunks(recording) {
        reader.chunk(&chunk?)?;
    }
    reader.finish(options)
}

struct Reader {
    symbols: Symbols,
    samples: [Samples; Kind::COUNT],
    settings: Settings,
    negative_values: u64,
    timing: Option<Timing>,
}

impl Reader {
    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.timing = Some(together(self.timing, chunk.timing()));
        let names = Names::read(chunk)?;
        let types = Types::read(&names)?;
        let pools = Pools::read(chunk, &types)?;
        let layouts = Layouts::of(&types);
        layouts.settings(chunk, &types, &pools, &mut self.settings)?;
        let mut known = Known::default();
        for event in chunk.events() {
            let event = event?;
            let Some((source, values)) = layouts.sample(&event, &types)? else {
                continue;
            };
            let stack = match known.stacks.get(&values.stack_trace) {
                Some(stack) => *stack,
                None => {
                    let stack = self.stack(values.stack_trace, &types, &pools, &mut known)?;
                    known.stacks.insert(values.stack_trace, stack);
                    stack
                }
            };
            self.count(source, &values, stack, &pools)?;
        }
        Ok(())
    }

    /// The stack that a stack trace of a chunk is; the empty one if the chunk does not have it.
    fn stack(
        &mut self,
        stack_trace: u64,
        types: &Types<'_>,
        pools: &Pools<'_>,
        known: &mut Known,
    ) -> Result<u32, Error> {
        let symbols = &mut self.symbols;
        known.frames.clear();
        pools.frames(stack_trace, types, |method, line| {
            let function = match known.functions.get(&method) {
                Some(function) => *function,
                None => {
                    let name = match pools.method(method) {
                        Some(method) => {
                            let class = pools.class_name(method.class);
                            let name = pools.symbol(method.name);
                            // Many methods may have the same long name: it is paid for before it is read.
                            symbols.read(class.size().saturating_add(name.size()))?;
                            let class = class.decode().unwrap_or_default();
                            names::function(&class, &name.decode().unwrap_or_default())
                        }
                        None => "unknown".to_owned(),
                    };
                    let function = symbols.function(&name)?;
                    known.functions.insert(method, function);
                    function
                }
            };
            // Of native frames, recorders write 0 or −1.
            let line = i32::try_from(line).unwrap_or(0).unsigned_abs();
            known.frames.push(symbols.location(function, line)?);
            symbols.read_frame(known.frames.len())
        })?;
        symbols.stack(&known.frames)
    }

    /// Counts an event in the profiles that it belongs to.
    fn count(
        &mut self,
        source: Source,
        values: &Values,
        stack: u32,
        pools: &Pools<'_>,
    ) -> Result<(), Error> {
        let amount = i64::try_from(values.amount).unwrap_or_else(|_| {
            self.negative_values = self.negative_values.saturating_add(1);
            0
        });
        let origin = self.symbols.origin(values.origin)?;
        let mut add = |kind: Kind, values: [i64; 2]| match self.samples.get_mut(kind as usize) {
            Some(samples) => samples.add((stack, origin), values),
            None => Ok(()),
        };
        match source {
            Source::Execution => {
                if !pools.is_sleeping(values.state) {
                    add(Kind::Cpu, [1, 0])?;
                }
                if self.settings.event == "wall" {
                    add(Kind::Wall, [1, 0])?;
                }
                Ok(())
            }
            Source::WallClock => add(Kind::Wall, [amount, 0]),
            Source::InNewTlab => add(Kind::InNewTlab, [1, amount]),
            Source::OutsideTlab => add(Kind::OutsideTlab, [1, amount]),
            Source::AllocationSample => add(Kind::AllocationSample, [1, amount]),
            Source::MonitorEnter => add(Kind::MonitorEnter, [1, amount]),
            Source::ThreadPark => add(Kind::ThreadPark, [1, amount]),
            Source::LiveObject => add(Kind::LiveObject, [1, 0]),
            Source::Malloc => add(Kind::Malloc, [1, amount]),
            Source::Setting => Ok(()),
        }
    }

    fn finish(self, options: &Options<'_>) -> Result<Recording, Error> {
        let timing = match options.timing.time_ns {
            0 => self.timing.unwrap_or_default(),
            _ => options.timing,
        };
        let options = &Options { timing, ..*options };
        let scale = kinds::Scale::of(options.rate, self.settings.interval_ns);
        let mut profiles = Vec::new();
        for (kind, samples) in Kind::ALL.into_iter().zip(&self.samples) {
            if !samples.is_empty() {
                profiles.push(Profile {
                    name: kind.name(),
                    pprof: pprof::encode(kind, samples, scale, &self.symbols, options)?,
                });
            }
        }
        Ok(Recording {
            event: self.settings.event,
            profiles,
            negative_values: self.negative_values,
            repaired_names: self.symbols.repaired_names(),
        })
    }
}

/// From the first start to the last end.
fn together(before: Option<Timing>, chunk: Timing) -> Timing {
    let Some(before) = before else { return chunk };
    let end = |timing: Timing| timing.time_ns.saturating_add(timing.duration_ns);
    let time_ns = before.time_ns.min(chunk.time_ns);
    Timing {
        time_ns,
        duration_ns: end(before).max(end(chunk)).saturating_sub(time_ns),
    }
}

/// What ids of a chunk stand for.
#[derive(Default)]
struct Known {
    functions: HashMap<u64, u32>,
    stacks: HashMap<u64, u32>,
    frames: Vec<u32>,
}

#[cfg(test)]
mod tests;
