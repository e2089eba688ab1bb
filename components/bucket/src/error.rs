//! What went wrong with a bucket, said so that somebody can act on it.

mod advice;
mod failure;

use std::fmt;

use phlare_model::Classify;

pub(crate) use self::failure::Failure;
use crate::place::Place;

/// What was done with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// List keys or directories.
    List,
    /// Get a whole object.
    Get,
    /// Read ranges of an object.
    GetRanges,
    /// Look up size and time of an object.
    Head,
    /// See whether an object exists.
    Exists,
    /// Write an object from memory.
    Put,
    /// Write an object from a file.
    Upload,
    /// Copy an object into a file.
    Download,
    /// Delete an object.
    Delete,
}

impl Operation {
    /// Upstream's label of it in metrics.
    pub(crate) const fn metric(self) -> &'static str {
        match self {
            Self::List => "iter",
            Self::Get | Self::Download => "get",
            Self::GetRanges => "get_range",
            Self::Head => "attributes",
            Self::Exists => "exists",
            Self::Put | Self::Upload => "upload",
            Self::Delete => "delete",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::GetRanges => "read from",
            Self::Head => "look up",
            Self::Exists => "look for",
            Self::Put => "put",
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

/// Kinds of failures, by who can do something about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no object with this key.
    NotFound,
    /// There is no such bucket, container or directory.
    NoBucket,
    /// The credentials are unknown, expired, cannot be had, or do not allow it.
    PermissionDenied,
    /// The store cannot be reached, is overloaded or broken; later may help.
    Unavailable,
    /// The store is another than the settings say: region, endpoint, certificate.
    Misconfigured,
    /// The object is shorter than it should be.
    Truncated,
    /// No store takes this key or range.
    Invalid,
    /// A file on this machine cannot be read or written.
    LocalFile,
    /// None of these.
    Other,
}

/// A failed operation: what, where, with whose credentials, what the server said, what to do next.
#[derive(Debug)]
pub struct Error(Box<Details>);

#[derive(Debug)]
struct Details {
    operation: Operation,
    key: String,
    place: String,
    location: String,
    credentials: String,
    failure: Failure,
    advice: String,
    tries: usize,
}

impl Error {
    pub(crate) fn new(
        place: &Place,
        operation: Operation,
        key: &str,
        tries: usize,
        failure: Failure,
    ) -> Self {
        Self(Box::new(Details {
            operation,
            key: key.to_owned(),
            place: place.to_string(),
            location: place.location(key),
            credentials: place.credentials.name.clone(),
            advice: advice::advice(place, operation, key, &failure),
            failure,
            tries,
        }))
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.0.failure.kind
    }

    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// What was done.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.0.operation
    }

    /// Bucket and key.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.0.location
    }

    /// Where the credentials came from; empty for directories.
    #[must_use]
    pub fn credentials(&self) -> &str {
        &self.0.credentials
    }

    /// The server's word for it, or the HTTP status; `None` if no server answered.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        let failure = &self.0.failure;
        failure
            .code
            .clone()
            .or_else(|| failure.status.map(|status| status.to_string()))
    }

    /// What to do next; may be empty.
    #[must_use]
    pub fn advice(&self) -> &str {
        &self.0.advice
    }

    /// How often it was tried.
    #[must_use]
    pub const fn tries(&self) -> usize {
        self.0.tries
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        write!(
            f,
            "{} `{}` in {}",
            details.operation, details.key, details.place
        )?;
        if !details.credentials.is_empty() {
            write!(f, " with {}", details.credentials)?;
        }
        write!(f, ": {}", details.failure)?;
        if details.tries > 1 {
            write!(f, ", {} times", details.tries)?;
        }
        if !details.advice.is_empty() {
            write!(f, "; {}", details.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl Classify for Error {
    /// For whom a query or a push fails: trouble with the bucket is not the caller's permission.
    fn kind(&self) -> phlare_model::ErrorKind {
        use phlare_model::ErrorKind as Kind;
        match self.0.failure.kind {
            ErrorKind::NotFound => Kind::NotFound,
            ErrorKind::NoBucket
            | ErrorKind::PermissionDenied
            | ErrorKind::Unavailable
            | ErrorKind::Misconfigured => Kind::Unavailable,
            ErrorKind::Truncated => Kind::DataLoss,
            ErrorKind::Invalid | ErrorKind::LocalFile | ErrorKind::Other => Kind::Internal,
        }
    }
}
