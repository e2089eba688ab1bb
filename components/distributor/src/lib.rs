//! The entry of every profile: validate, limit, label, split, hand over.
//!
//! Knows nothing of how profiles are stored, of queries, or of other processes: it makes
//! rows and gives them to an [`Ingest`].
//!
//! Three doors lead to one pipeline (api.md 8.1): `push.v1.PusherService/Push`, `POST /ingest`, and OTLP profiles.

mod app_name;
mod batch;
mod config;
mod distributor;
mod error;
mod ingest;
mod labels;
mod language;
mod metrics;
mod otlp;
mod partition;
mod pipeline;
mod push;
mod rate;
mod relabel;
mod remote;
mod replica;
mod replicas;
mod series;
mod session;
#[cfg(test)]
mod testing;
mod window;

pub use app_name::{AppName, AppNameError};
pub use config::{Config, ConfigError};
pub use distributor::{Dependencies, Distributor};
pub use error::Error;
pub use ingest::Params;
pub use metrics::Metrics;
pub use remote::RemoteIngesters;
pub use replica::{Durable, Ingest, Refused};
pub use replicas::{Ingesters, ReplicaDependencies, ReplicaMetrics, Replicas};
