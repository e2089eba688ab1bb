//! The files of one block: index, profiles, symbols, `meta.json`; read, written and verified.
//!
//! Knows nothing of heads, logs, tenants, object stores or queries. Synchronous: whoever reads from a network
//! implements [`Files`]. Format: blocks.md.

mod error;
mod files;
pub mod symbols;
pub mod symdb;

pub use error::Error;
pub use files::{Files, LocalFiles, MemoryFiles};
