//! A fleet: databases behind real servers, asked over the network, counted once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod blocks;
mod ingesters;
mod property;
mod store;
mod support;
