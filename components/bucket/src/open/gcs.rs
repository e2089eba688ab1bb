//! Google Cloud Storage.

use futures_util::future::BoxFuture;
use object_store::gcp::GoogleCloudStorageBuilder;

use super::{ONCE, client_options, provide_tls};
use crate::config::{Backend, ConfigError, GcsConfig, HttpConfig};
use crate::environment::Environment;
use crate::error::{ErrorKind, Failure};
use crate::place::{CredentialSource, Credentials, Place, Store};
use crate::source::{Open, Opened};
use crate::watch::{Watch, innermost};

/// Where Google's buckets are.
const GOOGLE: &str = "https://storage.googleapis.com";

#[derive(Debug)]
struct Gcs {
    config: GcsConfig,
    /// Of a file with credentials, which is read anew whenever it is opened.
    file: Option<String>,
    endpoint: String,
}

/// How it is opened, and how messages name it.
pub(super) fn opener(
    config: &GcsConfig,
    prefix: &str,
    environment: &Environment,
) -> Result<(Place, Box<dyn Open>), ConfigError> {
    let account = config.service_account.expose();
    let key: serde_json::Value = match account {
        "" => serde_json::Value::Null,
        // What is in the text is not repeated.
        text => serde_json::from_str(text).map_err(|error| {
            let problem = format!(
                "is no JSON, see line {}, column {}",
                error.line(),
                error.column()
            );
            ConfigError::new("gcs.service_account", problem)
        })?,
    };
    let text = |name: &str| key.get(name).and_then(|value| value.as_str());
    let file = environment.get("GOOGLE_APPLICATION_CREDENTIALS");
    let credentials = match (account, &file) {
        ("", None) => Credentials::new(
            CredentialSource::Role,
            "service account of the machine or the workload (metadata server)",
        ),
        ("", Some(file)) => Credentials::new(
            CredentialSource::KeyFile,
            format!("key file `{file}` (GOOGLE_APPLICATION_CREDENTIALS)"),
        ),
        _ => Credentials::new(
            CredentialSource::Settings,
            format!(
                "key of service account `{}` of the settings",
                text("client_email").unwrap_or_default()
            ),
        ),
    };
    let endpoint = text("gcs_base_url").unwrap_or(GOOGLE).to_owned();
    let place = Place {
        store: Store::Configured(Backend::Gcs),
        bucket: config.bucket_name.clone(),
        prefix: prefix.to_owned(),
        endpoint: endpoint.clone(),
        credentials,
    };
    let gcs = Gcs {
        config: config.clone(),
        file,
        endpoint,
    };
    if !account.is_empty() {
        gcs.build()
            .map_err(|failure| ConfigError::new("gcs", failure.to_string()))?;
    }
    Ok((place, Box::new(gcs)))
}

impl Open for Gcs {
    fn open<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { self.build() })
    }
}

impl Gcs {
    fn build(&self) -> Result<Opened, Failure> {
        provide_tls();
        let options = client_options(&HttpConfig::default(), self.endpoint.starts_with("http://"));
        let builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&self.config.bucket_name)
            .with_client_options(options)
            .with_retry(ONCE)
            .with_http_connector(Watch::default());
        let builder = match (self.config.service_account.expose(), &self.file) {
            ("", Some(file)) => builder.with_application_credentials(file),
            ("", None) => builder,
            (account, _) => builder.with_service_account_key(account),
        };
        let store = builder
            .build()
            .map_err(|error| Failure::new(ErrorKind::PermissionDenied, innermost(&error)))?;
        Ok(Opened::with_parts(store))
    }
}
