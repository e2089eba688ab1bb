//! The crate from outside: real profiles, malformed ones, random ones, hostile bytes.

mod build;
mod canonical;
mod hostile;
mod limits;
mod malformed;
mod random;
mod real;
mod repairs;
