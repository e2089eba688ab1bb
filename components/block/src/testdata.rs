//! Real files for tests: those in `tests/data`, and those of the shared test data if this checkout has one.

use std::path::{Path, PathBuf};

/// A real file.
pub(crate) struct RealFile {
    /// Path below the data, `v1/01…/index.tsdb`.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// A file of `tests/data/blocks`.
#[track_caller]
pub(crate) fn file(name: &str) -> Vec<u8> {
    let path = own().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files of blocks whose name is `name`, each once.
pub(crate) fn files_named(name: &str) -> Vec<RealFile> {
    let mut found = Vec::new();
    collect(&own(), "", name, &mut found);
    if let Some(shared) = shared() {
        collect(&shared.join("blocks"), "", name, &mut found);
        collect(&shared.join("v2arch"), "v2arch/", name, &mut found);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|a, b| a.name == b.name);
    found
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blocks")
}

/// The directory of shared test data.
pub(crate) fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let directory = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    directory.is_dir().then_some(directory)
}

fn collect(directory: &Path, prefix: &str, wanted: &str, into: &mut Vec<RealFile>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), wanted, into);
        } else if name == wanted {
            into.push(RealFile {
                name: format!("{prefix}{name}"),
                bytes: std::fs::read(&path).unwrap(),
            });
        }
    }
}
