//! The stacks of a profile as a tree of frames, and the pprof made of them.
//!
//! A tree, because that is what the payloads are: a trie of a few kilobytes can spell out gigabytes
//! of stacks. The tree grows with the payload, and [`Stacks::to_pprof`] stops at the size limit.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::borrow::Cow;
use std::collections::HashMap;

use phlare_proto::google::v1 as pprof;
use prost::Message;

use crate::error::Error;
use crate::kind::{Kind, Meaning};
use crate::rate::SampleRate;

/// What a profile may consist of: the tenant's limits, under their names.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the pprof; `max_profile_size_bytes`.
    pub profile_bytes: usize,
    /// Bytes of a name in a tree; `max_profile_symbol_value_length`.
    pub symbol_bytes: usize,
    /// Children of a node in a tree; `max_profile_stacktrace_samples`.
    pub stacktraces: usize,
}

/// When a profile was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Start, nanoseconds since the epoch.
    pub time_ns: i64,
    /// Length in nanoseconds.
    pub duration_ns: i64,
}

/// Index of a node; 0 is the root, which is no frame.
pub type NodeIndex = u32;

/// Index of the root.
pub const ROOT: NodeIndex = 0;

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: NodeIndex,
    name: u32,
    value: i64,
}

/// Call stacks with values. 40 bytes per node, each distinct name once.
#[derive(Debug)]
pub struct Stacks {
    nodes: Vec<Node>,
    children: HashMap<(NodeIndex, u32), NodeIndex>,
    names: Vec<String>,
    name_ids: HashMap<String, u32>,
    name_bytes: usize,
    limit: usize,
    /// Values below zero, left out.
    pub negative_values: u64,
    /// Names in which bytes that are not UTF-8 were replaced by U+FFFD.
    pub repaired_names: u64,
}

impl Stacks {
    /// No stacks yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            nodes: vec![Node {
                parent: ROOT,
                name: 0,
                value: 0,
            }],
            children: HashMap::new(),
            names: vec![String::new()],
            name_ids: HashMap::from([(String::new(), 0)]),
            name_bytes: 0,
            limit: limits.profile_bytes,
            negative_values: 0,
            repaired_names: 0,
        }
    }

    /// The node of a frame called from `parent`; made if it is not there.
    ///
    /// # Errors
    /// [`Error::TooLarge`] once there are more frames than a pprof within the limit can have.
    pub fn child(&mut self, parent: NodeIndex, name: &[u8]) -> Result<NodeIndex, Error> {
        let name = self.name(name)?;
        if let Some(&node) = self.children.get(&(parent, name)) {
            return Ok(node);
        }
        // In a pprof every node takes at least one byte of some stack.
        if self.nodes.len() > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        let node = index(self.nodes.len(), self.limit)?;
        self.nodes.push(Node {
            parent,
            name,
            value: 0,
        });
        self.children.insert((parent, name), node);
        Ok(node)
    }

    /// Adds to the value of the stack that ends in `node`. Values below zero are left out and counted.
    pub fn add(&mut self, node: NodeIndex, value: i64) {
        if value < 0 {
            self.negative_values = self.negative_values.saturating_add(1);
        } else if let Some(node) = usize::try_from(node)
            .ok()
            .and_then(|at| self.nodes.get_mut(at))
        {
            node.value = node.value.saturating_add(value);
        }
    }

    /// Adds a whole stack, root first, frames separated by `;`.
    ///
    /// # Errors
    /// As [`Self::child`].
    pub fn add_joined(&mut self, stack: &[u8], value: i64) -> Result<(), Error> {
        let mut node = ROOT;
        for frame in stack.split(|&byte| byte == b';') {
            node = self.child(node, frame)?;
        }
        self.add(node, value);
        Ok(())
    }

    /// Whether no stack has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(|node| node.value == 0)
    }

    /// The stacks as an uncompressed pprof of one sample type.
    /// Counts of a timed kind become nanoseconds; `None` if there is no stack with a value.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn to_pprof(
        &self,
        kind: &Kind,
        rate: SampleRate,
        timing: Timing,
    ) -> Result<Option<Vec<u8>>, Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let meaning = kind.meaning(rate);
        let scale = if meaning.timed {
            rate
        } else {
            SampleRate::UNKNOWN
        };
        self.encode(meaning, rate.period_ns(), scale, timing)
            .map(Some)
    }

    /// As [`Self::to_pprof`], for values that stand for `scale` and not for the meaning's own rate.
    pub(crate) fn encode(
        &self,
        meaning: Meaning,
        period_ns: i64,
        scale: SampleRate,
        timing: Timing,
    ) -> Result<Vec<u8>, Error> {
        let mut strings = self.names.clone();
        let mut string = |text: &str| -> i64 {
            strings.push(text.to_owned());
            position(strings.len())
        };
        let sample_type = pprof::ValueType {
            r#type: string(meaning.sample_type),
            unit: string(meaning.sample_unit),
        };
        let period_type = meaning.timed.then(|| pprof::ValueType {
            r#type: string("cpu"),
            unit: string("nanoseconds"),
        });
        let (sample, used) = self.samples(scale)?;
        let mut profile = pprof::Profile {
            sample_type: vec![sample_type],
            sample,
            mapping: vec![pprof::Mapping {
                id: 1,
                has_functions: true,
                ..Default::default()
            }],
            time_nanos: timing.time_ns,
            duration_nanos: timing.duration_ns,
            period_type,
            period: if meaning.timed { period_ns } else { 0 },
            string_table: strings,
            ..Default::default()
        };
        for name in used
            .iter()
            .enumerate()
            .filter_map(|(name, used)| used.then_some(name))
        {
            let id = id_of_name(name);
            let line = pprof::Line {
                function_id: id,
                ..Default::default()
            };
            let name = i64::try_from(name).unwrap_or(0);
            profile.function.push(pprof::Function {
                id,
                name,
                system_name: name,
                ..Default::default()
            });
            profile.location.push(pprof::Location {
                id,
                mapping_id: 1,
                line: vec![line],
                ..Default::default()
            });
        }
        let bytes = profile.encode_to_vec();
        if bytes.len() > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        Ok(bytes)
    }

    /// One sample for each node with a value, and which names they use.
    fn samples(&self, scale: SampleRate) -> Result<(Vec<pprof::Sample>, Vec<bool>), Error> {
        let mut samples = Vec::new();
        let mut used = vec![false; self.names.len()];
        let mut frames = 0_usize;
        for node in self.nodes.iter().filter(|node| node.value > 0) {
            let location_id = self.stack(node, self.limit.saturating_sub(frames))?;
            frames = frames.saturating_add(location_id.len());
            for id in &location_id {
                let name = usize::try_from(id.saturating_sub(1)).unwrap_or(0);
                if let Some(used) = used.get_mut(name) {
                    *used = true;
                }
            }
            let value = scale.nanoseconds(node.value);
            samples.push(pprof::Sample {
                location_id,
                value: vec![value],
                ..Default::default()
            });
        }
        Ok((samples, used))
    }

    /// Location ids from a node to the root, leaf first.
    fn stack(&self, leaf: &Node, most: usize) -> Result<Vec<u64>, Error> {
        let mut stack = Vec::new();
        let mut node = leaf;
        loop {
            if stack.len() >= most {
                return Err(Error::TooLarge { limit: self.limit });
            }
            stack.push(id_of_name(usize::try_from(node.name).unwrap_or(0)));
            if node.parent == ROOT {
                return Ok(stack);
            }
            let parent = usize::try_from(node.parent)
                .ok()
                .and_then(|parent| self.nodes.get(parent));
            node = parent.expect("a node's parent was made before it");
        }
    }

    fn name(&mut self, bytes: &[u8]) -> Result<u32, Error> {
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, Cow::Owned(_)) {
            self.repaired_names = self.repaired_names.saturating_add(1);
        }
        if let Some(&id) = self.name_ids.get(text.as_ref()) {
            return Ok(id);
        }
        let id = index(self.names.len(), self.limit)?;
        self.name_bytes = self.name_bytes.saturating_add(text.len());
        if self.name_bytes > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.names.push(text.clone().into_owned());
        self.name_ids.insert(text.into_owned(), id);
        Ok(id)
    }
}

fn index(length: usize, limit: usize) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::TooLarge { limit })
}

/// Ids of functions and locations begin at 1.
fn id_of_name(name: usize) -> u64 {
    u64::try_from(name).unwrap_or(u64::MAX).saturating_add(1)
}

/// Index of the last of `length` strings.
fn position(length: usize) -> i64 {
    i64::try_from(length.saturating_sub(1)).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
