//! From the ids of a profile's tables to indices.

use hashbrown::HashTable;

use crate::hash::Seed;
use crate::reuse::{reset, reset_table};

/// No index: the id is unknown.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// The index of each id of one table; of an id that occurs twice the last entry counts.
#[derive(Debug, Default)]
pub(crate) struct IdIndex {
    shape: Shape,
    seed: Option<Seed>,
    direct: Vec<u32>,
    table: HashTable<(u64, u32)>,
}

/// How ids are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// The ids are 1, 2, 3 … `n`: nothing is stored.
    Dense(u64),
    /// The ids are small numbers: an array.
    Direct,
    /// Anything else: a hash table.
    Hashed,
}

impl Default for Shape {
    fn default() -> Self {
        Self::Dense(0)
    }
}

impl IdIndex {
    /// Replaces the content. The id 0 is no id.
    pub(crate) fn build(&mut self, ids: &[u64], seed: Seed) {
        if ids.iter().zip(1..).all(|(&id, expected)| id == expected) {
            self.shape = Shape::Dense(ids.len() as u64);
            return;
        }
        let numbered = || {
            ids.iter()
                .zip(0..)
                .filter(|&(&id, _)| id != 0)
                .map(|(&id, index)| (id, index))
        };
        let largest = ids.iter().copied().max().unwrap_or_default();
        if largest <= 4 * ids.len() as u64 + 1024 {
            self.shape = Shape::Direct;
            reset(&mut self.direct);
            self.direct.resize(largest as usize + 1, UNKNOWN);
            for (id, index) in numbered() {
                if let Some(slot) = self.direct.get_mut(id as usize) {
                    *slot = index;
                }
            }
            return;
        }
        self.shape = Shape::Hashed;
        self.seed = Some(seed);
        reset_table(&mut self.table);
        for (id, index) in numbered() {
            let hash = |&(id, _): &(u64, u32)| seed.number(id);
            match self
                .table
                .find_mut(seed.number(id), |&(other, _)| other == id)
            {
                Some(entry) => entry.1 = index,
                None => {
                    self.table.insert_unique(seed.number(id), (id, index), hash);
                }
            }
        }
    }

    /// How ids are looked up at the moment.
    pub(crate) const fn shape(&self) -> Shape {
        self.shape
    }

    /// The index of an id, or [`UNKNOWN`].
    #[inline]
    pub(crate) fn get(&self, id: u64) -> u32 {
        match self.shape {
            Shape::Dense(count) => dense(id, count),
            Shape::Direct => usize::try_from(id)
                .ok()
                .and_then(|id| self.direct.get(id))
                .copied()
                .unwrap_or(UNKNOWN),
            Shape::Hashed => {
                let seed = self.seed.unwrap_or(Seed::new(0, 0));
                self.table
                    .find(seed.number(id), |&(other, _)| other == id)
                    .map_or(UNKNOWN, |&(_, index)| index)
            }
        }
    }
}

/// Look-up in a table with the ids 1 to `count`.
#[inline]
pub(crate) const fn dense(id: u64, count: u64) -> u32 {
    let index = id.wrapping_sub(1);
    if index < count { index as u32 } else { UNKNOWN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ids: &[u64], shape: &str) {
        let mut index = IdIndex::default();
        index.build(&[u64::MAX, 1], Seed::new(1, 2)); // something to be replaced
        index.build(ids, Seed::new(1, 2));
        assert!(
            format!("{:?}", index.shape()).starts_with(shape),
            "{:?}",
            index.shape()
        );
        for id in ids
            .iter()
            .flat_map(|&id| [id, id.wrapping_add(1), id.wrapping_sub(1)])
            .chain([0, u64::MAX])
        {
            let last = ids.iter().rposition(|&other| other == id && id != 0);
            assert_eq!(
                index.get(id),
                last.map_or(UNKNOWN, |i| i as u32),
                "id {id} in {ids:?}"
            );
        }
    }

    #[test]
    fn ids_of_every_shape_are_found_and_others_are_not() {
        check(&[], "Dense");
        check(&[1, 2, 3], "Dense");
        check(&[2, 3, 4], "Direct");
        check(&[1, 1, 2], "Direct");
        check(&[0, 7, 0], "Direct");
        check(&[u64::MAX, 5, 1 << 40, 5], "Hashed");
    }
}
