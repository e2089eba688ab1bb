//! Tokens that share the ring evenly, by arithmetic alone.
//!
//! Instance `n` of a family works out the tokens of those before it, then takes its share from them: a part at a
//! time, each from whoever owns the most just then, out of one of its ranges. So every instance knows its tokens
//! without asking, and a new one moves only what it takes. Ranges are drawn, not the longest taken: otherwise the same
//! instances follow each other everywhere, and second and third owners are uneven (0.7 to 1.25 of the fair share,
//! drawn 0.87 to 1.1).
//!
//! The result is written on disks and into other processes, so nothing here may change, and the generator is our own.

use std::collections::BinaryHeap;

use xxhash_rust::xxh64::xxh64;

/// The whole ring.
const RING: u64 = 1 << 32;

/// Numbers above this are taken for a part of a random name; the work is linear in the number.
const MAX_ORDINAL: u32 = 999;

/// Draws before the longest range is taken.
const DRAWS: usize = 4;

pub(super) fn tokens(ring: &str, zone: &str, id: &str, count: usize) -> Vec<u32> {
    let ordinal = id.rsplit_once('-').and_then(|(family, number)| {
        let plain = number == "0" || !number.starts_with('0');
        let number: u32 = number.parse().ok().filter(|_| plain)?;
        (number <= MAX_ORDINAL).then_some((family, number))
    });
    match ordinal {
        Some((family, number)) => even(number, count, Draws::new(&[ring, zone, family])),
        None => {
            let mut draws = Draws::new(&[ring, zone, id]);
            (0..count).map(|_| draws.token()).collect()
        }
    }
}

/// SplitMix64, begun from texts.
struct Draws(u64);

impl Draws {
    fn new(texts: &[&str]) -> Self {
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            // No text has this byte, so ("ab", "c") is not ("a", "bc").
            bytes.push(0xff);
        }
        Self(xxh64(&bytes, 0))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn token(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// A range: its length, and the token at its end.
type Range = (u64, u32);

/// What an instance owns.
#[derive(Default)]
struct Owner {
    share: u64,
    ranges: Vec<Range>,
}

fn even(ordinal: u32, count: usize, mut draws: Draws) -> Vec<u32> {
    if count == 0 {
        return Vec::new();
    }
    let mut owners = vec![first(count, &mut draws)];
    for number in 1..=u64::from(ordinal) {
        let newest = take_share(&mut owners, RING / (number + 1), count, &mut draws);
        owners.push(newest);
    }
    let mine = owners.pop().unwrap_or_default();
    mine.ranges.into_iter().map(|(_, end)| end).collect()
}

/// Owns everything, at random tokens.
fn first(count: usize, draws: &mut Draws) -> Owner {
    let mut tokens: Vec<u32> = (0..count).map(|_| draws.token()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let mut before = tokens.last().copied().unwrap_or_default();
    let mut ranges = Vec::with_capacity(count);
    for token in tokens {
        ranges.push((u64::from(token.wrapping_sub(before)), token));
        before = token;
    }
    if let [only] = ranges.as_mut_slice() {
        only.0 = RING;
    }
    Owner {
        share: RING,
        ranges,
    }
}

/// Takes `target` of the ring in `count` parts.
fn take_share(owners: &mut [Owner], target: u64, count: usize, draws: &mut Draws) -> Owner {
    let mut newest = Owner::default();
    let mut by_share: BinaryHeap<(u64, usize)> = owners
        .iter()
        .enumerate()
        .map(|(index, owner)| (owner.share, index))
        .collect();
    for taken_parts in 0..count {
        let Some((_, index)) = by_share.pop() else {
            break;
        };
        let Some(owner) = owners.get_mut(index) else {
            break;
        };
        let part = target.saturating_sub(newest.share) / (count - taken_parts) as u64;
        if let Some((length, end)) = pick(&mut owner.ranges, part, draws) {
            // The new token ends the first `taken` of the range; the owner keeps the rest and its token.
            let taken = part.min(length.saturating_sub(1));
            *length -= taken;
            if taken > 0 {
                newest
                    .ranges
                    .push((taken, end.wrapping_sub(*length as u32)));
                newest.share += taken;
                owner.share -= taken;
            }
        }
        by_share.push((owner.share, index));
    }
    newest
}

/// A range longer than `part`, drawn; else the longest.
fn pick<'a>(ranges: &'a mut [Range], part: u64, draws: &mut Draws) -> Option<(&'a mut u64, u32)> {
    if ranges.is_empty() {
        return None;
    }
    let drawn = (0..DRAWS)
        .map(|_| draws.below(ranges.len()))
        .find(|place| ranges.get(*place).is_some_and(|(length, _)| *length > part));
    let place = match drawn {
        Some(place) => place,
        None => {
            let longest = ranges
                .iter()
                .enumerate()
                .max_by_key(|(_, (length, _))| *length);
            longest.map_or(0, |(place, _)| place)
        }
    };
    ranges.get_mut(place).map(|(length, end)| (length, *end))
}
