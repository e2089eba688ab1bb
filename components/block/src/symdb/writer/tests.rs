use std::sync::Arc;

use tempfile::TempDir;

use super::super::testing::{REAL, layout, real, real_path};
use super::*;
use crate::files::LocalFiles;
use crate::symbols::{Function, Line, Location, Mapping, Stacks};
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

/// A function, its location, and a stack trace of it.
fn small() -> Symbols {
    let mut symbols = Symbols::default();
    for text in ["", "main", "main.go"] {
        symbols.strings.push(text).unwrap();
    }
    symbols.functions.push(Function {
        name: 1,
        system_name: 1,
        filename: 2,
        start_line: -1,
    });
    symbols.mappings.push(Mapping {
        memory_start: u64::MAX,
        flags: 0b1010,
        ..Mapping::default()
    });
    symbols.lines.push(Line {
        function: 0,
        column: 0,
        line: i64::MAX,
    });
    symbols.locations.push(Location {
        address: 1 << 63,
        line_count: 1,
        is_folded: true,
        ..Location::default()
    });
    symbols.locations.push(Location {
        first_line: 1,
        ..Location::default()
    });
    symbols.stacks = Stacks {
        parents: vec![0, 0, 1],
        locations: vec![0, 1, 0],
    };
    symbols
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
    let block = Block::write([(7, &small()), (u64::MAX, &small())]);
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
    let block = Block::write([(7, &small())]);
    assert_eq!(block.reader().load(7).unwrap(), small());
}

#[test]
fn columns_of_lines_come_back() {
    let mut with = small();
    with.lines[0].column = 80;
    let block = Block::write([(3, &small()), (7, &with)]);
    let reader = block.reader();
    assert_eq!(reader.load(3).unwrap(), small());
    assert_eq!(reader.load(7).unwrap(), with);
}

#[test]
fn lines_may_lie_in_another_order_than_locations() {
    let mut odd = small();
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
    let block = Block::write([(1, &nothing), (2, &small())]);
    let reader = block.reader();
    assert_eq!(reader.load(1).unwrap(), nothing);
    assert_eq!(reader.load(2).unwrap(), small());
}

#[test]
fn partitions_that_do_not_ascend_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(directory.path()).unwrap();
    writer.partition(7, &small()).unwrap();
    for id in [7, 6] {
        let refused = writer.partition(id, &small());
        assert!(matches!(refused, Err(Error::Unwritable { .. })));
    }
    writer.partition(8, &small()).unwrap();
}

#[test]
fn what_nobody_could_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(directory.path()).unwrap();
    let mut dangling = small();
    dangling.functions[0].name = 3;
    let refused = writer.partition(7, &dangling).unwrap_err().to_string();
    assert!(
        refused.ends_with("partition 0000000000000007: row 0 refers to string 3 of 3"),
        "{refused}"
    );
    assert!(writer.partition(7, &Symbols::default()).is_err());
}
