//! What the tests of the whole system share: real processes, plain clients, and profiles made by hand.
//!
//! Knows nothing of how the system works inside: it starts the programs that a user starts and speaks the
//! public API. Sums that answers are compared with are made here, from the bytes that were sent.

pub mod certificates;
pub mod client;
pub mod collector;
pub mod flame;
pub mod fleet;
pub mod kubernetes;
pub mod load;
pub mod netns;
pub mod pprof;
mod process;
pub mod programs;
pub mod runtimes;
pub mod server;
pub mod shared;
pub mod store;

pub use client::{Client, Reply};
pub use pprof::Pprof;
pub use process::{until, until_within};
pub use server::{Options, Server};

/// Nanoseconds since the Unix epoch. These tests talk to programs that have the same clock and no other.
#[must_use]
pub fn now_ns() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> i64 {
    now_ns() / 1_000_000
}
