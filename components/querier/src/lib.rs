//! Answers queries from the databases of the tenants.
//!
//! Knows nothing of the public API, of limits, of rendering or of how a request came here: a query is
//! typed and checked when it arrives. It decides where a query is computed, not what it means; the
//! meaning is the database's.
//!
//! [`Querier`] answers from what this process holds. In a fleet, [`serve`] lets other processes ask for parts of answers,
//! and [`Fleet`] puts the parts of many together. A [`Worker`] takes the queries that it answers from query-schedulers.

mod answer;
mod config;
mod fleet;
mod local;
mod metrics;
mod querier;
mod remote;
mod service;
mod store;
mod wire;
mod worker;

pub use config::{Config, WorkerConfig};
pub use fleet::{Asked, Fleet, RingStores, Stores};
pub use local::LocalStore;
pub use metrics::Metrics;
pub use querier::{Querier, Source};
pub use remote::RemoteStore;
pub use service::serve;
pub use store::{EncodedTree, ListedBlock, Reply, Share, Store};
pub use worker::Worker;
