//! The protobuf wire format, as far as pprof needs it: varints, tags, length-delimited fields.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// Wire type of varints.
pub(crate) const VARINT: u8 = 0;
/// Wire type of messages, strings and packed lists.
pub(crate) const BYTES: u8 = 2;

/// Bytes that are no protobuf: where, and what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) offset: usize,
    pub(crate) problem: &'static str,
}

/// Reads one message; a message inside of another one keeps the offsets of the outermost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    /// Everything up to the end of this message.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A reader of `bytes[start..end]`; empty if that is out of range.
    pub(crate) fn part(bytes: &'a [u8], start: u32, end: u32) -> Self {
        let bytes = bytes.get(..end as usize).unwrap_or_default();
        Self {
            bytes,
            at: start as usize,
        }
    }

    /// The same reader where only `left` bytes are left.
    pub(crate) fn with_left(self, left: usize) -> Self {
        let at = self.bytes.len().saturating_sub(left).max(self.at);
        Self { at, ..self }
    }

    /// Passes over the next byte if it is this one.
    #[inline]
    pub(crate) fn take_byte(&mut self, byte: u8) -> bool {
        let is_next = self.rest().first() == Some(&byte);
        self.at = self.at.wrapping_add(usize::from(is_next));
        is_next
    }

    /// Offset of the next byte in the outermost message.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// Offset behind this message's last byte.
    pub(crate) const fn end(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn malformed<T>(&self, problem: &'static str) -> Result<T, Malformed> {
        Err(Malformed {
            offset: self.at,
            problem,
        })
    }

    /// The next varint.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest() {
            [byte, ..] if *byte < 0x80 => {
                self.at = self.at.wrapping_add(1);
                Ok(u64::from(*byte))
            }
            [low, high, ..] if *high < 0x80 => {
                self.at = self.at.wrapping_add(2);
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            rest => match rest.first_chunk().and_then(|bytes| eight_bytes(*bytes)) {
                Some((value, length)) => {
                    self.at = self.at.wrapping_add(length);
                    Ok(value)
                }
                None => self.long_varint(),
            },
        }
    }

    #[cold]
    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (i, &byte) in self.rest().iter().take(10).enumerate() {
            if i == 9 && byte > 1 {
                return self.malformed("a varint is larger than 64 bits");
            }
            value |= u64::from(byte & 0x7f) << (i as u32).wrapping_mul(7);
            if byte < 0x80 {
                self.at = self.at.wrapping_add(i).wrapping_add(1);
                return Ok(value);
            }
        }
        self.malformed("a varint has no end")
    }

    /// Field number and wire type of the next field, or `None` at the end of the message.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<(u32, u8)>, Malformed> {
        match self.rest() {
            [] => Ok(None),
            [key @ 8..0x80, ..] => {
                self.at = self.at.wrapping_add(1);
                Ok(Some((u32::from(key >> 3), key & 7)))
            }
            _ => self.long_tag().map(Some),
        }
    }

    #[cold]
    fn long_tag(&mut self) -> Result<(u32, u8), Malformed> {
        let start = self.at;
        let key = self.varint()?;
        match u32::try_from(key >> 3) {
            Ok(field @ 1..=0x1fff_ffff) => Ok((field, (key & 7) as u8)),
            _ => Err(Malformed {
                offset: start,
                problem: "a field has an impossible number",
            }),
        }
    }

    /// The next length-delimited field: a message, a string, a packed list.
    #[inline(always)]
    pub(crate) fn nested(&mut self) -> Result<Self, Malformed> {
        let length = self.varint()?;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length));
        match end.and_then(|end| self.bytes.get(..end)) {
            Some(bytes) => {
                let nested = Self { bytes, at: self.at };
                self.at = bytes.len();
                Ok(nested)
            }
            None => self.malformed("a field is longer than the message it is in"),
        }
    }

    /// Passes over a field of unknown meaning.
    pub(crate) fn skip(&mut self, wire: u8) -> Result<(), Malformed> {
        let length = match wire {
            VARINT => return self.varint().map(drop),
            BYTES => return self.nested().map(drop),
            1 => 8,
            5 => 4,
            _ => return self.malformed("groups and wire types above 5 are not supported"),
        };
        match self.at.checked_add(length) {
            Some(end) if end <= self.bytes.len() => {
                self.at = end;
                Ok(())
            }
            _ => self.malformed("the message ends inside of a field"),
        }
    }

    /// A field of which the number is known: a number must be a varint.
    #[inline]
    pub(crate) fn number(&mut self, wire: u8) -> Result<u64, Malformed> {
        if wire == VARINT {
            self.varint()
        } else {
            self.malformed("a number does not have the wire type of numbers")
        }
    }

    /// A field of which the number is known: a message or text must be length-delimited.
    #[inline(always)]
    pub(crate) fn message(&mut self, wire: u8) -> Result<Self, Malformed> {
        if wire == BYTES {
            self.nested()
        } else {
            self.malformed("a message does not have the wire type of messages")
        }
    }

    /// Calls `take` with each number of a repeated field, packed or not.
    #[inline]
    pub(crate) fn numbers(&mut self, wire: u8, mut take: impl FnMut(u64)) -> Result<(), Malformed> {
        match wire {
            VARINT => take(self.varint()?),
            BYTES => {
                let mut list = self.nested()?;
                while !list.is_empty() {
                    take(list.varint()?);
                }
            }
            _ => return self.malformed("a list of numbers does not have the wire type of lists"),
        }
        Ok(())
    }
}

/// The varint at the beginning of eight bytes and its length, if it ends inside of them.
#[inline]
fn eight_bytes(bytes: [u8; 8]) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(bytes);
    let ends = !word & 0x8080_8080_8080_8080;
    if ends == 0 {
        return None;
    }
    let last_bit = ends.trailing_zeros(); // 7, 15 … 63
    let groups = word & (u64::MAX >> 63_u32.wrapping_sub(last_bit)) & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = (groups & 0x007f_007f_007f_007f) | (groups & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    let value = (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4;
    Some((value, (last_bit >> 3).wrapping_add(1) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length_are_read_whatever_follows() {
        for length in 1..=10_u32 {
            let largest = if length == 10 {
                u64::MAX
            } else {
                (1 << (7 * length)) - 1
            };
            for value in [largest, largest / 3, largest - largest / 7] {
                let mut bytes = Vec::new();
                prost::encoding::encode_varint(value, &mut bytes);
                let encoded = bytes.len();
                for tail in [&[][..], &[0xff; 9], &[0; 9]] {
                    bytes.truncate(encoded);
                    bytes.extend(tail);
                    let mut reader = Reader::new(&bytes);
                    assert_eq!(reader.varint(), Ok(value));
                    assert_eq!(reader.offset(), encoded);
                }
            }
        }
    }

    fn varint(bytes: &[u8]) -> Result<u64, &'static str> {
        Reader::new(bytes).varint().map_err(|e| e.problem)
    }

    #[test]
    fn varints_up_to_64_bits_are_read() {
        assert_eq!(varint(&[0]), Ok(0));
        assert_eq!(varint(&[0x7f]), Ok(127));
        assert_eq!(varint(&[0x80, 1]), Ok(128));
        assert_eq!(varint(&[0x80, 0]), Ok(0), "a longer form than needed");
        assert_eq!(
            varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            Ok(u64::MAX)
        );
    }

    #[test]
    fn varints_that_are_too_large_or_have_no_end_are_refused() {
        assert_eq!(varint(&[]), Err("a varint has no end"));
        assert_eq!(varint(&[0x80]), Err("a varint has no end"));
        assert_eq!(varint(&[0xff; 11]), Err("a varint is larger than 64 bits"));
        assert_eq!(
            varint(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2]),
            Err("a varint is larger than 64 bits")
        );
    }

    #[test]
    fn nested_messages_end_inside_of_the_outer_one_and_keep_its_offsets() {
        let mut outer = Reader::new(&[2, 8, 1, 9]);
        let mut inner = outer.nested().unwrap();
        assert_eq!((inner.offset(), inner.end()), (1, 3));
        assert_eq!(inner.tag(), Ok(Some((1, VARINT))));
        assert_eq!(inner.varint(), Ok(1));
        assert_eq!(inner.tag(), Ok(None));
        assert_eq!(outer.offset(), 3);
        assert_eq!(
            outer.nested().unwrap_err(),
            Malformed {
                offset: 4,
                problem: "a field is longer than the message it is in"
            }
        );
    }

    #[test]
    fn unknown_fields_are_passed_over_but_groups_are_not() {
        for (wire, bytes) in [
            (VARINT, &[0x80, 1][..]),
            (1, &[0; 8]),
            (BYTES, &[2, 0, 0]),
            (5, &[0; 4]),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.skip(wire), Ok(()));
            assert!(reader.is_empty());
        }
        for wire in [3, 4, 6, 7] {
            assert!(Reader::new(&[0; 16]).skip(wire).is_err());
        }
        assert!(Reader::new(&[0; 7]).skip(1).is_err());
        assert!(Reader::new(&[0; 3]).skip(5).is_err());
    }
}
