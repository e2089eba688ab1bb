//! The events of which samples are made, and where their fields lie.

use std::borrow::Cow;
use std::collections::HashMap;

use super::chunk::{Chunk, Event};
use super::cursor::{Cursor, Text};
use super::pools::Pools;
use super::types::{Field, Form, Types};
use crate::error::Error;

/// Events that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Setting,
    Execution,
    WallClock,
    InNewTlab,
    OutsideTlab,
    AllocationSample,
    MonitorEnter,
    ThreadPark,
    LiveObject,
    Malloc,
}

impl Source {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "jdk.ActiveSetting" => Self::Setting,
            "jdk.ExecutionSample" => Self::Execution,
            "profiler.WallClockSample" => Self::WallClock,
            "jdk.ObjectAllocationInNewTLAB" => Self::InNewTlab,
            "jdk.ObjectAllocationOutsideTLAB" => Self::OutsideTlab,
            "jdk.ObjectAllocationSample" => Self::AllocationSample,
            "jdk.JavaMonitorEnter" => Self::MonitorEnter,
            "jdk.ThreadPark" => Self::ThreadPark,
            "profiler.LiveObject" => Self::LiveObject,
            "profiler.Malloc" => Self::Malloc,
            _ => return None,
        })
    }

    /// The field that says how much.
    fn amount(self) -> &'static str {
        match self {
            Self::Setting | Self::Execution | Self::LiveObject => "",
            Self::WallClock => "samples",
            Self::InNewTlab => "tlabSize",
            Self::OutsideTlab => "allocationSize",
            Self::AllocationSample => "weight",
            Self::MonitorEnter | Self::ThreadPark => "duration",
            Self::Malloc => "size",
        }
    }
}

/// Bytes of the value and of the name of a setting that is of interest, in the longest encoding.
const LONGEST_SETTING: usize = 1024;
const LONGEST_NAME: usize = 24;

/// What the fields of an event say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Values {
    pub(super) stack_trace: u64,
    pub(super) state: u64,
    pub(super) amount: u64,
    pub(super) origin: Origin,
    /// Of a setting: the type of events that it is about.
    id: u64,
}

/// What a program said about the work that a sample belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// Labels, by their place in the snapshot.
    pub(super) context: u64,
    pub(super) span_id: u64,
    /// A string of the snapshot.
    pub(super) span_name: u64,
    pub(super) trace_id: (u64, u64),
}

/// Settings of the recording.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// What was sampled: `cpu`, `itimer`, `wall`, …
    pub(super) event: String,
    /// Nanoseconds between two samples.
    pub(super) interval_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    StackTrace,
    State,
    Amount,
    Context,
    SpanId,
    SpanName,
    TraceHigh,
    TraceLow,
    Id,
    Name,
    Value,
    Skip,
}

/// A type of event that is looked at.
struct Layout<'a> {
    source: Source,
    fields: Vec<(Slot, Field<'a>)>,
}

/// Where the fields of events lie, by type.
pub(super) struct Layouts<'a> {
    by_type: HashMap<u64, Layout<'a>>,
    execution: Option<u64>,
}

impl<'a> Layouts<'a> {
    pub(super) fn of(types: &Types<'a>) -> Self {
        let layouts = types.iter().filter_map(|found| {
            let source = Source::of(found.name)?;
            let slots = found
                .fields
                .iter()
                .map(|field| (slot(source, field), *field));
            let mut fields: Vec<_> = slots.collect();
            // What follows the last field of interest need not be read.
            let last = fields.iter().rposition(|(slot, _)| *slot != Slot::Skip);
            fields.truncate(last.map_or(0, |last| last.saturating_add(1)));
            Some((found.id, Layout { source, fields }))
        });
        let by_type: HashMap<_, _> = layouts.collect();
        let execution = by_type
            .iter()
            .find(|(_, layout)| layout.source == Source::Execution);
        Self {
            execution: execution.map(|(id, _)| *id),
            by_type,
        }
    }

    /// The settings of a chunk.
    pub(super) fn settings(
        &self,
        chunk: &Chunk<'a>,
        types: &Types<'a>,
        pools: &Pools<'a>,
        settings: &mut Settings,
    ) -> Result<(), Error> {
        for event in chunk.events() {
            let event = event?;
            let Some(layout) = self.by_type.get(&event.kind) else {
                continue;
            };
            if layout.source != Source::Setting {
                continue;
            }
            let (values, name, value) = layout.read(event.body, types)?;
            let short = |text: Option<Text<'a>>, most: usize| {
                let text = pools.resolve(text?);
                (text.size() <= most).then(|| text.decode())?
            };
            let name = short(name, LONGEST_NAME);
            if !matches!(name.as_deref(), Some("event" | "interval" | "period")) {
                continue;
            }
            let value = short(value, LONGEST_SETTING).unwrap_or_default();
            match name.as_deref() {
                Some("event") => settings.event = value.into_owned(),
                Some("interval" | "period") if Some(values.id) == self.execution => {
                    settings.interval_ns = duration_ns(&value).or(settings.interval_ns);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An event of which samples are made; `None` for any other.
    pub(super) fn sample(
        &self,
        event: &Event<'a>,
        types: &Types<'a>,
    ) -> Result<Option<(Source, Values)>, Error> {
        let Some(layout) = self.by_type.get(&event.kind) else {
            return Ok(None);
        };
        if layout.source == Source::Setting {
            return Ok(None);
        }
        let (values, ..) = layout.read(event.body, types)?;
        Ok(Some((layout.source, values)))
    }
}

fn slot(source: Source, field: &Field<'_>) -> Slot {
    let number = matches!(field.form, Form::Long | Form::Int) && !field.array;
    let text = field.form == Form::Text && !field.array;
    match field.name {
        "stackTrace" if number => Slot::StackTrace,
        "state" if number => Slot::State,
        "contextId" if number => Slot::Context,
        "spanId" if number => Slot::SpanId,
        "spanName" if number => Slot::SpanName,
        "traceIdHi" if number => Slot::TraceHigh,
        "traceIdLo" if number => Slot::TraceLow,
        "id" if number && source == Source::Setting => Slot::Id,
        "name" if text && source == Source::Setting => Slot::Name,
        "value" if text && source == Source::Setting => Slot::Value,
        name if number && name == source.amount() => Slot::Amount,
        _ => Slot::Skip,
    }
}

type Read<'a> = (Values, Option<Text<'a>>, Option<Text<'a>>);

impl<'a> Layout<'a> {
    fn read(&self, mut body: Cursor<'a>, types: &Types<'a>) -> Result<Read<'a>, Error> {
        let (mut values, mut name, mut text) = (Values::default(), None, None);
        for (slot, field) in &self.fields {
            let place = match slot {
                Slot::StackTrace => &mut values.stack_trace,
                Slot::State => &mut values.state,
                Slot::Amount => &mut values.amount,
                Slot::Context => &mut values.origin.context,
                Slot::SpanId => &mut values.origin.span_id,
                Slot::SpanName => &mut values.origin.span_name,
                Slot::TraceHigh => &mut values.origin.trace_id.0,
                Slot::TraceLow => &mut values.origin.trace_id.1,
                Slot::Id => &mut values.id,
                Slot::Name => {
                    name = Some(body.text()?);
                    continue;
                }
                Slot::Value => {
                    text = Some(body.text()?);
                    continue;
                }
                Slot::Skip => {
                    types.skip(field, &mut body)?;
                    continue;
                }
            };
            *place = match field.form {
                Form::Int => body.int()?,
                _ => body.long()?,
            };
        }
        Ok((values, name, text))
    }
}

/// The time between two samples: nanoseconds as async-profiler writes them, or `20 ms` as the JDK does.
/// `None` for what is no such time, and for none.
fn duration_ns(text: &str) -> Option<u64> {
    let text: Cow<'_, str> = text.trim().into();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit: u64 = match unit.trim() {
        "" | "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return None,
    };
    let ns = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (ns > 0).then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_between_samples_are_written_in_two_ways() {
        assert_eq!(duration_ns("10000000"), Some(10_000_000));
        assert_eq!(duration_ns("20 ms"), Some(20_000_000));
        assert_eq!(duration_ns("1 s"), Some(1_000_000_000));
        for none in ["", "0", "everyChunk", "18446744073709551615 s", "-1"] {
            assert_eq!(duration_ns(none), None, "{none}");
        }
    }
}
