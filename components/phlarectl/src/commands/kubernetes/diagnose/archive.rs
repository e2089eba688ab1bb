//! The archive: files with names, gzip.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Files on their way into an archive.
#[derive(Debug, Default)]
pub(super) struct Archive {
    files: Vec<(String, Vec<u8>)>,
}

impl Archive {
    /// Adds a file. Empty ones are left out.
    pub(super) fn add(&mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) {
        let content = content.into();
        if !content.is_empty() {
            self.files.push((name.into(), content));
        }
    }

    /// Names and sizes, by name.
    pub(super) fn contents(&self) -> Vec<(&str, usize)> {
        let files = self.files.iter();
        let mut all: Vec<_> = files
            .map(|(name, content)| (name.as_str(), content.len()))
            .collect();
        all.sort_unstable();
        all
    }

    /// Writes it; every file lies in `directory`. Its size.
    pub(super) fn write(
        &self,
        to: &Path,
        directory: &str,
        overwrite: bool,
        now_ms: i64,
    ) -> anyhow::Result<u64> {
        let mut options = File::options();
        options.write(true);
        match overwrite {
            true => options.create(true).truncate(true),
            false => options.create_new(true),
        };
        let file = options.open(to);
        let file = file.with_context(|| format!("make {}; --force overwrites", to.display()))?;
        let write = || -> std::io::Result<u64> {
            let mut tar = tar::Builder::new(GzEncoder::new(&file, Compression::default()));
            for (name, content) in &self.files {
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                header.set_mode(0o644);
                header.set_mtime(u64::try_from(now_ms / 1000).unwrap_or_default());
                tar.append_data(
                    &mut header,
                    format!("{directory}/{name}"),
                    content.as_slice(),
                )?;
            }
            tar.into_inner()?.finish()?.flush()?;
            Ok(file.metadata()?.len())
        };
        write().with_context(|| format!("write {}", to.display()))
    }
}
