//! Decisions: from what is there and what should be to what is done next. Pure: no clock, no network.

pub mod autoscale;
pub mod health;
pub mod lost;
pub mod mode;
pub mod release;
pub mod rollout;
pub mod scale;
