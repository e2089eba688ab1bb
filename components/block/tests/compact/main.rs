//! Merging blocks: real ones, compared with what upstream made of them, and generated ones.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what cannot go on fails")]

mod damaged;
mod generated;
mod real;
mod support;
