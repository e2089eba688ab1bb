//! Keys of profiles: the same in every process that holds a replica.
//!
//! Whoever asks several stores lets each profile be counted by one of them: stores say their keys, and are told which
//! of them to count. A key is a hash of series, time and the id that the distributor gave; rows without id, as old
//! blocks have, are known by their content instead.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use phlare_block::Error as BlockError;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::block::{GroupPlan, Plan};
use super::content;

/// An id of zeros is none.
const NO_ID: [u8; 16] = [0; 16];

/// Keys of profiles, ascending, each once. Of 16 million profiles two have one key with a chance of 1 in 10⁵.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<u64>);

impl Keys {
    /// These, in any order and any number of times.
    #[must_use]
    pub fn new(mut keys: Vec<u64>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    /// Reads [`Self::to_bytes`]; `None` if the bytes are no list of numbers. O(bytes) if they ascend.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return None;
        }
        let keys: Vec<u64> = numbers.iter().map(|n| u64::from_le_bytes(*n)).collect();
        Some(match keys.is_sorted_by(|one, next| one < next) {
            true => Self(keys),
            false => Self::new(keys),
        })
    }

    /// As they go over the wire: 8 bytes each, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|key| key.to_le_bytes()).collect()
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[u64] {
        &self.0
    }

    /// Whether a key is one of them. O(log n).
    #[must_use]
    pub fn contains(&self, key: u64) -> bool {
        self.0.binary_search(&key).is_ok()
    }
}

/// The key of a profile. What follows from the content has another form than an id, so it is none.
fn key(fingerprint: u64, time_ns: i64, id: [u8; 16], content: impl FnOnce() -> u64) -> u64 {
    let mut bytes = [0_u8; 40];
    let (series, rest) = bytes.split_at_mut(8);
    series.copy_from_slice(&fingerprint.to_le_bytes());
    let (time, rest) = rest.split_at_mut(8);
    time.copy_from_slice(&time_ns.to_le_bytes());
    let (identity, by_content) = rest.split_at_mut(16);
    identity.copy_from_slice(&id);
    if id == NO_ID {
        by_content.copy_from_slice(&content().to_le_bytes());
    }
    xxh3_64(&bytes)
}

/// The key of a profile of a head; `content` is asked if it has no id.
pub(super) fn of_head_row(
    fingerprint: u64,
    row: &crate::chunk::ChunkRow,
    content: impl FnOnce() -> u64,
) -> u64 {
    key(fingerprint, row.time_ns, row.id.into_bytes(), content)
}

/// The keys of the planned rows of a group, in their order, with times in ns.
pub(super) fn of_group(plan: &Plan, group: &GroupPlan) -> Result<Vec<(u64, i64)>, BlockError> {
    let ids = plan.block.profiles()?.ids(group.row_group, &group.rows)?;
    let id = |at: usize| ids.get(at).copied().unwrap_or(NO_ID);
    let rows = || group.rows.iter().cloned().flatten();
    let without: Vec<u32> = rows()
        .enumerate()
        .filter(|&(at, _)| id(at) == NO_ID)
        .map(|(_, row)| row)
        .collect();
    let contents = match without.as_slice() {
        [] => FxHashMap::default(),
        without => content::of_rows(plan, group, &ranges(without.iter().copied()))?,
    };
    let mut keys = Vec::with_capacity(ids.len());
    let mut fingerprint = None;
    for (at, row) in rows().enumerate() {
        let Some((series, time_ns)) = group.series_and_time(row) else {
            continue;
        };
        let known = match fingerprint {
            Some((known, fingerprint)) if known == series => fingerprint,
            _ => plan.index.fingerprint(series)?.get(),
        };
        fingerprint = Some((series, known));
        let content = || contents.get(&row).copied().unwrap_or_default();
        keys.push((key(known, time_ns, id(at), content), time_ns));
    }
    Ok(keys)
}

/// Ascending rows as ranges.
fn ranges(rows: impl Iterator<Item = u32>) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end = row.saturating_add(1),
            _ => ranges.push(row..row.saturating_add(1)),
        }
    }
    ranges
}

/// Lets each profile with one of the given keys count once, wherever it lies.
#[derive(Debug)]
pub(super) struct Keep<'a> {
    keys: &'a Keys,
    /// A bit for each key.
    taken: Vec<AtomicU64>,
}

impl<'a> Keep<'a> {
    pub(super) fn new(keys: &'a Keys) -> Self {
        let words = keys.len().div_ceil(64);
        Self {
            keys,
            taken: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Whether a profile with this key counts: the first that asks.
    pub(super) fn take(&self, key: u64) -> bool {
        let Ok(at) = self.keys.0.binary_search(&key) else {
            return false;
        };
        let bit = 1 << (at % 64);
        let word = self.taken.get(at / 64);
        word.is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Leaves the rows of a plan that count.
    pub(super) fn filter(&self, plan: &mut Plan) -> Result<(), BlockError> {
        // All keys first: what cannot be read must not take keys from others.
        let keys: Vec<_> = plan
            .groups
            .iter()
            .map(|group| of_group(plan, group))
            .collect::<Result<_, _>>()?;
        for (group, keys) in plan.groups.iter_mut().zip(keys) {
            let rows = group.rows.iter().cloned().flatten().zip(keys);
            group.rows = ranges(
                rows.filter(|(_, (key, _))| self.take(*key))
                    .map(|(row, _)| row),
            );
        }
        plan.groups.retain(|group| !group.rows.is_empty());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_come_back(numbers in prop::collection::vec(any::<u64>(), 0..50)) {
            let keys = Keys::new(numbers.clone());
            let back = Keys::from_bytes(&keys.to_bytes()).unwrap();
            prop_assert_eq!(&back, &keys);
            prop_assert!(numbers.iter().all(|number| back.contains(*number)));
            let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            prop_assert_eq!(Keys::from_bytes(&raw), Some(keys));
        }

        #[test]
        fn a_key_is_taken_once(numbers in prop::collection::vec(0_u64..200, 0..300)) {
            let keys = Keys::new((0..200).step_by(3).collect());
            let keep = Keep::new(&keys);
            let taken: Vec<u64> = numbers.iter().copied().filter(|key| keep.take(*key)).collect();
            let mut expected: Vec<u64> = numbers.into_iter().filter(|key| key % 3 == 0).collect();
            expected.sort_unstable();
            expected.dedup();
            let mut sorted = taken;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, expected);
        }
    }

    #[test]
    fn bytes_that_are_no_numbers_are_no_keys() {
        assert_eq!(Keys::from_bytes(&[0; 7]), None);
        assert_eq!(Keys::from_bytes(&[]), Some(Keys::default()));
    }

    #[test]
    fn an_id_is_no_content() {
        let id = |byte| [byte; 16];
        let by_id = key(1, 2, id(1), || unreachable!());
        assert_ne!(by_id, key(1, 2, id(2), || 0));
        assert_ne!(by_id, key(1, 3, id(1), || 0));
        assert_ne!(by_id, key(2, 2, id(1), || 0));
        assert_ne!(key(1, 2, NO_ID, || 7), key(1, 2, NO_ID, || 8));
    }

    #[test]
    fn rows_become_ranges() {
        let rows = [1, 2, 3, 7, 9, 10];
        assert_eq!(ranges(rows.into_iter()), [1..4, 7..8, 9..11]);
    }
}
