//! The encodings of values in pages.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use super::page::Problem;
use crate::delta;
use crate::fields::Fields;

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const DELTA_BINARY_PACKED: i64 = 5;
const DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
const DELTA_BYTE_ARRAY: i64 = 7;
const RLE_DICTIONARY: i64 = 8;
const BYTE_STREAM_SPLIT: i64 = 9;

const ENDS: Problem = "the values of a page end early";
const UNKNOWN: Problem = "values are encoded in an unknown way";
const OUTSIDE: Problem = "a value is not in the dictionary";
const NO_DICTIONARY: Problem = "the dictionary is missing";

/// Reads `count` numbers of `width` bits, runs and packed ones in turn, lowest bit first.
pub(super) fn hybrid(
    bytes: &[u8],
    width: u32,
    count: usize,
    mut each: impl FnMut(u32),
) -> Option<()> {
    if width > 32 {
        return None;
    }
    let mut fields = Fields::new(bytes);
    let mut left = count;
    while left > 0 {
        let header = fields.varint()?;
        let length = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 {
            let mut value = [0; 4];
            let stored = fields.take((width as usize).div_ceil(8))?;
            value.get_mut(..stored.len())?.copy_from_slice(stored);
            let here = left.min(length);
            for _ in 0..here {
                each(u32::from_le_bytes(value));
            }
            left = left.saturating_sub(here);
            if here == 0 {
                return None;
            }
        } else {
            let values = length.checked_mul(8)?;
            let packed = length.checked_mul(width as usize)?;
            // The last run may be cut where its values end.
            let packed = fields.take(packed.min(fields.left()))?;
            let here = left.min(values);
            if here == 0 {
                return None;
            }
            for index in 0..here {
                each(delta::unpack(packed, index, width as usize)? as u32);
            }
            left = left.saturating_sub(here);
        }
    }
    Some(())
}

/// Values of a page that are wanted, counted from its first.
pub(super) type Wanted = Range<usize>;

/// Appends the wanted ones of `count` integers.
pub(super) fn integers(
    encoding: i64,
    bytes: &[u8],
    count: usize,
    dictionary: Option<&[i64]>,
    wanted: Wanted,
    out: &mut Vec<i64>,
) -> Result<(), Problem> {
    match encoding {
        PLAIN => {
            let (values, _) = bytes.as_chunks::<8>();
            let wanted = values.get(wanted).ok_or(ENDS)?;
            out.extend(wanted.iter().map(|bytes| i64::from_le_bytes(*bytes)));
            Ok(())
        }
        DELTA_BINARY_PACKED => {
            let mut index = 0_usize;
            delta::decode(bytes, count, |value| {
                if wanted.contains(&index) {
                    out.push(value as i64);
                }
                index = index.saturating_add(1);
            })
            .map(drop)
        }
        BYTE_STREAM_SPLIT => {
            if count.checked_mul(8) != Some(bytes.len()) {
                return Err(ENDS);
            }
            for index in wanted {
                let byte = |stream: usize| {
                    let at = count.saturating_mul(stream).saturating_add(index);
                    bytes.get(at).copied().unwrap_or_default()
                };
                out.push(i64::from_le_bytes(std::array::from_fn(byte)));
            }
            Ok(())
        }
        PLAIN_DICTIONARY | RLE_DICTIONARY => {
            let dictionary = dictionary.ok_or(NO_DICTIONARY)?;
            indices::<Problem>(bytes, count, wanted, |index| {
                out.push(*dictionary.get(index).ok_or(OUTSIDE)?);
                Ok(())
            })
        }
        _ => Err(UNKNOWN),
    }
}

/// Appends the wanted ones of `count` booleans.
pub(super) fn booleans(
    encoding: i64,
    bytes: &[u8],
    count: usize,
    wanted: Wanted,
    out: &mut Vec<bool>,
) -> Result<(), Problem> {
    match encoding {
        PLAIN => {
            for index in wanted {
                let byte = bytes.get(index / 8).ok_or(ENDS)?;
                out.push(byte >> (index % 8) & 1 == 1);
            }
            Ok(())
        }
        RLE => {
            let (length, rest) = bytes.split_first_chunk().ok_or(ENDS)?;
            let length = u32::from_le_bytes(*length) as usize;
            let mut index = 0_usize;
            hybrid(rest.get(..length).ok_or(ENDS)?, 1, count, |value| {
                if wanted.contains(&index) {
                    out.push(value == 1);
                }
                index = index.saturating_add(1);
            })
            .ok_or(ENDS)
        }
        _ => Err(UNKNOWN),
    }
}

/// Byte strings of a dictionary.
#[derive(Debug, Default)]
pub(super) struct ByteArrays {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl ByteArrays {
    /// Reads a dictionary page.
    pub(super) fn parse(bytes: &[u8], count: usize) -> Result<Self, Problem> {
        let mut this = Self::default();
        plain_byte_arrays::<Problem>(bytes, count, |text| {
            this.bytes.extend_from_slice(text);
            this.ends.push(this.bytes.len());
            Ok(())
        })?;
        Ok(this)
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start..*self.ends.get(index)?)
    }
}

/// Hands out the wanted ones of `count` byte strings.
pub(super) fn byte_arrays<E: From<Problem>>(
    encoding: i64,
    bytes: &[u8],
    count: usize,
    dictionary: Option<&ByteArrays>,
    wanted: &Wanted,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut index = 0_usize;
    let mut pick = |text: &[u8]| {
        let is_wanted = wanted.contains(&index);
        index = index.saturating_add(1);
        if is_wanted { each(text) } else { Ok(()) }
    };
    match encoding {
        PLAIN => plain_byte_arrays(bytes, count, pick),
        DELTA_LENGTH_BYTE_ARRAY => {
            let mut texts = DeltaLengths::parse(bytes, count)?;
            for _ in 0..count {
                pick(texts.next()?)?;
            }
            Ok(())
        }
        DELTA_BYTE_ARRAY => {
            let (prefixes, used) = lengths(bytes, count)?;
            let mut suffixes = DeltaLengths::parse(bytes.get(used..).ok_or(ENDS)?, count)?;
            let mut text = Vec::new();
            for prefix in prefixes {
                if prefix > text.len() {
                    return Err(ENDS.into());
                }
                text.truncate(prefix);
                text.extend_from_slice(suffixes.next()?);
                pick(&text)?;
            }
            Ok(())
        }
        PLAIN_DICTIONARY | RLE_DICTIONARY => {
            let dictionary = dictionary.ok_or(NO_DICTIONARY)?;
            indices(bytes, count, wanted.clone(), |index| {
                each(dictionary.get(index).ok_or(OUTSIDE)?)
            })
        }
        _ => Err(UNKNOWN.into()),
    }
}

fn plain_byte_arrays<E: From<Problem>>(
    bytes: &[u8],
    count: usize,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = bytes;
    for _ in 0..count {
        let (length, behind) = rest.split_first_chunk().ok_or(ENDS)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, behind) = behind.split_at_checked(length).ok_or(ENDS)?;
        each(text)?;
        rest = behind;
    }
    Ok(())
}

/// Hands out the wanted ones of `count` positions in a dictionary.
fn indices<E: From<Problem>>(
    bytes: &[u8],
    count: usize,
    wanted: Wanted,
    mut each: impl FnMut(usize) -> Result<(), E>,
) -> Result<(), E> {
    let (&width, bytes) = bytes.split_first().ok_or(ENDS)?;
    let mut at = 0_usize;
    let mut outcome = Ok(());
    // Those behind the last wanted one need not be read.
    let count = count.min(wanted.end);
    hybrid(bytes, u32::from(width), count, |index| {
        if outcome.is_ok() && wanted.contains(&at) {
            outcome = each(index as usize);
        }
        at = at.saturating_add(1);
    })
    .ok_or(ENDS)?;
    outcome
}

/// A stream of lengths, and behind it what they are the lengths of.
struct DeltaLengths<'a> {
    lengths: std::vec::IntoIter<usize>,
    bytes: &'a [u8],
}

impl<'a> DeltaLengths<'a> {
    fn parse(bytes: &'a [u8], count: usize) -> Result<Self, Problem> {
        let (lengths, used) = lengths(bytes, count)?;
        Ok(Self {
            lengths: lengths.into_iter(),
            bytes: bytes.get(used..).ok_or(ENDS)?,
        })
    }

    fn next(&mut self) -> Result<&'a [u8], Problem> {
        let length = self.lengths.next().ok_or(ENDS)?;
        let (text, rest) = self.bytes.split_at_checked(length).ok_or(ENDS)?;
        self.bytes = rest;
        Ok(text)
    }
}

/// Lengths, and how many bytes they took. Negative ones come out as more than there are bytes.
fn lengths(bytes: &[u8], count: usize) -> Result<(Vec<usize>, usize), Problem> {
    let mut lengths = Vec::new();
    let used = delta::decode(bytes, count, |value| lengths.push(value as u32 as usize))?;
    Ok((lengths, used))
}
