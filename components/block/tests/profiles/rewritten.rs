//! Real rows, written by us.

use phlare_block::profiles::{Layout, Options};

use crate::tables::{Owned, open, real, rows, write};

#[test]
fn real_rows_come_back_from_tables_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("profiles.parquet");
    for (name, path) in real() {
        let rows_there = rows(&open(&path)).unwrap();
        let expected: Vec<_> = rows_there.into_iter().map(Owned::without_zeros).collect();
        for layout in [Layout::Compact, Layout::Upstream] {
            for (row_group_rows, sample_page_bytes) in [(100_000, 256 << 10), (30, 2 << 10)] {
                let options = Options {
                    layout,
                    row_group_rows,
                    sample_page_bytes,
                    header_page_rows: row_group_rows / 4,
                    ..Options::default()
                };
                let written = write(&file, options, &expected);
                let table = open(&file);
                assert!(rows(&table).unwrap() == expected, "{name} {layout:?}");
                assert_eq!(
                    table.row_groups().len() as u32,
                    written.row_groups,
                    "{name}"
                );
                let verified = table.verify().unwrap();
                assert_eq!(verified.rows, written.rows, "{name} {layout:?}");
                assert_eq!(verified.samples, written.samples, "{name} {layout:?}");
                assert_eq!(file.metadata().unwrap().len(), written.size_bytes, "{name}");
            }
        }
    }
}
