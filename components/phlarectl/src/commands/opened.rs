//! A file that holds profiles, of whatever format.

use std::borrow::Cow;

use anyhow::{Context, anyhow};
use phlare_formats::file::{self, Assumed, Contents};
use phlare_formats::{Format, Limits, preview, recognise};
use phlare_pprof::gzip;

use crate::cli::FileFormat;
use crate::ui;

/// Most bytes of a file after decompression.
pub(crate) const LIMIT: usize = 1 << 30;

/// A file without its gzip, and what it is.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    pub(crate) format: Format,
    pub(crate) plain: Cow<'a, [u8]>,
}

impl<'a> Opened<'a> {
    /// Recognises a file, unless somebody says what it is.
    pub(crate) fn new(bytes: &'a [u8], said: Option<FileFormat>) -> anyhow::Result<Self> {
        let plain = gzip::plain(bytes, LIMIT).context("decompress the file")?;
        let format = said
            .map(Format::from)
            .or_else(|| recognise(&plain))
            .ok_or_else(|| {
                anyhow!(
                    "no format of profiles begins with {}; --format says what it is",
                    preview(&plain)
                )
            })?;
        Ok(Self { format, plain })
    }

    /// Its profiles; those that cannot be read are noted on standard error.
    pub(crate) fn profiles(&self, assumed: &Assumed<'_>) -> anyhow::Result<Contents> {
        let limits = Limits {
            profile_bytes: LIMIT,
            symbol_bytes: 0,
            stacktraces: 0,
        };
        let contents = file::read(self.format, &self.plain, assumed, &limits)?;
        for refused in &contents.refused {
            ui::note(&format!("left out: {}: {}", refused.place, refused.error));
        }
        Ok(contents)
    }
}
