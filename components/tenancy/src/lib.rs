//! What a tenant may do: limits, their flags and YAML names, relabel rules.
//!
//! Knows nothing of requests, storage or time: it says what the limits are, the
//! rooms that meet a profile or a query enforce them.

mod limits;
mod overrides;
pub mod relabel;

pub use limits::{Limits, LimitsError, RulesPosition};
pub use overrides::{Overrides, TenantLimits};
pub use relabel::{RelabelRule, RelabelRules};
