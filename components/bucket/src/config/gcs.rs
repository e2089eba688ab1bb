//! Settings of Google Cloud Storage.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret};

/// Google Cloud Storage; YAML section `storage.gcs`.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct GcsConfig {
    /// The bucket.
    #[arg(
        id = "storage.gcs.bucket-name",
        long = "storage.gcs.bucket-name",
        value_name = "NAME"
    )]
    pub bucket_name: String,

    /// JSON of a service account's key, not its path; without one GOOGLE_APPLICATION_CREDENTIALS or the machine's role is used.
    #[arg(
        id = "storage.gcs.service-account",
        long = "storage.gcs.service-account",
        value_name = "JSON"
    )]
    pub service_account: Secret,
}

impl GcsConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.bucket_name.is_empty() {
            return Err(ConfigError::new(
                "gcs.bucket_name",
                "is empty: name the bucket",
            ));
        }
        let account = self.service_account.expose().trim();
        if !account.is_empty() && !account.starts_with('{') {
            let problem = "is no JSON: give the text of the key's file, or its path in GOOGLE_APPLICATION_CREDENTIALS";
            return Err(ConfigError::new("gcs.service_account", problem));
        }
        Ok(())
    }
}
