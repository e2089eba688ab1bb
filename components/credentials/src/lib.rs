//! Certificates and keys: files that are read again when they change.
//!
//! Knows nothing of HTTP, sockets, or who is allowed what. What cannot be used leaves in force what was before: a figure and a
//! line of the log say so. At the start it is an error.

mod error;
mod figures;
mod not_after;
mod tls;
mod watch;

pub use error::{ConfigError, Error};
pub use figures::Figures;
pub use tls::client::{ClientTls, ClientTlsConfig};
pub use tls::names::dns_names;
pub use tls::server::{ClientAuth, ServerTls, ServerTlsConfig};
pub use watch::{PERIOD, Reload, run};
