//! gzip with an upper bound: nothing inflates to more than the caller allows.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod member;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};

use self::member::{Decompressor, Outcome};
use crate::Error;

/// Deflate cannot expand by more than this factor.
const MAX_EXPANSION: usize = 1032;

/// Whether `bytes` begin like a gzip stream.
#[must_use]
pub const fn is_gzip(bytes: &[u8]) -> bool {
    matches!(bytes, [0x1f, 0x8b, ..])
}

/// Compresses `bytes`; `level` is 0 (stored) to 9 (smallest), 6 is usual.
#[must_use]
pub fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level.min(9)));
    // A Vec takes everything: neither call can fail.
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .unwrap_or_default()
}

/// The bytes without their gzip, if they have any.
///
/// Errors: as [`Inflater::gunzip`].
pub fn plain(bytes: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, Error> {
    if !is_gzip(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut inflated = Vec::new();
    Inflater::new().gunzip(bytes, limit, &mut inflated)?;
    Ok(Cow::Owned(inflated))
}

/// Inflates gzip streams; keeps its tables from one to the next.
#[derive(Default)]
pub struct Inflater {
    decompressor: Option<Decompressor>,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

impl Inflater {
    /// An inflater without tables yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { decompressor: None }
    }

    /// Replaces the content of `out` by the inflated stream, all members of it.
    ///
    /// Errors: [`Error::TooLarge`] as soon as more than `limit` bytes come out, [`Error::Gzip`] and
    /// [`Error::TrailingGarbage`] for a damaged stream; then the content of `out` has no meaning.
    pub fn gunzip(&mut self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some((_, size)) = input.split_last_chunk::<4>() else {
            return Err(Error::Gzip {
                problem: "it is shorter than a gzip header",
            });
        };
        // Untrusted, and modulo 2^32: a guess of how much memory is needed.
        let size = u32::from_le_bytes(*size) as usize;
        if size <= limit && size <= input.len().saturating_mul(MAX_EXPANSION) {
            match self.one_member(input, size, out) {
                Some((consumed, written)) if consumed == input.len() && written == size => {
                    return Ok(());
                }
                Some((consumed, _)) => {
                    let rest = input.get(consumed..).unwrap_or_default();
                    if !rest.is_empty() && !is_gzip(rest) {
                        return Err(Error::TrailingGarbage {
                            offset: consumed,
                            bytes: rest.len(),
                        });
                    }
                }
                None => {}
            }
        }
        all_members(input, limit, out)
    }

    /// Inflates the first member if it fits `size` bytes: bytes read and bytes written.
    fn one_member(
        &mut self,
        input: &[u8],
        size: usize,
        out: &mut Vec<u8>,
    ) -> Option<(usize, usize)> {
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        out.resize(size, 0);
        match decompressor.member(input, out) {
            Outcome::Done { consumed, written } => Some((consumed, written)),
            Outcome::Failed => None,
        }
    }
}

/// The slow and thorough way: several members, a wrong size at the end, or damage.
fn all_members(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    out.clear();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::MultiGzDecoder::new(input)
        .take(bound)
        .read_to_end(out)
        .map_err(|e| Error::Gzip {
            problem: problem(&e),
        })?;
    if out.len() > limit {
        Err(Error::TooLarge { limit })
    } else {
        Ok(())
    }
}

fn problem(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early",
        io::ErrorKind::InvalidInput => "a header or a checksum is wrong",
        _ => "its compressed data is wrong",
    }
}

#[cfg(test)]
mod tests;
