use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use phlare_proto::google::v1::{Line as PprofLine, Profile, Sample};
use prost::Message;

use super::super::testing::{REAL, layout, real, real_path};
use super::*;
use crate::files::LocalFiles;
use crate::symbols::Line;
use crate::testdata::shared;

/// Strings, functions, mappings, locations, lines, nodes.
fn counts(directory: &str, meta_version: u32) -> Option<Vec<(u64, [usize; 6])>> {
    let reader = real(directory, meta_version)?;
    let count = |&id: &u64| {
        let symbols = reader.load(id).unwrap();
        let counts = [
            symbols.strings.len(),
            symbols.functions.len(),
            symbols.mappings.len(),
            symbols.locations.len(),
            symbols.lines.len(),
            symbols.stacks.len(),
        ];
        (id, counts)
    };
    Some(reader.partitions().iter().map(count).collect())
}

#[track_caller]
fn check(directory: &str, meta_version: u32, expected: &[(u64, [usize; 6])]) {
    if let Some(counts) = counts(directory, meta_version) {
        assert_eq!(counts, expected, "{directory}");
    }
}

#[test]
fn every_generation_has_the_rows_it_should() {
    check("blocks/v1/*", 1, &[(0, [167, 101, 6, 108, 119, 202])]);
    check(
        "blocks/v2/*",
        2,
        &[(0xa162_51c2_04ee_e39e, [1129, 818, 6, 1012, 1159, 2874])],
    );
    check(
        "blocks/v3/*",
        3,
        &[(0x9417_d9d5_253a_6f19, [6, 3, 1, 3, 3, 4])],
    );
    let both = [701, 507, 3, 762, 902, 1793];
    check("symdb/v2", 3, &[(0, both), (1, both)]);
    let both = [699, 506, 3, 718, 851, 2 * 1024 + 314];
    check("symdb/v3", 3, &[(0, both), (1, both)]);
    check(
        "v2arch/01JKT2S01VXGG0YS6TG8QC2JWD/carved",
        3,
        &[(0, [2482, 1911, 2, 3367, 3367, 7109])],
    );
    check(
        "v2arch/01JKT426996H1XWCX1M1ZQFRJ6/carved",
        3,
        &[(0, [35, 22, 1, 29, 31, 41])],
    );
}

#[test]
fn all_partitions_of_a_block_have_all_rows_of_its_tables() {
    let tables = [
        ("blocks/v3-partial/*", 15, [23085, 19063, 15, 32293]),
        (
            "blocks/v3-golden/anonymous/phlaredb/*",
            16,
            [7039, 5674, 30, 8496],
        ),
        (
            "blocks/v3-compaction/output/anonymous/phlaredb/*",
            16,
            [5789, 4682, 19, 6643],
        ),
    ];
    for (directory, partitions, rows) in tables {
        let Some(counts) = counts(directory, 3) else {
            continue;
        };
        assert_eq!(counts.len(), partitions);
        for (column, rows) in rows.into_iter().enumerate() {
            let sum: usize = counts.iter().map(|(_, counts)| counts[column]).sum();
            assert_eq!(sum, rows, "{directory}");
        }
    }
}

#[test]
fn all_real_symbols_are_sound() {
    for (directory, meta_version) in REAL {
        if let Some(reader) = real(directory, meta_version) {
            reader.verify().unwrap();
        }
    }
}

/// A frame: function, file, line.
type Frame = (String, String, i64);

/// The stack trace of every node, leaf first, inlined functions before their callers.
fn stacks_of(symbols: &Symbols) -> Vec<Vec<Frame>> {
    let frame = |line: &Line| {
        let function = symbols.functions[line.function as usize];
        let text = |id| symbols.strings.get(id).to_owned();
        (text(function.name), text(function.filename), line.line)
    };
    let stack = |node| {
        let locations = symbols.stacks.frames(node);
        let lines = locations.flat_map(|location| symbols.lines_of(location));
        lines.map(frame).collect()
    };
    (0..symbols.stacks.len() as u32).map(stack).collect()
}

/// The stack traces of a pprof; those whose values are all zero only if they are wanted.
fn stacks_in(profile: &Profile, with_zeros: bool) -> HashSet<Vec<Frame>> {
    let text = |id: i64| profile.string_table[id as usize].clone();
    let functions: HashMap<_, _> = profile.function.iter().map(|f| (f.id, f)).collect();
    let locations: HashMap<_, _> = profile.location.iter().map(|l| (l.id, l)).collect();
    let stack = |sample: &Sample| {
        let lines = sample.location_id.iter().flat_map(|id| &locations[id].line);
        let frame = |line: &PprofLine| {
            let function = functions[&line.function_id];
            (text(function.name), text(function.filename), line.line)
        };
        lines.map(frame).collect()
    };
    let samples = profile.sample.iter();
    let wanted = |sample: &&Sample| with_zeros || sample.value.iter().any(|&value| value != 0);
    samples.filter(wanted).map(stack).collect()
}

#[test]
fn symbols_of_fixtures_are_those_of_the_profile_they_were_made_of() {
    let Some(shared) = shared() else {
        return;
    };
    let compressed = std::fs::read(shared.join("symdb/profile.pb.gz")).unwrap();
    let mut plain = Vec::new();
    let mut inflater = phlare_pprof::gzip::Inflater::new();
    inflater.gunzip(&compressed, 1 << 24, &mut plain).unwrap();
    let profile = Profile::decode(&*plain).unwrap();
    // The newer one was made of the profile as normalised.
    for (directory, with_zeros, distinct) in [("symdb/v2", true, 583), ("symdb/v3", false, 561)] {
        let expected = stacks_in(&profile, with_zeros);
        assert_eq!(expected.len(), distinct);
        let reader = real(directory, 3).unwrap();
        for partition in [0, 1] {
            let symbols = reader.load(partition).unwrap();
            let Stacks { parents, locations } = &symbols.stacks;
            let stacks = stacks_of(&symbols);
            let callers: HashSet<_> = parents.iter().copied().collect();
            let found: HashSet<_> = stacks.iter().cloned().collect();
            assert!(expected.is_subset(&found), "{directory}");
            for (node, stack) in stacks.iter().enumerate() {
                let is_alias = parents[node] == 0 && locations[node] == 0;
                let is_leaf = !callers.contains(&(node as u32));
                assert!(is_alias || !is_leaf || expected.contains(stack), "{node}");
            }
        }
    }
}

#[test]
fn stack_traces_of_the_first_blocks_are_rows() {
    let symbols = real("blocks/v1/*", 1).unwrap().load(0).unwrap();
    let ids = symbols.stack_nodes.as_ref().unwrap();
    assert_eq!(ids.len(), 24);
    let depths: usize = (0..24)
        .map(|id| symbols.stacks.frames(symbols.node(id).unwrap()).count())
        .sum();
    assert_eq!(depths, 356);
    let functions = stacks_of(&symbols);
    let main = |id| {
        functions[symbols.node(id).unwrap() as usize]
            .last()
            .cloned()
    };
    assert_eq!(main(0).unwrap().0, "runtime.main");
    assert_eq!(symbols.node(24), None);
}

#[test]
fn an_early_block_has_the_nodes_it_should() {
    let Some(reader) = real("blocks/v2/*", 2) else {
        return;
    };
    let stacks = reader.load(0xa162_51c2_04ee_e39e).unwrap().stacks;
    assert_eq!(stacks.parents[..6], [0, 0, 1, 2, 3, 4]);
    assert_eq!(stacks.locations[..6], [0, 8, 7, 6, 5, 4]);
}

/// Files that count how often they are read.
#[derive(Debug)]
struct Counting {
    files: LocalFiles,
    reads: AtomicUsize,
    bytes: AtomicU64,
}

impl Files for Counting {
    fn location(&self) -> String {
        self.files.location()
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        self.files.size(file)
    }

    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut end = 0;
        for range in ranges {
            assert!(end <= range.start && range.start < range.end, "{ranges:?}");
            end = range.end;
            self.bytes
                .fetch_add(range.end - range.start, Ordering::Relaxed);
        }
        self.files.read(file, ranges)
    }
}

#[test]
fn each_file_is_read_once() {
    let sources = [
        ("blocks/v1/*", 1, 5, 5),
        ("blocks/v3/*", 3, 5, 5),
        ("blocks/v3-partial/*", 3, 5, 5),
        ("symdb/v3", 3, 1, 1),
    ];
    for (directory, meta_version, to_open, to_load) in sources {
        let Some(path) = real_path(directory) else {
            continue;
        };
        let files = Arc::new(Counting {
            files: LocalFiles::new(&path),
            reads: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
        });
        let shared = Arc::clone(&files);
        let reader = Reader::open(shared, layout(&path, meta_version)).unwrap();
        assert_eq!(
            files.reads.swap(0, Ordering::Relaxed),
            to_open,
            "{directory}"
        );
        reader.load(reader.partitions()[0]).unwrap();
        assert_eq!(files.reads.load(Ordering::Relaxed), to_load, "{directory}");
    }
}

#[test]
fn a_partition_that_is_not_there_is_an_error() {
    for (directory, meta_version) in REAL {
        let Some(reader) = real(directory, meta_version) else {
            continue;
        };
        assert_eq!(reader.estimated_bytes(12345), 0);
        let error = reader.load(12345).unwrap_err().to_string();
        assert!(
            error.ends_with("it has no partition 0000000000003039"),
            "{error}"
        );
    }
}

#[test]
fn estimates_are_near_what_is_held() {
    for (directory, meta_version) in REAL {
        let Some(reader) = real(directory, meta_version) else {
            continue;
        };
        for &partition in reader.partitions() {
            let held = reader.load(partition).unwrap().size_bytes() as u64;
            let estimated = reader.estimated_bytes(partition);
            let off = estimated.abs_diff(held);
            assert!(off < 1000 + held / 3, "{directory} {estimated} {held}");
        }
    }
}
