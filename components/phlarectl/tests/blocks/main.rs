//! `phlarectl blocks` over real blocks. Without the shared test data there is nothing to do.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod look;
mod make;
mod query;
mod store;
mod support;
