//! Parquet's DELTA_BINARY_PACKED: columns of Parquet files and of symdb format 3.
//!
//! 32-bit streams are read as 64-bit ones: arithmetic wraps, so the low 32 bits are the same.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::fields::{Fields, unzigzag};

/// Longest block that is read. Upstream's have 128 values, those of the `parquet` crate 256; the limit bounds what a
/// few bytes can claim.
const MAX_BLOCK: u64 = 1024;
/// Bytes that a value of 64 bits can touch, and its successor.
const WINDOW: usize = 16;

/// Reads a stream of `expected` values; each goes to `each`. Says how many bytes it took.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn decode(
    bytes: &[u8],
    expected: usize,
    mut each: impl FnMut(u64),
) -> Result<usize, &'static str> {
    const ENDS: &str = "a column ends early";
    let mut fields = Fields::new(bytes);
    let mut number = || fields.varint().ok_or(ENDS);
    let (block, miniblocks, count) = (number()?, number()?, number()?);
    let mut value = unzigzag(number()?);
    let per_miniblock = block.checked_div(miniblocks).unwrap_or(0);
    let regular = block <= MAX_BLOCK
        && block.is_multiple_of(128)
        && per_miniblock.is_multiple_of(32)
        && per_miniblock > 0
        && per_miniblock.checked_mul(miniblocks) == Some(block);
    if !regular {
        return Err("a column has blocks of an odd size");
    }
    if count != expected as u64 {
        return Err("a column has another number of values than there are rows");
    }
    let mut left = expected;
    if left > 0 {
        each(value as u64);
        left = left.saturating_sub(1);
    }
    while left > 0 {
        let min_delta = unzigzag(fields.varint().ok_or(ENDS)?);
        let widths = fields.take(miniblocks as usize).ok_or(ENDS)?;
        for &width in widths {
            if left == 0 {
                break;
            }
            if width > 64 {
                return Err("a column has values of more than 64 bits");
            }
            let width = usize::from(width);
            let packed = (per_miniblock as usize).saturating_mul(width) / 8;
            let packed = fields.take(packed).ok_or(ENDS)?;
            let here = left.min(per_miniblock as usize);
            for index in 0..here {
                let delta = unpack(packed, index, width).ok_or(ENDS)?;
                value = value.wrapping_add(min_delta).wrapping_add(delta as i64);
                each(value as u64);
            }
            left = left.saturating_sub(here);
        }
    }
    Ok(fields.position())
}

/// The number of `width` bits at `index`, lowest bit first.
#[inline]
pub(crate) fn unpack(packed: &[u8], index: usize, width: usize) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let bit = index.checked_mul(width)?;
    let window = packed.get(bit / 8..)?;
    let bits = match window.first_chunk::<WINDOW>() {
        Some(window) => u128::from_le_bytes(*window),
        None => {
            let mut padded = [0; WINDOW];
            padded.get_mut(..window.len())?.copy_from_slice(window);
            u128::from_le_bytes(padded)
        }
    };
    let mask = u64::MAX >> 64_usize.saturating_sub(width);
    Some((bits >> (bit % 8)) as u64 & mask)
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::symdb::testing::delta_stream;

    fn values(bytes: &[u8], expected: usize) -> Result<Vec<u64>, &'static str> {
        let mut values = Vec::new();
        decode(bytes, expected, |value| values.push(value)).map(|_| values)
    }

    #[test]
    fn a_stream_of_nothing_is_five_bytes() {
        assert_eq!(values(&[0x80, 1, 4, 0, 0], 0), Ok(vec![]));
    }

    #[test]
    fn another_count_than_expected_is_refused() {
        let stream = delta_stream(&[1, 2, 3]);
        assert!(values(&stream, 2).is_err());
        assert!(values(&stream, 4).is_err());
    }

    #[test]
    fn a_giant_block_is_refused() {
        // 2³¹ values a block, 4 miniblocks of width 0: 2³¹ values in 16 bytes.
        let stream = [
            0x80, 0x80, 0x80, 0x80, 8, 4, 0x80, 0x80, 0x80, 0x80, 8, 0, 0, 0, 0, 0, 0,
        ];
        assert!(values(&stream, 1 << 31).is_err());
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(input in vec(any::<u64>(), 0..400), shift in 0..64_u32) {
            let input: Vec<u64> = input.into_iter().map(|value| value >> shift).collect();
            prop_assert_eq!(values(&delta_stream(&input), input.len()), Ok(input));
        }

        #[test]
        fn truncated_streams_are_refused(input in vec(any::<u64>(), 1..200), cut in 1..50_usize) {
            let stream = delta_stream(&input);
            let cut = cut.min(stream.len());
            prop_assert!(values(&stream[..stream.len() - cut], input.len()).is_err());
        }
    }
}
