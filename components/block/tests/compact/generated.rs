//! Small blocks by chance: what comes out is what goes in, each profile once.

use std::collections::{BTreeMap, BTreeSet};

use phlare_block::BlockIds;
use phlare_block::compact::{CompactError, Output};
use phlare_block::profiles::Annotation;
use phlare_model::Labels;
use proptest::prelude::*;

use crate::support::{self, *};

/// A row out of few names, times, ids and stacks, so that rows meet.
fn row() -> impl Strategy<Value = Row> {
    let frame = "[a-d]".prop_map(|name| frame(&name));
    let stack = prop::collection::vec(frame, 0..4);
    let sample = (stack, 0..3_u64, 0..2_u8, 1..4_i64);
    let samples = prop::collection::btree_map(stack_key(), 1..4_i64, 0..4);
    let spans = prop::collection::vec(sample, 0..3);
    let places = ("[xyz]", 0..4_i64, 0..6_u8, 0..2_u64);
    (places, samples, spans, prop::bool::weighted(0.2), "|u").prop_map(
        |((service, time, id, partition), samples, spans, with_spans, doc_url)| {
            let plain = samples.into_iter().map(|(stack, value)| Sample {
                stack,
                span: 0,
                trace: [0; 16],
                value,
            });
            let mut all: Vec<_> = plain.collect();
            if with_spans {
                let mut by_key = BTreeMap::new();
                for (stack, span, trace, value) in spans {
                    by_key.insert((stack, span, [trace; 16]), value);
                }
                let with_spans = by_key
                    .into_iter()
                    .map(|((stack, span, trace), value)| Sample {
                        stack,
                        span,
                        trace,
                        value,
                    });
                all = with_spans.collect();
            }
            all.sort();
            Row {
                labels: Labels::from_pairs([("service_name", service.as_str())]),
                time_ns: time * 1_000_000_007,
                id: [id; 16],
                partition: partition.wrapping_mul(u64::MAX),
                duration_ns: time,
                samples: all,
                annotations: (id == 3).then(note).into_iter().collect(),
                doc_url,
            }
        },
    )
}

fn stack_key() -> impl Strategy<Value = Stack> {
    prop::collection::vec("[a-d]".prop_map(|name| frame(&name)), 0..4)
}

fn note() -> Annotation {
    Annotation {
        key: "k".to_owned(),
        value: "v".to_owned(),
    }
}

fn blocks() -> impl Strategy<Value = Vec<Vec<Row>>> {
    let block = prop::collection::vec(row(), 1..12);
    prop::collection::vec(block, 1..5)
}

/// A row whatever its id, with its partition.
type Content = (support::Content, u64);

/// How often each profile must be there, ids aside: as often as in the block that has it most often.
fn expected_contents(blocks: &[Vec<Row>]) -> BTreeMap<Content, usize> {
    let mut most = BTreeMap::new();
    for block in blocks {
        let mut counts = BTreeMap::new();
        for row in block {
            *counts.entry((row.content(), row.partition)).or_insert(0) += 1;
        }
        for (content, count) in counts {
            let most = most.entry(content).or_insert(0);
            *most = count.max(*most);
        }
    }
    most
}

fn merge(blocks: &[Vec<Row>], shards: u32) -> Result<(Vec<Row>, Vec<Output>), CompactError> {
    let directory = tempfile::tempdir().unwrap();
    let mut ids = BlockIds::seeded(7);
    let inputs: Vec<_> = blocks
        .iter()
        .map(|rows| write(directory.path(), ids.at(1), rows.clone()))
        .collect();
    let outputs = compact(&inputs, &directory.path().join("out"), shards)?;
    let mut all = Vec::new();
    for output in &outputs {
        let rows = rows(&input(&output.directory));
        assert!(rows.is_sorted_by_key(|row| (row.labels.clone(), row.time_ns)));
        all.extend(rows);
    }
    Ok((all, outputs))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_profile_is_there_once(mut blocks in blocks(), shards in 0..4_u32, same_ids: bool) {
        // Ids that say which profiles are copies, or ids that say nothing.
        for (at, row) in blocks.iter_mut().flatten().enumerate() {
            row.id = if same_ids { [0; 16] } else { (at as u128 + 1).to_be_bytes() };
        }
        let expected = expected_contents(&blocks);
        let (found, outputs) = merge(&blocks, shards).unwrap();
        let mut counts = BTreeMap::new();
        for row in &found {
            *counts.entry((row.content(), row.partition)).or_insert(0) += 1;
        }
        prop_assert!(counts == expected);
        prop_assert!(outputs.len() <= shards.max(1) as usize);
    }

    #[test]
    fn rows_are_taken_over_as_they_are(mut rows in prop::collection::vec(row(), 1..20)) {
        // Each profile once: of equal ones with several ids, only those that meet in one block are counted.
        let mut contents = BTreeSet::new();
        rows.retain(|row| contents.insert((row.content(), row.partition)));
        for (at, row) in rows.iter_mut().enumerate() {
            row.id = (at as u128 + 1).to_be_bytes();
        }
        // Alone, and as replicas of three ingesters of which each lacks something.
        let replica = |lacks: usize| -> Vec<Row> {
            let kept = rows.iter().enumerate().filter(|(at, _)| at % 3 != lacks || rows.len() < 3);
            kept.map(|(_, row)| row.clone()).collect()
        };
        for blocks in [vec![rows.clone()], (0..3).map(replica).collect()] {
            let (mut found, _) = merge(&blocks, 2).unwrap();
            found.sort();
            let mut expected = rows.clone();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}

/// Field report B25: three hosts push one series in the same millisecond.
#[test]
fn different_profiles_of_one_series_and_time_stay() {
    let row = |id: u8, value: i64| Row {
        labels: Labels::from_pairs([("service_name", "s")]),
        time_ns: 5_000_000_000,
        id: [id; 16],
        partition: 1,
        duration_ns: 0,
        samples: vec![Sample {
            stack: vec![frame("main")],
            span: 0,
            trace: [0; 16],
            value,
        }],
        annotations: Vec::new(),
        doc_url: String::new(),
    };
    let replicas = [
        vec![row(1, 10), row(2, 20)],
        vec![row(2, 20), row(3, 30)],
        vec![row(3, 30), row(1, 10)],
    ];
    let (found, outputs) = merge(&replicas, 0).unwrap();
    let values: Vec<_> = found.iter().map(Row::total).collect();
    assert_eq!(values, [10, 20, 30]);
    assert_eq!(outputs[0].meta.stats.num_profiles, 3);
}

/// Field report B19: profiles without stacks, and partitions with nothing in them.
#[test]
fn samples_without_a_stack_keep_their_value() {
    let row = |service: &str, partition: u64| Row {
        labels: Labels::from_pairs([("service_name", service)]),
        time_ns: 1_000_000,
        id: [1; 16],
        partition,
        duration_ns: 0,
        samples: vec![Sample {
            stack: Vec::new(),
            span: 0,
            trace: [0; 16],
            value: 5,
        }],
        annotations: Vec::new(),
        doc_url: String::new(),
    };
    let blocks = [
        vec![row("a", 1), row("b", 2)],
        vec![row("a", 1), row("c", 3)],
    ];
    for shards in [0, 2] {
        let (found, _) = merge(&blocks, shards).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|row| row.total() == 5));
    }
}

#[test]
fn nothing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = compact(&[], directory.path(), 0).unwrap_err();
    assert!(matches!(error, CompactError::NoInput));
}
