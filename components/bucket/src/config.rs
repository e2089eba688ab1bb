//! Settings of the object store; YAML section `storage`, flags `-storage.*`.
//!
//! Keys and flags are upstream's (components.md 13) where the meaning is the same.

mod azure;
mod gcs;
mod http;
mod s3;
mod secret;
mod swift;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::azure::AzureConfig;
pub use self::gcs::GcsConfig;
pub use self::http::HttpConfig;
pub use self::s3::{Lookup, S3Config, SseConfig};
pub use self::secret::Secret;
pub use self::swift::SwiftConfig;

/// Where blocks are kept.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Kind of object store: filesystem, s3, gcs, azure or swift.
    #[arg(id = "storage.backend", long = "storage.backend", value_name = "KIND")]
    pub backend: Backend,

    /// What comes before every key, as directories: letters, digits and `-_./`.
    #[arg(id = "storage.prefix", long = "storage.prefix", value_name = "PREFIX")]
    pub prefix: String,

    /// Amazon S3, and what speaks like it.
    #[command(flatten)]
    pub s3: S3Config,

    /// Google Cloud Storage.
    #[command(flatten)]
    pub gcs: GcsConfig,

    /// Azure Blob Storage.
    #[command(flatten)]
    pub azure: AzureConfig,

    /// OpenStack Swift.
    #[command(flatten)]
    pub swift: SwiftConfig,

    /// A directory.
    #[command(flatten)]
    pub filesystem: FilesystemConfig,
}

/// A kind of object store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A directory.
    #[default]
    Filesystem,
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// OpenStack Swift.
    Swift,
}

impl Backend {
    /// All of them.
    const ALL: [Self; 5] = [
        Self::Filesystem,
        Self::S3,
        Self::Gcs,
        Self::Azure,
        Self::Swift,
    ];

    /// As in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filesystem => "filesystem",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
            Self::Swift => "swift",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no object store: write one of {names}")
        })
    }
}

/// The object store that is a directory.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct FilesystemConfig {
    /// The directory.
    #[arg(
        id = "storage.filesystem.dir",
        long = "storage.filesystem.dir",
        value_name = "DIR"
    )]
    pub dir: PathBuf,
}

impl Default for FilesystemConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("./data/bucket"),
        }
    }
}

/// A setting that cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("`{key}`: {problem}")]
pub struct ConfigError {
    /// The YAML key, or the URL, that it is about.
    pub key: String,
    /// What is wrong, and what would be right; never a secret.
    pub problem: String,
}

impl ConfigError {
    /// About a key below `storage`.
    pub(crate) fn new(key: &str, problem: impl Into<String>) -> Self {
        Self {
            key: format!("storage.{key}"),
            problem: problem.into(),
        }
    }
}

impl Config {
    /// Whether the settings can hold. What only the environment knows, such as credentials, is not looked at.
    ///
    /// # Errors
    /// Names the first key that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let segments = || self.prefix.trim_matches('/').split('/');
        if !self.prefix.chars().all(allowed) {
            return Err(ConfigError::new(
                "prefix",
                format!(
                    "{:?} has other characters than letters, digits and `-_./`",
                    self.prefix
                ),
            ));
        }
        if segments().any(|segment| segment == "." || segment == "..")
            || (segments().any(str::is_empty) && !self.prefix.trim_matches('/').is_empty())
        {
            return Err(ConfigError::new(
                "prefix",
                format!(
                    "{:?} is no path: directories with one `/` between them",
                    self.prefix
                ),
            ));
        }
        match self.backend {
            Backend::Filesystem if self.filesystem.dir.as_os_str().is_empty() => Err(
                ConfigError::new("filesystem.dir", "is empty: name a directory"),
            ),
            Backend::Filesystem => Ok(()),
            Backend::S3 => self.s3.validate(),
            Backend::Gcs => self.gcs.validate(),
            Backend::Azure => self.azure.validate(),
            Backend::Swift => self.swift.validate(),
        }
    }
}

#[cfg(test)]
mod tests;
