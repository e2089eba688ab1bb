//! The other processes of a cluster, as a client sees them: one connection to each, opened when it is needed, closed
//! when the process is no member any more.
//!
//! Knows no message: whoever calls has the client of its service. A call names the instance that it means, so that a
//! process that took over an address does not answer for another (field report B36).

mod call;
mod peers;

pub use call::{CallError, call, meant};
pub use peers::{Metrics, Peers};
