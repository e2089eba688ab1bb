//! A real server on a port of its own, and real clients.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod lifecycle;
mod logins;
mod protocols;
mod support;
mod tls;
mod transport;
