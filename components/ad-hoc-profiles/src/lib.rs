//! Single profiles that users upload to look at: `adhocprofiles.v1`, as Grafana's ad hoc view asks for it.
//!
//! Knows nothing of series, selectors and queries: a profile is a file, kept as it came, an object of its tenant in the
//! bucket. It is read and drawn anew by every request; nothing is kept in memory.

mod content;
mod error;
mod flame;
mod id;
mod profiles;
mod service;
mod stored;
#[cfg(test)]
mod testing;

pub use error::Error;
pub use profiles::{AdHocProfiles, Deps};
