//! Who counts which profiles: pure decisions over lists of blocks and keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use phlare_phlaredb::Keys;
use phlare_ring::InstanceId;
use rustc_hash::FxHashSet;

use crate::store::{ListedBlock, Store};

/// So many owners of a block are asked in one attempt; the others are if both fail.
const OWNERS: usize = 2;

/// A block, and who can answer from it, the best first.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) block: ListedBlock,
    pub(super) owners: Vec<Arc<dyn Store>>,
}

/// Blocks that the same instances can answer from.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) stores: Vec<Arc<dyn Store>>,
    pub(super) blocks: Vec<phlare_block::BlockId>,
}

/// Puts together blocks with the same first owners, so that each instance gets few calls.
pub(super) fn groups(blocks: impl IntoIterator<Item = Owned>) -> Vec<Group> {
    let mut groups: BTreeMap<Vec<InstanceId>, Group> = BTreeMap::new();
    for Owned { block, mut owners } in blocks {
        owners.truncate(OWNERS);
        let names = owners.iter().map(|store| store.instance().clone());
        let group = groups.entry(names.collect()).or_insert_with(|| Group {
            stores: owners,
            blocks: Vec::new(),
        });
        group.blocks.push(block.id);
    }
    groups.into_values().collect()
}

/// Takes out the blocks that may have profiles that are elsewhere, too: in another block of the same time, or in an
/// ingester, whose profiles lie between these times in ns. What is left needs no keys.
pub(super) fn take_shared(blocks: &mut Vec<Owned>, elsewhere_ns: &[(i64, i64)]) -> Vec<Owned> {
    blocks.sort_by_key(|owned| owned.block.times.start_ms);
    let mut shared: Vec<bool> = blocks
        .iter()
        .map(|owned| {
            let first_ns = owned.block.times.start_ms.saturating_mul(1_000_000);
            let last_ns = owned.block.times.end_ms.saturating_mul(1_000_000);
            let last_ns = last_ns.saturating_add(999_999);
            elsewhere_ns
                .iter()
                .any(|&(first, last)| first <= last_ns && first_ns <= last)
        })
        .collect();
    for (at, one) in blocks.iter().enumerate() {
        let later = blocks.iter().enumerate().skip(at + 1);
        let overlapping =
            later.take_while(|(_, other)| other.block.times.start_ms <= one.block.times.end_ms);
        for (other_at, other) in overlapping {
            if !are_disjoint(&one.block, &other.block) {
                shared[at] = true;
                shared[other_at] = true;
            }
        }
    }
    let mut taken = Vec::new();
    let mut flags = shared.into_iter();
    blocks.retain(|owned| {
        let is_shared = flags.next() == Some(true);
        if is_shared {
            taken.push(owned.clone());
        }
        !is_shared
    });
    taken
}

/// Whether two blocks are parts of one result of compaction: they have different series.
fn are_disjoint(one: &ListedBlock, other: &ListedBlock) -> bool {
    let shard = |block: &ListedBlock| {
        let (index, count) = block.shard.split_once("_of_")?;
        Some((index.to_owned(), count.to_owned()))
    };
    match (shard(one), shard(other)) {
        (Some((index, count)), Some((other_index, other_count))) => {
            index != other_index && count == other_count && one.sources == other.sources
        }
        _ => false,
    }
}

/// Gives each key to one of those who have it: whoever has most keeps all, the others what is new. By place in the
/// list; who gets nothing is left out.
pub(super) fn assign(found: &[Arc<Keys>]) -> Vec<(usize, Arc<Keys>)> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(found[at].len()));
    let mut seen: FxHashSet<u64> = FxHashSet::default();
    let mut assigned = Vec::new();
    for at in order {
        let keys = &found[at];
        let new: Vec<u64> = keys
            .as_slice()
            .iter()
            .copied()
            .filter(|key| seen.insert(*key))
            .collect();
        if new.len() == keys.len() && !new.is_empty() {
            assigned.push((at, Arc::clone(keys)));
        } else if !new.is_empty() {
            assigned.push((at, Arc::new(Keys::new(new))));
        }
    }
    assigned
}

/// The same for keys of somebody who cannot count them; `None` if nobody alive has one of them.
pub(super) fn reassign(
    keys: &Keys,
    found: &[Arc<Keys>],
    dead: &[usize],
) -> Option<Vec<(usize, Arc<Keys>)>> {
    let mut left = keys.as_slice().to_vec();
    let mut assigned = Vec::new();
    for (at, other) in found.iter().enumerate() {
        if dead.contains(&at) || left.is_empty() {
            continue;
        }
        let (theirs, rest): (Vec<u64>, Vec<u64>) =
            left.into_iter().partition(|key| other.contains(*key));
        left = rest;
        if !theirs.is_empty() {
            assigned.push((at, Arc::new(Keys::new(theirs))));
        }
    }
    left.is_empty().then_some(assigned)
}

#[cfg(test)]
mod tests {
    use phlare_block::BlockId;
    use phlare_model::TimeRange;
    use proptest::prelude::*;

    use super::*;

    fn block(number: u8, start_ms: i64, end_ms: i64, shard: &str, sources: &[u8]) -> Owned {
        let id = |number: u8| BlockId::from_bytes([number; 16]);
        Owned {
            block: ListedBlock {
                id: id(number),
                times: TimeRange { start_ms, end_ms },
                level: 1,
                sources: sources.iter().map(|&number| id(number)).collect(),
                shard: shard.to_owned(),
            },
            owners: Vec::new(),
        }
    }

    #[track_caller]
    fn shared(mut blocks: Vec<Owned>, elsewhere_ms: &[(i64, i64)], expected: &[u8]) {
        let ns = |&(first, last): &(i64, i64)| (first * 1_000_000, last * 1_000_000);
        let elsewhere: Vec<_> = elsewhere_ms.iter().map(ns).collect();
        let all = blocks.len();
        let taken = take_shared(&mut blocks, &elsewhere);
        assert_eq!(taken.len() + blocks.len(), all);
        let mut numbers: Vec<u8> = taken
            .iter()
            .map(|owned| owned.block.id.to_bytes()[0])
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, expected);
    }

    #[test]
    fn blocks_that_are_alone_in_their_time_need_no_keys() {
        let hours = || {
            vec![
                block(3, 20, 29, "", &[3]),
                block(1, 0, 9, "", &[1]),
                block(2, 10, 19, "", &[2]),
            ]
        };
        shared(hours(), &[], &[]);
        shared(hours(), &[(15, 40)], &[2, 3]);
        shared(hours(), &[(30, 40)], &[]);
        let mut overlapping = hours();
        overlapping.push(block(4, 9, 10, "", &[4]));
        shared(overlapping, &[], &[1, 2, 4]);
        let inside = vec![block(1, 0, 100, "", &[1]), block(2, 50, 60, "", &[2])];
        shared(inside, &[], &[1, 2]);
    }

    #[test]
    fn shards_of_one_job_have_nothing_in_common() {
        let shards = |sources: &[u8], shard: &str| {
            vec![
                block(1, 0, 9, "1_of_2", &[7, 8]),
                block(2, 0, 9, shard, sources),
            ]
        };
        shared(shards(&[7, 8], "2_of_2"), &[], &[]);
        shared(shards(&[7, 8], "2_of_4"), &[], &[1, 2]);
        shared(shards(&[7, 9], "2_of_2"), &[], &[1, 2]);
        shared(shards(&[7, 8], ""), &[], &[1, 2]);
        shared(shards(&[7, 8], "1_of_2"), &[], &[1, 2]);
    }

    fn lists() -> impl Strategy<Value = Vec<Arc<Keys>>> {
        let list =
            prop::collection::vec(0_u64..60, 0..40).prop_map(|keys| Arc::new(Keys::new(keys)));
        prop::collection::vec(list, 0..5)
    }

    fn sorted(assigned: &[(usize, Arc<Keys>)]) -> Vec<u64> {
        let keys = assigned.iter().flat_map(|(_, keys)| keys.as_slice());
        let mut keys: Vec<u64> = keys.copied().collect();
        keys.sort_unstable();
        keys
    }

    proptest! {
        #[test]
        fn every_key_goes_to_one_who_has_it(found in lists(), dead in 0_usize..5) {
            let assigned = assign(&found);
            let all = Keys::new(found.iter().flat_map(|keys| keys.as_slice()).copied().collect());
            prop_assert_eq!(sorted(&assigned), all.as_slice());
            for (at, keys) in &assigned {
                prop_assert!(keys.as_slice().iter().all(|key| found[*at].contains(*key)));
            }
            let lost = assigned.iter().find(|(at, _)| *at == dead);
            let Some((_, lost)) = lost else { return Ok(()) };
            let elsewhere = |key: &u64| {
                found.iter().enumerate().any(|(at, keys)| at != dead && keys.contains(*key))
            };
            match reassign(lost, &found, &[dead]) {
                Some(again) => prop_assert_eq!(sorted(&again), lost.as_slice()),
                None => prop_assert!(!lost.as_slice().iter().all(elsewhere)),
            }
        }
    }

    #[test]
    fn who_has_most_keeps_all() {
        let keys = |keys: &[u64]| Arc::new(Keys::new(keys.to_vec()));
        let found = [keys(&[1, 2]), keys(&[2, 3, 4]), keys(&[4])];
        let assigned = assign(&found);
        assert_eq!(assigned, [(1, keys(&[2, 3, 4])), (0, keys(&[1]))]);
    }
}
