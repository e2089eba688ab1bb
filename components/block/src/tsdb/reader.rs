//! A cursor over a file in memory.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Reads forward and knows where in the file it is. Every read is `None` past the end, and then the position says nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, the beginning of a file, from the byte `at`.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The byte of the file that comes next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at = self.at.checked_add(1)?;
        Some(byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline]
    pub(super) fn uvarint(&mut self) -> Option<u64> {
        let first = self.u8()?;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        self.long_uvarint(first)
    }

    fn long_uvarint(&mut self, first: u8) -> Option<u64> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..63).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        // Only one bit is left of 64.
        let byte = self.u8()?;
        (byte <= 1).then_some(value | u64::from(byte) << 63)
    }

    pub(super) fn svarint(&mut self) -> Option<i64> {
        let raw = self.uvarint()?;
        Some(((raw >> 1) as i64) ^ ((raw & 1) as i64).wrapping_neg())
    }

    #[inline]
    pub(super) fn uvarint32(&mut self) -> Option<u32> {
        u32::try_from(self.uvarint()?).ok()
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// A length and as many bytes.
    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uvarint()?).ok()?;
        self.take(length)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::{put_svarint, put_uvarint};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_more_than_64_bits_are_refused() {
        let longest = [0xff; 9];
        let with = |last: u8| {
            let bytes = [longest.as_slice(), &[last]].concat();
            Reader::new(&bytes, 0).uvarint()
        };
        assert_eq!(with(1), Some(u64::MAX));
        assert_eq!(with(0), Some(u64::MAX >> 1));
        assert_eq!(with(2), None);
        assert_eq!(with(0x81), None);
        assert_eq!(Reader::new(&longest, 0).uvarint(), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, signed: i64) {
            let mut out = vec![7];
            put_uvarint(&mut out, unsigned);
            put_svarint(&mut out, signed);
            let mut reader = Reader::new(&out, 1);
            prop_assert_eq!(reader.uvarint(), Some(unsigned));
            prop_assert_eq!(reader.svarint(), Some(signed));
            prop_assert_eq!((reader.at(), reader.left()), (out.len(), 0));
        }
    }
}
