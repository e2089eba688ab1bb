//! Holds recent profiles: one database for each tenant, made at the tenant's first profile.
//!
//! Knows nothing of selectors, and of the ring only its own name. At start it replays the logs of all tenants, and
//! takes and answers nothing before that is done.

mod announce;
mod config;
mod databases;
mod directory;
mod disk;
mod error;
mod ingester;
mod metrics;
mod prepare;
mod service;
mod shipper;
mod storage;

pub use announce::{Announcer, AnnouncerMetrics};
pub use config::Config;
pub use error::Error;
pub use ingester::{Dependencies, Ingester};
pub use metrics::Metrics;
pub use prepare::Preparation;
pub use service::IngestService;
