//! Wire types of the public and the internal API: messages, their JSON form, client stubs.
//!
//! Knows nothing of HTTP, tenants or storage, and has no code of its own: everything comes
//! from the files under `proto/`. Names and numbers are those of Pyroscope's v1 API; packages under `phlare` are our own.
//!
//! JSON follows the proto3 mapping: lowerCamelCase names, original names accepted on input,
//! unknown fields ignored, 64-bit integers as strings, zero values left out. One thing is missing: a double that is
//! not finite is read from its name but written as `null`; no answer of ours has one.

mod generated;
mod methods;

pub use generated::*;
pub use methods::{METHODS, Method};

/// The encoded `FileDescriptorSet` of all packages.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
