//! Certificates, keys, tokens and logins: files that are read again when they change.
//!
//! Knows nothing of HTTP, sockets, or what is asked of a server. What cannot be used leaves in force what was before: a figure and a
//! line of the log say so. At the start it is an error.

mod error;
mod figures;
mod logins;
mod not_after;
mod tls;
mod token;
mod watch;

pub use error::{ConfigError, Error};
pub use figures::Figures;
pub use logins::{
    CertificateEntry, Login, Logins, LoginsDocument, LoginsFile, Password, PasswordCheck,
    ReadDocument, Right, TenantRefused, TokenEntry, UserEntry,
};
pub use tls::client::{ClientTls, PeerConfig};
pub use tls::names::dns_names;
pub use tls::server::{ClientAuth, ServerTls, ServerTlsConfig};
pub use token::TokenFile;
pub use watch::{PERIOD, Reload, run};
