//! Files that were damaged, or that nobody means well with: errors that say where, never a panic.
//!
//! Fuzzing begins with what is in `__fuzz__/*/corpus`.

use std::fs;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::chunk;
use super::index::Index;
use super::testing::{layout, real_path, reseal_index, reseal_single};
use super::{Layout, Reader};
use crate::error::Error;
use crate::files::MemoryFiles;
use crate::symbols::{Stacks, Symbols};

/// The files of symbols, in memory.
#[derive(Clone)]
struct Damaged {
    files: Vec<(String, Vec<u8>)>,
    layout: Layout,
    meta_version: u32,
}

impl Damaged {
    fn real(directory: &str, meta_version: u32) -> Self {
        let path = real_path(directory).unwrap();
        let mut files = Vec::new();
        for place in ["", "symbols/"] {
            let Ok(entries) = fs::read_dir(path.join(place)) else {
                continue;
            };
            for entry in entries.map(Result::unwrap) {
                if entry.path().is_file() {
                    let name = format!("{place}{}", entry.file_name().to_str().unwrap());
                    files.push((name, fs::read(entry.path()).unwrap()));
                }
            }
        }
        Self {
            files,
            layout: layout(&path, meta_version),
            meta_version,
        }
    }

    /// A single file of format 3.
    fn single(bytes: Vec<u8>) -> Self {
        Self {
            files: vec![("symbols.symdb".to_owned(), bytes)],
            layout: Layout::detect(3, &[("symbols.symdb", 0)]).unwrap(),
            meta_version: 3,
        }
    }

    fn file(&mut self, name: &str) -> &mut Vec<u8> {
        let mut files = self.files.iter_mut();
        &mut files.find(|(file, _)| file == name).unwrap().1
    }

    /// The sizes are those of now, not those of before the damage.
    fn forget_sizes(&mut self) {
        let names: Vec<_> = self.files.iter().map(|(name, _)| (&**name, 0)).collect();
        self.layout = Layout::detect(self.meta_version, &names).unwrap();
    }

    /// Opens and reads everything.
    fn load(&self) -> Result<Vec<Symbols>, Error> {
        let mut files = MemoryFiles::default();
        for (name, bytes) in &self.files {
            files.insert(name, bytes.clone());
        }
        let reader = Reader::open(Arc::new(files), self.layout.clone())?;
        let partitions = reader.partitions().iter();
        partitions
            .map(|&partition| reader.load(partition))
            .collect()
    }

    /// Flips a bit of each byte of a file; the error names the file and an offset in it.
    fn every_flip_is_noticed(&self, name: &str) {
        self.load().unwrap();
        let length = self.clone().file(name).len();
        for at in 0..length {
            let mut damaged = self.clone();
            damaged.file(name)[at] ^= 1 << (at % 8);
            match damaged.load().unwrap_err() {
                Error::Corrupt { file, offset, .. } => {
                    assert_eq!(file, format!("memory/{name}"), "byte {at}");
                    assert!(offset <= length as u64, "byte {at}: {offset}");
                }
                other => panic!("byte {at}: {other}"),
            }
        }
    }
}

const SMALL_SINGLE: &str = "v2arch/01JKT426996H1XWCX1M1ZQFRJ6/carved";

#[test]
fn flips_in_files_with_checksums_are_noticed() {
    let block = Damaged::real("blocks/v3/*", 3);
    block.every_flip_is_noticed("symbols/index.symdb");
    block.every_flip_is_noticed("symbols/stacktraces.symdb");
    Damaged::real(SMALL_SINGLE, 3).every_flip_is_noticed("symbols.symdb");
}

#[test]
fn a_flip_names_the_chunk_that_it_is_in() {
    let mut block = Damaged::real("blocks/v3/*", 3);
    block.file("symbols/stacktraces.symdb")[3] ^= 1;
    assert_eq!(
        block.load().unwrap_err().to_string(),
        "memory/symbols/stacktraces.symdb is damaged at byte 0: the checksum of a chunk is wrong"
    );
}

#[test]
fn damaged_tables_never_panic() {
    for (directory, meta_version) in [("blocks/v1/*", 1), ("blocks/v3/*", 3)] {
        let block = Damaged::real(directory, meta_version);
        for (name, bytes) in &block.files {
            if !name.ends_with(".parquet") || name.contains("profiles") {
                continue;
            }
            // Pages of the larger ones are much alike.
            for at in (0..bytes.len()).step_by(bytes.len().div_ceil(1500)) {
                for value in [0, 0x7f, 0xff, bytes[at] ^ 1] {
                    let mut damaged = block.clone();
                    damaged.file(name)[at] = value;
                    drop(damaged.load());
                }
            }
        }
    }
}

#[test]
fn files_that_end_early_are_refused() {
    let sources = [("blocks/v1/*", 1), ("blocks/v3/*", 3), (SMALL_SINGLE, 3)];
    for (directory, meta_version) in sources {
        let block = Damaged::real(directory, meta_version);
        for (name, bytes) in &block.files {
            if ["profiles.parquet", "index.tsdb", "meta.json"].contains(&&**name) {
                continue;
            }
            for length in (0..bytes.len()).step_by(bytes.len().div_ceil(500)) {
                let mut damaged = block.clone();
                damaged.file(name).truncate(length);
                for _ in 0..2 {
                    let error = damaged.load().unwrap_err();
                    assert!(error.is_corruption(), "{name} {length}: {error}");
                    damaged.forget_sizes();
                }
            }
        }
    }
}

#[test]
fn damage_behind_checksums_never_panics() {
    let whole = Damaged::real(SMALL_SINGLE, 3).file("symbols.symdb").clone();
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, whole[at] ^ 1] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            reseal_single(&mut bytes);
            drop(Damaged::single(bytes).load());
        }
    }
}

proptest! {
    #[test]
    fn more_damage_behind_checksums_never_panics(
        flips in vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = Damaged::real(SMALL_SINGLE, 3).file("symbols.symdb").clone();
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        reseal_single(&mut bytes);
        drop(Damaged::single(bytes).load());
    }
}

#[test]
fn hostile_single_files_never_panic() {
    bolero::check!(name = "single")
        .with_max_len(4096)
        .for_each(|bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            drop(Damaged::single(bytes.clone()).load());
            reseal_single(&mut bytes);
            drop(Damaged::single(bytes).load());
        });
}

#[test]
fn hostile_indexes_never_panic() {
    bolero::check!(name = "index")
        .with_max_len(1024)
        .for_each(|bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            reseal_index(&mut bytes);
            if let Ok(index) = Index::parse("index", 0, &bytes) {
                assert!(index.size_bytes() <= 4 * bytes.len());
            }
        });
}

/// The first four bytes say how many nodes there should be.
#[test]
fn hostile_chunks_never_panic() {
    bolero::check!(name = "chunk").for_each(|bytes: &[u8]| {
        let Some((nodes, bytes)) = bytes.split_first_chunk() else {
            return;
        };
        let mut stacks = Stacks::default();
        if chunk::decode(bytes, u32::from_le_bytes(*nodes), &mut stacks).is_ok() {
            let pairs = stacks.parents.iter().enumerate();
            assert!(
                pairs
                    .skip(1)
                    .all(|(node, &parent)| (parent as usize) < node)
            );
        }
    });
}
