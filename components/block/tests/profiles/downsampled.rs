//! Downsampled tables.

use std::collections::BTreeMap;

use phlare_block::profiles::{Annotation, DOWNSAMPLED, DownsampledWriter, Options};

use crate::tables::{Owned, open, real, row, rows};

const MINUTE: i64 = 60_000_000_000;

/// Rows of both tables.
fn downsampled(rows_in: &[Owned]) -> [Vec<Owned>; 2] {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = DownsampledWriter::create(directory.path(), &Options::default()).unwrap();
    rows_in
        .iter()
        .for_each(|row| writer.push(&row.row()).unwrap());
    let written = writer.finish().unwrap();
    let files = written.iter().map(|one| one.file);
    assert!(files.eq(DOWNSAMPLED.map(|(file, _)| file)));
    [0, 1].map(|i| {
        let table = open(&directory.path().join(written[i].file));
        let verified = table.verify().unwrap();
        assert_eq!(verified.rows, written[i].written.rows);
        rows(&table).unwrap()
    })
}

#[test]
fn rows_of_an_interval_are_added_up() {
    let note = |key: &str| Annotation {
        key: key.to_owned(),
        value: "v".to_owned(),
    };
    let mut input = vec![
        row(0, 7, 61 * MINUTE, &[(9, 1), (3, 2)]),
        row(0, 7, 64 * MINUTE + 1, &[(3, 10), (4, 5)]),
        row(0, 7, 65 * MINUTE, &[(4, 100)]),
        row(0, 7, 119 * MINUTE, &[(9, 1000)]),
        row(0, 7, 120 * MINUTE, &[(9, 1)]),
        row(1, 7, 120 * MINUTE, &[(9, 2)]),
    ];
    input[0].annotations = vec![note("a")];
    input[1].annotations = vec![note("b"), note("a")];
    input[0].spans = vec![5, 6];
    input[0].duration_ns = 9;
    let [mut five, mut hour] = downsampled(&input);
    assert_eq!(five[0].annotations, [note("a"), note("b"), note("a")]);
    assert_eq!(hour[0].annotations, [note("a"), note("b"), note("a")]);
    five[0].annotations.clear();
    hour[0].annotations.clear();
    // Samples in the order in which they were first seen; everything but sums and notes is gone.
    let expected = [
        row(0, 7, 60 * MINUTE, &[(9, 1), (3, 12), (4, 5)]),
        row(0, 7, 65 * MINUTE, &[(4, 100)]),
        row(0, 7, 115 * MINUTE, &[(9, 1000)]),
        row(0, 7, 120 * MINUTE, &[(9, 1)]),
        row(1, 7, 120 * MINUTE, &[(9, 2)]),
    ];
    assert_eq!(five, expected);
    let expected = [
        row(0, 7, 60 * MINUTE, &[(9, 1001), (3, 12), (4, 105)]),
        row(0, 7, 120 * MINUTE, &[(9, 1)]),
        row(1, 7, 120 * MINUTE, &[(9, 2)]),
    ];
    assert_eq!(hour, expected);
}

#[test]
fn another_partition_begins_another_row() {
    let input = [
        row(0, 7, MINUTE, &[(1, 1)]),
        row(0, 8, 2 * MINUTE, &[(1, 2)]),
        row(0, 7, 3 * MINUTE, &[(1, 4)]),
    ];
    let [five, _] = downsampled(&input);
    let keys: Vec<_> = five
        .iter()
        .map(|row| (row.partition, row.time_ns, row.total))
        .collect();
    assert_eq!(keys, [(7, 0, 1), (8, 0, 2), (7, 0, 4)]);
}

#[test]
fn rows_without_samples_and_times_before_1970_have_their_interval() {
    let input = [row(0, 1, -MINUTE, &[]), row(0, 1, 0, &[(1, 1)])];
    let [five, hour] = downsampled(&input);
    assert_eq!(five[0].time_ns, -5 * MINUTE);
    assert_eq!(hour[0].time_ns, -60 * MINUTE);
    assert_eq!((five.len(), five[0].total, five[1].total), (2, 0, 1));
}

#[test]
fn real_tables_keep_the_totals_of_series_and_stack_traces() {
    for (name, path) in real() {
        let input: Vec<_> = rows(&open(&path)).unwrap();
        let input: Vec<_> = input.into_iter().map(Owned::without_zeros).collect();
        let sums = |rows: &[Owned]| {
            let mut sums = BTreeMap::new();
            for row in rows {
                for (id, value) in row.stacktraces.iter().zip(&row.values) {
                    *sums.entry((row.series, row.partition, *id)).or_insert(0) += value;
                }
            }
            sums
        };
        for output in downsampled(&input) {
            assert_eq!(sums(&output), sums(&input), "{name}");
            assert!(output.len() <= input.len(), "{name}");
        }
    }
}
