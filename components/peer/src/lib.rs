//! The other processes of a cluster, as a client sees them: one connection to each, opened when it is needed, closed
//! when the process is no member any more.
//!
//! A call names the instance that it means, so that a process that took over an address does not answer for another (field
//! report B36). Whoever calls has the client of its service; what several services say, queries and their answers, is
//! written and read here.

pub mod ask;
mod call;
mod channel;
mod connect;
mod peers;
pub mod queries;
mod schedulers;

pub use call::{CallError, call, meant, meant_if_named, name_of};
pub use channel::Channel;
pub use peers::{Metrics, Own, Peers};
pub use schedulers::{leaving_schedulers, used_schedulers};
