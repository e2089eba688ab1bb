//! What went wrong, as the store or the system tells it.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use object_store::client::HttpErrorKind;

use super::ErrorKind;
use crate::config::Backend;
use crate::place::{Place, Store};
use crate::watch::{Answer, NoAnswer, innermost, status_text};

/// What went wrong in one try.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    /// HTTP status of the answer, if there was one.
    pub(crate) status: Option<u16>,
    /// The server's word for it.
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    /// Who refused, if it was not the store but a service that hands out credentials.
    pub(crate) exchange: Option<String>,
    /// Where the bucket is, if the server said so.
    pub(crate) region: Option<String>,
    /// Whether trying again soon may help.
    pub(crate) transient: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.exchange {
            write!(f, "{host} hands out no credentials: ")?;
        }
        match (&self.code, self.status) {
            (Some(code), Some(status)) => write!(f, "{code} ({})", status_text(status))?,
            (None, Some(status)) => f.write_str(&status_text(status))?,
            (Some(code), None) => f.write_str(code)?,
            (None, None) => return f.write_str(&self.message),
        }
        match self.message.as_str() {
            "" => Ok(()),
            message => write!(f, ": {message}"),
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            code: None,
            message: message.into(),
            exchange: None,
            region: None,
            transient: false,
        }
    }

    /// The server was silent for too long.
    pub(crate) fn silence(text: impl Into<String>) -> Self {
        Self {
            transient: true,
            ..Self::new(ErrorKind::Unavailable, text)
        }
    }

    /// A store that takes no parts was asked for some.
    pub(crate) fn no_parts() -> Self {
        Self::new(ErrorKind::Other, "this store takes no parts")
    }

    /// A file of this machine.
    pub(crate) fn local(path: &std::path::Path, error: &io::Error) -> Self {
        Self::new(ErrorKind::LocalFile, format!("{}: {error}", path.display()))
    }

    /// What a store reports.
    pub(crate) fn of_store(place: &Place, error: &object_store::Error) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(answer) = error.downcast_ref::<Answer>() {
                return Self::of_answer(place, answer);
            }
            if let Some(silent) = error.downcast_ref::<NoAnswer>() {
                let exchange = is_exchange(place, &silent.host).then(|| silent.host.clone());
                return Self {
                    exchange,
                    ..Self::of_connection(&silent.text)
                };
            }
            if let Some(error) = error.downcast_ref::<object_store::client::HttpError>()
                && error.source().is_none_or(|inner| !is_ours(inner))
            {
                return Self::of_transfer(error);
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Self::of_system(error);
            }
            cause = error.source();
        }
        Self::of_library(error)
    }

    fn of_answer(place: &Place, answer: &Answer) -> Self {
        let code = answer.code.as_deref().unwrap_or_default();
        let exchange = is_exchange(place, &answer.host).then(|| answer.host.clone());
        let kind = match &exchange {
            Some(_) if !is_transient(answer.status, code) => ErrorKind::PermissionDenied,
            _ => kind_of(answer.status, code),
        };
        Self {
            kind,
            status: Some(answer.status),
            code: answer.code.clone(),
            message: answer.message.clone().unwrap_or_default(),
            exchange,
            region: answer.region.clone(),
            transient: is_transient(answer.status, code),
        }
    }

    /// No connection, or none that lasted until the answer began.
    fn of_connection(text: &str) -> Self {
        // A certificate does not become valid by asking again.
        let certificate = text.contains("certificate");
        let kind = match certificate {
            true => ErrorKind::Misconfigured,
            false => ErrorKind::Unavailable,
        };
        Self {
            transient: !certificate,
            ..Self::new(kind, text)
        }
    }

    /// The answer had begun.
    fn of_transfer(error: &object_store::client::HttpError) -> Self {
        let text = innermost(error);
        let message = match error.kind() {
            HttpErrorKind::Timeout => {
                format!("the server stopped in the middle of its answer: {text}")
            }
            _ => format!("the answer broke off: {text}"),
        };
        Self::silence(message)
    }

    fn of_system(error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::PermissionDenied
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
            io::ErrorKind::InvalidFilename => ErrorKind::Invalid,
            _ => ErrorKind::Other,
        };
        Self::new(kind, error.to_string())
    }

    /// What no server and no system said.
    fn of_library(error: &object_store::Error) -> Self {
        use object_store::Error as Store;
        let text = innermost(error);
        // Azure's deletions come in batches, whose answers the library reads itself.
        if let Some(status) = status_in(&text) {
            return Self {
                status: Some(status),
                transient: is_transient(status, ""),
                ..Self::new(kind_of(status, ""), "")
            };
        }
        let kind = match error {
            Store::NotFound { .. } => ErrorKind::NotFound,
            Store::InvalidPath { .. } => ErrorKind::Invalid,
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
                ErrorKind::PermissionDenied
            }
            // The library has no word of its own for a token file that cannot be read.
            _ if text.contains("token file") => ErrorKind::PermissionDenied,
            _ if text.contains("range starting at") => ErrorKind::Truncated,
            _ => ErrorKind::Other,
        };
        Self::new(kind, text)
    }
}

/// The status in `… (code: 403)`.
fn status_in(text: &str) -> Option<u16> {
    let (_, code) = text.trim_end_matches(')').rsplit_once("(code: ")?;
    code.parse().ok()
}

fn is_ours(error: &(dyn StdError + 'static)) -> bool {
    error.is::<Answer>() || error.is::<NoAnswer>()
}

/// Whether this is another host than the store's.
fn is_exchange(place: &Place, host: &str) -> bool {
    // Swift's login is not the library's, and names itself; where the account is, only the login says.
    if place.store == Store::Configured(Backend::Swift) {
        return false;
    }
    let name = |authority: &str| {
        let authority = authority
            .split_once("://")
            .map_or(authority, |(_, rest)| rest);
        authority.split('/').next().unwrap_or_default().to_owned()
    };
    let (store, host) = (name(&place.endpoint), name(host));
    // The name of the bucket may be in front.
    let virtual_hosted = format!("{}.{store}", place.bucket);
    !host.is_empty() && host != store && host != virtual_hosted
}

/// What a status and the server's word mean.
fn kind_of(status: u16, code: &str) -> ErrorKind {
    match code {
        "NoSuchBucket" | "NoSuchContainer" | "ContainerNotFound" | "ContainerBeingDeleted" => {
            return ErrorKind::NoBucket;
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidBucketName"
        | "KMS.DisabledException"
        | "KMS.NotFoundException" => return ErrorKind::Misconfigured,
        "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed" => return ErrorKind::PermissionDenied,
        "InvalidRange" => return ErrorKind::Truncated,
        "KeyTooLongError" | "InvalidUri" | "InvalidResourceName" | "OutOfRangeInput" => {
            return ErrorKind::Invalid;
        }
        _ => {}
    }
    match status {
        404 | 410 => ErrorKind::NotFound,
        401 | 403 => ErrorKind::PermissionDenied,
        416 => ErrorKind::Truncated,
        300..=399 => ErrorKind::Misconfigured,
        _ if is_transient(status, code) => ErrorKind::Unavailable,
        500.. => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

/// Whether the same request may succeed soon.
fn is_transient(status: u16, code: &str) -> bool {
    match status {
        501 | 505 | 507 => false,
        408 | 409 | 425 | 429 | 500.. => true,
        400 => ["RequestTimeout", "IncompleteBody"].contains(&code),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Credentials;

    fn place() -> Place {
        Place {
            store: Store::Configured(Backend::S3),
            bucket: "b".into(),
            prefix: String::new(),
            endpoint: "https://s3.eu-west-1.amazonaws.com".into(),
            credentials: Credentials::default(),
        }
    }

    #[test]
    fn who_refused_is_told_apart() {
        let of = |host| is_exchange(&place(), host);
        assert!(!of("s3.eu-west-1.amazonaws.com"));
        assert!(!of("b.s3.eu-west-1.amazonaws.com"));
        assert!(of("sts.eu-west-1.amazonaws.com"));
        assert!(of("169.254.169.254"));
    }

    #[test]
    fn a_missing_object_is_no_missing_bucket() {
        assert_eq!(kind_of(404, "NoSuchKey"), ErrorKind::NotFound);
        assert_eq!(kind_of(404, ""), ErrorKind::NotFound);
        assert_eq!(kind_of(404, "NoSuchBucket"), ErrorKind::NoBucket);
        assert_eq!(kind_of(404, "ContainerNotFound"), ErrorKind::NoBucket);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, code) in [
            (503, "SlowDown"),
            (500, ""),
            (429, ""),
            (408, ""),
            (400, "RequestTimeout"),
        ] {
            assert!(is_transient(status, code), "{status} {code}");
            assert_eq!(
                kind_of(status, code),
                ErrorKind::Unavailable,
                "{status} {code}"
            );
        }
        for (status, code) in [
            (403, "AccessDenied"),
            (404, ""),
            (301, ""),
            (400, "InvalidRequest"),
            (501, ""),
            (507, ""),
        ] {
            assert!(!is_transient(status, code), "{status} {code}");
        }
    }
}
