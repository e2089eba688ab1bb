//! Why an uploaded profile cannot be kept or shown.

use phlare_model::{Classify, ErrorKind, TreeError};

/// What files may be.
const ACCEPTED: &str = "pprof, flame graphs as JSON (`flamebearer`, version 1), speedscope, JFR, OTLP, \
     trees, tries, collapsed stacks (lines `frame;frame count`), the text of `perf script`, each as it is or gzip";

/// A refusal, or trouble with the bucket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An id that no profile can have.
    #[error(
        "{id:?} is no id of a profile: letters, digits and `.`, `_`, `-` are allowed, 255 at most"
    )]
    Id {
        /// What was sent.
        id: String,
    },
    /// No such profile.
    #[error("there is no profile {id:?}")]
    NotFound {
        /// Its id.
        id: String,
    },
    /// The name is too long.
    #[error("the name of the profile has {bytes} bytes, at most {limit} are allowed")]
    LongName {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The file is too large.
    #[error("the profile has {bytes} bytes or more, the limit max_profile_size_bytes is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The text is not base64.
    #[error("`profile` is not the base64 of a file")]
    Base64(#[source] base64::DecodeError),
    /// A gzip stream or a pprof that cannot be read.
    #[error("the file was taken for {taken}, and cannot be read as such; accepted: {ACCEPTED}")]
    Pprof {
        /// What it was taken for.
        taken: &'static str,
        /// What is wrong with it.
        source: phlare_pprof::Error,
    },
    /// A file that is not what it seems to be.
    #[error("the file cannot be used; accepted: {ACCEPTED}")]
    Format(#[source] phlare_formats::file::Unreadable),
    /// JSON that is neither a flame graph nor speedscope.
    #[error(
        "the file was taken for a flame graph as JSON, and cannot be read as such; accepted: {ACCEPTED}"
    )]
    Json(#[source] serde_json::Error),
    /// A version of flame graphs that is not known.
    #[error("the flame graph has version {version}, and 1 is known; accepted: {ACCEPTED}")]
    Version {
        /// What it has.
        version: u64,
    },
    /// A flame graph of two profiles.
    #[error("the flame graph has the format {format:?}: only `single` ones can be drawn again")]
    NotSingle {
        /// What it has.
        format: String,
    },
    /// Levels that are no flame graph.
    #[error("the file is no flame graph")]
    FlameGraph(#[source] TreeError),
    /// A profile in which nothing is measured.
    #[error(
        "the file has nothing to show: no sample type, or no stack with a value; accepted: {ACCEPTED}"
    )]
    Nothing,
    /// More frames than can be drawn.
    #[error("the stacks of the profile have more than {limit} frames, which are too many to draw")]
    TooManyFrames {
        /// The limit.
        limit: usize,
    },
    /// A type that the profile does not have.
    #[error("the profile has no type {asked:?}: it has {known}")]
    UnknownType {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
    /// Two profiles that cannot be compared.
    #[error("the profiles have no type in common: the left one has {left}, the right one {right}")]
    NothingInCommon {
        /// Types of the left one.
        left: String,
        /// Types of the right one.
        right: String,
    },
    /// A node limit that is not allowed.
    #[error("max nodes limit {max_nodes} is not allowed: send 1 to {limit}, or 0 for the default")]
    MaxNodes {
        /// What was sent.
        max_nodes: i64,
        /// The limit `max_flamegraph_nodes_max`.
        limit: i64,
    },
    /// The object in the bucket cannot be read.
    #[error("{location} holds no uploaded profile")]
    Damaged {
        /// Bucket and key.
        location: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An answer or object that cannot be written.
    #[error("encode as JSON")]
    Encode(#[source] serde_json::Error),
    /// The bucket does not do it.
    #[error(transparent)]
    Bucket(#[from] phlare_bucket::Error),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Id { .. }
            | Self::LongName { .. }
            | Self::TooLarge { .. }
            | Self::Base64(_)
            | Self::Pprof { .. }
            | Self::Format(_)
            | Self::Json(_)
            | Self::Version { .. }
            | Self::NotSingle { .. }
            | Self::FlameGraph(_)
            | Self::Nothing
            | Self::TooManyFrames { .. }
            | Self::UnknownType { .. }
            | Self::NothingInCommon { .. }
            | Self::MaxNodes { .. } => ErrorKind::InvalidArgument,
            Self::Damaged { .. } => ErrorKind::DataLoss,
            Self::Encode(_) => ErrorKind::Internal,
            Self::Bucket(error) => Classify::kind(error),
        }
    }
}
