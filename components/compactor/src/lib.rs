//! Merges the blocks of a bucket into fewer and larger ones, and deletes what is no longer needed.
//!
//! Knows nothing of heads, pushes and queries. Two loops: compaction plans jobs for each tenant and runs them
//! ([`Compactor::run`] describes them); cleaning marks blocks that are too old, deletes what was marked long enough ago,
//! and writes the index of the bucket. Nothing is deleted that has not been marked for a while, and nothing is marked
//! before what replaces it is in the bucket as a whole: whoever reads a block has that long to turn to another.
//!
//! Facts: blocks.md 6.

mod cleaner;
mod compactor;
mod config;
mod error;
mod job;
mod metrics;
mod plan;
mod sharding;
mod tenant;

pub use compactor::{Compactor, Dependencies};
pub use config::{Config, ConfigError, JobsOrder};
pub use error::Error;
pub use metrics::Metrics;
pub use sharding::Sharding;
