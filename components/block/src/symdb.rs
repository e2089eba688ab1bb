//! Symbols as files: what [`Symbols`](crate::symbols::Symbols) are read from and written to.
//!
//! Reads all generations: the Parquet tables of the first blocks, symdb formats 1, 2 and 3. Writes format 2, which
//! upstream reads. Format: blocks.md 4.

mod check;
mod chunk;
mod columns;
#[cfg(test)]
mod damage;
mod index;
mod layout;
pub mod merge;
mod reader;
mod sections;
mod stacks;
mod tables;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub use layout::Layout;
pub use reader::Reader;
pub use writer::Writer;
