//! A real server on a port of its own, and real clients.

mod lifecycle;
mod protocols;
mod support;
mod transport;
