//! A chunk of a tree of stack traces: pairs of parent and location in group varint.
//!
//! Format: blocks.md 4.3.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::symbols::Stacks;

/// The longest group: a control byte and four numbers of four bytes.
const LONGEST: usize = 17;
/// The shortest group, of two nodes.
const SHORTEST: usize = 5;
/// By length of a number less one: its bits.
const MASKS: [u32; 4] = [0xff, 0xffff, 0xff_ffff, 0xffff_ffff];

/// What is wrong with a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Byte of the chunk.
    pub(super) at: usize,
    pub(super) problem: String,
}

/// Adds the `nodes` nodes of a chunk to `stacks`, whose next id is the id of the chunk's root. In the first chunk that
/// is the root of all; in others it becomes an alias, children of which are children of the root.
///
/// Memory: 8 bytes a node, and a node has at least 2.5 bytes in the chunk.
pub(super) fn decode(bytes: &[u8], nodes: u32, stacks: &mut Stacks) -> Result<(), Damage> {
    let damage = |at: usize, problem: &str| Damage {
        at,
        problem: problem.to_owned(),
    };
    let nodes = nodes as usize;
    if nodes.div_ceil(2).saturating_mul(SHORTEST) > bytes.len() {
        return Err(damage(0, "it has fewer bytes than nodes need"));
    }
    let base = stacks.parents.len();
    if u32::try_from(base.saturating_add(nodes)).is_err() {
        return Err(damage(0, "a partition has more than 2^32 - 1 nodes"));
    }
    stacks.parents.reserve_exact(nodes);
    stacks.locations.reserve_exact(nodes);
    let mut parent = 0_i32;
    let mut node = 0_usize;
    let mut at = 0_usize;
    while node < nodes {
        let Some((group, length)) = group(bytes.get(at..).unwrap_or_default()) else {
            return Err(damage(at, "it ends within a group"));
        };
        let [first_delta, first_location, second_delta, second_location] = group;
        let pair = [
            (first_delta, first_location),
            (second_delta, second_location),
        ];
        for (delta, location) in pair.into_iter().take(nodes.saturating_sub(node)) {
            parent = parent.wrapping_add(unzigzag(delta));
            let known = match node {
                0 => parent == -1,
                _ => usize::try_from(parent).is_ok_and(|parent| parent < node),
            };
            if !known {
                let problem = format!("node {node} has the parent {parent}");
                return Err(damage(at, &problem));
            }
            let (parent, location) = match (node, parent) {
                (0, _) => (0, 0),
                (_, 0) => (0, location),
                (_, parent) => (base.wrapping_add(parent as usize) as u32, location),
            };
            stacks.parents.push(parent);
            stacks.locations.push(location);
            node = node.saturating_add(1);
        }
        at = at.saturating_add(length);
    }
    Ok(())
}

/// The next four numbers, and how many bytes they took.
#[inline]
fn group(bytes: &[u8]) -> Option<([u32; 4], usize)> {
    match bytes.first_chunk::<LONGEST>() {
        Some(bytes) => unpack(bytes),
        None => {
            let mut padded = [0; LONGEST];
            let (start, _) = padded.split_at_mut_checked(bytes.len())?;
            start.copy_from_slice(bytes);
            unpack(&padded).filter(|&(_, length)| length <= bytes.len())
        }
    }
}

#[inline]
fn unpack(bytes: &[u8; LONGEST]) -> Option<([u32; 4], usize)> {
    let [control, rest @ ..] = bytes;
    let mut numbers = [0; 4];
    let mut at = 0_usize;
    for (shift, number) in [0, 2, 4, 6].into_iter().zip(&mut numbers) {
        let extra = usize::from((control >> shift) & 3);
        let mask = MASKS.get(extra)?;
        let four = rest.get(at..)?.first_chunk()?;
        *number = u32::from_le_bytes(*four) & mask;
        at = at.saturating_add(extra).saturating_add(1);
    }
    Some((numbers, at.saturating_add(1)))
}

/// Adds the tree as one chunk to `out`. At most 8.5 bytes a node.
pub(super) fn encode(stacks: &Stacks, out: &mut Vec<u8>) {
    let mut before = 0_i32;
    let mut nodes = stacks.parents.iter().zip(&stacks.locations).enumerate();
    let mut next = || {
        let (node, (&parent, &location)) = nodes.next()?;
        let (parent, location) = match node {
            0 => (-1, 0),
            _ => (parent as i32, location),
        };
        let delta = zigzag(parent.wrapping_sub(before));
        before = parent;
        Some((delta, location))
    };
    while let Some((first_delta, first_location)) = next() {
        let (second_delta, second_location) = next().unwrap_or((0, 0));
        let start = out.len();
        out.push(0);
        let mut control = 0;
        let numbers = [first_delta, first_location, second_delta, second_location];
        for (shift, number) in [0, 2, 4, 6].into_iter().zip(numbers) {
            let bytes = number.to_le_bytes();
            let extra = 3_u32.saturating_sub((number | 1).leading_zeros() / 8);
            control |= (extra as u8) << shift;
            out.extend(bytes.into_iter().take((extra as usize).saturating_add(1)));
        }
        if let Some(byte) = out.get_mut(start) {
            *byte = control;
        }
    }
}

fn zigzag(value: i32) -> u32 {
    (value.wrapping_shl(1) ^ (value >> 31)) as u32
}

fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ ((value & 1) as i32).wrapping_neg()
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests;
