//! Settings of OpenStack Swift.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret};

/// OpenStack Swift; YAML section `storage.swift`. What is empty is taken from the variables that OpenStack's own client
/// reads: OS_AUTH_URL, OS_USERNAME and so on.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct SwiftConfig {
    /// Protocol of the login: 3 is Keystone, 1 is Swift's own; 0 tells by the URL.
    #[arg(
        id = "storage.swift.auth-version",
        long = "storage.swift.auth-version",
        value_name = "VERSION"
    )]
    pub auth_version: u8,

    /// URL of the login.
    #[arg(
        id = "storage.swift.auth-url",
        long = "storage.swift.auth-url",
        value_name = "URL"
    )]
    pub auth_url: String,

    /// Name of the user; of Swift's own login, `account:user`.
    #[arg(
        id = "storage.swift.username",
        long = "storage.swift.username",
        value_name = "NAME"
    )]
    pub username: String,

    /// Id of the user, instead of the name.
    #[arg(
        id = "storage.swift.user-id",
        long = "storage.swift.user-id",
        value_name = "ID"
    )]
    pub user_id: String,

    /// Name of the user's domain.
    #[arg(
        id = "storage.swift.user-domain-name",
        long = "storage.swift.user-domain-name",
        value_name = "NAME"
    )]
    pub user_domain_name: String,

    /// Id of the user's domain.
    #[arg(
        id = "storage.swift.user-domain-id",
        long = "storage.swift.user-domain-id",
        value_name = "ID"
    )]
    pub user_domain_id: String,

    /// The user's password.
    #[arg(
        id = "storage.swift.password",
        long = "storage.swift.password",
        value_name = "PASSWORD"
    )]
    pub password: Secret,

    /// Name of the domain of user and project.
    #[arg(
        id = "storage.swift.domain-name",
        long = "storage.swift.domain-name",
        value_name = "NAME"
    )]
    pub domain_name: String,

    /// Id of the domain of user and project.
    #[arg(
        id = "storage.swift.domain-id",
        long = "storage.swift.domain-id",
        value_name = "ID"
    )]
    pub domain_id: String,

    /// Id of an application credential, which stands for user, password and project.
    #[arg(
        id = "storage.swift.application-credential-id",
        long = "storage.swift.application-credential-id",
        value_name = "ID"
    )]
    pub application_credential_id: String,

    /// Name of an application credential of the user.
    #[arg(
        id = "storage.swift.application-credential-name",
        long = "storage.swift.application-credential-name",
        value_name = "NAME"
    )]
    pub application_credential_name: String,

    /// The application credential's secret.
    #[arg(
        id = "storage.swift.application-credential-secret",
        long = "storage.swift.application-credential-secret",
        value_name = "SECRET"
    )]
    pub application_credential_secret: Secret,

    /// Name of the project.
    #[arg(
        id = "storage.swift.project-name",
        long = "storage.swift.project-name",
        value_name = "NAME"
    )]
    pub project_name: String,

    /// Id of the project.
    #[arg(
        id = "storage.swift.project-id",
        long = "storage.swift.project-id",
        value_name = "ID"
    )]
    pub project_id: String,

    /// Name of the project's domain.
    #[arg(
        id = "storage.swift.project-domain-name",
        long = "storage.swift.project-domain-name",
        value_name = "NAME"
    )]
    pub project_domain_name: String,

    /// Id of the project's domain.
    #[arg(
        id = "storage.swift.project-domain-id",
        long = "storage.swift.project-domain-id",
        value_name = "ID"
    )]
    pub project_domain_id: String,

    /// Region of the store, if there are several.
    #[arg(
        id = "storage.swift.region-name",
        long = "storage.swift.region-name",
        value_name = "REGION"
    )]
    pub region_name: String,

    /// The container.
    #[arg(
        id = "storage.swift.container-name",
        long = "storage.swift.container-name",
        value_name = "NAME"
    )]
    pub container_name: String,
}

impl SwiftConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key, problem: String| Err(ConfigError::new(key, problem));
        if self.container_name.is_empty() || self.container_name.contains('/') {
            let problem = format!("{:?}: name the container, without `/`", self.container_name);
            return wrong("swift.container_name", problem);
        }
        if ![0, 1, 3].contains(&self.auth_version) {
            let problem = format!("is {}: write 3, 1, or 0", self.auth_version);
            return wrong("swift.auth_version", problem);
        }
        Ok(())
    }
}
