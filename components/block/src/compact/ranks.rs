//! A set of ids that says of each member how many are smaller.

/// 1.5 bits for each id up to the greatest.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    words: Vec<u64>,
    /// By word, members before it.
    before: Vec<u32>,
}

impl Ranks {
    /// The set of ids below `ids` whose bits are set.
    pub(super) fn new(words: Vec<u64>) -> Self {
        let mut count = 0;
        let before = words.iter().map(|word| {
            let before = count;
            count += word.count_ones();
            before
        });
        Self {
            before: before.collect(),
            words,
        }
    }

    /// How many members are smaller; `None` if the id is no member. O(1).
    pub(super) fn get(&self, id: u32) -> Option<u32> {
        let (at, bit) = place(id);
        let word = *self.words.get(at)?;
        let smaller = word & ((1 << bit) - 1);
        let rank = self.before[at] + smaller.count_ones();
        (word >> bit & 1 == 1).then_some(rank)
    }

    /// Members, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let words = self.words.iter().enumerate();
        words.flat_map(|(at, &word)| {
            let rest = std::iter::successors((word != 0).then_some(word), |&word| {
                Some(word & (word - 1)).filter(|&rest| rest != 0)
            });
            rest.map(move |word| (at as u32) << 6 | word.trailing_zeros())
        })
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        let last = self.words.last().map_or(0, |word| word.count_ones());
        (self.before.last().copied().unwrap_or(0) + last) as usize
    }
}

/// Bits for so many ids.
pub(super) fn bits(ids: usize) -> Vec<u64> {
    vec![0; ids.div_ceil(64)]
}

/// Sets the bit of an id.
pub(super) fn set(words: &mut [u64], id: u32) {
    let (at, bit) = place(id);
    words[at] |= 1 << bit;
}

/// Whether the bit of an id is set.
pub(super) fn has(words: &[u64], id: u32) -> bool {
    let (at, bit) = place(id);
    words[at] >> bit & 1 == 1
}

fn place(id: u32) -> (usize, u32) {
    ((id >> 6) as usize, id & 63)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn members_are_counted(ids: BTreeSet<u16>) {
            let mut words = bits(usize::from(u16::MAX) + 1);
            for &id in &ids {
                set(&mut words, id.into());
            }
            let ranks = Ranks::new(words);
            prop_assert_eq!(ranks.len(), ids.len());
            prop_assert!(ranks.iter().eq(ids.iter().map(|&id| u32::from(id))));
            for id in 0..=u16::MAX {
                let expected = ids.contains(&id).then(|| ids.range(..id).count() as u32);
                prop_assert_eq!(ranks.get(id.into()), expected);
            }
            prop_assert_eq!(ranks.get(1 << 16), None);
        }
    }
}
