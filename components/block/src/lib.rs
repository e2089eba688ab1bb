//! The files of one block: index, profiles, symbols, `meta.json`; read, written and verified.
//!
//! Knows nothing of heads, logs, tenants, object stores or queries. Synchronous: whoever reads from a network
//! implements [`Files`]. Format: blocks.md.

pub mod bucket_index;
pub mod compact;
mod delta;
mod error;
mod fields;
mod files;
mod id;
mod json;
pub mod marks;
pub mod meta;
pub mod profiles;
pub mod symbols;
pub mod symdb;
mod table;
mod tail;
#[cfg(test)]
mod testdata;
pub mod tsdb;
mod verify;

pub use error::Error;
pub use files::{Files, LocalFiles, MemoryFiles, both};
pub use id::{BlockId, BlockIdError, BlockIds};
pub use meta::Meta;
pub use table::{ColumnOutline, TableOutline};
pub use verify::{Verified, verify};
