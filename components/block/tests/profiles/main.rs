//! The table of profiles against real files, against itself, against independent readers, and against damage.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod downsampled;
mod foreign;
mod hostile;
mod oracle;
mod random;
mod ranges;
mod real;

mod rewritten;
mod tables;
