//! The frames of a profile, each function line once.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::HashMap;

use phlare_proto::google::v1::{Function, Line, Mapping, Profile, Sample};

use super::label;

/// What a node of the graph stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Frame<'p> {
    pub(super) name: &'p str,
    pub(super) file: &'p str,
    pub(super) line: i64,
    /// Only of frames without a function: symbolised code is one node wherever it was loaded.
    pub(super) address: u64,
    pub(super) binary: &'p str,
}

/// A frame on a stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) frame: u32,
    /// Whether the compiler put it into the frame that calls it.
    pub(super) inline: bool,
}

/// Frames by number, and which of them each location has.
#[derive(Debug)]
pub(super) struct Frames<'p> {
    frames: Vec<Frame<'p>>,
    locations: HashMap<u64, Vec<Call>>,
}

impl<'p> Frames<'p> {
    pub(super) fn of(profile: &'p Profile) -> Self {
        let functions: HashMap<u64, &Function> =
            profile.function.iter().map(|f| (f.id, f)).collect();
        let mappings: HashMap<u64, &Mapping> = profile.mapping.iter().map(|m| (m.id, m)).collect();
        let mut frames = Vec::new();
        let mut numbers = HashMap::new();
        let mut locations = HashMap::with_capacity(profile.location.len());
        for location in &profile.location {
            let mapping = mappings.get(&location.mapping_id);
            let binary = mapping.map_or("", |mapping| string(profile, mapping.filename));
            let frame = |line: Option<&Line>| {
                let function = line.and_then(|line| functions.get(&line.function_id));
                match (line, function) {
                    (Some(line), Some(function)) => Frame {
                        name: string(profile, function.name),
                        file: label::trim_file(string(profile, function.filename)),
                        line: line.line,
                        address: 0,
                        binary: "",
                    },
                    _ => Frame {
                        name: "",
                        file: "",
                        line: 0,
                        address: location.address,
                        binary,
                    },
                }
            };
            let mut number = |frame: Frame<'p>| {
                *numbers.entry(frame).or_insert_with(|| {
                    frames.push(frame);
                    u32::try_from(frames.len().saturating_sub(1))
                        .expect("a message of 2 GiB has fewer lines")
                })
            };
            let mut calls: Vec<Call> = location
                .line
                .iter()
                .map(|line| Call {
                    frame: number(frame(Some(line))),
                    inline: true,
                })
                .collect();
            match calls.last_mut() {
                Some(outermost) => outermost.inline = false,
                None => calls.push(Call {
                    frame: number(frame(None)),
                    inline: false,
                }),
            }
            locations.insert(location.id, calls);
        }
        Self { frames, locations }
    }

    pub(super) fn get(&self, number: u32) -> Frame<'p> {
        const NOWHERE: Frame<'_> = Frame {
            name: "",
            file: "",
            line: 0,
            address: 0,
            binary: "",
        };
        self.frames.get(number as usize).copied().unwrap_or(NOWHERE)
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The frames of a sample, root first.
    pub(super) fn stack(&self, sample: &Sample) -> impl Iterator<Item = Call> {
        let locations = sample
            .location_id
            .iter()
            .rev()
            .filter_map(|id| self.locations.get(id));
        locations.flat_map(|calls| calls.iter().rev().copied())
    }
}

impl Frame<'_> {
    /// The name for tooltips and for ordering.
    pub(super) fn printable(&self) -> String {
        self.components(self.name, self.file).join(" ")
    }

    /// The lines of a node's label before its values, each with its `\n`.
    pub(super) fn label(&self) -> String {
        let name = label::escape(&label::shorten(self.name));
        let name = name
            .replace("::", "\\n")
            .replace("[...]", "[…]")
            .replace('.', "\\n");
        let mut text = self
            .components(&name, &label::escape(label::base(self.file)))
            .join("\\n");
        text.push_str("\\n");
        text
    }

    fn components(&self, name: &str, file: &str) -> Vec<String> {
        let mut parts = Vec::new();
        if self.address != 0 {
            parts.push(format!("{:016x}", self.address));
        }
        if !name.is_empty() {
            parts.push(name.to_owned());
        }
        if self.line != 0 {
            parts.push(format!("{file}:{}", self.line));
        } else if !file.is_empty() {
            parts.push(file.to_owned());
        } else if name.is_empty() && !self.binary.is_empty() {
            parts.push(format!("[{}]", label::escape(label::base(self.binary))));
        } else if name.is_empty() {
            parts.push("<unknown>".to_owned());
        }
        parts
    }
}

/// The file of the first mapping, which is the program itself.
pub(super) fn binary(profile: &Profile) -> Option<&str> {
    profile
        .mapping
        .first()
        .map(|mapping| string(profile, mapping.filename))
}

pub(super) fn sample_type(profile: &Profile) -> &str {
    profile
        .sample_type
        .first()
        .map_or("", |kind| string(profile, kind.r#type))
}

pub(super) fn string(profile: &Profile, index: i64) -> &str {
    usize::try_from(index)
        .ok()
        .and_then(|index| profile.string_table.get(index))
        .map_or("", String::as_str)
}
