//! Settings that a tenant's users keep on the server: `settings.v1`, as Grafana's app asks for them.
//!
//! Knows nothing of what they mean. The settings of a tenant are one object in the bucket, so they survive every process, and
//! a bucket that was taken over has its own. Nothing is kept in memory: what one process has written, the next
//! request to any other sees.

mod error;
mod file;
mod service;
mod settings;

pub use error::Error;
pub use file::Setting;
pub use settings::TenantSettings;
