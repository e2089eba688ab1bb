//! Which blocks are contained in others, and so need not be read any more.

use std::collections::{BTreeSet, HashMap};

use crate::id::BlockId;
use crate::meta::{Meta, Shard};

/// Blocks of this level and above were made of others.
const MERGED_LEVEL: u32 = 2;

/// Blocks whose profiles are all in others of the given ones. Their ancestors of level 1 are all among those of another
/// one that is not split or is the same shard, or of every shard that others were split into. As long as a
/// shard is missing, be it that it is still uploaded, what was split stays. Of blocks that contain each other one
/// stays, the one with the higher level or the greater id.
///
/// What was made of a block may lie beside it for as long as upload, marks and deletion take; whoever reads both
/// counts profiles once if it leaves these out. O(blocks × blocks with a common ancestor).
pub fn superseded<'a>(blocks: impl IntoIterator<Item = &'a Meta>) -> BTreeSet<BlockId> {
    let mut entries: Vec<Entry<'a>> = blocks.into_iter().map(Entry::of).collect();
    entries.sort_by_key(|entry| (entry.level, entry.part.is_some(), entry.id));
    let mut by_source: HashMap<BlockId, Vec<usize>> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        for &source in &entry.sources {
            by_source.entry(source).or_default().push(at);
        }
    }
    let mut removed = vec![false; entries.len()];
    for (at, entry) in entries.iter().enumerate() {
        let lists = entry.sources.iter().filter_map(|id| by_source.get(id));
        let shortest = lists.min_by_key(|list| list.len());
        let others = shortest.into_iter().flatten().copied();
        let containing = others
            .filter(|&other| other != at && !removed[other])
            .map(|other| &entries[other])
            .filter(|other| other.is_made_of_others() && entry.descends_to(other));
        // One after the other, so that of equal ones the last stays.
        removed[at] = entry.is_in(&containing.collect::<Vec<_>>());
    }
    let entries = entries.iter().zip(removed);
    entries
        .filter_map(|(entry, removed)| removed.then_some(entry.id))
        .collect()
}

#[derive(Debug)]
struct Entry<'a> {
    id: BlockId,
    level: u32,
    /// The label, and what it says.
    part: Option<(&'a str, Option<Shard>)>,
    /// Sorted.
    sources: Vec<BlockId>,
}

impl<'a> Entry<'a> {
    fn of(meta: &'a Meta) -> Self {
        let mut sources = meta.compaction.sources.clone();
        if sources.is_empty() {
            sources.push(meta.id);
        }
        sources.sort_unstable();
        sources.dedup();
        let shard = meta.shard_id();
        Self {
            id: meta.id,
            level: meta.compaction.level,
            part: (!shard.is_empty()).then(|| (shard, meta.shard())),
            sources,
        }
    }

    /// Whether it can contain others. One that was written anew has the level of the old one, and the old one's ancestors.
    fn is_made_of_others(&self) -> bool {
        self.level >= MERGED_LEVEL || self.sources.binary_search(&self.id).is_err()
    }

    /// Whether all ancestors are among another's. O(ancestors of both).
    fn descends_to(&self, other: &Self) -> bool {
        let mut theirs = other.sources.iter();
        self.sources
            .iter()
            .all(|own| theirs.by_ref().any(|their| their == own))
    }

    /// Whether blocks with all ancestors of this one have all of its profiles.
    fn is_in(&self, others: &[&Self]) -> bool {
        let text = |entry: &Self| entry.part.map(|(text, _)| text.to_owned());
        if others
            .iter()
            .any(|other| other.part.is_none() || text(other) == text(self))
        {
            return true;
        }
        let mut shards: HashMap<u64, BTreeSet<u64>> = HashMap::new();
        for shard in others.iter().filter_map(|other| other.part?.1) {
            shards
                .entry(shard.count())
                .or_default()
                .insert(shard.index());
        }
        let complete = |(&count, found): (&u64, &BTreeSet<u64>)| found.len() as u64 == count;
        shards.iter().any(complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::names;

    fn id(number: u8) -> BlockId {
        BlockId::from_bytes([number; 16])
    }

    /// Number, level, shard, ancestors.
    type Block<'a> = (u8, u32, &'a str, &'a [u8]);

    fn block(&(number, level, shard, sources): &Block<'_>) -> Meta {
        let mut meta = Meta::new(id(number));
        meta.compaction.level = level;
        meta.compaction.sources = sources.iter().map(|&source| id(source)).collect();
        if !shard.is_empty() {
            meta.labels
                .insert(names::SHARD_ID.to_owned(), shard.to_owned());
        }
        meta
    }

    #[track_caller]
    fn check(blocks: &[Block<'_>], expected: &[u8]) {
        let metas: Vec<_> = blocks.iter().map(block).collect();
        let expected: BTreeSet<_> = expected.iter().map(|&number| id(number)).collect();
        assert_eq!(superseded(&metas), expected);
        assert_eq!(superseded(metas.iter().rev()), expected);
    }

    #[test]
    fn what_a_block_was_made_of_is_in_it() {
        check(&[(1, 1, "", &[1]), (2, 1, "", &[2])], &[]);
        let blocks: &[Block<'_>] = &[
            (1, 1, "", &[1]),
            (2, 1, "", &[2]),
            (3, 1, "", &[3]),
            (9, 2, "", &[1, 2]),
        ];
        check(blocks, &[1, 2]);
        check(
            &[blocks, &[(10, 3, "", &[1, 2, 3])]].concat(),
            &[1, 2, 3, 9],
        );
        // Part of the ancestors is not enough.
        check(&[(8, 2, "", &[1, 2]), (9, 2, "", &[2, 3])], &[]);
    }

    #[test]
    fn blocks_of_the_first_versions_name_no_ancestors() {
        check(&[(1, 0, "", &[]), (9, 2, "", &[1, 2])], &[1]);
        check(&[(1, 0, "", &[]), (2, 0, "", &[])], &[]);
    }

    #[test]
    fn a_block_written_anew_replaces_the_old_one() {
        check(&[(1, 1, "", &[1]), (5, 1, "", &[1])], &[1]);
        check(&[(1, 0, "", &[]), (5, 1, "", &[1])], &[1]);
        check(&[(5, 2, "", &[1, 2]), (6, 2, "", &[1, 2])], &[5]);
        let shard = |number| -> Block<'_> { (number, 2, "1_of_2", &[1, 2]) };
        check(&[shard(5), shard(6), (7, 2, "2_of_2", &[1, 2])], &[5]);
        // Twice, and then merged.
        let blocks: &[Block<'_>] = &[(1, 1, "", &[1]), (5, 1, "", &[1]), (6, 1, "", &[1])];
        check(blocks, &[1, 5]);
        check(&[blocks, &[(9, 2, "", &[1, 2])]].concat(), &[1, 5, 6]);
    }

    #[test]
    fn a_split_block_stays_until_all_shards_are_there() {
        let blocks: &[Block<'_>] = &[
            (1, 1, "", &[1]),
            (2, 1, "", &[2]),
            (10, 2, "1_of_3", &[1, 2]),
            (11, 2, "2_of_3", &[1, 2]),
        ];
        check(blocks, &[]);
        check(&[blocks, &[(12, 2, "3_of_3", &[1, 2])]].concat(), &[1, 2]);
        // Merged further, shard by shard.
        check(
            &[blocks, &[(12, 3, "3_of_3", &[1, 2, 3])]].concat(),
            &[1, 2],
        );
        // Shards of another split don't help.
        check(&[blocks, &[(12, 2, "3_of_4", &[1, 2])]].concat(), &[]);
        check(&[blocks, &[(12, 2, "nonsense", &[1, 2])]].concat(), &[]);
    }

    #[test]
    fn a_shard_is_in_the_same_shard_and_in_the_whole() {
        check(
            &[
                (10, 2, "1_of_2", &[1]),
                (11, 2, "2_of_2", &[1]),
                (12, 3, "1_of_2", &[1, 2]),
            ],
            &[10],
        );
        check(&[(10, 2, "1_of_2", &[1]), (12, 3, "", &[1, 2])], &[10]);
    }

    #[test]
    fn of_equal_blocks_one_stays() {
        // Of a split that was begun twice.
        check(
            &[
                (1, 1, "", &[1]),
                (9, 2, "1_of_2", &[1]),
                (10, 2, "1_of_2", &[1]),
                (11, 2, "2_of_2", &[1]),
            ],
            &[1, 9],
        );
        check(
            &[
                (9, 2, "", &[1]),
                (10, 2, "1_of_2", &[1]),
                (11, 2, "2_of_2", &[1]),
            ],
            &[9],
        );
        check(&[(9, 2, "", &[1]), (10, 2, "1_of_2", &[1])], &[10]);
    }
}
