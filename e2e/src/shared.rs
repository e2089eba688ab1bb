//! Data and programs that are not in this repository: real profiles, recorded answers, runtimes of clients.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::programs;

/// Makes a missing runtime or data set a failure instead of a skipped test.
const REQUIRE: &str = "PHLARE_REQUIRE_CLIENTS";

/// The directory with `testdata/` and `golden/`: `PHLARE_SHARED`, else `shared` beside the workspace. `None`, said on
/// standard error, if there is none.
///
/// # Errors
/// If there is none although `PHLARE_REQUIRE_CLIENTS=1`.
pub fn directory() -> anyhow::Result<Option<PathBuf>> {
    let found = std::env::var_os("PHLARE_SHARED")
        .map_or_else(|| programs::workspace().join("../shared"), PathBuf::from);
    if found.join("testdata").is_dir() && found.join("golden").is_dir() {
        return Ok(Some(found));
    }
    skip(&format!(
        "{} has no testdata/ and golden/; PHLARE_SHARED names the directory that has",
        found.display()
    ))?;
    Ok(None)
}

/// A file below `testdata/`.
///
/// # Errors
/// If it cannot be read.
pub fn fixture(shared: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let path = shared.join("testdata").join(name);
    std::fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// Whether a program can be run and its version, the first number with dots that `arguments` make it print, is at
/// least this. Says on standard error why the test is skipped if not.
///
/// # Errors
/// If not, although `PHLARE_REQUIRE_CLIENTS=1`.
pub fn runtime(program: &str, arguments: &[&str], at_least: &[u32]) -> anyhow::Result<bool> {
    let why = match Command::new(program).args(arguments).output() {
        Err(error) => format!("{program} cannot be run: {error}"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            match version(&text) {
                Some(found) if found.as_slice() >= at_least => return Ok(true),
                _ => format!("{program} {} is older than {at_least:?}", text.trim()),
            }
        }
    };
    skip(&why)?;
    Ok(false)
}

fn version(text: &str) -> Option<Vec<u32>> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let number = text.get(start..)?;
    let end = number
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(number.len());
    Some(
        number
            .get(..end)?
            .split('.')
            .filter_map(|part| part.parse().ok())
            .collect(),
    )
}

/// Says that a test is skipped, and why.
///
/// # Errors
/// If `PHLARE_REQUIRE_CLIENTS=1`.
pub fn skip(why: &str) -> anyhow::Result<()> {
    if std::env::var(REQUIRE).is_ok_and(|value| value == "1") {
        bail!("{why} ({REQUIRE}=1 forbids skipping)");
    }
    tell(why);
    Ok(())
}

/// Says that a test did not run because this user may not do what it needs, such as mounting a file system. Unlike a
/// missing client, that cannot be installed, so it never fails.
pub fn not_allowed(why: &str) {
    tell(why);
}

/// Whoever runs the tests must see what did not run, so this goes past what a test that succeeds has printed.
fn tell(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Nobody to tell it to.
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(
            version("go version go1.26.8 linux/amd64"),
            Some(vec![1, 26, 8])
        );
        assert_eq!(version("v20.20.2\n"), Some(vec![20, 20, 2]));
        assert!(version("v20.9.0") < Some(vec![20, 20, 2]));
        assert_eq!(version("none"), None);
    }
}
