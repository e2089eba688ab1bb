//! Which bucket, as messages name it.

use std::fmt;
use std::path::Path;

use crate::config::Backend;

/// Which bucket, and with whose credentials.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) store: Store,
    /// Bucket, container or directory.
    pub(crate) bucket: String,
    /// Before every key, without slashes at its ends.
    pub(crate) prefix: String,
    /// Of the server; empty for directories and memory.
    pub(crate) endpoint: String,
    pub(crate) credentials: Credentials,
}

/// A kind of store, those without settings included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Configured(Backend),
    Memory,
}

/// Where credentials come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    /// As messages name them; empty if there are none.
    pub(crate) name: String,
    pub(crate) source: CredentialSource,
}

/// How credentials came to be, as far as advice differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CredentialSource {
    /// None are needed.
    #[default]
    None,
    /// Settings: they stay as they are until a restart.
    Settings,
    /// Variables of the environment that hold them: they stay, too.
    Environment,
    /// A key in a file, which is read anew.
    KeyFile,
    /// A token in a file is exchanged for them.
    TokenFile,
    /// A service of the cloud hands them out to this container or machine.
    Role,
    /// A name and a password are exchanged for a token.
    Login,
}

impl CredentialSource {
    /// Whether asking again may give others.
    pub(crate) const fn renewable(self) -> bool {
        match self {
            Self::KeyFile | Self::TokenFile | Self::Role | Self::Login => true,
            Self::None | Self::Settings | Self::Environment => false,
        }
    }
}

impl Credentials {
    pub(crate) fn new(source: CredentialSource, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            source,
        }
    }
}

impl Place {
    /// Whether a server is between us and the data.
    pub(crate) fn is_remote(&self) -> bool {
        !matches!(
            self.store,
            Store::Memory | Store::Configured(Backend::Filesystem)
        )
    }

    /// Whether it is a directory that does not exist, so that finding nothing in it means nothing.
    pub(crate) fn is_gone(&self) -> bool {
        self.store == Store::Configured(Backend::Filesystem) && !Path::new(&self.bucket).is_dir()
    }

    /// The key as the store knows it.
    pub(crate) fn full_key(&self, key: &str) -> String {
        match (self.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        }
    }

    /// The key without the prefix; `None` for the prefix itself and what is outside of it.
    pub(crate) fn own_key<'a>(&self, full: &'a str) -> Option<&'a str> {
        match self.prefix.as_str() {
            "" => Some(full),
            prefix => full.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }

    /// Bucket and key, for messages.
    pub(crate) fn location(&self, key: &str) -> String {
        format!("{}, key `{}`", self.named(), self.full_key(key))
    }

    fn named(&self) -> String {
        match self.store {
            Store::Memory => "memory".to_owned(),
            Store::Configured(Backend::Filesystem) => format!("directory `{}`", self.bucket),
            Store::Configured(backend @ (Backend::S3 | Backend::Gcs)) => {
                format!("{backend} bucket `{}`", self.bucket)
            }
            Store::Configured(backend @ (Backend::Azure | Backend::Swift)) => {
                format!("{backend} container `{}`", self.bucket)
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named())?;
        match self.endpoint.as_str() {
            "" => Ok(()),
            endpoint => write!(f, " at {endpoint}"),
        }
    }
}
