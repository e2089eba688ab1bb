//! TLS for what listens and for what connects.

pub(crate) mod client;
pub(crate) mod names;
mod pem;
pub(crate) mod server;
mod verify;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one provider of this project.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;
