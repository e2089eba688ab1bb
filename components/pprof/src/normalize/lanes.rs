//! Hashes of many stacks at once.
//!
//! Folding one stack is a chain of multiplications, each waiting for the one before: six cycles for a frame.
//! Four stacks side by side take little more time than one.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::symbols::{FIRST_HASH, Symbols};
use crate::hash::{ROOT, Seed};

/// Stacks that are folded side by side.
const LANES: usize = 4;

/// A stack on its way.
#[derive(Clone, Copy)]
struct Lane<'f> {
    /// Which of the stacks.
    stack: usize,
    /// Frames that are not folded yet, leaf first.
    left: &'f [u32],
}

/// Calls `put` with the content hash of each stack: its position, and `None` if one of its frames does not exist.
/// `stack` gives the frames of a stack, leaf first, and `None` behind the last one.
pub(crate) fn hash_stacks<'f>(
    symbols: &mut Symbols<'_>,
    stack: impl Fn(usize) -> Option<&'f [u32]>,
    mut put: impl FnMut(usize, Option<u64>),
) {
    let mut next = 0_usize;
    let mut take = || {
        let lane = stack(next).map(|left| Lane { stack: next, left });
        next = next.wrapping_add(1);
        lane
    };
    let mut hashes = [ROOT; LANES];
    let mut broken = [false; LANES];
    let mut lanes: [Option<Lane<'f>>; LANES] = std::array::from_fn(|_| take());
    while let [Some(a), Some(b), Some(c), Some(d)] = &mut lanes {
        let steps = a
            .left
            .len()
            .min(b.left.len())
            .min(c.left.len())
            .min(d.left.len());
        let parts = [a, b, c, d].map(|lane| split_end(&mut lane.left, steps));
        push_frames(symbols, &mut hashes, &mut broken, parts);
        for ((lane, hash), broken) in lanes.iter_mut().zip(&mut hashes).zip(&mut broken) {
            if let Some(Lane { stack, left: [] }) = lane {
                put(*stack, if *broken { None } else { Some(*hash) });
                (*lane, *hash, *broken) = (take(), ROOT, false);
            }
        }
    }
    for ((lane, hash), broken) in lanes.iter().zip(hashes).zip(broken) {
        if let Some(lane) = lane {
            put(
                lane.stack,
                if broken {
                    None
                } else {
                    symbols.push_all(hash, lane.left)
                },
            );
        }
    }
}

/// Takes the last `count` frames off.
fn split_end<'f>(frames: &mut &'f [u32], count: usize) -> &'f [u32] {
    let (left, end) = frames
        .split_at_checked(frames.len().saturating_sub(count))
        .unwrap_or_default();
    *frames = left;
    end
}

/// Folds equally many frames, given leaf first, into the hashes.
fn push_frames(
    symbols: &mut Symbols<'_>,
    hashes: &mut [u64; LANES],
    broken: &mut [bool; LANES],
    mut frames: [&[u32]; LANES],
) {
    loop {
        push_resolved(
            symbols.seed(),
            symbols.location_hashes(),
            hashes,
            &mut frames,
        );
        let lanes = frames.iter_mut().zip(&mut *hashes).zip(&mut *broken);
        for ((frames, hash), broken) in lanes {
            let Some((&frame, left)) = frames.split_last() else {
                return;
            };
            *frames = left;
            match symbols.resolved(frame) {
                Some(location) => *hash = symbols.seed().push_frame(*hash, location),
                None => *broken = true,
            }
        }
    }
}

/// Folds frames until one of them is not known to exist.
fn push_resolved(
    seed: Seed,
    locations: &[u64],
    hashes: &mut [u64; LANES],
    frames: &mut [&[u32]; LANES],
) {
    let [mut hash_a, mut hash_b, mut hash_c, mut hash_d] = *hashes;
    let [a, b, c, d] = frames.map(|frames| frames.iter().rev());
    let mut left = frames
        .map(<[u32]>::len)
        .into_iter()
        .min()
        .unwrap_or_default();
    for (((&a, &b), &c), &d) in a.zip(b).zip(c).zip(d) {
        let [a, b, c, d] =
            [a, b, c, d].map(|frame| locations.get(frame as usize).copied().unwrap_or_default());
        if a.min(b).min(c).min(d) < FIRST_HASH {
            break;
        }
        hash_a = seed.push_frame(hash_a, a);
        hash_b = seed.push_frame(hash_b, b);
        hash_c = seed.push_frame(hash_c, c);
        hash_d = seed.push_frame(hash_d, d);
        left = left.wrapping_sub(1);
    }
    *hashes = [hash_a, hash_b, hash_c, hash_d];
    *frames = frames.map(|frames| frames.get(..left).unwrap_or_default());
}
