//! A cursor over bytes with the two things that the binary formats consist of.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::error::Error;

/// Reads from the front of a payload; knows its offset for messages.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self {
            rest: payload,
            length: payload.len(),
        }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// An unsigned LEB128 number of at most 64 bits.
    pub(crate) fn uvarint(&mut self, what: &str) -> Result<u64, Error> {
        let start = self.position();
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return Err(Error::bytes(
                    start,
                    format_args!("{what} expected, the payload ends"),
                ));
            };
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::bytes(
            start,
            format_args!("{what} does not fit 64 bits"),
        ))
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], Error> {
        let split = usize::try_from(count)
            .ok()
            .and_then(|count| self.rest.split_at_checked(count));
        let Some((taken, rest)) = split else {
            let left = self.rest.len();
            return Err(Error::bytes(
                self.position(),
                format_args!("{what} of {count} bytes expected, {left} are left"),
            ));
        };
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_64_bits_end() {
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Reader::new(&largest).uvarint("a number"), Ok(u64::MAX));
        let mut larger = largest;
        larger[9] = 0x02;
        assert!(Reader::new(&larger).uvarint("a number").is_err());
        assert!(Reader::new(&[0x80; 11]).uvarint("a number").is_err());
        assert!(Reader::new(&[0x80]).uvarint("a number").is_err());
    }

    #[test]
    fn more_bytes_than_there_are_is_an_error_with_its_place() {
        let mut reader = Reader::new(b"\x01abc");
        assert_eq!(reader.uvarint("a number"), Ok(1));
        assert_eq!(reader.take(1, "a name"), Ok(&b"a"[..]));
        let error = reader.take(u64::MAX, "a name").unwrap_err();
        assert_eq!(
            error.to_string(),
            "byte 2: a name of 18446744073709551615 bytes expected, 2 are left"
        );
    }
}
