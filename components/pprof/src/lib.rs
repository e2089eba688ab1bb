//! The profile model: decode, normalise, merge, encode pprof.
//!
//! Knows nothing of tenants, series labels, storage or HTTP.

pub mod hash;
pub mod normalized;

pub use hash::Seed;
pub use normalized::Normalized;
