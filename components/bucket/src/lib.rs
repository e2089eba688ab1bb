//! Object stores behind one handle: [`Bucket`].
//!
//! Knows nothing of blocks, profiles, tenants or the wire. Errors say which operation failed on which key of which bucket,
//! with whose credentials, what the server said, and what to do next. Failures that may pass are tried again, counted,
//! and bounded by [`Retries`]; credentials that expire are renewed without a restart.

mod bucket;
mod config;
mod environment;
mod error;
mod metrics;
mod open;
mod place;
mod retries;
mod source;
mod swift;
mod watch;

pub use bucket::{Bucket, Object, Reads};
pub use config::{
    AzureConfig, Backend, Config, ConfigError, FilesystemConfig, GcsConfig, HttpConfig, Lookup,
    S3Config, Secret, SseConfig, SwiftConfig,
};
pub use environment::Environment;
pub use error::{Error, ErrorKind, Operation};
pub use metrics::Metrics;
pub use retries::Retries;
