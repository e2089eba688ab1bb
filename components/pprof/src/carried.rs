//! A normalised profile on its way to another process.
//!
//! Only what its samples use is carried, each symbol once, without hashes: those are keyed with the secret of a
//! process, so the receiver makes its own. The wire form is columns (`phlare.ingest.v1.Profile`).

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod decode;
mod encode;

use phlare_proto::phlare::ingest::v1 as wire;

use crate::normalized::{Function, Group, Line, Location, Mapping, Normalized, Sample, Stack};

pub use encode::encode;

/// Why bytes of another process are no profile: a mistake in one of the two programs, or damage on the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarriedError {
    /// No such message.
    #[error("carried profile: {0}")]
    Malformed(String),
    /// Columns of one table differ in length, or counts do not add up.
    #[error("carried profile: {table} does not fit together")]
    Lengths {
        /// The table.
        table: &'static str,
    },
    /// An index points nowhere.
    #[error("carried profile: {table} refers to entry {index} of {entries} in {of}")]
    Index {
        /// Which table refers.
        table: &'static str,
        /// To which entry.
        index: u64,
        /// Of which table.
        of: &'static str,
        /// How many that one has.
        entries: usize,
    },
    /// A value that no profile has.
    #[error("carried profile: {0}")]
    Value(&'static str),
}

/// A profile that came from another process.
#[derive(Debug)]
pub struct Carried {
    message: wire::Profile,
    functions: Vec<Function>,
    mappings: Vec<Mapping>,
    locations: Vec<Location>,
    lines: Vec<Line>,
    string_hashes: Vec<u64>,
    function_hashes: Vec<u64>,
    mapping_hashes: Vec<u64>,
    location_hashes: Vec<u64>,
    stacks: Vec<Stack>,
    samples: Vec<Sample>,
    values: Vec<i64>,
    trace_ids: Vec<[u8; 16]>,
}

impl Carried {
    /// The profile, as normalisation made it, without the labels of its samples: rows have those.
    #[must_use]
    pub fn normalized(&self) -> Normalized<'_> {
        let message = &self.message;
        let mut first = 0_u32;
        let groups = message.group_counts.iter().map(|&count| {
            let group = Group {
                labels: Vec::new(),
                first,
                count,
            };
            first = first.saturating_add(count);
            group
        });
        Normalized {
            time_ns: message.time_ns,
            duration_ns: message.duration_ns,
            period: message.period,
            period_type: message.period_type.as_ref().map(value_type),
            sample_types: message.sample_types.iter().map(value_type).collect(),
            default_sample_type: &message.default_sample_type,
            doc_url: &message.doc_url,
            comments: message.comments.iter().map(String::as_str).collect(),
            strings: message.strings.iter().map(String::as_str).collect(),
            functions: &self.functions,
            mappings: &self.mappings,
            locations: &self.locations,
            lines: &self.lines,
            string_hashes: &self.string_hashes,
            function_hashes: &self.function_hashes,
            mapping_hashes: &self.mapping_hashes,
            location_hashes: &self.location_hashes,
            stacks: &self.stacks,
            frames: &message.frames,
            groups: groups.collect(),
            samples: &self.samples,
            values: &self.values,
            trace_ids: &self.trace_ids,
            ..Normalized::empty()
        }
    }
}

fn value_type(value: &wire::ValueType) -> crate::normalized::ValueType<'_> {
    crate::normalized::ValueType {
        kind: &value.kind,
        unit: &value.unit,
    }
}
