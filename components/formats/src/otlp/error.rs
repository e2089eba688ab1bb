//! What can be wrong with a request or one of its profiles.

use std::fmt;

use phlare_model::{Classify, ErrorKind};

/// Said where a client of another version of the schema is the likely cause.
const VERSION: &str = "this server reads the profiles of opentelemetry-proto v1.10.0 (v1development), and a client \
    that speaks another version has its fields in other places";

/// How a request was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Binary.
    Protobuf,
    /// OTLP/JSON.
    Json,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protobuf => "protobuf",
            Self::Json => "JSON",
        })
    }
}

/// Why a request or a profile is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that are no request.
    #[error("the body is no ExportProfilesServiceRequest as {encoding}: {reason}; {VERSION}")]
    Malformed {
        /// What it should have been.
        encoding: Encoding,
        /// What is wrong.
        reason: String,
    },
    /// Something without which there are no profiles.
    #[error("the request has no `{0}`; {VERSION}")]
    Missing(&'static str),
    /// An index that points nowhere.
    #[error(
        "{from}: index {index} is outside of the dictionary's `{table}`, which has {length} entries; {VERSION}"
    )]
    Reference {
        /// What has the index, for example `sample 3`.
        from: String,
        /// The index.
        index: i32,
        /// Into which table.
        table: &'static str,
        /// Number of its entries.
        length: usize,
    },
    /// A sample that counts nothing.
    #[error("sample {sample} has neither `values` nor `timestamps_unix_nano`; {VERSION}")]
    NoValues {
        /// Its place in the profile.
        sample: usize,
    },
    /// A profile that does not say what it measures.
    #[error("the profile has samples but no `sample_type`; {VERSION}")]
    NoSampleType,
    /// Counted samples that stand for no time.
    #[error(
        "`period` is {period}: samples of a CPU profile stand for `period` nanoseconds each, so it has to be above 0"
    )]
    Period {
        /// The period.
        period: i64,
    },
    /// A profile that would be too large.
    #[error(
        "as pprof the profile would take more than {limit} bytes, the limit `max_profile_size_bytes`"
    )]
    ProfileSize {
        /// The limit.
        limit: usize,
    },
    /// Profiles that would be too large together.
    #[error(
        "as pprof the profiles of the request would take more than {limit} bytes, the limit `ingestion_body_limit_mb`"
    )]
    TotalSize {
        /// The limit.
        limit: usize,
    },
}

impl Error {
    pub(super) fn malformed(encoding: Encoding, reason: impl fmt::Display) -> Self {
        Self::Malformed {
            encoding,
            reason: reason.to_string(),
        }
    }

    /// The reason under which it is counted: upstream's words (api.md 7), or our own for what only OTLP has.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed { .. }
            | Self::Missing(_)
            | Self::NoSampleType
            | Self::Period { .. } => "malformed_profile",
            Self::Reference { .. } => "otlp_broken_reference",
            Self::NoValues { .. } => "otlp_sample_without_values",
            Self::ProfileSize { .. } => "profile_size_limit",
            Self::TotalSize { .. } => "body_size_limit_exceeded",
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. }
            | Self::Missing(_)
            | Self::Reference { .. }
            | Self::NoValues { .. }
            | Self::NoSampleType
            | Self::Period { .. }
            | Self::ProfileSize { .. }
            | Self::TotalSize { .. } => ErrorKind::InvalidArgument,
        }
    }
}
