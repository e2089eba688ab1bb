//! One port: HTTP, Connect, gRPC and gRPC-web, health, metrics, the access log.
//!
//! Knows nothing of profiles, storage or the ring: components register methods and routes,
//! and get requests with a tenant, a deadline and bounded bodies. The only room that knows
//! HTTP statuses and Connect codes; an error says what kind it is, [`Status`] does the rest.

mod access;
mod budget;
mod config;
mod error;
mod health;
mod http;
mod inbound;
mod listen;
mod login;
mod metrics;
mod offload;
mod rpc;
mod serve;
mod status;
mod tenant;
mod tls;
mod trace;

pub use self::http::{http_error, text_error};
pub use budget::Reservation;
pub use config::{Config, ConfigError, LogFormat, LogLevel};
pub use error::Error;
pub use health::{CheckState, Health};
pub use inbound::{BodyLimit, Inbound, Received};
pub use listen::bind;
pub use login::Guard;
pub use metrics::{Metrics, Registry};
pub use offload::{Offload, OffloadError};
pub use rpc::{Context, MethodOptions, Peer, Rpc};
pub use serve::{Parts, Server};
pub use status::Status;
pub use tenant::{Tenant, TenantMode};
pub use tls::ClientNames;
pub use trace::{LogFields, Trace, TraceHeaders, log_fields};
