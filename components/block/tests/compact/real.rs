//! Real blocks of all versions. Upstream's compactor made `v3-compaction/output` of the first four of `input`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use phlare_block::compact::{Input, Options, Output, rewrite, superseded};
use phlare_block::meta::names;
use phlare_block::{BlockIds, Meta};
use phlare_model::Labels;

use crate::support::*;

const INPUT: &str = "blocks/v3-compaction/input/anonymous/phlaredb";
const OUTPUT: &str = "blocks/v3-compaction/output/anonymous/phlaredb";

fn contents(rows: &[Row]) -> Vec<Content> {
    let mut contents: Vec<_> = rows.iter().map(Row::content).collect();
    contents.sort();
    contents
}

fn all_rows(inputs: &[Input]) -> Vec<Row> {
    inputs.iter().flat_map(rows).collect()
}

fn totals(rows: &[Row]) -> BTreeMap<Labels, i64> {
    let mut totals = BTreeMap::new();
    for row in rows {
        *totals.entry(row.labels.clone()).or_default() += row.total();
    }
    totals
}

/// What holds for every result.
fn check(output: &Output, inputs: &[Input]) {
    let found = rows(&input(&output.directory));
    assert!(found.is_sorted_by_key(|row| (row.labels.clone(), row.time_ns)));
    let meta = &output.meta;
    assert_eq!((meta.version, meta.source.as_str()), (3, names::COMPACTOR));
    assert_eq!(meta.id.time_ms(), meta.min_ms);
    let metas = || inputs.iter().map(|input| &input.meta);
    assert_eq!(meta.min_ms, metas().map(|meta| meta.min_ms).min().unwrap());
    assert_eq!(meta.max_ms, metas().map(|meta| meta.max_ms).max().unwrap());
    let series: BTreeSet<_> = found.iter().map(|row| &row.labels).collect();
    assert_eq!(meta.stats.num_series, series.len() as u64);
    let samples = found.iter().map(|row| row.samples.len() as u64);
    assert_eq!(meta.stats.num_samples, samples.sum::<u64>());
    assert!(!meta.labels.contains_key(names::HOSTNAME));
    open_profiles(&input(&output.directory)).verify().unwrap();
    index(&input(&output.directory)).verify().unwrap();
    open_symbols(&input(&output.directory)).verify().unwrap();
}

#[test]
fn overlapping_blocks_become_what_upstream_made_of_them() {
    let mut blocks = real_blocks(INPUT);
    let upstream = real_blocks(OUTPUT);
    if blocks.is_empty() {
        return;
    }
    blocks.truncate(4);
    let directory = tempfile::tempdir().unwrap();
    let outputs = compact(&blocks, directory.path(), 0).unwrap();
    assert_eq!(outputs.len(), 1);
    check(&outputs[0], &blocks);
    let (ours, theirs) = (rows(&inputs(&outputs)[0]), rows(&upstream[0]));
    assert_eq!(ours.len(), 138);
    assert_eq!(contents(&ours), contents(&theirs));
    assert_eq!(totals(&ours), totals(&theirs));

    let (ours, theirs) = (&outputs[0].meta, &upstream[0].meta);
    let mut labels = theirs.labels.clone();
    labels.remove(names::HOSTNAME);
    let expected = Meta {
        id: ours.id,
        files: ours.files.clone(),
        labels,
        ..theirs.clone()
    };
    assert_eq!(*ours, expected);
    let paths = |meta: &Meta| -> Vec<_> {
        let paths = meta.files.iter().map(|file| file.rel_path.clone());
        paths.collect()
    };
    assert_eq!(paths(ours), paths(theirs));
    let bytes = |meta: &Meta| meta.total_bytes();
    assert!(
        bytes(ours) < bytes(theirs),
        "{} {}",
        bytes(ours),
        bytes(theirs)
    );
}

#[test]
fn a_merged_block_is_merged_again_with_another() {
    let blocks = real_blocks(INPUT);
    if blocks.is_empty() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut second = inputs(&compact(&blocks[..4], directory.path(), 0).unwrap());
    second.push(blocks[4].clone());
    let outputs = compact_with(&second, directory.path(), |options| {
        options.downsample = true;
    })
    .unwrap();
    check(&outputs[0], &second);
    let whole = inputs(&outputs).remove(0);
    assert_eq!(contents(&rows(&whole)), contents(&all_rows(&second)));
    assert_eq!(outputs[0].meta.compaction.level, 3);
    let sources: Vec<_> = blocks.iter().map(|block| block.meta.id).collect();
    assert_eq!(outputs[0].meta.compaction.sources, sources);
    assert_eq!(outputs[0].meta.compaction.parents.len(), 2);

    for (table, length_ns) in [(0, 300_000_000_000), (1, 3_600_000_000_000)] {
        let mut expected = BTreeMap::new();
        for row in rows(&whole) {
            let start = row.time_ns - row.time_ns % length_ns;
            for sample in row.samples {
                let key = (row.labels.clone(), start, sample.stack);
                *expected.entry(key).or_default() += sample.value;
            }
        }
        assert_eq!(downsampled(&whole, table), expected);
    }
}

#[test]
fn shards_are_the_whole_without_what_they_do_not_need() {
    let blocks = real_blocks(INPUT);
    if blocks.is_empty() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let whole = inputs(&compact(&blocks, directory.path(), 1).unwrap()).remove(0);
    let expected = rows(&whole);
    for (shards, stage_size) in [(2, 0), (4, 3), (64, 0)] {
        let outputs = compact_with(&blocks, directory.path(), |options| {
            options.shards = shards;
            options.stage_size = stage_size;
        })
        .unwrap();
        let mut found = Vec::new();
        for (output, block) in outputs.iter().zip(inputs(&outputs)) {
            check(output, &blocks);
            let shard = output.meta.shard().unwrap();
            assert_eq!(shard.count(), u64::from(shards));
            let part = rows(&block);
            let of_row = |row: &Row| row.labels.fingerprint().get() % u64::from(shards);
            assert!(part.iter().all(|row| of_row(row) == shard.index()));
            check_symbols(&block, &part);
            found.extend(part);
        }
        found.sort();
        let mut expected = expected.clone();
        expected.sort();
        assert!(found == expected, "{shards} shards, {stage_size} at a time");

        // Shards that are merged again stay what they are.
        let again: Vec<_> = inputs(&outputs).into_iter().take(1).collect();
        let merged = compact(&again, directory.path(), 0).unwrap();
        assert_eq!(merged[0].meta.labels, outputs[0].meta.labels);
        assert_eq!(rows(&inputs(&merged)[0]), rows(&again[0]));
    }
}

/// Every stack trace is one that a row has, or a caller in one.
fn check_symbols(block: &Input, rows: &[Row]) {
    let symbols = open_symbols(block);
    let partitions: BTreeSet<_> = rows.iter().map(|row| row.partition).collect();
    assert!(symbols.partitions().iter().eq(&partitions));
    for partition in partitions {
        let loaded = symbols.load(partition).unwrap();
        let mut used = BTreeSet::new();
        for row in rows.iter().filter(|row| row.partition == partition) {
            for sample in &row.samples {
                let starts = 0..sample.stack.len();
                used.extend(starts.map(|start| sample.stack[start..].to_vec()));
            }
        }
        assert_eq!(used.len(), loaded.stacks.len() - 1);
        assert!(loaded.locations.len() <= used.len());
    }
}

#[test]
fn blocks_of_all_versions_are_merged() {
    let mut blocks = Vec::new();
    for version in ["v1", "v2", "v3", "v3-golden/anonymous/phlaredb"] {
        blocks.extend(real_blocks(&format!("blocks/{version}")));
    }
    if blocks.is_empty() {
        return;
    }
    for shards in [0, 3] {
        let directory = tempfile::tempdir().unwrap();
        let outputs = compact(&blocks, directory.path(), shards).unwrap();
        for output in &outputs {
            check(output, &blocks);
            assert_eq!(output.meta.compaction.level, 2);
            assert_eq!(output.meta.compaction.sources.len(), 4);
        }
        let merged = all_rows(&inputs(&outputs));
        assert_eq!(contents(&merged), contents(&all_rows(&blocks)));
        assert_eq!(totals(&merged), totals(&all_rows(&blocks)));
    }
    // Version 1 alone, and what was made of it again.
    let directory = tempfile::tempdir().unwrap();
    let first = compact(&blocks[..1], directory.path(), 0).unwrap();
    let again = compact(&inputs(&first), directory.path(), 0).unwrap();
    assert_eq!(
        contents(&all_rows(&inputs(&again))),
        contents(&rows(&blocks[0]))
    );
    assert_eq!(again[0].meta.compaction.level, 3);
}

#[test]
fn copies_of_a_block_are_one() {
    let block = real_blocks("blocks/v3-golden/anonymous/phlaredb");
    let Some(block) = block.first() else { return };
    let mut ids = BlockIds::seeded(1);
    let mut copy = || {
        let mut copy = block.clone();
        copy.meta.id = ids.at(5);
        copy
    };
    let blocks = [block.clone(), copy(), copy()];
    for memory_bytes in [0, 1 << 30] {
        let directory = tempfile::tempdir().unwrap();
        let outputs = compact_with(&blocks, directory.path(), |options| {
            options.memory_bytes = memory_bytes;
        })
        .unwrap();
        assert_eq!(outputs[0].meta.stats, block.meta.stats);
        let (mut found, mut expected) = (rows(&inputs(&outputs)[0]), rows(block));
        found.sort();
        expected.sort();
        assert!(found == expected);
    }
}

#[test]
fn a_block_is_written_anew_in_the_newest_version() {
    let places = [
        "blocks/v1",
        "blocks/v2",
        "blocks/v3",
        "blocks/v3-golden/anonymous/phlaredb",
        OUTPUT,
    ];
    for old in places.iter().flat_map(|place| real_blocks(place)) {
        let directory = tempfile::tempdir().unwrap();
        let (mut ids, cancelled) = (BlockIds::random(), AtomicBool::new(false));
        let options = Options {
            output: directory.path().to_owned(),
            shards: 7,
            stage_size: 2,
            downsample: true,
            memory_bytes: 1 << 20,
            cancelled: &cancelled,
            ids: &mut |_| ids.next(old.meta.id.time_ms() + 1),
        };
        let new = rewrite(&old, options).unwrap().unwrap();
        let found = input(&new.directory);
        assert_eq!(contents(&rows(&found)), contents(&rows(&old)));
        open_profiles(&found).verify().unwrap();
        open_symbols(&found).verify().unwrap();

        let (was, is) = (&old.meta, &new.meta);
        assert_eq!(*is, found.meta);
        assert_eq!(
            (is.version, is.compaction.level),
            (3, was.compaction.level.max(1))
        );
        assert_eq!((&is.labels, &is.source), (&was.labels, &was.source));
        assert_eq!((is.min_ms, is.max_ms), (was.min_ms, was.max_ms));
        let parents: Vec<_> = is
            .compaction
            .parents
            .iter()
            .map(|parent| parent.id)
            .collect();
        assert_eq!(parents, [was.id]);
        let ancestors = match &*was.compaction.sources {
            [] => vec![was.id],
            sources => sources.to_vec(),
        };
        assert_eq!(is.compaction.sources, ancestors);
        assert_eq!(superseded([was, is]), BTreeSet::from([was.id]));
    }
}
