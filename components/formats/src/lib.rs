//! Other profile formats turned into pprof: collapsed stacks, lines, trie, tree, speedscope, `perf script`, OTLP.
//!
//! Knows nothing of tenants, series labels, HTTP or storage, and does no I/O. Every parser takes
//! bytes from the network and refuses them with an [`Error`] that says where they are wrong.
//!
//! Each parser fills a [`Stacks`]; [`Kind`] says what the values mean; [`Stacks::to_pprof`] makes
//! the profile. Rules: api.md 4.4. [`otlp`] has no part in that: its profiles are nearly pprof already.
//!
//! Of a file of which nobody says what it is, [`recognise()`] tells the format, and [`file::read`] makes pprof.

pub mod calls;
pub mod error;
pub mod file;
pub mod groups;
pub mod jfr;
pub mod kind;
pub mod lines;
pub mod otlp;
pub mod perf;
pub mod rate;
pub mod recognise;
pub mod speedscope;
pub mod stacks;
pub mod tree;
pub mod trie;
mod varint;

pub use error::{Error, preview};
pub use kind::Kind;
pub use rate::SampleRate;
pub use recognise::{Format, recognise};
pub use stacks::{Limits, Stacks, Timing};
