//! Queries wait here, each tenant's in a queue of its own, until a querier takes them.
//!
//! Reads neither queries nor answers. In a fleet, query-frontends ask a [`Scheduler`] and queriers pull from it, over the
//! network ([`serve`]); a process that is alone gives [`Turns`] to its own queries. Both take tenants in turn, so that one
//! that asks much does not keep the others waiting.

mod config;
mod metrics;
mod queue;
mod scheduler;
mod service;
mod shard;
mod turns;

pub use config::{Config, ConfigError, DiscoveryMode};
pub use metrics::Metrics;
pub use scheduler::{Pulled, QueryId, Scheduler, Task};
pub use service::serve;
pub use turns::{Turn, Turns};
