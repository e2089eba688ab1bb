//! Why a profile is refused.

use std::sync::Arc;
use std::time::Duration;

use phlare_model::{Classify, ErrorKind, Labels};

use crate::replica::Refused;

/// One profile that is not stored, or a request without any.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request without a single profile.
    #[error("no profiles received")]
    NoProfiles,
    /// Bytes that are no profile, or one that contradicts itself.
    #[error(transparent)]
    Pprof(#[from] phlare_pprof::Error),
    /// A profile that is too old or lies in the future.
    #[error(
        "profile time {time} is outside of the ingestion window: accepted is {window} \
         (limits `reject_older_than` {older_than} and `reject_newer_than` {newer_than}){hint}"
    )]
    Window {
        /// Its time.
        time: String,
        /// What would be accepted.
        window: String,
        /// The limit on age.
        older_than: String,
        /// The limit on times ahead.
        newer_than: String,
        /// A likely cause, if there is one.
        hint: &'static str,
    },
    /// More bytes per second than the tenant may send.
    #[error(
        "push rate limit ({rate}, limit `ingestion_rate_mb`; at once {burst}, the larger of `ingestion_burst_size_mb` \
         and `max_profile_size_bytes`) exceeded while adding {size}"
    )]
    RateLimited {
        /// Bytes that were to be added.
        size: ByteSize,
        /// The rate per second.
        rate: String,
        /// The size of the bucket.
        burst: ByteSize,
        /// When there will be room.
        retry_after: Duration,
    },
    /// More bytes than the tenant may ever send at once.
    #[error(
        "profile of {size} can never pass: at most {burst} may be sent at once, the larger of `ingestion_burst_size_mb` \
         and `max_profile_size_bytes`"
    )]
    AboveBurst {
        /// Bytes of profile and labels.
        size: ByteSize,
        /// The size of the bucket.
        burst: ByteSize,
    },
    /// The profiles of a request are too large together.
    #[error(
        "the profiles of the request are larger than {limit} uncompressed, the limit `ingestion_body_limit_mb`"
    )]
    BodySize {
        /// The limit.
        limit: ByteSize,
    },
    /// A label with two values.
    #[error("label {name:?} comes twice with different values: {first:?} and {second:?}")]
    DuplicateLabel {
        /// The label.
        name: String,
        /// Its first value.
        first: String,
        /// Its other value.
        second: String,
    },
    /// Two labels that have the same name after odd characters were rewritten.
    #[error(
        "labels {first:?} and {second:?} with different values are both {name:?} after `disable_label_sanitization: false` \
         rewrote odd characters"
    )]
    SanitizedDuplicate {
        /// What both are rewritten to.
        name: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// More labels than a series may have.
    #[error(
        "series {labels} has {count} labels, the limit `max_label_names_per_series` is {limit}"
    )]
    TooManyLabels {
        /// The series.
        labels: Labels,
        /// Number of its labels.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A series without a name.
    #[error("series {labels}: invalid metric name: the label `__name__` is missing or empty")]
    NoName {
        /// The series.
        labels: Labels,
    },
    /// A series of which relabelling removed the service.
    #[error("series {labels}: service name is not provided: relabelling removed `service_name`")]
    NoService {
        /// The series.
        labels: Labels,
    },
    /// A label without a name.
    #[error("series {labels}: a label name is empty")]
    EmptyLabelName {
        /// The series.
        labels: Labels,
    },
    /// A label name that is too long.
    #[error("label name {name:?} has {length} bytes, the limit `max_label_name_length` is {limit}")]
    LabelNameTooLong {
        /// Its beginning.
        name: String,
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A label value that is too long.
    #[error(
        "the value {value:?} of label {name:?} has {length} bytes, the limit `max_label_value_length` is {limit}"
    )]
    LabelValueTooLong {
        /// The label.
        name: String,
        /// The beginning of its value.
        value: String,
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The ingester did not take it.
    #[error("{}", .0.status.message)]
    Refused(Refused),
    /// It did not become durable in time.
    #[error(
        "the profile was not durable within {0:?} (`-distributor.push.timeout`): the disk may be stalled or full"
    )]
    NotDurable(Duration),
    /// A failure of this process.
    #[error(transparent)]
    Offload(Arc<phlare_server::OffloadError>),
}

impl Error {
    /// The reason under which it is counted, in upstream's words (api.md 7).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Pprof(error) => error.reason(),
            Self::Window { .. } => "not_in_ingestion_window",
            Self::RateLimited { .. } => "rate_limited",
            Self::AboveBurst { .. } => "profile_size_limit",
            Self::BodySize { .. } => "body_size_limit_exceeded",
            Self::DuplicateLabel { .. } | Self::SanitizedDuplicate { .. } => {
                "duplicate_label_names"
            }
            Self::TooManyLabels { .. } => "max_label_names_per_series",
            Self::NoName { .. } | Self::EmptyLabelName { .. } => "invalid_labels",
            Self::NoService { .. } => "missing_labels",
            Self::LabelNameTooLong { .. } => "label_name_too_long",
            Self::LabelValueTooLong { .. } => "label_value_too_long",
            Self::Refused(refused) => refused.reason,
            Self::NoProfiles | Self::NotDurable(_) | Self::Offload(_) => "unknown",
        }
    }
}

/// The reason that an ingester gives, if it is one of those that profiles are counted under.
pub(crate) fn known_reason(reason: &str) -> &'static str {
    let known = ["series_limit", "ingest_limit_reached", "invalid_labels"];
    known
        .into_iter()
        .find(|known| *known == reason)
        .unwrap_or("unknown")
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoProfiles
            | Self::Pprof(_)
            | Self::Window { .. }
            | Self::BodySize { .. }
            | Self::DuplicateLabel { .. }
            | Self::SanitizedDuplicate { .. }
            | Self::TooManyLabels { .. }
            | Self::NoName { .. }
            | Self::NoService { .. }
            | Self::EmptyLabelName { .. }
            | Self::LabelNameTooLong { .. }
            | Self::LabelValueTooLong { .. } => ErrorKind::InvalidArgument,
            Self::RateLimited { .. } => ErrorKind::ResourceExhausted,
            Self::AboveBurst { .. } => ErrorKind::PayloadTooLarge,
            Self::NotDurable(_) => ErrorKind::Unavailable,
            Self::Refused(refused) => refused.status.kind,
            Self::Offload(error) => error.kind(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::Refused(refused) => refused.status.retry_after,
            Self::NotDurable(_) => Some(Duration::from_secs(5)),
            Self::Offload(error) => error.retry_after(),
            Self::NoProfiles
            | Self::Pprof(_)
            | Self::Window { .. }
            | Self::AboveBurst { .. }
            | Self::BodySize { .. }
            | Self::DuplicateLabel { .. }
            | Self::SanitizedDuplicate { .. }
            | Self::TooManyLabels { .. }
            | Self::NoName { .. }
            | Self::NoService { .. }
            | Self::EmptyLabelName { .. }
            | Self::LabelNameTooLong { .. }
            | Self::LabelValueTooLong { .. } => None,
        }
    }
}

/// A number of bytes, shown as people read it: `4.2 MiB`, with `B` where it is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size >= 1024.0 && unit < UNITS.len() - 1 {
            size /= 1024.0;
            unit += 1;
        }
        write!(f, "{size:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        let shown =
            [0, 1023, 1024, 4 << 20, 4_404_019, u64::MAX].map(|bytes| ByteSize(bytes).to_string());
        assert_eq!(
            shown,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "4.0 MiB",
                "4.2 MiB",
                "16777216.0 TiB"
            ]
        );
    }
}
