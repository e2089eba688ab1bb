//! A database from outside: real profiles in, answers out, also after a restart.

mod answers;
mod limits;
mod recovery;
mod support;
