//! The program, and copies of real blocks.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What the program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) data: String,
    /// Standard error.
    pub(crate) talk: String,
}

/// Runs `phlarectl blocks` with these arguments.
pub(crate) fn blocks(args: &[&str]) -> Ran {
    run(&mut command(args))
}

/// `phlarectl blocks` with these arguments, to be run.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phlarectl"));
    command
        .arg("blocks")
        .args(args)
        .env("NO_COLOR", "1")
        .env_remove("PHLARECTL_BUCKET")
        .env_remove("PHLARECTL_TENANT_ID");
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        data: String::from_utf8(output.stdout).unwrap(),
        talk: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// Standard output as JSON; the command must have succeeded.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.data).unwrap()
    }
}

/// A copy of a directory of real blocks, `v3-golden`; `None` if there is no test data.
pub(crate) fn copy(name: &str) -> Option<tempfile::TempDir> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let directory = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    let from = directory.join("blocks").join(name);
    if !from.is_dir() {
        return None;
    }
    let to = tempfile::tempdir().unwrap();
    copy_all(&from, to.path());
    Some(to)
}

/// Copies a directory with all that is in it.
pub(crate) fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            std::fs::write(&target, std::fs::read(&path).unwrap()).unwrap();
        }
    }
}

/// The path of a directory as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Changes a byte in the middle of a file.
pub(crate) fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(file, bytes).unwrap();
}
