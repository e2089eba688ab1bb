//! What normalisation hands to the database: one pprof in flat tables, each symbol with its
//! content hash, samples grouped by their labels.
//!
//! Everything borrows from the request's buffer or from the workspace; nothing is allocated per sample.

/// Index into [`Normalized::strings`].
pub type StringIndex = u32;

/// Type and unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueType<'a> {
    /// For example `cpu`.
    pub kind: &'a str,
    /// For example `nanoseconds`.
    pub unit: &'a str,
}

/// A function; strings are indices into the profile's table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Name as people read it.
    pub name: StringIndex,
    /// Name as the linker sees it.
    pub system_name: StringIndex,
    /// Source file.
    pub filename: StringIndex,
    /// Line of its definition, 0 if unknown.
    pub start_line: i64,
}

/// A mapped object file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// First address; 0 if the mapping has functions.
    pub memory_start: u64,
    /// End address; 0 if the mapping has functions.
    pub memory_limit: u64,
    /// Offset in the file; 0 if the mapping has functions.
    pub file_offset: u64,
    /// Path of the file.
    pub filename: StringIndex,
    /// Build id.
    pub build_id: StringIndex,
    /// Bit 3 has_functions, bit 2 has_filenames, bit 1 has_line_numbers, bit 0 has_inline_frames.
    pub flags: u8,
}

/// Bit of [`Mapping::flags`]: symbols were resolved by the client.
pub const HAS_FUNCTIONS: u8 = 8;

/// A place in the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// Index into [`Normalized::mappings`].
    pub mapping: u32,
    /// Address; 0 if its mapping has functions.
    pub address: u64,
    /// Its lines are `lines[first_line..first_line + line_count]`, innermost inlined function first.
    pub first_line: u32,
    /// Number of lines.
    pub line_count: u32,
    /// Whether several addresses were folded into this one.
    pub is_folded: bool,
}

/// A line of a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Index into [`Normalized::functions`].
    pub function: u32,
    /// Line number.
    pub line: i64,
    /// Column, 0 if unknown.
    pub column: i64,
}

/// Samples with the same labels; all of a group become rows of the same series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// String labels of the samples, sorted by key, without span and trace ids.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Its samples are `samples[first..first + count]`.
    pub first: u32,
    /// Number of samples.
    pub count: u32,
}

/// One sample: a stack and, in [`Normalized::values`], a value for each sample type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Index into [`Normalized::stacks`].
    pub stack: u32,
    /// Span id as read little-endian from 16 hex digits; 0 without.
    pub span_id: u64,
    /// Index into [`Normalized::trace_ids`]; [`NO_TRACE`] without.
    pub trace: u32,
}

/// [`Sample::trace`] of a sample without a trace id.
pub const NO_TRACE: u32 = u32::MAX;

/// A distinct stack of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Content hash; equal stacks of a profile are one stack.
    pub hash: u64,
    /// Its frames are `frames[first..first + depth]`, indices of locations, leaf first.
    pub first: u32,
    /// Number of frames; 0 for a sample without locations.
    pub depth: u32,
}

/// A decoded, validated and normalised pprof (api.md 8.2, 8.3).
///
/// All indices are in range, `strings[0]` is empty, strings are UTF-8, symbols that no sample uses may be present.
#[derive(Debug)]
pub struct Normalized<'a> {
    /// Time of the profile in ns since the epoch, never 0.
    pub time_ns: i64,
    /// Duration in ns, 0 if unknown.
    pub duration_ns: i64,
    /// Sampling period, 0 if unknown.
    pub period: i64,
    /// What the period counts.
    pub period_type: Option<ValueType<'a>>,
    /// One for each column of values.
    pub sample_types: Vec<ValueType<'a>>,
    /// Name of the sample type to show first; may be empty.
    pub default_sample_type: &'a str,
    /// Link to documentation; may be empty.
    pub doc_url: &'a str,
    /// Free texts.
    pub comments: Vec<&'a str>,

    /// String table; the first is empty.
    pub strings: Vec<&'a str>,
    /// Functions.
    pub functions: &'a [Function],
    /// Mappings.
    pub mappings: &'a [Mapping],
    /// Locations.
    pub locations: &'a [Location],
    /// Lines of all locations.
    pub lines: &'a [Line],

    /// Content hash of each string that a symbol uses, by index.
    pub string_hashes: &'a [u64],
    /// Content hash of each function.
    pub function_hashes: &'a [u64],
    /// Content hash of each mapping.
    pub mapping_hashes: &'a [u64],
    /// Content hash of each location.
    pub location_hashes: &'a [u64],

    /// Distinct stacks.
    pub stacks: &'a [Stack],
    /// Frames of all stacks: indices of locations, leaf first. What lies between stacks has no meaning.
    pub frames: &'a [u32],

    /// One for each distinct set of sample labels, each with at least one sample.
    /// Empty if nothing is to be stored: no samples, or only zero values.
    pub groups: Vec<Group<'a>>,
    /// Samples in the order of their groups.
    pub samples: &'a [Sample],
    /// `values[s * sample_types.len() + t]` is sample `s`'s value of type `t`; never negative, not all 0.
    pub values: &'a [i64],
    /// Trace ids of the samples.
    pub trace_ids: &'a [[u8; 16]],

    /// What was left out, to be counted by reason.
    pub dropped: Dropped,
}

impl<'a> Normalized<'a> {
    /// A profile of nothing.
    pub(crate) fn empty() -> Self {
        Self {
            time_ns: 0,
            duration_ns: 0,
            period: 0,
            period_type: None,
            sample_types: Vec::new(),
            default_sample_type: "",
            doc_url: "",
            comments: Vec::new(),
            strings: Vec::new(),
            functions: &[],
            mappings: &[],
            locations: &[],
            lines: &[],
            string_hashes: &[],
            function_hashes: &[],
            mapping_hashes: &[],
            location_hashes: &[],
            stacks: &[],
            frames: &[],
            groups: Vec::new(),
            samples: &[],
            values: &[],
            trace_ids: &[],
            dropped: Dropped::default(),
        }
    }

    /// Whether there is nothing to store.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// A string; empty if the index is out of range.
    #[must_use]
    pub fn string(&self, index: StringIndex) -> &'a str {
        self.strings
            .get(index as usize)
            .copied()
            .unwrap_or_default()
    }

    /// The frames of a stack, leaf first.
    #[must_use]
    pub fn frames_of(&self, stack: &Stack) -> &'a [u32] {
        let end = stack.first.saturating_add(stack.depth) as usize;
        self.frames
            .get(stack.first as usize..end)
            .unwrap_or_default()
    }

    /// The lines of a location, innermost first.
    #[must_use]
    pub fn lines_of(&self, location: &Location) -> &'a [Line] {
        let end = location.first_line.saturating_add(location.line_count) as usize;
        self.lines
            .get(location.first_line as usize..end)
            .unwrap_or_default()
    }

    /// The values of a sample, one for each sample type.
    #[must_use]
    pub fn values_of(&self, sample: usize) -> &'a [i64] {
        let start = sample.saturating_mul(self.sample_types.len());
        self.values
            .get(start..start.saturating_add(self.sample_types.len()))
            .unwrap_or_default()
    }

    /// Sum of the values of each sample type.
    #[must_use]
    pub fn totals(&self) -> Vec<i64> {
        let mut totals = vec![0_i64; self.sample_types.len()];
        for row in self.values.chunks(totals.len().max(1)) {
            for (total, value) in totals.iter_mut().zip(row) {
                *total = total.saturating_add(*value);
            }
        }
        totals
    }
}

/// What normalisation left out or changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Values below zero, dropped one by one.
    pub negative_values: u64,
    /// Samples of which every value is zero.
    pub zero_samples: u64,
    /// Samples that refer to a location or function that the profile does not define,
    /// or to a location with neither an address nor lines.
    pub broken_samples: u64,
    /// Locations on the stand-in mapping because theirs does not exist.
    pub unknown_mappings: u64,
    /// Strings in which bytes that are not UTF-8 were replaced by U+FFFD.
    pub repaired_strings: u64,
    /// Samples folded into the one stack `other` because of the limit of samples.
    pub folded_samples: u64,
    /// Stacks of which the leaf side was cut at the limit of depth.
    pub truncated_stacks: u64,
    /// Strings of which the front was cut at the limit of length.
    pub truncated_strings: u64,
    /// Spans or trace ids that are not hexadecimal and were taken as absent.
    pub invalid_ids: u64,
}
