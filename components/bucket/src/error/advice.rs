//! What somebody can do about a failure.

use super::{ErrorKind, Failure, Operation};
use crate::config::Backend;
use crate::place::{CredentialSource, Place, Store};

/// The next step; empty if there is none to name.
pub(super) fn advice(place: &Place, operation: Operation, key: &str, failure: &Failure) -> String {
    let Store::Configured(backend) = place.store else {
        return String::new();
    };
    if failure.exchange.is_some() || failure.message.contains("token file") {
        return of_exchange(place, failure);
    }
    match failure.kind {
        ErrorKind::NoBucket => format!(
            "make the {}, or correct `{}`",
            noun(backend),
            setting(backend, Setting::Bucket)
        ),
        ErrorKind::PermissionDenied => denied(place, backend, operation, key, failure),
        ErrorKind::Misconfigured => misconfigured(backend, failure),
        ErrorKind::Unavailable => unavailable(backend, failure),
        ErrorKind::Truncated => {
            "it was not uploaded whole, or changed since its size was noted".to_owned()
        }
        ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::LocalFile | ErrorKind::Other => {
            String::new()
        }
    }
}

enum Setting {
    Bucket,
    Endpoint,
    Credentials,
}

const fn setting(backend: Backend, setting: Setting) -> &'static str {
    match (backend, setting) {
        (Backend::Filesystem, _) => "storage.filesystem.dir",
        (Backend::S3, Setting::Bucket) => "storage.s3.bucket_name",
        (Backend::S3, Setting::Endpoint) => "storage.s3.endpoint",
        (Backend::S3, Setting::Credentials) => "storage.s3.access_key_id",
        (Backend::Gcs, Setting::Bucket | Setting::Endpoint) => "storage.gcs.bucket_name",
        (Backend::Gcs, Setting::Credentials) => "storage.gcs.service_account",
        (Backend::Azure, Setting::Bucket) => "storage.azure.container_name",
        (Backend::Azure, Setting::Endpoint) => "storage.azure.account_name",
        (Backend::Azure, Setting::Credentials) => "storage.azure.account_key",
        (Backend::Swift, Setting::Bucket) => "storage.swift.container_name",
        (Backend::Swift, Setting::Endpoint) => "storage.swift.auth_url",
        (Backend::Swift, Setting::Credentials) => "storage.swift.username",
    }
}

const fn noun(backend: Backend) -> &'static str {
    match backend {
        Backend::Filesystem => "directory",
        Backend::S3 | Backend::Gcs => "bucket",
        Backend::Azure | Backend::Swift => "container",
    }
}

/// A service that hands out credentials refused, or could not be reached.
fn of_exchange(place: &Place, failure: &Failure) -> String {
    let silent = failure.status.is_none() && failure.exchange.is_some();
    match place.credentials.source {
        CredentialSource::TokenFile if failure.exchange.is_none() => {
            "mount the token of the service account there; it is read again at the next try"
                .to_owned()
        }
        CredentialSource::TokenFile if silent => {
            "let this process reach that service, over https and by its name".to_owned()
        }
        CredentialSource::TokenFile => {
            "let the role trust this service account, and see that its token is current".to_owned()
        }
        CredentialSource::Role => format!(
            "no key is in the settings or the environment, so the role of this machine is used: give it one, or set `{}`",
            match place.store {
                Store::Configured(backend) => setting(backend, Setting::Credentials),
                Store::Memory => "",
            }
        ),
        CredentialSource::Login => "correct the name and the secret".to_owned(),
        CredentialSource::KeyFile | CredentialSource::Settings | CredentialSource::Environment => {
            "see that the key is current, and that its account exists".to_owned()
        }
        CredentialSource::None => String::new(),
    }
}

fn denied(
    place: &Place,
    backend: Backend,
    operation: Operation,
    key: &str,
    failure: &Failure,
) -> String {
    match failure.code.as_deref().unwrap_or_default() {
        "RequestTimeTooSkewed" => return "set the clock of this machine".to_owned(),
        "SignatureDoesNotMatch" => {
            return "correct the secret of the access key; a proxy that changes requests has the same effect".to_owned();
        }
        "InvalidAccessKeyId" => {
            return format!(
                "this store does not know the access key: correct {}",
                origin(place, backend)
            );
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => return expired(place),
        _ => {}
    }
    match backend {
        Backend::Filesystem => "let the user of this process write there".to_owned(),
        Backend::S3 => s3_denied(place, operation, key, failure),
        Backend::Gcs => {
            let needs = match operation {
                Operation::List => "storage.objects.list",
                Operation::Put | Operation::Upload => {
                    "storage.objects.create` and `storage.objects.delete"
                }
                Operation::Delete => "storage.objects.delete",
                Operation::Get
                | Operation::GetRanges
                | Operation::Head
                | Operation::Exists
                | Operation::Download => "storage.objects.get",
            };
            format!("give this account `{needs}` on the bucket (role `roles/storage.objectAdmin`)")
        }
        Backend::Azure => azure_denied(place),
        Backend::Swift => match operation {
            Operation::Put | Operation::Upload | Operation::Delete => {
                "give this user a role that writes to the container".to_owned()
            }
            Operation::List
            | Operation::Get
            | Operation::GetRanges
            | Operation::Head
            | Operation::Exists
            | Operation::Download => "give this user a role that reads the container".to_owned(),
        },
    }
}

fn azure_denied(place: &Place) -> String {
    match place.credentials.source {
        CredentialSource::Settings => {
            "correct the key; the account may also refuse keys, or the network that this comes from"
                .to_owned()
        }
        CredentialSource::None
        | CredentialSource::Environment
        | CredentialSource::KeyFile
        | CredentialSource::TokenFile
        | CredentialSource::Role
        | CredentialSource::Login => {
            "give this identity the role `Storage Blob Data Contributor` on the container"
                .to_owned()
        }
    }
}

/// Where keys that do not work are to be changed.
fn origin(place: &Place, backend: Backend) -> String {
    match place.credentials.source {
        CredentialSource::Settings => format!("`{}`", setting(backend, Setting::Credentials)),
        CredentialSource::None
        | CredentialSource::Environment
        | CredentialSource::KeyFile
        | CredentialSource::TokenFile
        | CredentialSource::Role
        | CredentialSource::Login => format!("the credentials of {}", place.credentials.name),
    }
}

fn expired(place: &Place) -> String {
    match place.credentials.source.renewable() {
        true => "others are asked for at the next try".to_owned(),
        false => {
            "keys with a session token are temporary: give lasting ones, a web identity, or a role, and restart"
                .to_owned()
        }
    }
}

fn s3_denied(place: &Place, operation: Operation, key: &str, failure: &Failure) -> String {
    if failure.message.to_ascii_lowercase().contains("kms") {
        return "allow `kms:GenerateDataKey` and `kms:Decrypt` for the key of the bucket"
            .to_owned();
    }
    let bucket = &place.bucket;
    let key = place.full_key(key);
    let objects = match place.prefix.as_str() {
        "" => format!("arn:aws:s3:::{bucket}/*"),
        prefix => format!("arn:aws:s3:::{bucket}/{prefix}/*"),
    };
    let (action, resource) = match operation {
        Operation::List => ("s3:ListBucket", format!("arn:aws:s3:::{bucket}")),
        Operation::Get | Operation::GetRanges | Operation::Download => ("s3:GetObject", objects),
        Operation::Head | Operation::Exists => ("s3:GetObject", objects),
        Operation::Put | Operation::Upload => ("s3:PutObject", objects),
        Operation::Delete => ("s3:DeleteObject", objects),
    };
    let mut text = format!("allow `{action}` on `{resource}`");
    let reads = ["s3:GetObject"].contains(&action);
    if reads {
        text += &format!("; without `s3:ListBucket` a missing `{key}` looks the same");
    }
    text
}

fn misconfigured(backend: Backend, failure: &Failure) -> String {
    if failure.message.contains("certificate") {
        return "trust the authority that signed it (SSL_CERT_FILE), or call the server by the name in it".to_owned();
    }
    match (backend, &failure.region) {
        (Backend::S3, Some(region)) => {
            format!("the bucket is in region `{region}`: set `storage.s3.region` to it")
        }
        (Backend::S3, None) => {
            "set `storage.s3.region` to the bucket's, and `storage.s3.endpoint` to one of that region or to nothing"
                .to_owned()
        }
        (Backend::Filesystem | Backend::Gcs | Backend::Azure | Backend::Swift, _) => String::new(),
    }
}

fn unavailable(backend: Backend, failure: &Failure) -> String {
    match (backend, failure.status) {
        (Backend::Filesystem, _) => "make room there".to_owned(),
        (_, Some(429 | 503)) => "the store limits requests or is overloaded".to_owned(),
        (_, Some(507)) => "make room in the store".to_owned(),
        (_, Some(_)) => "see the store's own log".to_owned(),
        (_, None) => format!(
            "see whether `{}` is right and can be reached from here",
            setting(backend, Setting::Endpoint)
        ),
    }
}
