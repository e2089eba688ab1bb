//! A call tree, one node for each frame: pre-order nodes of
//! `uvarint name length, name, uvarint self value, uvarint number of children`; the first is the root.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::error::Error;
use crate::stacks::{Limits, NodeIndex, ROOT, Stacks};
use crate::varint::Reader;

/// Nodes whose children are being read: the node, and how many are left.
type Open = Vec<(NodeIndex, u64)>;

/// Reads a call tree.
///
/// # Errors
/// [`Error::Bytes`] for a tree that is cut short or goes on after its end, [`Error::Limit`] for a name
/// or a node that is too large, [`Error::TooLarge`].
pub fn parse(payload: &[u8], limits: &Limits) -> Result<Stacks, Error> {
    let mut reader = Reader::new(payload);
    let mut stacks = Stacks::new(limits);
    let root = Header::read(&mut reader, limits)?;
    if !root.name.is_empty() {
        return Err(Error::bytes(
            0,
            "the first node is the root and has no name",
        ));
    }
    let mut open: Open = vec![(ROOT, root.children)];
    while let Some((parent, left)) = open.pop() {
        let Some(left) = left.checked_sub(1) else {
            continue;
        };
        open.push((parent, left));
        let header = Header::read(&mut reader, limits)?;
        let node = stacks.child(parent, header.name)?;
        stacks.add(node, i64::try_from(header.value).unwrap_or(i64::MAX));
        open.push((node, header.children));
    }
    if reader.remaining() > 0 {
        return Err(Error::bytes(
            reader.position(),
            "the tree has ended, the payload has not",
        ));
    }
    Ok(stacks)
}

/// What is written of a node before its children.
struct Header<'a> {
    name: &'a [u8],
    value: u64,
    children: u64,
}

impl<'a> Header<'a> {
    fn read(reader: &mut Reader<'a>, limits: &Limits) -> Result<Self, Error> {
        let length = reader.uvarint("the length of a name")?;
        check(
            "a name",
            length,
            "max_profile_symbol_value_length",
            limits.symbol_bytes,
        )?;
        let name = reader.take(length, "a name")?;
        let value = reader.uvarint("a value")?;
        let children = reader.uvarint("a number of children")?;
        check(
            "a number of children",
            children,
            "max_profile_stacktrace_samples",
            limits.stacktraces,
        )?;
        Ok(Self {
            name,
            value,
            children,
        })
    }
}

/// A limit of 0 is none.
fn check(what: &'static str, actual: u64, name: &'static str, limit: usize) -> Result<(), Error> {
    if limit > 0 && usize::try_from(actual).map_or(true, |actual| actual > limit) {
        return Err(Error::Limit {
            what,
            actual,
            name,
            limit,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleRate;
    use crate::stacks::tests::{LIMITS, folded};

    const SMALL: &[u8] =
        b"\0\0\x02\x04main\x01\x02\x03foo\x04\x01\x03bar\x03\0\x03baz\x02\0\x04idle\x06\0";

    #[test]
    fn a_tree_is_read() {
        let stacks = parse(SMALL, &LIMITS).unwrap();
        let expected = [
            "idle 6",
            "main 1",
            "main;baz 2",
            "main;foo 4",
            "main;foo;bar 3",
        ];
        assert_eq!(folded(&stacks, "x.live", SampleRate::DEFAULT), expected);
    }

    #[test]
    fn every_cut_is_noticed() {
        for length in 0..SMALL.len() {
            assert!(parse(&SMALL[..length], &LIMITS).is_err(), "{length} bytes");
        }
        assert!(parse(&[SMALL, b"x"].concat(), &LIMITS).is_err());
    }

    #[test]
    fn limits_are_named() {
        let limits = Limits {
            symbol_bytes: 3,
            ..LIMITS
        };
        let error = parse(SMALL, &limits).unwrap_err().to_string();
        assert_eq!(
            error,
            "a name of 4 exceeds the limit max_profile_symbol_value_length of 3"
        );
        let limits = Limits {
            stacktraces: 1,
            ..LIMITS
        };
        let error = parse(SMALL, &limits).unwrap_err().to_string();
        assert_eq!(
            error,
            "a number of children of 2 exceeds the limit max_profile_stacktrace_samples of 1"
        );
    }

    #[test]
    fn a_deep_tree_needs_no_deep_call_stack() {
        let mut payload = b"\0\0\x01".to_vec();
        for _ in 0..100_000 {
            payload.extend_from_slice(b"\x01f\0\x01");
        }
        payload.extend_from_slice(b"\x01f\x07\0");
        assert!(!parse(&payload, &LIMITS).unwrap().is_empty());
    }

    #[test]
    fn hostile_bytes_never_panic() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(stacks) = parse(bytes, &LIMITS) {
                folded(&stacks, "x", SampleRate::DEFAULT);
            }
        });
    }
}
