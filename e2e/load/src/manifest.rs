//! Lists of profile files with the labels of their series.
//!
//! One line is a path and any number of `name=value`, separated by white space; `#` begins a comment.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// One file to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Labels of its series; what is missing is guessed from the file.
    pub(crate) labels: Vec<(String, String)>,
}

impl Entry {
    /// A file about which nothing is said.
    pub(crate) fn unlabelled(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            labels: Vec::new(),
        }
    }
}

/// Reads a manifest; paths are relative to `base`.
pub(crate) fn parse(text: &str, base: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let entry = parse_line(line, base)
            .with_context(|| format!("line {} of the manifest", number + 1))?;
        entries.push(entry);
    }
    ensure!(!entries.is_empty(), "the manifest names no file");
    Ok(entries)
}

fn parse_line(line: &str, base: &Path) -> anyhow::Result<Entry> {
    let mut words = line.split_whitespace();
    let path = base.join(words.next().unwrap_or_default());
    let mut labels: Vec<(String, String)> = Vec::new();
    for word in words {
        match word.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                ensure!(
                    labels.iter().all(|(n, _)| n != name),
                    "label `{name}` is given twice"
                );
                labels.push((name.to_owned(), value.to_owned()));
            }
            _ => bail!("`{word}`: expected name=value"),
        }
    }
    Ok(Entry { path, labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let text = "# list\n\n a/b.pprof  service_name=x __name__=memory # why\nc.pprof\n";
        let entries = parse(text, Path::new("td")).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].path, Path::new("td/a/b.pprof"));
        assert_eq!(
            entries[0].labels,
            [
                ("service_name".into(), "x".into()),
                ("__name__".into(), "memory".into())
            ]
        );
        assert!(entries[1].labels.is_empty());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = parse("a.pprof\nb.pprof oops\n", Path::new("")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "line 2 of the manifest: `oops`: expected name=value"
        );
        assert!(parse("a.pprof x=1 x=2", Path::new("")).is_err());
        assert!(parse("# nothing\n", Path::new("")).is_err());
    }
}
