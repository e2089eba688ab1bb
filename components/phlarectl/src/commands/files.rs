//! Finding the files to upload, and writing others.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::UsageError;

/// Files named by paths, directories and globs, in order, each once.
pub(crate) fn find(paths: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let found = expand(path)?;
        if found.is_empty() {
            return Err(UsageError(format!("`{path}`: no file there")).into());
        }
        for file in found {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn expand(text: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let path = Path::new(text);
    if path
        .try_exists()
        .with_context(|| format!("look at {text}"))?
    {
        add(path, &mut files)?;
    } else if text.contains(['*', '?', '[']) {
        let matches = glob::glob(text).map_err(|error| UsageError(format!("`{text}`: {error}")))?;
        for path in matches {
            add(
                &path.with_context(|| format!("look for {text}"))?,
                &mut files,
            )?;
        }
    }
    Ok(files)
}

fn add(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        add_directory(path, files)
    } else {
        files.push(path.to_owned());
        Ok(())
    }
}

/// All files below a directory, by name; hidden ones and links to directories are left out.
fn add_directory(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let context = || format!("list {}", directory.display());
    let entries = std::fs::read_dir(directory).with_context(context)?;
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>().with_context(context)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().with_context(context)?.is_dir() {
            add_directory(&entry.path(), files)?;
        } else if entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Refuses to overwrite, before what is to be written is made.
pub(crate) fn check_free(path: &Path, force: bool) -> anyhow::Result<()> {
    let taken = path
        .try_exists()
        .with_context(|| format!("look at {}", path.display()))?;
    if taken && !force {
        bail!("{} exists already; -f overwrites it", path.display());
    }
    Ok(())
}

/// Writes a file.
pub(crate) fn write(path: &Path, bytes: &[u8], force: bool) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_globs_are_expanded_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("sub")).unwrap();
        for name in ["b.pprof", "a.pprof", ".hidden", "sub/c.txt"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        let arg = |tail: &str| format!("{}/{tail}", root.display());
        let names = |args: &[String]| -> Vec<String> {
            let files = find(args).unwrap();
            files
                .iter()
                .map(|file| file.strip_prefix(root).unwrap().display().to_string())
                .collect()
        };
        assert_eq!(names(&[arg("")]), ["a.pprof", "b.pprof", "sub/c.txt"]);
        assert_eq!(
            names(&[arg("b.pprof"), arg("*.pprof")]),
            ["b.pprof", "a.pprof"]
        );
        assert_eq!(names(&[arg(".hidden")]), [".hidden"]);
        assert!(
            find(&[arg("*.nope")])
                .unwrap_err()
                .downcast_ref::<UsageError>()
                .is_some()
        );
        assert!(find(&[arg("nope")]).is_err());
    }
}
