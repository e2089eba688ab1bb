//! Before an ingester goes for good: it takes nothing new, and all that it holds goes into the bucket.
//!
//! That it is so is in a file of the data directory, so a restart goes on with it.

use std::io;
use std::path::{Path, PathBuf};

use phlare_phlaredb::Database;
use serde::Serialize;
use tracing::info;

use crate::error::Error;
use crate::ingester::Ingester;

/// Name of the file in the data directory.
const MARKER: &str = "prepare-shutdown";

/// What the file says to who finds it.
const MARKER_TEXT: &str = "This ingester takes no profiles and uploads what it has: `POST /ingester/prepare-shutdown`.\n\
    `DELETE /ingester/prepare-shutdown` makes it take profiles again.\n";

/// How far an ingester is that was asked to prepare for its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preparation {
    /// It was asked to, and takes nothing new.
    pub prepared: bool,
    /// All that it held is in the bucket, and store-gateways know: it may go.
    pub finished: bool,
    /// Tenants with profiles that are in no block yet.
    pub heads: usize,
    /// Memory of these profiles.
    pub head_bytes: usize,
    /// Blocks that are not in the bucket yet.
    pub blocks: usize,
    /// Their size.
    pub block_bytes: u64,
    /// Uploads that some store-gateways have not heard of.
    pub notices: usize,
    /// What went wrong the last time; it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The file that says so.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    directory: PathBuf,
}

impl Marker {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(MARKER)
    }

    pub(crate) fn is_set(&self) -> Result<bool, Error> {
        let found = self.path().try_exists();
        found.map_err(|source| self.failed(source))
    }

    /// Durable when it returns.
    fn set(&self) -> Result<(), Error> {
        let write = || {
            use std::io::Write;
            let mut file = std::fs::File::create(self.path())?;
            file.write_all(MARKER_TEXT.as_bytes())?;
            file.sync_all()?;
            std::fs::File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| self.failed(source))
    }

    fn remove(&self) -> Result<(), Error> {
        match std::fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => std::fs::File::open(&self.directory)
                .and_then(|directory| directory.sync_all())
                .map_err(|source| self.failed(source)),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        let path = self.path();
        Error::Directory { path, source }
    }
}

impl Ingester {
    /// From now on, and after a restart, too, nothing is taken; heads are cut and blocks uploaded by [`Ingester::run`],
    /// again and again until all is in the bucket. What was acknowledged before is among it: no profile is on its way into
    /// a head when this returns. Blocks.
    ///
    /// # Errors
    /// [`Error::Directory`]: what it is to do cannot be written down, so nothing has changed.
    pub fn prepare_shutdown(&self) -> Result<(), Error> {
        let mut prepared = self.prepared.write();
        if !*prepared {
            self.marker.set()?;
            *prepared = true;
            info!("preparing for the end: profiles are refused, all blocks are uploaded");
        }
        drop(prepared);
        self.dependencies.metrics.prepared.set(1);
        self.wake_shipper();
        Ok(())
    }

    /// Takes profiles again. Blocks.
    ///
    /// # Errors
    /// [`Error::Directory`]: the file that says otherwise cannot be deleted, so nothing has changed.
    pub fn undo_prepare_shutdown(&self) -> Result<(), Error> {
        let mut prepared = self.prepared.write();
        self.marker.remove()?;
        if std::mem::replace(&mut *prepared, false) {
            info!("not preparing for the end any more: profiles are taken");
        }
        drop(prepared);
        self.dependencies.metrics.prepared.set(0);
        Ok(())
    }

    /// Whether nothing is taken because of [`Ingester::prepare_shutdown`].
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        *self.prepared.read()
    }

    /// What is here and nowhere else.
    #[must_use]
    pub fn preparation(&self) -> Preparation {
        let mut found = Preparation {
            prepared: self.is_prepared(),
            trouble: self.trouble(),
            ..Preparation::default()
        };
        for database in self.databases.all() {
            // The head first: what is cut meanwhile is counted twice, and not never.
            if has_head(&database) {
                found.heads += 1;
                found.head_bytes += database.head_bytes();
            }
            for block in database.blocks() {
                let uploaded = self.shipper.uploaded_ns(database.tenant(), block.id());
                if uploaded.is_none() {
                    found.blocks += 1;
                    found.block_bytes += block.meta().total_bytes();
                }
            }
        }
        found.notices = self.dependencies.uploads.pending();
        // Logs that are not replayed yet hold who knows what.
        let all_known = self.check_ready().is_ok();
        found.finished = found.prepared
            && all_known
            && found.heads == 0
            && found.blocks == 0
            && found.notices == 0;
        found
    }

    /// Shows [`Ingester::preparation`] as figures.
    pub(crate) fn report_preparation(&self) {
        let found = self.preparation();
        let metrics = &self.dependencies.metrics;
        metrics.prepared.set(i64::from(found.prepared));
        metrics.prepare_finished.set(i64::from(found.finished));
        let blocks = i64::try_from(found.blocks).unwrap_or(i64::MAX);
        metrics.blocks_to_upload.set(blocks);
    }
}

fn has_head(database: &Database) -> bool {
    database.head_since_ns().is_some() || database.has_unwritten_head()
}
