//! The border to the `parquet` crate.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::{ParquetError, Result};

/// Runs code of the crate on bytes that may be anything; a panic is an error like others. Its decoders do panic on
/// pages without a checksum that are damaged: BYTE_STREAM_SPLIT and plain values that end too early, bit widths beyond
/// 64 (`damage_that_no_checksum_finds_does_not_panic` meets them). What the code has worked on is not used again.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| problem(&error)),
        Err(_) => Err("its decoder gave up".to_owned()),
    }
}

/// What the crate says, without the names of its variants.
fn problem(error: &ParquetError) -> String {
    match error {
        ParquetError::General(text) | ParquetError::EOF(text) | ParquetError::NYI(text) => {
            text.clone()
        }
        other => other.to_string(),
    }
}
