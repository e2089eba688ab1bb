use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::testing::{REAL, real, some_symbols};
use super::*;

/// Locations by content: mappings, addresses, functions, lines, columns.
fn locations_of(symbols: &Symbols) -> Vec<String> {
    let text = |id| symbols.strings.get(id);
    let location = |(id, row): (u32, &Location)| {
        let mapping = symbols.mappings[row.mapping as usize];
        let names = (text(mapping.filename), text(mapping.build_id));
        let mapping = Mapping {
            filename: 0,
            build_id: 0,
            ..mapping
        };
        let line = |line: &Line| {
            let function = symbols.functions[line.function as usize];
            let names = [function.name, function.system_name, function.filename].map(text);
            (names, function.start_line, line.line, line.column)
        };
        let lines: Vec<_> = symbols.lines_of(id).iter().map(line).collect();
        let fields = (row.address, row.is_folded, mapping, names, lines);
        format!("{fields:?}")
    };
    (0..).zip(&symbols.locations).map(location).collect()
}

/// Symbols, and their locations by content.
struct Content<'a> {
    symbols: &'a Symbols,
    locations: Vec<String>,
}

impl<'a> Content<'a> {
    fn of(symbols: &'a Symbols) -> Self {
        Self {
            symbols,
            locations: locations_of(symbols),
        }
    }

    /// A stack trace by content, leaf first.
    fn stack(&self, node: u32) -> Vec<&str> {
        let frames = self.symbols.stacks.frames(node);
        frames
            .map(|location| &*self.locations[location as usize])
            .collect()
    }
}

/// No row is there twice.
#[track_caller]
fn all_distinct(symbols: &Symbols) {
    fn distinct<T: Hash + Eq>(rows: impl IntoIterator<Item = T>) {
        let mut seen = std::collections::HashSet::new();
        assert!(rows.into_iter().all(|row| seen.insert(row)));
    }
    distinct((0..symbols.strings.len() as u32).map(|id| symbols.strings.get(id)));
    distinct(&symbols.functions);
    distinct(&symbols.mappings);
    let locations = symbols.locations.iter().zip(0..);
    distinct(locations.map(|(row, id)| {
        let fields = (row.mapping, row.address, row.is_folded);
        (fields, symbols.lines_of(id).to_vec())
    }));
    let nodes = symbols.stacks.parents.iter().zip(&symbols.stacks.locations);
    distinct(nodes.skip(1));
}

/// Merges all sources and looks at every stack trace of each.
#[track_caller]
fn merge(sources: &[&Symbols]) -> Symbols {
    let mut builder = PartitionBuilder::new();
    let places: Vec<_> = sources
        .iter()
        .map(|source| builder.add(source).unwrap())
        .collect();
    let merged = builder.finish();
    check::symbols(&merged).unwrap();
    all_distinct(&merged);
    let content = Content::of(&merged);
    for (source, places) in sources.iter().zip(places) {
        assert_eq!(places.len(), source.stacks.len());
        let source = Content::of(source);
        for (node, place) in (0..).zip(places) {
            assert!(content.stack(place) == source.stack(node), "{node}");
        }
    }
    merged
}

#[test]
fn nothing_is_the_empty_string_and_the_root() {
    let nothing = PartitionBuilder::new().finish();
    check::symbols(&nothing).unwrap();
    assert_eq!(nothing.strings.len(), 1);
    assert_eq!(nothing.stacks.len(), 1);
}

#[test]
fn real_symbols_keep_their_stack_traces() {
    for (directory, meta_version) in REAL {
        let Some(reader) = real(directory, meta_version) else {
            continue;
        };
        for &partition in reader.partitions() {
            let source = reader.load(partition).unwrap();
            let once = merge(&[&source]);
            let twice = merge(&[&source, &source]);
            assert_eq!(once, twice, "{directory}");
        }
    }
}

#[test]
fn blocks_merge_into_what_upstream_made_of_them() {
    let inputs = [
        "01M8952SNR4MW2AEEN4TTF9M9R",
        "01M8952V4B1QZWVKQR2HZ474HG",
        "01M8952WJTX5S8F24CQ60Z8TX8",
        "01M8952XZX39WT9AB2WWQ650KX",
    ];
    let place = "blocks/v3-compaction/input/anonymous/phlaredb";
    let output = real("blocks/v3-compaction/output/anonymous/phlaredb/*", 3);
    let Some(output) = output else {
        return;
    };
    let inputs = inputs.map(|block| real(&format!("{place}/{block}"), 3).unwrap());
    for &partition in output.partitions() {
        let sources: Vec<_> = inputs
            .iter()
            .filter(|input| input.partitions().contains(&partition))
            .map(|input| input.load(partition).unwrap())
            .collect();
        let ours = merge(&sources.iter().collect::<Vec<_>>());
        let theirs = output.load(partition).unwrap();
        let (our_content, their_content) = (Content::of(&ours), Content::of(&theirs));
        let all = |content: &'_ Content<'_>| {
            let nodes = 0..content.symbols.stacks.len() as u32;
            nodes
                .map(|node| content.stack(node).concat())
                .collect::<BTreeSet<_>>()
        };
        assert!(all(&our_content) == all(&their_content), "{partition:x}");
        assert_eq!(ours.functions.len(), theirs.functions.len());
        assert_eq!(ours.locations.len(), theirs.locations.len());
        assert_eq!(ours.strings.len(), theirs.strings.len());
    }
}

#[test]
fn locations_that_differ_in_a_column_stay_apart() {
    let one = some_symbols();
    let mut other = one.clone();
    other.lines[0].column = 9;
    let merged = merge(&[&one, &other]);
    assert_eq!(merged.locations.len(), 2 * one.locations.len() - 1);
    assert_eq!(merged.functions, one.functions);
}

#[test]
fn only_what_is_used_is_taken() {
    let mut source = some_symbols();
    let lonely = source.strings.push("nobody calls it").unwrap();
    source.functions.push(Function {
        name: lonely,
        ..Function::default()
    });
    let mut builder = PartitionBuilder::new();
    let places = builder.add_used(&source, &|_| false).unwrap();
    assert_eq!(places, [0, UNUSED, UNUSED]);
    assert_eq!(builder.symbols.stacks.len(), 1);
    let places = builder.add_used(&source, &|node| node == 1).unwrap();
    assert_eq!(places, [0, 1, UNUSED]);
    let places = builder.add_used(&source, &|node| node == 2).unwrap();
    assert_eq!(places, [0, 1, 2], "its caller comes with it");
    let merged = builder.finish();
    assert_eq!(Content::of(&merged).stack(2), Content::of(&source).stack(2));
    assert_eq!(merged.functions.len(), source.functions.len() - 1);
    let mut strings = (0..merged.strings.len() as u32).map(|id| merged.strings.get(id));
    assert!(strings.all(|text| text != "nobody calls it"));
}

#[test]
fn a_source_that_refers_to_what_is_not_there_is_refused() {
    let mut source = some_symbols();
    source.lines[0].function = 7;
    let refused = PartitionBuilder::new().add(&source);
    assert!(matches!(refused, Err(Error::Unwritable { .. })));
}

proptest! {
    #[test]
    fn any_symbols_keep_their_stack_traces(
        one in super::super::testing::symbols(),
        other in super::super::testing::symbols(),
    ) {
        merge(&[&one, &other, &one]);
    }

    #[test]
    fn used_stack_traces_are_kept(
        source in super::super::testing::symbols(),
        used: u64,
    ) {
        let is_used = |node: u32| used >> (node % 64) & 1 == 1;
        let mut builder = PartitionBuilder::new();
        let places = builder.add_used(&source, &is_used).unwrap();
        let merged = builder.finish();
        check::symbols(&merged).unwrap();
        let (merged, source) = (Content::of(&merged), Content::of(&source));
        for (node, place) in (0..).zip(places) {
            if place == UNUSED {
                prop_assert!(!is_used(node));
            } else {
                prop_assert_eq!(merged.stack(place), source.stack(node));
            }
        }
    }
}
