//! Why settings cannot be read or changed.

use phlare_model::{Classify, ErrorKind};

/// Longest name of a setting, in bytes.
pub(crate) const MAX_NAME: usize = 256;
/// Longest value of a setting, in bytes.
pub(crate) const MAX_VALUE: usize = 64 << 10;
/// Most settings of a tenant.
pub(crate) const MAX_SETTINGS: usize = 1000;
/// Most bytes of names and values of a tenant.
pub(crate) const MAX_TOTAL: usize = 1 << 20;

/// A refusal, or trouble with the bucket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A request without a setting.
    #[error("no setting provided: `setting` is missing")]
    NoSetting,
    /// A setting without a name.
    #[error("a setting needs a name: `name` is empty")]
    NoName,
    /// A name that is too long.
    #[error("the name of the setting has {bytes} bytes, at most {MAX_NAME} are allowed")]
    LongName {
        /// Its length.
        bytes: usize,
    },
    /// A value that is too long.
    #[error("the value of the setting {name:?} has {bytes} bytes, at most {MAX_VALUE} are allowed")]
    LongValue {
        /// The setting.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// No room for one more, or for a longer one.
    #[error(
        "with the setting {name:?} the tenant would have {settings} settings of {bytes} bytes, \
         at most {MAX_SETTINGS} of {MAX_TOTAL} are allowed: delete some"
    )]
    TooMany {
        /// The setting.
        name: String,
        /// How many there would be.
        settings: usize,
        /// Bytes of all names and values.
        bytes: usize,
    },
    /// What is stored is newer.
    #[error(
        "failed to update the setting {name:?}: the stored one is newer, its `modifiedAt` is {stored_ms}, and {sent_ms} was sent"
    )]
    Newer {
        /// The setting.
        name: String,
        /// When the stored one was modified, in milliseconds since the epoch.
        stored_ms: i64,
        /// What was sent.
        sent_ms: i64,
    },
    /// Other processes replaced the settings again and again.
    #[error(
        "other processes change the settings of this tenant all the time, so the change to {name:?} was lost {times} times: \
         try again"
    )]
    Contended {
        /// The setting.
        name: String,
        /// How often it was written.
        times: usize,
    },
    /// The object in the bucket cannot be read.
    #[error("{location} holds no settings: mend it, or delete it to begin without any")]
    Damaged {
        /// Bucket and key.
        location: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The settings cannot be written as JSON.
    #[error("encode settings")]
    Encode(#[source] serde_json::Error),
    /// The bucket does not do it.
    #[error(transparent)]
    Bucket(#[from] phlare_bucket::Error),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSetting | Self::NoName | Self::LongName { .. } | Self::LongValue { .. } => {
                ErrorKind::InvalidArgument
            }
            Self::TooMany { .. } => ErrorKind::ResourceExhausted,
            Self::Newer { .. } => ErrorKind::AlreadyExists,
            Self::Contended { .. } => ErrorKind::Aborted,
            Self::Damaged { .. } => ErrorKind::DataLoss,
            Self::Encode(_) => ErrorKind::Internal,
            Self::Bucket(error) => Classify::kind(error),
        }
    }
}
