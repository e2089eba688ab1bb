//! Settings of S3.

use std::str::FromStr;

use clap::ArgAction;
use phlare_model::flag::go_bool;
use serde::{Deserialize, Serialize};

use super::{ConfigError, HttpConfig, Secret};

/// Amazon S3, and what speaks like it; YAML section `storage.s3`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// Host and port, with or without `https://`; empty is Amazon's of the region.
    #[arg(
        id = "storage.s3.endpoint",
        long = "storage.s3.endpoint",
        value_name = "HOST:PORT"
    )]
    pub endpoint: String,

    /// Region of the bucket; empty takes it from the endpoint, AWS_REGION, or what the server says.
    #[arg(
        id = "storage.s3.region",
        long = "storage.s3.region",
        value_name = "REGION"
    )]
    pub region: String,

    /// The bucket.
    #[arg(
        id = "storage.s3.bucket-name",
        long = "storage.s3.bucket-name",
        value_name = "NAME"
    )]
    pub bucket_name: String,

    /// Access key; without one the environment, a web identity, or the role of the container or the instance is used.
    #[arg(
        id = "storage.s3.access-key-id",
        long = "storage.s3.access-key-id",
        value_name = "KEY"
    )]
    pub access_key_id: String,

    /// The access key's secret.
    #[arg(
        id = "storage.s3.secret-access-key",
        long = "storage.s3.secret-access-key",
        value_name = "SECRET"
    )]
    pub secret_access_key: Secret,

    /// Token that belongs to a temporary access key.
    #[arg(
        id = "storage.s3.session-token",
        long = "storage.s3.session-token",
        value_name = "TOKEN"
    )]
    pub session_token: Secret,

    /// Speaks HTTP without encryption.
    #[arg(id = "storage.s3.insecure", long = "storage.s3.insecure", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub insecure: bool,

    /// Where the name of the bucket goes: auto, path-style, or virtual-hosted-style.
    #[arg(
        id = "storage.s3.bucket-lookup-type",
        long = "storage.s3.bucket-lookup-type",
        value_name = "STYLE"
    )]
    pub bucket_lookup_type: Lookup,

    /// How requests are signed; v4 is the only way.
    #[arg(
        id = "storage.s3.signature-version",
        long = "storage.s3.signature-version",
        value_name = "VERSION"
    )]
    pub signature_version: String,

    /// Ignores the access key and looks for credentials as Amazon's libraries do.
    #[arg(id = "storage.s3.native-aws-auth-enabled", long = "storage.s3.native-aws-auth-enabled", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub native_aws_auth_enabled: bool,

    /// URL of the service that exchanges web identities; empty is Amazon's of the region.
    #[arg(
        id = "storage.s3.sts-endpoint",
        long = "storage.s3.sts-endpoint",
        value_name = "URL"
    )]
    pub sts_endpoint: String,

    /// Encryption by the server.
    #[command(flatten)]
    pub sse: SseConfig,

    /// Connections.
    #[command(flatten)]
    pub http: HttpConfig,
}

/// Encryption by the server; YAML section `storage.s3.sse`.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct SseConfig {
    /// SSE-S3, SSE-KMS, or nothing.
    #[arg(
        id = "storage.s3.sse.type",
        long = "storage.s3.sse.type",
        value_name = "TYPE"
    )]
    #[serde(rename = "type")]
    pub kind: String,

    /// Key of SSE-KMS; empty is the bucket's.
    #[arg(
        id = "storage.s3.sse.kms-key-id",
        long = "storage.s3.sse.kms-key-id",
        value_name = "KEY"
    )]
    pub kms_key_id: String,
}

/// Where the name of the bucket goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lookup {
    /// Into the host for Amazon, into the path for others.
    #[default]
    Auto,
    /// `https://host/bucket/key`.
    #[serde(alias = "path")]
    PathStyle,
    /// `https://bucket.host/key`.
    #[serde(alias = "virtual-hosted", alias = "dns")]
    VirtualHostedStyle,
}

impl FromStr for Lookup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "path-style" | "path" => Ok(Self::PathStyle),
            "virtual-hosted-style" | "virtual-hosted" | "dns" => Ok(Self::VirtualHostedStyle),
            _ => Err(format!(
                "`{text}` is no style: write auto, path-style or virtual-hosted-style"
            )),
        }
    }
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: String::new(),
            bucket_name: String::new(),
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            session_token: Secret::default(),
            insecure: false,
            bucket_lookup_type: Lookup::default(),
            signature_version: "v4".to_owned(),
            native_aws_auth_enabled: false,
            sts_endpoint: String::new(),
            sse: SseConfig::default(),
            http: HttpConfig::default(),
        }
    }
}

impl S3Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key, problem: String| Err(ConfigError::new(key, problem));
        if self.bucket_name.is_empty() {
            return wrong("s3.bucket_name", "is empty: name the bucket".into());
        }
        if self.access_key_id.is_empty() != self.secret_access_key.is_empty() {
            let problem = "give both `access_key_id` and `secret_access_key`, or neither of them";
            return wrong("s3.access_key_id", problem.into());
        }
        if self.signature_version != "v4" {
            let problem = format!("{:?} is not spoken here: write v4", self.signature_version);
            return wrong("s3.signature_version", problem);
        }
        if !["", "SSE-S3", "SSE-KMS"].contains(&self.sse.kind.as_str()) {
            let problem = format!("{:?}: write SSE-S3, SSE-KMS, or nothing", self.sse.kind);
            return wrong("s3.sse.type", problem);
        }
        if !self.sse.kms_key_id.is_empty() && self.sse.kind != "SSE-KMS" {
            return wrong(
                "s3.sse.kms_key_id",
                "needs `storage.s3.sse.type` SSE-KMS".into(),
            );
        }
        if let Some((scheme, _)) = self.endpoint.split_once("://")
            && !["http", "https"].contains(&scheme)
        {
            let problem = format!(
                "{:?}: begins with https://, http://, or a host",
                self.endpoint
            );
            return wrong("s3.endpoint", problem);
        }
        if self.http.response_header_timeout.is_zero() {
            return wrong(
                "s3.http.response_header_timeout",
                "is 0s: must be more".into(),
            );
        }
        Ok(())
    }
}
