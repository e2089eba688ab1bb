//! The operator as a pod, and what it makes as containers: profiles flow.

#[path = "containers/bench.rs"]
mod bench;
#[path = "containers/minimal.rs"]
mod minimal;
#[path = "containers/production.rs"]
mod production;
