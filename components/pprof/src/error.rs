//! Why bytes are refused as a profile.

use std::fmt;

use crate::wire::Malformed;

/// Why a profile is refused. The client sent it, so the client has to change it:
/// none of these is a failure of this process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More bytes than allowed, found before they were all inflated.
    #[error(
        "profile is larger than {limit} bytes uncompressed; send less or raise max_profile_size_bytes"
    )]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A gzip stream that cannot be inflated.
    #[error("profile is damaged gzip: {problem}")]
    Gzip {
        /// What is wrong.
        problem: &'static str,
    },
    /// A gzip stream with something else behind it.
    #[error(
        "profile is damaged gzip: {bytes} bytes at offset {offset} are behind the end of the stream and no further gzip member"
    )]
    TrailingGarbage {
        /// Offset in the compressed bytes.
        offset: usize,
        /// Number of bytes from there to the end.
        bytes: usize,
    },
    /// Bytes that are no protobuf.
    #[error("profile is no pprof: {problem} (byte {offset} of the uncompressed profile)")]
    Malformed {
        /// Offset in the uncompressed bytes.
        offset: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A profile without sample types.
    #[error("profile has no sample type")]
    NoSampleTypes,
    /// A profile without strings.
    #[error("profile has an empty string_table; string_table[0] must be \"\"")]
    NoStrings,
    /// A string table that does not begin with the empty string.
    #[error("string_table[0] must be empty, it is {first:?}")]
    FirstString {
        /// The beginning of the first string.
        first: String,
    },
    /// A string index that points outside of the string table.
    #[error(
        "{of} {position}: string index {index} is outside of the string table with {strings} strings"
    )]
    StringIndex {
        /// What has this index: `sample_type`, `function` …
        of: &'static str,
        /// Which of them, counted from 0.
        position: usize,
        /// The index.
        index: i64,
        /// Length of the string table.
        strings: usize,
    },
    /// A sample type with a dash.
    #[error("sample_type {position}: the name {name:?} must not contain a dash")]
    Dash {
        /// Which one, counted from 0.
        position: usize,
        /// Its name.
        name: String,
    },
    /// An id that is 0.
    #[error("{of} {position} has the id 0; ids start at 1")]
    ZeroId {
        /// `location` or `function`.
        of: &'static str,
        /// Which one, counted from 0.
        position: usize,
    },
    /// A sample with more or fewer values than there are sample types.
    #[error("sample {sample} has {values} values for {types} sample types")]
    ValueCount {
        /// Which sample, counted from 0.
        sample: usize,
        /// Number of its values.
        values: usize,
        /// Number of sample types.
        types: usize,
    },
    /// More samples than allowed.
    #[error(
        "profile has {samples} samples, {limit} are allowed; raise max_profile_stacktrace_samples or send less"
    )]
    TooManySamples {
        /// Number of samples.
        samples: usize,
        /// The limit.
        limit: usize,
    },
    /// A sample with more labels than allowed.
    #[error(
        "sample {sample} has {labels} labels, {limit} are allowed; raise max_profile_stacktrace_sample_labels or send less"
    )]
    TooManyLabels {
        /// Which sample, counted from 0.
        sample: usize,
        /// Number of its labels.
        labels: usize,
        /// The limit.
        limit: usize,
    },
    /// A profile of which every sample refers to something that it does not define.
    #[error(
        "nothing of the profile can be stored: all {samples} samples refer to what it does not define, the first is {first}"
    )]
    NothingLeft {
        /// Number of samples that were dropped.
        samples: u64,
        /// The first reference that cannot be followed.
        first: BadReference,
    },
    /// Profiles that cannot be merged.
    #[error(
        "profile {position} cannot be merged with those before it: incompatible {what}, [{other}] after [{first}]"
    )]
    Incompatible {
        /// Which one, counted from 0.
        position: usize,
        /// `sample types` or `period types`.
        what: &'static str,
        /// Those of the profiles before it.
        first: String,
        /// Its own.
        other: String,
    },
}

/// A reference that cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadReference {
    /// A sample refers to a location that does not exist.
    Location {
        /// Which sample, counted from 0.
        sample: usize,
        /// The location's id.
        id: u64,
    },
    /// A line refers to a function that does not exist.
    Function {
        /// Id of the location that the line belongs to.
        location: u64,
        /// The function's id.
        id: u64,
    },
    /// A location has neither an address nor lines.
    Empty {
        /// The location's id.
        location: u64,
    },
}

impl fmt::Display for BadReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location { sample, id } => write!(f, "location_id {id} in sample {sample}"),
            Self::Function { location, id } => {
                write!(f, "function_id {id} in the location with id {location}")
            }
            Self::Empty { location } => write!(
                f,
                "the location with id {location}, which has neither an address nor lines"
            ),
        }
    }
}

impl Error {
    /// The reason under which a refused profile is counted, in upstream's words (api.md 7).
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "profile_size_limit",
            Self::TooManySamples { .. } => "samples_limit",
            Self::TooManyLabels { .. } => "sample_labels_limit",
            Self::Gzip { .. }
            | Self::TrailingGarbage { .. }
            | Self::Malformed { .. }
            | Self::NoSampleTypes
            | Self::NoStrings
            | Self::FirstString { .. }
            | Self::StringIndex { .. }
            | Self::Dash { .. }
            | Self::ZeroId { .. }
            | Self::ValueCount { .. }
            | Self::NothingLeft { .. }
            | Self::Incompatible { .. } => "malformed_profile",
        }
    }
}

impl From<Malformed> for Error {
    fn from(Malformed { offset, problem }: Malformed) -> Self {
        Self::Malformed { offset, problem }
    }
}
