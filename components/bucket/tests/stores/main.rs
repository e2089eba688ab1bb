//! Buckets against stores that run: every store must behave alike, and say what is wrong when it does not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clouds;
mod conformance;
mod faults;
mod faulty;
mod here;
mod identities;
mod others;
mod s3;
mod servers;
mod uploads;
