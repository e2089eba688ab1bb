//! Settings of connections to a store.

use std::time::Duration;

use clap::ArgAction;
use phlare_model::flag::go_bool;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

/// Connections to S3; YAML section `storage.s3.http`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// How long a connection that nobody uses is kept.
    #[arg(id = "storage.s3.http.idle-conn-timeout", long = "storage.s3.http.idle-conn-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub idle_conn_timeout: Duration,

    /// How long the server may be silent: before its answer begins, and between parts of it.
    #[arg(id = "storage.s3.http.response-header-timeout", long = "storage.s3.http.response-header-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub response_header_timeout: Duration,

    /// Takes any certificate: whoever is in between can read and change everything.
    #[arg(id = "storage.s3.http.insecure-skip-verify", long = "storage.s3.http.insecure-skip-verify", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub insecure_skip_verify: bool,

    /// Most connections to one host that are kept although nobody uses them.
    #[arg(
        id = "storage.s3.max-idle-connections-per-host",
        long = "storage.s3.max-idle-connections-per-host",
        value_name = "COUNT"
    )]
    pub max_idle_connections_per_host: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            idle_conn_timeout: Duration::from_secs(90),
            response_header_timeout: Duration::from_secs(120),
            insecure_skip_verify: false,
            max_idle_connections_per_host: 1000,
        }
    }
}
