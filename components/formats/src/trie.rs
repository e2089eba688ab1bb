//! Collapsed stacks as a trie: pre-order nodes of
//! `uvarint fragment length, fragment, uvarint value, uvarint number of children`.
//!
//! A node's stack is what the fragments from the root to it spell; a fragment ends anywhere, also
//! inside a frame's name.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use memchr::memrchr;

use crate::error::Error;
use crate::stacks::{Limits, NodeIndex, ROOT, Stacks};
use crate::varint::Reader;

/// Bytes of keys that may be looked at for each byte of the largest profile: a long name that ten
/// thousand nodes continue would be read ten thousand times.
const WORK_PER_BYTE: usize = 64;

/// A node whose children are being read.
struct Open {
    /// The frames that are complete, and the length of the key at their end.
    complete: (NodeIndex, usize),
    /// Length of the key up to this node.
    key: usize,
    /// Children still to come.
    left: u64,
}

/// Reads a trie.
///
/// # Errors
/// [`Error::Bytes`] for a trie that is cut short or goes on after its end, [`Error::TooLarge`].
pub fn parse(payload: &[u8], limits: &Limits) -> Result<Stacks, Error> {
    let mut reader = Reader::new(payload);
    let mut stacks = Stacks::new(limits);
    let mut key: Vec<u8> = Vec::new();
    let nothing = Open {
        complete: (ROOT, 0),
        key: 0,
        left: 1,
    };
    let mut open = vec![nothing];
    let mut budget = limits.profile_bytes.saturating_mul(WORK_PER_BYTE);
    while let Some(mut parent) = open.pop() {
        let Some(left) = parent.left.checked_sub(1) else {
            continue;
        };
        parent.left = left;
        key.truncate(parent.key);
        let (value, children) = read_node(&mut reader, &mut key)?;
        budget = match budget.checked_sub(key.len().saturating_sub(parent.complete.1)) {
            Some(budget) => budget,
            None => {
                return Err(Error::TooLarge {
                    limit: limits.profile_bytes,
                });
            }
        };
        let complete = complete_frames(&mut stacks, &key, parent.complete)?;
        if value > 0 {
            let frame = key.get(complete.1..).unwrap_or_default();
            let node = stacks.child(complete.0, frame)?;
            stacks.add(node, i64::try_from(value).unwrap_or(i64::MAX));
        }
        open.push(parent);
        open.push(Open {
            complete,
            key: key.len(),
            left: children,
        });
    }
    if reader.remaining() > 0 {
        return Err(Error::bytes(
            reader.position(),
            "the trie has ended, the payload has not",
        ));
    }
    Ok(stacks)
}

fn read_node(reader: &mut Reader<'_>, key: &mut Vec<u8>) -> Result<(u64, u64), Error> {
    let length = reader.uvarint("the length of a name")?;
    key.extend_from_slice(reader.take(length, "a name")?);
    Ok((
        reader.uvarint("a value")?,
        reader.uvarint("a number of children")?,
    ))
}

/// Adds the frames that are followed by `;` to those that are complete already.
fn complete_frames(
    stacks: &mut Stacks,
    key: &[u8],
    (mut node, from): (NodeIndex, usize),
) -> Result<(NodeIndex, usize), Error> {
    let rest = key.get(from..).unwrap_or_default();
    let Some((frames, _)) = memrchr(b';', rest).and_then(|last| rest.split_at_checked(last)) else {
        return Ok((node, from));
    };
    for frame in frames.split(|&byte| byte == b';') {
        node = stacks.child(node, frame)?;
    }
    Ok((node, from.saturating_add(frames.len()).saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleRate;
    use crate::stacks::tests::{LIMITS, folded};

    const SMALL: &[u8] =
        b"\0\0\x02\x05main;\0\x02\x03foo\x07\x01\x04;bar\x03\0\x03baz\x02\0\x05other\x01\0";

    #[test]
    fn a_trie_is_read() {
        let stacks = parse(SMALL, &LIMITS).unwrap();
        let expected = ["main;baz 2", "main;foo 7", "main;foo;bar 3", "other 1"];
        assert_eq!(folded(&stacks, "x.live", SampleRate::DEFAULT), expected);
    }

    #[test]
    fn fragments_may_end_inside_a_name() {
        // "ma" + "in;a" and "ma" + "p"
        let payload = b"\x02ma\0\x02\x04in;a\x05\0\x01p\x04\0";
        let stacks = parse(payload, &LIMITS).unwrap();
        assert_eq!(
            folded(&stacks, "x.live", SampleRate::DEFAULT),
            ["main;a 5", "map 4"]
        );
    }

    #[test]
    fn every_cut_is_noticed() {
        for length in 0..SMALL.len() {
            assert!(parse(&SMALL[..length], &LIMITS).is_err(), "{length} bytes");
        }
        assert!(parse(&[SMALL, b"x"].concat(), &LIMITS).is_err());
    }

    #[test]
    fn a_key_that_grows_without_end_is_refused() {
        let mut payload = Vec::new();
        for _ in 0..20_000 {
            payload.extend_from_slice(b"\x01;\x01\x01");
        }
        payload.extend_from_slice(b"\x01a\x01\0");
        let stacks = parse(&payload, &LIMITS).unwrap();
        let (_, kind) = crate::Kind::of_name("x").unwrap();
        assert!(
            stacks
                .to_pprof(kind, SampleRate::DEFAULT, crate::Timing::default())
                .is_err()
        );
    }

    #[test]
    fn a_long_name_with_many_continuations_is_refused() {
        let mut payload = b"\xe0\xa7\x12".to_vec();
        payload.extend_from_slice(&[b'x'; 300_000]);
        payload.extend_from_slice(b"\0\x90\x4e");
        payload.extend_from_slice(&b"\x01y\x01\0".repeat(10_000));
        assert_eq!(
            parse(&payload, &LIMITS).unwrap_err(),
            Error::TooLarge {
                limit: LIMITS.profile_bytes
            }
        );
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
