//! The compactor over buckets in directories, with real blocks.
#![expect(clippy::unwrap_used, reason = "what cannot go on fails")]

mod cleaning;
mod crash;
mod merging;
mod rewritten;
mod support;
