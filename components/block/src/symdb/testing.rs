//! What the tests of symbols share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Layout, Reader};
use crate::fields::crc32c;
use crate::files::LocalFiles;
use crate::symbols::{Function, Line, Location, Mapping, Stacks, Symbols};
use crate::testdata::shared;

/// A stream of DELTA_BINARY_PACKED, as symdb has them: blocks of 128 values, 4 miniblocks.
pub(crate) fn delta_stream(values: &[u64]) -> Vec<u8> {
    fn varint(out: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
    fn zigzag(value: i64) -> u64 {
        (value << 1 ^ value >> 63) as u64
    }
    let mut out = Vec::new();
    for number in [128, 4, values.len() as u64] {
        varint(&mut out, number);
    }
    varint(
        &mut out,
        zigzag(values.first().copied().unwrap_or_default() as i64),
    );
    let deltas: Vec<i64> = values
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]) as i64)
        .collect();
    for block in deltas.chunks(128) {
        let min = *block.iter().min().unwrap();
        varint(&mut out, zigzag(min));
        let above: Vec<u64> = block
            .iter()
            .map(|delta| delta.wrapping_sub(min) as u64)
            .collect();
        let width = |mini: &[u64]| 64 - mini.iter().fold(0, |all, one| all | one).leading_zeros();
        let minis: Vec<&[u64]> = above.chunks(32).collect();
        for index in 0..4 {
            out.push(minis.get(index).map_or(0, |mini| width(mini)) as u8);
        }
        for mini in minis {
            let width = width(mini) as usize;
            let mut packed = vec![0_u8; 4 * width];
            for (index, value) in mini.iter().enumerate() {
                for bit in 0..width {
                    let at = index * width + bit;
                    packed[at / 8] |= ((value >> bit & 1) as u8) << (at % 8);
                }
            }
            out.extend(packed);
        }
    }
    out
}

/// The symbols in a directory of the test data; the name may end in `/*` for the only directory in it. `None` if this
/// checkout doesn't have them.
pub(crate) fn real(directory: &str, meta_version: u32) -> Option<Reader> {
    let directory = real_path(directory)?;
    let layout = layout(&directory, meta_version);
    Some(Reader::open(Arc::new(LocalFiles::new(&directory)), layout).unwrap())
}

/// A directory of the shared test data, or of `tests/data`, if symbols are in it.
pub(crate) fn real_path(directory: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut places = shared().into_iter().chain([own]);
    places.find_map(|place| {
        let found = match directory.strip_suffix("/*") {
            None => place.join(directory),
            Some(parent) => {
                let entry = fs::read_dir(place.join(parent)).ok()?.next()?;
                entry.unwrap().path()
            }
        };
        let files = [
            "symbols.symdb",
            "index.symdb",
            "symbols/index.symdb",
            "stacktraces.parquet",
        ];
        files
            .iter()
            .any(|file| found.join(file).is_file())
            .then_some(found)
    })
}

/// The layout of the files in a directory.
pub(crate) fn layout(directory: &Path, meta_version: u32) -> Layout {
    let mut names = Vec::new();
    for place in ["", "symbols/"] {
        let Ok(entries) = fs::read_dir(directory.join(place)) else {
            continue;
        };
        for entry in entries.map(Result::unwrap) {
            let name = format!("{place}{}", entry.file_name().to_str().unwrap());
            names.push((name, entry.metadata().unwrap().len()));
        }
    }
    let names: Vec<_> = names.iter().map(|(name, size)| (&**name, *size)).collect();
    Layout::detect(meta_version, &names).unwrap()
}

/// All symbols among the shared test data that can be read alone, with the meta version that they are of.
pub(crate) const REAL: [(&str, u32); 15] = [
    ("blocks/v1/*", 1),
    ("blocks/v2/*", 2),
    ("blocks/v3/*", 3),
    ("blocks/v3-partial/*", 3),
    ("blocks/v3-golden/anonymous/phlaredb/*", 3),
    ("blocks/v3-compaction/output/anonymous/phlaredb/*", 3),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952SNR4MW2AEEN4TTF9M9R",
        3,
    ),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952V4B1QZWVKQR2HZ474HG",
        3,
    ),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952WJTX5S8F24CQ60Z8TX8",
        3,
    ),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952XZX39WT9AB2WWQ650KX",
        3,
    ),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952ZB9VC7EYDHPY3570165",
        3,
    ),
    ("symdb/v2", 3),
    ("symdb/v3", 3),
    ("v2arch/01JKT2S01VXGG0YS6TG8QC2JWD/carved", 3),
    ("v2arch/01JKT426996H1XWCX1M1ZQFRJ6/carved", 3),
];

/// Puts the right checksum at the end of an index.
pub(crate) fn reseal_index(index: &mut [u8]) {
    if let Some((body, crc)) = index.split_last_chunk_mut::<4>() {
        *crc = crc32c(body).to_be_bytes();
    }
}

/// Puts the right checksums into a file of format 3, as far as the places of them can be found: in the headers of the
/// first blocks, of sections and chunks, of the index, and of the footer.
pub(crate) fn reseal_single(file: &mut [u8]) {
    let Some(footer) = file.len().checked_sub(24) else {
        return;
    };
    let number = |file: &[u8], at: usize| {
        let bytes = file.get(at..)?.first_chunk::<8>()?;
        usize::try_from(u64::from_be_bytes(*bytes)).ok()
    };
    let half = |file: &[u8], at: usize| {
        let bytes = file.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes) as usize)
    };
    let seal = |file: &mut [u8], start: usize, length: usize, at: usize| {
        let crc = crc32c(file.get(start..start.checked_add(length)?)?);
        *file.get_mut(at..)?.first_chunk_mut()? = crc.to_be_bytes();
        Some(())
    };
    let sections = |file: &mut [u8]| {
        let index = number(file, footer + 8).filter(|index| *index < footer)?;
        let mut at = index + 36;
        for _ in 0..half(file, index + 32)? {
            let chunks = half(file, at + 8)?;
            at += 12;
            for _ in 0..chunks {
                seal(file, number(file, at)?, number(file, at + 8)?, at + 60);
                at += 64;
            }
            for header in [28, 32, 24, 12] {
                let (start, length) = (number(file, at)?, half(file, at + 8)?);
                seal(file, start, header - 4, start.checked_add(header - 4)?);
                seal(file, start, length, at + 12);
                at += 32;
            }
        }
        Some(())
    };
    let _outcome: Option<()> = sections(file);
    let index = number(file, footer + 8).filter(|index| *index + 4 < footer);
    if let Some(index) = index {
        seal(file, index, footer - 4 - index, footer - 4);
    }
    seal(file, footer, 20, footer + 20);
}

/// Two functions; a location of the first, and one without lines; stack traces of one and of two locations.
pub(crate) fn some_symbols() -> Symbols {
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

/// Any symbols, whose lines are in the order of their locations.
pub(crate) fn symbols() -> impl Strategy<Value = Symbols> {
    let text = prop_oneof!["[a-c]{0,2}", "\\PC{0,300}"];
    let strings = vec(text, 0..8);
    let functions = vec(any::<([u32; 3], i64)>(), 1..8);
    let mappings = vec(any::<([u32; 2], [u64; 3], u8)>(), 1..4);
    let line = (
        any::<u32>(),
        any::<i64>(),
        prop_oneof![Just(0), any::<i32>()],
    );
    let locations = vec((any::<(u32, u64, bool)>(), vec(line, 0..4)), 1..12);
    let nodes = vec(any::<(u32, u32)>(), 0..20);
    (strings, functions, mappings, locations, nodes).prop_map(build)
}

type Parts = (
    Vec<String>,
    Vec<([u32; 3], i64)>,
    Vec<([u32; 2], [u64; 3], u8)>,
    Vec<((u32, u64, bool), Vec<(u32, i64, i32)>)>,
    Vec<(u32, u32)>,
);

/// Symbols of random parts: ids are cut to the rows that there are.
fn build((strings, functions, mappings, locations, nodes): Parts) -> Symbols {
    let mut symbols = Symbols::default();
    symbols.strings.push("").unwrap();
    for text in &strings {
        symbols.strings.push(text).unwrap();
    }
    let text = |id: u32| id % (strings.len() as u32 + 1);
    let function = |(ids, start_line): ([u32; 3], i64)| Function {
        name: text(ids[0]),
        system_name: text(ids[1]),
        filename: text(ids[2]),
        start_line,
    };
    symbols.functions = functions.into_iter().map(function).collect();
    let mapping = |(ids, numbers, flags): ([u32; 2], [u64; 3], u8)| Mapping {
        memory_start: numbers[0],
        memory_limit: numbers[1],
        file_offset: numbers[2],
        filename: text(ids[0]),
        build_id: text(ids[1]),
        flags: flags & 15,
    };
    symbols.mappings = mappings.into_iter().map(mapping).collect();
    for ((mapping, address, is_folded), lines) in locations {
        symbols.locations.push(Location {
            mapping: mapping % symbols.mappings.len() as u32,
            address,
            first_line: symbols.lines.len() as u32,
            line_count: lines.len() as u32,
            is_folded,
        });
        let line = |(function, line, column)| Line {
            function: function % symbols.functions.len() as u32,
            column,
            line,
        };
        symbols.lines.extend(lines.into_iter().map(line));
    }
    for (parent, location) in nodes {
        let nodes = symbols.stacks.len() as u32;
        symbols.stacks.parents.push(parent % nodes);
        let locations = symbols.locations.len() as u32;
        symbols.stacks.locations.push(location % locations);
    }
    symbols
}
