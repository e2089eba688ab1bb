//! An input that is damaged is named, with file and byte, and nothing is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use phlare_block::compact::{CompactError, Input};
use phlare_block::{BlockId, Error};

use crate::support::*;

/// Real blocks of each version, copied so that they can be damaged.
fn copies(directory: &Path) -> Vec<PathBuf> {
    let mut copies = Vec::new();
    for version in ["v1", "v2", "v3"] {
        let Some(blocks) = shared(&format!("blocks/{version}")) else {
            return Vec::new();
        };
        let block = fs::read_dir(blocks).unwrap().next().unwrap().unwrap();
        let copy = directory.join(block.file_name());
        copy_directory(&block.path(), &copy);
        copies.push(copy);
    }
    copies
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_directory(&entry.path(), &target),
            false => fs::write(target, fs::read(entry.path()).unwrap()).unwrap(),
        }
    }
}

/// The fault: block, file and byte.
#[track_caller]
fn fault(error: &CompactError) -> (BlockId, String, Option<u64>) {
    let (block, error) = error.damaged().unwrap_or_else(|| panic!("{error:?}"));
    match error {
        Error::Corrupt { file, offset, .. } => (block, file.clone(), Some(*offset)),
        Error::Missing { file } | Error::Unsupported { file, .. } => (block, file.clone(), None),
        other => panic!("{other:?}"),
    }
}

fn open(copies: &[PathBuf]) -> Vec<Input> {
    copies.iter().map(|copy| input(copy)).collect()
}

#[test]
fn a_flipped_byte_names_the_block_and_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let copies = copies(directory.path());
    let out = directory.path().join("out");
    let mut noticed = 0;
    for (at, copy) in copies.iter().enumerate() {
        let meta = input(copy).meta;
        for file in &meta.files {
            let path = copy.join(&file.rel_path);
            let whole = fs::read(&path).unwrap();
            let checked = file.rel_path.ends_with("index.tsdb");
            let places = if checked { 60 } else { 12 };
            let step = 1 + whole.len() / places;
            for place in (0..whole.len()).step_by(step) {
                let mut bytes = whole.clone();
                bytes[place] ^= 0x11;
                fs::write(&path, &bytes).unwrap();
                match compact(&open(&copies[at..=at]), &out, 2) {
                    // Upstream's pages have no checksums.
                    Ok(_) => assert!(!checked, "{}: {place}", path.display()),
                    Err(error) => {
                        let (block, named, offset) = fault(&error);
                        assert_eq!(block, meta.id);
                        assert!(named.starts_with(&copy.display().to_string()), "{named}");
                        assert!(offset.is_none_or(|at| at <= whole.len() as u64));
                        if checked {
                            assert!(named.ends_with("index.tsdb"));
                        }
                        noticed += 1;
                        assert!(is_empty(&out), "{}", path.display());
                    }
                }
                let _ = fs::remove_dir_all(&out);
            }
            fs::write(&path, whole).unwrap();
        }
    }
    assert!(copies.is_empty() || noticed > 150, "{noticed}");
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}

#[test]
fn a_cut_or_missing_file_names_the_block_and_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let copies = copies(directory.path());
    for copy in &copies {
        let meta = input(copy).meta;
        for file in &meta.files {
            let path = copy.join(&file.rel_path);
            let whole = fs::read(&path).unwrap();
            for damage in ["cut", "gone"] {
                match damage {
                    "cut" => fs::write(&path, &whole[..whole.len() / 2]).unwrap(),
                    _ => fs::remove_file(&path).unwrap(),
                }
                let error = compact(&open(&copies), &directory.path().join("out"), 0);
                let (block, named, offset) = fault(&error.unwrap_err());
                assert_eq!(block, meta.id);
                assert!(named.ends_with(&file.rel_path), "{named}");
                let expected = (damage == "cut").then_some(whole.len() as u64 / 2);
                assert_eq!(offset, expected);
                fs::write(&path, &whole).unwrap();
            }
        }
    }
}

#[test]
fn what_is_cancelled_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let copies = copies(directory.path());
    if copies.is_empty() {
        return;
    }
    let out = directory.path().join("out");
    static CANCELLED: AtomicBool = AtomicBool::new(true);
    let error = compact_with(&open(&copies), &out, |options| {
        options.cancelled = &CANCELLED;
    });
    assert!(matches!(error, Err(CompactError::Cancelled)));
    assert!(is_empty(&out));
}

#[test]
fn an_error_of_the_storage_is_no_damage() {
    let error = CompactError::Input {
        block: BlockId::from_bytes([1; 16]),
        source: Error::Read {
            file: "f".to_owned(),
            source: "later".into(),
        },
    };
    assert!(error.damaged().is_none());
}
