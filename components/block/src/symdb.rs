//! Symbols as files: what [`Symbols`](crate::symbols::Symbols) are read from and written to.
//!
//! Reads all generations: the Parquet tables of the first blocks, symdb formats 1, 2 and 3. Writes format 2, which
//! upstream reads. Format: blocks.md 4.

mod layout;

pub use layout::Layout;
