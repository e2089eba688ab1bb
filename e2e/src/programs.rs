//! The programs under test: built once per test process, into the directory that the test itself lies in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, bail, ensure};

/// Names a directory with programs that are there already; nothing is built then.
const BIN_DIR: &str = "PHLARE_BIN_DIR";

static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// The server.
///
/// # Errors
/// If it cannot be built.
pub fn phlare() -> anyhow::Result<PathBuf> {
    program("phlare")
}

/// The command-line client.
///
/// # Errors
/// If it cannot be built.
pub fn phlarectl() -> anyhow::Result<PathBuf> {
    program("phlarectl")
}

/// The operator.
///
/// # Errors
/// If it cannot be built.
pub fn operator() -> anyhow::Result<PathBuf> {
    program("phlare-operator")
}

/// The object store of clusters that have none.
///
/// # Errors
/// If it cannot be built.
pub fn store() -> anyhow::Result<PathBuf> {
    program("phlare-store")
}

/// The root of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    let e2e = Path::new(env!("CARGO_MANIFEST_DIR"));
    e2e.parent().unwrap_or(e2e)
}

/// Where files that are made once and used by later runs are kept: `target/`.
///
/// # Errors
/// If the test does not run from a target directory.
pub fn target() -> anyhow::Result<PathBuf> {
    let profile = profile_directory()?;
    let target = profile
        .parent()
        .context("the profile's directory has a parent")?;
    Ok(target.to_owned())
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    let directory = DIRECTORY.get_or_init(|| build().map_err(|e| format!("{e:#}")));
    match directory {
        Ok(directory) => {
            let path = directory.join(name);
            ensure!(path.is_file(), "{} is not there", path.display());
            Ok(path)
        }
        Err(error) => bail!("{error}"),
    }
}

/// `target/debug` for a test that runs as `target/debug/deps/name-hash`.
fn profile_directory() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("path of the test program")?;
    let directory = test
        .ancestors()
        .nth(2)
        .context("the test lies in a target directory")?;
    Ok(directory.to_owned())
}

fn build() -> anyhow::Result<PathBuf> {
    if let Some(directory) = std::env::var_os(BIN_DIR) {
        return Ok(PathBuf::from(directory));
    }
    let directory = profile_directory()?;
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(other) => other,
        None => bail!("{} names no profile", directory.display()),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = directory
        .parent()
        .context("the profile's directory has a parent")?;
    let output = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            // As `cargo test` builds: with less, dependencies have other features, and are all built once more.
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace())
        .output()
        .context("start cargo")?;
    ensure!(
        output.status.success(),
        "cargo could not build the programs under test:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(directory)
}
