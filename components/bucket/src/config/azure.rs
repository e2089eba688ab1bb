//! Settings of Azure Blob Storage.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret};

/// Azure Blob Storage; YAML section `storage.azure`.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct AzureConfig {
    /// The storage account.
    #[arg(
        id = "storage.azure.account-name",
        long = "storage.azure.account-name",
        value_name = "NAME"
    )]
    pub account_name: String,

    /// Key of the account; without one a connection string, a workload identity or a managed identity is used.
    #[arg(
        id = "storage.azure.account-key",
        long = "storage.azure.account-key",
        value_name = "KEY"
    )]
    pub account_key: Secret,

    /// Account, key and endpoint in one text, as the portal shows it; wins over the others.
    #[arg(
        id = "storage.azure.connection-string",
        long = "storage.azure.connection-string",
        value_name = "TEXT"
    )]
    pub connection_string: Secret,

    /// The container.
    #[arg(
        id = "storage.azure.container-name",
        long = "storage.azure.container-name",
        value_name = "NAME"
    )]
    pub container_name: String,

    /// What follows the account in the host; empty is `blob.core.windows.net`.
    #[arg(
        id = "storage.azure.endpoint-suffix",
        long = "storage.azure.endpoint-suffix",
        value_name = "HOST"
    )]
    pub endpoint_suffix: String,

    /// Client id of a managed identity that the user assigned; empty is the system's.
    #[arg(
        id = "storage.azure.user-assigned-id",
        long = "storage.azure.user-assigned-id",
        value_name = "ID"
    )]
    pub user_assigned_id: String,
}

impl AzureConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.container_name.is_empty() {
            return Err(ConfigError::new(
                "azure.container_name",
                "is empty: name the container",
            ));
        }
        if self.account_name.is_empty() && self.connection_string.is_empty() {
            let problem = "is empty: name the account, or give a `connection_string`";
            return Err(ConfigError::new("azure.account_name", problem));
        }
        Ok(())
    }
}
