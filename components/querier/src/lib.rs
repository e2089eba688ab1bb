//! Answers queries from the databases of the tenants.
//!
//! Knows nothing of the public API, of limits, of rendering or of how a request came here: a query is
//! typed and checked when it arrives. It decides where a query is computed, not what it means; the
//! meaning is the database's.

mod config;
mod metrics;
mod querier;

pub use config::Config;
pub use metrics::Metrics;
pub use querier::{Querier, Source};
