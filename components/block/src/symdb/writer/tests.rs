use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::testing::{REAL, layout, real, real_path, some_symbols, symbols};
use super::*;
use crate::files::LocalFiles;
use crate::symbols::{Line, Location};
use crate::symdb::Reader;

/// What is written and read again.
struct Block {
    directory: TempDir,
    files: Vec<FileEntry>,
}

impl Block {
    fn write<'a>(partitions: impl IntoIterator<Item = (u64, &'a Symbols)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(directory.path()).unwrap();
        for (id, symbols) in partitions {
            writer.partition(id, symbols).unwrap();
        }
        let files = writer.finish().unwrap();
        Self { directory, files }
    }

    fn reader(&self) -> Reader {
        let files = LocalFiles::new(self.directory.path());
        Reader::open(Arc::new(files), layout(self.directory.path(), 3)).unwrap()
    }
}

#[test]
fn real_symbols_come_back() {
    for (directory, meta_version) in REAL {
        let Some(reader) = real(directory, meta_version) else {
            continue;
        };
        let load = |&id: &u64| (id, reader.load(id).unwrap());
        let mut partitions: Vec<_> = reader.partitions().iter().map(load).collect();
        for (_, symbols) in &mut partitions {
            symbols.stack_nodes = None;
        }
        let written = partitions.iter().map(|(id, symbols)| (*id, symbols));
        let block = Block::write(written);
        let again = block.reader();
        assert_eq!(again.partitions(), reader.partitions(), "{directory}");
        for (id, symbols) in &partitions {
            assert_eq!(again.load(*id).unwrap(), *symbols, "{directory} {id:x}");
        }
    }
}

#[test]
fn stack_traces_are_written_as_upstream_writes_them() {
    let Some(path) = real_path("blocks/v3-golden/anonymous/phlaredb/*") else {
        return;
    };
    let reader = real("blocks/v3-golden/anonymous/phlaredb/*", 3).unwrap();
    let load = |&id: &u64| (id, reader.load(id).unwrap());
    let partitions: Vec<_> = reader.partitions().iter().map(load).collect();
    let block = Block::write(partitions.iter().map(|(id, symbols)| (*id, symbols)));
    let read = |directory: &Path| fs::read(directory.join("symbols/stacktraces.symdb")).unwrap();
    assert!(read(block.directory.path()) == read(&path));
}

#[test]
fn files_are_named_with_their_sizes_and_rows() {
    let block = Block::write([(7, &some_symbols()), (u64::MAX, &some_symbols())]);
    let names: Vec<_> = block.files.iter().map(|file| &*file.rel_path).collect();
    assert_eq!(
        names,
        [
            "symbols/functions.parquet",
            "symbols/index.symdb",
            "symbols/locations.parquet",
            "symbols/mappings.parquet",
            "symbols/stacktraces.symdb",
            "symbols/strings.parquet",
        ]
    );
    for file in &block.files {
        let path = block.directory.path().join(&file.rel_path);
        assert_eq!(fs::metadata(path).unwrap().len(), file.size_bytes);
    }
    let tables = block.files.iter().filter_map(|file| file.parquet);
    let tables: Vec<_> = tables
        .map(|table| (table.num_row_groups, table.num_rows))
        .collect();
    assert_eq!(tables, [(1, 2), (1, 4), (1, 2), (1, 6)]);
}

#[test]
fn all_fields_come_back() {
    let block = Block::write([(7, &some_symbols())]);
    assert_eq!(block.reader().load(7).unwrap(), some_symbols());
}

#[test]
fn columns_of_lines_come_back() {
    let mut with = some_symbols();
    with.lines[0].column = 80;
    let block = Block::write([(3, &some_symbols()), (7, &with)]);
    let reader = block.reader();
    assert_eq!(reader.load(3).unwrap(), some_symbols());
    assert_eq!(reader.load(7).unwrap(), with);
}

#[test]
fn lines_may_lie_in_another_order_than_locations() {
    let mut odd = some_symbols();
    odd.lines.insert(0, Line::default());
    odd.lines[1].column = 9;
    odd.locations[0].first_line = 1;
    odd.locations[1].first_line = 0;
    odd.locations[1].line_count = 1;
    let block = Block::write([(7, &odd)]);
    let again = block.reader().load(7).unwrap();
    for location in 0..2 {
        assert_eq!(again.lines_of(location), odd.lines_of(location));
    }
}

#[test]
fn a_block_without_symbols_can_be_read() {
    let block = Block::write([]);
    let reader = block.reader();
    assert!(reader.partitions().is_empty());
    reader.verify().unwrap();
}

#[test]
fn a_partition_of_nothing_but_the_empty_string_can_be_read() {
    let mut nothing = Symbols::default();
    nothing.strings.push("").unwrap();
    let block = Block::write([(1, &nothing), (2, &some_symbols())]);
    let reader = block.reader();
    assert_eq!(reader.load(1).unwrap(), nothing);
    assert_eq!(reader.load(2).unwrap(), some_symbols());
}

#[test]
fn partitions_that_do_not_ascend_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(directory.path()).unwrap();
    writer.partition(7, &some_symbols()).unwrap();
    for id in [7, 6] {
        let refused = writer.partition(id, &some_symbols());
        assert!(matches!(refused, Err(Error::Unwritable { .. })));
    }
    writer.partition(8, &some_symbols()).unwrap();
}

#[test]
fn what_nobody_could_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(directory.path()).unwrap();
    let mut dangling = some_symbols();
    dangling.functions[0].name = 3;
    let refused = writer.partition(7, &dangling).unwrap_err().to_string();
    assert!(
        refused.ends_with("partition 0000000000000007: row 0 refers to string 3 of 3"),
        "{refused}"
    );
    assert!(writer.partition(7, &Symbols::default()).is_err());
}

#[test]
fn long_tables_have_several_row_groups() {
    // Rows are written 8192 at a time, the last ones of a row group included.
    let mut long = some_symbols();
    for index in 0..60_000_u32 {
        long.strings
            .push(&format!("{:x}", index.wrapping_mul(0x9e37_79b9)))
            .unwrap();
        long.lines.push(Line {
            line: index.into(),
            ..Line::default()
        });
        long.locations.push(Location {
            address: u64::from(index)
                .wrapping_pow(5)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15),
            first_line: index + 1,
            line_count: 1,
            ..Location::default()
        });
    }
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(directory.path().to_owned(), 100_000).unwrap();
    for (id, symbols) in [(1, &some_symbols()), (2, &long), (3, &some_symbols())] {
        writer.partition(id, symbols).unwrap();
    }
    let Tables::Rows(rows) = &writer.partitions[1].tables else {
        panic!("{:?}", writer.partitions);
    };
    let ranges: Vec<_> = rows.locations.iter().map(|range| range.row_group).collect();
    assert!(ranges.len() > 2 && ranges.is_sorted(), "{ranges:?}");
    let files = writer.finish().unwrap();
    let block = Block { directory, files };
    let reader = block.reader();
    assert!(reader.load(1).unwrap() == some_symbols());
    assert!(reader.load(2).unwrap() == long);
    assert!(reader.load(3).unwrap() == some_symbols());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn any_symbols_come_back(one in symbols(), other in symbols(), id: u64) {
        let id = id.max(1);
        let block = Block::write([(id - 1, &one), (id, &other)]);
        let reader = block.reader();
        prop_assert_eq!(reader.load(id - 1).unwrap(), one);
        prop_assert_eq!(reader.load(id).unwrap(), other);
    }
}
