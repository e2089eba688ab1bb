//! The profile model: decode, normalise, merge, encode pprof.
//!
//! Knows nothing of tenants, series labels, storage or HTTP; nor of the other formats, of which
//! `phlare-formats` makes pprof.
//!
//! The hot path: [`Workspace::decode`] reads the wire bytes into flat tables, [`Decoded::normalize`] makes a
//! [`Normalized`] of them, which borrows from the request and from the workspace. [`merge`] and [`summary`]
//! work on decoded messages, for clients and tests.

pub mod carried;
mod error;
pub mod gzip;
pub mod hash;
pub mod merge;
mod normalize;
pub mod normalized;
mod options;
mod reuse;
pub mod summary;
mod tables;
mod wire;
mod workspace;

pub use error::{BadReference, Error};
pub use hash::Seed;
pub use normalized::Normalized;
pub use options::{KeepType, Options, OverLimit, ScriptNames};
pub use workspace::{Decoded, Workspace};
