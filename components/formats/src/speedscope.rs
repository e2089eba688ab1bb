//! Speedscope files: JSON with shared frames and several profiles.
//!
//! Format: the schema at [`SCHEMA`]; our rules for units and rates: api.md 4.4.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

use serde::Deserialize;

use crate::error::Error;
use crate::kind::Kind;
use crate::rate::SampleRate;
use crate::stacks::{Limits, NodeIndex, ROOT, Stacks, Timing};

/// What `$schema` must be.
pub const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

/// A profile of a file, or several that are the same one in parts.
#[derive(Debug)]
pub struct Profile {
    /// Its name; becomes the label `profile_name`.
    pub name: String,
    /// The service, without the suffix that selected the kind.
    pub service: String,
    /// What was measured.
    pub kind: &'static Kind,
    stacks: Stacks,
    rate: SampleRate,
}

impl Profile {
    /// As [`Stacks::to_pprof`].
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn to_pprof(&self, timing: Timing) -> Result<Option<Vec<u8>>, Error> {
        if self.stacks.is_empty() {
            return Ok(None);
        }
        let meaning = self.kind.meaning(self.rate);
        self.stacks
            .encode(meaning, self.rate.period_ns(), SampleRate::UNKNOWN, timing)
            .map(Some)
    }

    /// The stacks; values are in the unit of the pprof.
    #[must_use]
    pub fn stacks(&self) -> &Stacks {
        &self.stacks
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "$schema", default)]
    schema: String,
    #[serde(default)]
    shared: Shared,
    profiles: Vec<Part>,
}

#[derive(Default, Deserialize)]
struct Shared {
    #[serde(default)]
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    name: String,
    unit: Unit,
    #[serde(default)]
    start_value: f64,
    #[serde(default)]
    end_value: f64,
    #[serde(flatten)]
    content: Content,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Content {
    Sampled {
        samples: Vec<Vec<usize>>,
        weights: Vec<f64>,
    },
    Evented {
        events: Vec<Event>,
    },
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: EventKind,
    frame: usize,
    at: f64,
}

#[derive(Clone, Copy, Deserialize)]
enum EventKind {
    #[serde(rename = "O")]
    Open,
    #[serde(rename = "C")]
    Close,
}

/// What the weights count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Bytes,
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    None,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Nanoseconds => "nanoseconds",
            Self::Microseconds => "microseconds",
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::None => "none",
        }
    }

    /// Samples that a weight of 1 stands for.
    fn samples(self) -> f64 {
        if self == Self::Bytes { 1.0 } else { 100.0 }
    }

    /// The rate that makes a weight of 1 one unit of time, unless the client gave another.
    fn rate(self, given: SampleRate) -> SampleRate {
        if given != SampleRate::DEFAULT && !given.is_unknown() {
            return given;
        }
        SampleRate::hertz(match self {
            Self::Bytes => 0,
            Self::Nanoseconds => 100_000_000_000,
            Self::Microseconds => 100_000_000,
            Self::Milliseconds => 100_000,
            Self::Seconds => 100,
            Self::None => 10_000,
        })
    }
}

/// Reads a file. `app` is the application's name with its suffix; in a file with several profiles
/// their unit is the suffix.
///
/// # Errors
/// [`Error::Content`] for what is no such file or contradicts itself, [`Error::UnknownKind`],
/// [`Error::TooLarge`].
pub fn parse(
    payload: &[u8],
    app: &str,
    rate: SampleRate,
    limits: &Limits,
) -> Result<Vec<Profile>, Error> {
    let file: File =
        serde_json::from_slice(payload).map_err(|error| Error::Content(error.to_string()))?;
    if file.schema != SCHEMA {
        return Err(Error::Content(format!(
            "`$schema` is {:?}, expected {SCHEMA:?}",
            file.schema
        )));
    }
    let groups = group(&file.profiles);
    let several = groups.len() > 1;
    let mut profiles = Vec::with_capacity(groups.len());
    for parts in groups {
        let Some(first) = parts.first() else { continue };
        let name = match first.unit {
            unit if several && unit != Unit::None => format!("{app}.{}", unit.name()),
            _ => app.to_owned(),
        };
        let (service, kind) = Kind::of_name(&name)?;
        let rate = first.unit.rate(rate);
        let scale = if kind.meaning(rate).timed {
            ns_per_sample(rate)
        } else {
            1.0
        } * first.unit.samples();
        let mut stacks = Stacks::new(limits);
        for part in &parts {
            part.read(&file.shared.frames, &mut |stack: &[&str], weight| {
                add(&mut stacks, stack, weight * scale)
            })?;
        }
        profiles.push(Profile {
            name: first.name.clone(),
            service: service.to_owned(),
            kind,
            stacks,
            rate,
        });
    }
    Ok(profiles)
}

/// Parts with equal name, type, unit and start belong together.
fn group(parts: &[Part]) -> Vec<Vec<&Part>> {
    let mut groups: Vec<Vec<&Part>> = Vec::new();
    let mut known = HashMap::new();
    for part in parts {
        let place = *known.entry(part.identity()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(part),
            None => groups.push(vec![part]),
        }
    }
    groups
}

fn ns_per_sample(rate: SampleRate) -> f64 {
    // A million samples, because a rate may be above one per nanosecond.
    rate.nanoseconds(1_000_000) as f64 / 1e6
}

fn add(stacks: &mut Stacks, frames: &[&str], value: f64) -> Result<(), Error> {
    let mut node: NodeIndex = ROOT;
    for frame in frames {
        node = stacks.child(node, frame.as_bytes())?;
    }
    if node != ROOT {
        // Saturates: a weight of 1e300 is a large value, not a crash.
        stacks.add(node, value.round() as i64);
    }
    Ok(())
}

/// Takes a stack, root first, and its weight.
type Sink<'a> = dyn FnMut(&[&str], f64) -> Result<(), Error> + 'a;

impl Part {
    fn identity(&self) -> (&str, Discriminant<Content>, Unit, u64) {
        (
            &self.name,
            discriminant(&self.content),
            self.unit,
            self.start_value.to_bits(),
        )
    }

    fn read(&self, frames: &[Frame], sink: &mut Sink<'_>) -> Result<(), Error> {
        match &self.content {
            Content::Sampled { samples, weights } => {
                self.read_samples(samples, weights, frames, sink)
            }
            Content::Evented { events } => self.read_events(events, frames, sink),
        }
    }

    fn read_samples(
        &self,
        samples: &[Vec<usize>],
        weights: &[f64],
        frames: &[Frame],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        if samples.len() != weights.len() {
            return Err(self.wrong(format_args!(
                "{} samples have {} weights",
                samples.len(),
                weights.len()
            )));
        }
        let mut stack = Vec::new();
        for (sample, &weight) in samples.iter().zip(weights) {
            if weight < 0.0 {
                return Err(self.wrong(format_args!("the weight {weight} is negative")));
            }
            stack.clear();
            for &frame in sample {
                stack.push(self.frame(frames, frame)?);
            }
            sink(&stack, weight)?;
        }
        Ok(())
    }

    fn read_events(
        &self,
        events: &[Event],
        frames: &[Frame],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let mut stack: Vec<&str> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        let mut last = self.start_value;
        for event in events {
            if event.at < last {
                return Err(self.wrong(format_args!(
                    "the event at {} follows one at {last}",
                    event.at
                )));
            }
            if event.at > last {
                sink(&stack, event.at - last)?;
            }
            last = event.at;
            match event.kind {
                EventKind::Open => {
                    stack.push(self.frame(frames, event.frame)?);
                    open.push(event.frame);
                }
                EventKind::Close if open.last() == Some(&event.frame) => {
                    stack.pop();
                    open.pop();
                }
                EventKind::Close => {
                    return Err(self.wrong(format_args!(
                        "frame {} is closed at {}, but it is not the innermost open frame",
                        event.frame, event.at
                    )));
                }
            }
        }
        // Frames that are never closed last until the end.
        if self.end_value > last {
            sink(&stack, self.end_value - last)
        } else {
            Ok(())
        }
    }

    fn frame<'a>(&self, frames: &'a [Frame], index: usize) -> Result<&'a str, Error> {
        match frames.get(index) {
            Some(frame) => Ok(&frame.name),
            None => Err(self.wrong(format_args!(
                "frame {index} of {} frames does not exist",
                frames.len()
            ))),
        }
    }

    fn wrong(&self, reason: std::fmt::Arguments<'_>) -> Error {
        Error::Content(format!("profile {:?}: {reason}", self.name))
    }
}

#[cfg(test)]
mod tests;
