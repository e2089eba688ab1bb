//! The operator as a pod, and what it makes as containers: profiles flow.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "containers/bench.rs"]
mod bench;
#[path = "containers/minimal.rs"]
mod minimal;
#[path = "containers/production.rs"]
mod production;
