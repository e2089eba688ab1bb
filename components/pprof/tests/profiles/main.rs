//! The crate from outside: real profiles, malformed ones, random ones, hostile bytes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod build;
mod canonical;
mod carried;
mod differences;
mod hostile;
mod limits;
mod malformed;
mod random;
mod real;
mod repairs;
