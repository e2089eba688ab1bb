//! A database from outside: real profiles in, answers out, also after a restart.
#![expect(clippy::unwrap_used, reason = "what cannot go on fails")]

mod answers;
mod cut;
mod limits;
mod parts;
mod reads;
mod recovery;
mod support;
