//! Object stores behind one handle.
//!
//! Knows nothing of blocks, profiles, or the wire.
