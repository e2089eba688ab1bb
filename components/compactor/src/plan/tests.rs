use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;
/// Long after all blocks of the tests.
const LATER: i64 = 1000 * HOUR;

fn id(number: u8) -> BlockId {
    BlockId::from_bytes([number; 16])
}

/// Number, level, shard, first and last time in hours.
type Block<'a> = (u8, u32, &'a str, f64, f64);

fn candidate(&(number, level, shard, from, to): &Block<'_>) -> Candidate {
    let mut meta = Meta::new(id(number));
    meta.compaction.level = level;
    meta.min_ms = (from * HOUR as f64) as i64;
    meta.max_ms = (to * HOUR as f64) as i64;
    meta.labels
        .insert(names::HOSTNAME.to_owned(), format!("host-{number}"));
    if !shard.is_empty() {
        meta.labels
            .insert(names::SHARD_ID.to_owned(), shard.to_owned());
    }
    Candidate {
        meta,
        modified_ms: 0,
        bytes: 1,
    }
}

fn candidates(blocks: &[Block<'_>]) -> BTreeMap<BlockId, Candidate> {
    let candidates = blocks.iter().map(candidate);
    candidates.map(|each| (each.meta.id, each)).collect()
}

fn rules() -> Rules {
    Rules {
        ranges_ms: vec![HOUR, 2 * HOUR, 8 * HOUR],
        shards: 0,
        split_groups: 1,
        wait_ms: HOUR / 2,
        max_blocks: 64,
        order: JobsOrder::default(),
    }
}

fn plan(candidates: &BTreeMap<BlockId, Candidate>, rules: &Rules, now_ms: i64) -> Vec<Job> {
    super::plan(&candidates.values().collect::<Vec<_>>(), rules, now_ms)
}

/// Stage, hours of the window, part, numbers of blocks.
fn planned(blocks: &[Block<'_>], rules: &Rules, now_ms: i64) -> Vec<String> {
    let jobs = plan(&candidates(blocks), rules, now_ms);
    let text = |job: &Job| {
        let (start, end) = job.window_ms.clone().into_inner();
        let numbers = job.blocks.iter().map(|id| id.to_bytes()[0].to_string());
        let numbers = numbers.collect::<Vec<_>>().join("+");
        format!(
            "{:?} {}-{} {}: {numbers}",
            job.stage,
            start / HOUR,
            end / HOUR,
            job.part
        )
    };
    jobs.iter().map(text).collect()
}

#[track_caller]
fn check(blocks: &[Block<'_>], rules: &Rules, expected: &[&str]) {
    assert_eq!(planned(blocks, rules, LATER), expected);
}

#[test]
fn blocks_of_one_window_are_merged_and_one_alone_is_not() {
    let blocks = [
        (1, 1, "", 0.0, 0.5),
        (2, 1, "", 0.1, 0.9),
        (3, 1, "", 1.1, 1.9),
        (4, 1, "", 4.0, 4.1),
    ];
    check(&blocks, &rules(), &["Merge 0-1 : 1+2"]);
}

#[test]
fn longer_windows_wait_for_shorter_ones_in_them() {
    let merged = [(5, 2, "", 0.0, 0.9), (3, 1, "", 1.1, 1.9)];
    check(&merged, &rules(), &["Merge 0-2 : 5+3"]);
    let more = [merged.as_slice(), &[(6, 1, "", 1.2, 1.3)]].concat();
    check(&more, &rules(), &["Merge 1-2 : 3+6"]);
    let hours = [
        (1, 3, "", 0.0, 1.9),
        (2, 3, "", 2.0, 3.9),
        (3, 2, "", 5.0, 5.9),
        (4, 1, "", 7.2, 7.9),
    ];
    check(&hours, &rules(), &["Merge 0-8 : 1+2+3+4"]);
}

#[test]
fn a_block_that_reaches_past_its_window_fits_a_longer_one() {
    let blocks = [(1, 1, "", 0.5, 1.5), (2, 1, "", 0.6, 0.9)];
    check(&blocks, &rules(), &["Merge 0-2 : 1+2"]);
    // Upstream lets blocks touch the end of the window.
    let touching = [(1, 1, "", 0.5, 1.0), (2, 1, "", 0.6, 0.9)];
    check(&touching, &rules(), &["Merge 0-1 : 1+2"]);
    let days = [(1, 1, "", 0.5, 30.0), (2, 1, "", 0.6, 30.0)];
    check(&days, &rules(), &[]);
}

#[test]
fn a_window_before_the_epoch_is_a_window() {
    let blocks = [(1, 1, "", -0.5, -0.1), (2, 1, "", -0.4, -0.2)];
    let jobs = plan(&candidates(&blocks), &rules(), LATER);
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].window_ms, -HOUR..=0);
}

#[test]
fn blocks_are_split_before_anything_of_their_window_is_merged() {
    let rules = Rules {
        shards: 2,
        ..rules()
    };
    let one = [(1, 1, "", 0.0, 0.5)];
    check(&one, &rules, &["Split 0-1 1_of_1: 1"]);
    let begun = [
        (1, 1, "", 0.0, 0.5),
        (2, 2, "1_of_2", 0.0, 0.9),
        (3, 2, "1_of_2", 0.0, 0.9),
        (4, 2, "1_of_2", 1.0, 1.9),
    ];
    // The window of two hours waits, too: what is split now belongs into it.
    check(&begun, &rules, &["Split 0-1 1_of_1: 1"]);
    let split = [
        (2, 2, "1_of_2", 0.0, 0.9),
        (3, 2, "1_of_2", 0.0, 0.9),
        (4, 2, "2_of_2", 0.0, 0.9),
        (5, 2, "2_of_2", 1.0, 1.9),
    ];
    check(
        &split,
        &rules,
        &["Merge 0-1 1_of_2: 2+3", "Merge 0-2 2_of_2: 4+5"],
    );
}

#[test]
fn groups_of_a_split_are_jobs_of_their_own() {
    let rules = Rules {
        shards: 4,
        split_groups: 2,
        ..rules()
    };
    let ids: Vec<_> = (0..6_u8)
        .map(|number| BlockId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number]))
        .collect();
    let mut blocks = BTreeMap::new();
    for id in &ids {
        let mut block = candidate(&(0, 1, "", 0.0, 0.5));
        block.meta.id = *id;
        blocks.insert(*id, block);
    }
    let jobs = plan(&blocks, &rules, LATER);
    let parts: Vec<_> = jobs.iter().map(|job| job.part.as_str()).collect();
    assert_eq!(parts, ["1_of_2", "2_of_2"]);
    let mut all: Vec<_> = jobs.iter().flat_map(|job| &job.blocks).copied().collect();
    all.sort_unstable();
    assert_eq!(all, ids);
}

#[test]
fn blocks_are_hashed_as_upstream_does() {
    // Published test vectors of FNV-1.
    assert_eq!(fnv1_32(b""), 0x811c_9dc5);
    assert_eq!(fnv1_32(b"a"), 0x050c_5d7e);
    assert_eq!(fnv1_32(b"foobar"), 0x31f0_b262);
}

#[test]
fn only_blocks_of_one_kind_are_merged() {
    let mut blocks = candidates(&[
        (1, 1, "", 0.0, 0.5),
        (2, 1, "", 0.0, 0.5),
        (3, 1, "", 0.0, 0.5),
        (4, 1, "", 0.0, 0.5),
    ]);
    for number in [3, 4] {
        let labels = &mut blocks.get_mut(&id(number)).unwrap().meta.labels;
        labels.insert("zone".to_owned(), "a".to_owned());
    }
    let jobs = plan(&blocks, &rules(), LATER);
    let inputs: Vec<_> = jobs.iter().map(|job| job.blocks.clone()).collect();
    assert_eq!(inputs, [[id(1), id(2)], [id(3), id(4)]]);
}

#[test]
fn a_window_stays_open_until_later_blocks_come_or_time_has_passed() {
    let blocks = [(1, 2, "", 0.0, 0.5), (2, 2, "", 0.1, 0.6)];
    let at = |hours: f64| planned(&blocks, &rules(), (hours * HOUR as f64) as i64);
    assert_eq!(at(0.7), [""; 0]);
    assert_eq!(at(1.4), [""; 0]);
    assert_eq!(at(1.5), ["Merge 0-1 : 1+2"]);
    let later = [blocks.as_slice(), &[(3, 1, "", 1.0, 1.1)]].concat();
    assert_eq!(
        planned(&later, &rules(), HOUR * 11 / 10),
        ["Merge 0-1 : 1+2"]
    );
    let full = [(1, 2, "", 0.0, 0.5), (2, 2, "", 0.1, 1.0)];
    assert_eq!(planned(&full, &rules(), HOUR / 2), ["Merge 0-1 : 1+2"]);
}

#[test]
fn blocks_of_ingesters_wait_for_others() {
    let mut blocks = candidates(&[(1, 1, "", 0.0, 0.5), (2, 1, "", 0.1, 0.6)]);
    blocks.get_mut(&id(2)).unwrap().modified_ms = 100 * HOUR;
    let jobs = |blocks: &_, now_ms| plan(blocks, &rules(), now_ms).len();
    assert_eq!(jobs(&blocks, 100 * HOUR + HOUR / 4), 0);
    assert_eq!(jobs(&blocks, 100 * HOUR + HOUR / 2), 1);
    for block in blocks.values_mut() {
        block.meta.compaction.level = 2;
    }
    assert_eq!(jobs(&blocks, 100 * HOUR), 1);
}

#[test]
fn what_is_too_much_for_one_job_is_left_for_the_next() {
    let blocks: Vec<Block<'_>> = (1..=5).map(|number| (number, 1, "", 0.0, 0.5)).collect();
    let rules = Rules {
        max_blocks: 3,
        ..rules()
    };
    check(&blocks, &rules, &["Merge 0-1 : 1+2+3"]);
}

#[test]
fn jobs_come_in_the_order_that_is_wished() {
    let blocks = [
        (1, 1, "", 0.0, 0.5),
        (2, 1, "", 0.0, 0.5),
        (3, 1, "", 8.0, 8.5),
        (4, 1, "", 8.0, 8.5),
        (5, 2, "", 16.0, 16.5),
        (6, 2, "", 17.0, 17.5),
    ];
    check(
        &blocks,
        &rules(),
        &["Merge 0-1 : 1+2", "Merge 8-9 : 3+4", "Merge 16-18 : 5+6"],
    );
    let newest = Rules {
        order: JobsOrder::NewestBlocksFirst,
        ..rules()
    };
    check(
        &blocks,
        &newest,
        &["Merge 16-18 : 5+6", "Merge 8-9 : 3+4", "Merge 0-1 : 1+2"],
    );
}

proptest! {
    /// Whatever is there: no block is in two jobs, jobs are worth doing, and doing them all again and again ends.
    #[test]
    fn plans_are_safe_and_come_to_an_end(
        blocks in prop::collection::vec((0..20_u8, 0.0..1.2), 0..30),
        shards in 0..4_u32,
        split_groups in 1..3_u32,
        max_blocks in 2..5_usize,
    ) {
        let rules = Rules { shards, split_groups, max_blocks, ..rules() };
        let at = |(number, (half_hour, length)): (usize, &(u8, f64))| {
            let from = f64::from(*half_hour) / 2.0;
            candidate(&(number as u8 + 1, 1, "", from, from + length))
        };
        let mut there: BTreeMap<BlockId, Candidate> =
            blocks.iter().enumerate().map(at).map(|each| (each.meta.id, each)).collect();
        let mut ids = phlare_block::BlockIds::seeded(1);
        for round in 0.. {
            prop_assert!(round < 200, "there is no end");
            let jobs = plan(&there, &rules, LATER);
            let Some(job) = jobs.first() else { break };
            let mut used = std::collections::BTreeSet::new();
            for job in &jobs {
                prop_assert!(job.blocks.len() <= max_blocks);
                prop_assert!(job.blocks.len() > 1 || job.stage == Stage::Split);
                for id in &job.blocks {
                    prop_assert!(used.insert(*id), "{id} is in two jobs");
                    let meta = &there[id].meta;
                    prop_assert!(job.window_ms.contains(&meta.min_ms));
                    prop_assert!(job.window_ms.contains(&meta.max_ms));
                }
            }
            let inputs: Vec<_> = job.blocks.iter().map(|id| there.remove(id).unwrap()).collect();
            let made = if job.stage == Stage::Split { shards } else { 1 };
            for shard in 1..=made {
                let mut output = inputs[0].clone();
                output.meta.id = ids.at(0);
                output.meta.min_ms = inputs.iter().map(|each| each.meta.min_ms).min().unwrap();
                output.meta.max_ms = inputs.iter().map(|each| each.meta.max_ms).max().unwrap();
                output.meta.compaction.level += 1;
                if job.stage == Stage::Split {
                    let label = format!("{shard}_of_{shards}");
                    output.meta.labels.insert(names::SHARD_ID.to_owned(), label);
                }
                there.insert(output.meta.id, output);
            }
        }
    }
}
