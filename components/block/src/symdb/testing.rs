//! What the tests of symbols share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Layout, Reader};
use crate::files::LocalFiles;
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
