//! The public read API: `querier.v1`, `/pyroscope/render` and their kin.
//!
//! Knows nothing of storage: what a [`Querier`] reads from, and where, is not its business. It checks
//! what clients ask, has it answered, and renders the answer. It keeps no state between queries.

mod accept;
mod api;
mod config;
mod diff;
mod error;
mod frontend;
mod label_values;
mod labels;
mod metrics;
mod params;
mod parse;
mod profile;
mod querier;
mod render;
mod render_diff;
mod respond;
mod routes;
mod schedulers;
mod series;
mod services;
mod split;
mod stacktraces;
mod stats;
#[cfg(test)]
mod testing;
mod timeline;
mod tree_pprof;
mod validate;

pub use config::Config;
pub use error::Error;
pub use frontend::{Deps, QueryFrontend};
pub use metrics::Metrics;
pub use querier::{Querier, Reply};
pub use schedulers::Schedulers;
