//! Tests about the repository itself: who depends on whom, how long files are, what must not be in them.
//!
//! Knows nothing of what the code does. Everything is in `tests/tidy.rs`.
