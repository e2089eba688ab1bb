//! Files of a block, here for as long as they are needed.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use phlare_block::{Error, Files, LocalFiles};
use tempfile::TempDir;

/// Files of a block on this machine. If they were copied they go with the last clone of it.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    files: LocalFiles,
    copied: Option<Arc<Copied>>,
}

#[derive(Debug)]
struct Copied {
    /// Where the block is, for people.
    location: String,
    _directory: TempDir,
}

impl Fetched {
    /// Files that are here anyway.
    pub(crate) fn here(directory: PathBuf) -> Self {
        Self {
            files: LocalFiles::new(directory),
            copied: None,
        }
    }

    /// Copies in a directory of files at `location`.
    pub(crate) fn copy(directory: TempDir, location: String) -> Self {
        Self {
            files: LocalFiles::new(directory.path()),
            copied: Some(Arc::new(Copied {
                location,
                _directory: directory,
            })),
        }
    }

    /// The error with the file named as it is where it comes from.
    fn renamed(&self, file: &str, error: Error) -> Error {
        match (error, &self.copied) {
            (Error::Missing { .. }, Some(_)) => Error::Missing {
                file: self.name(file),
            },
            (
                Error::Corrupt {
                    offset, problem, ..
                },
                Some(_),
            ) => Error::Corrupt {
                file: self.name(file),
                offset,
                problem,
            },
            (error, _) => error,
        }
    }
}

impl Files for Fetched {
    fn location(&self) -> String {
        match &self.copied {
            Some(copied) => copied.location.clone(),
            None => self.files.location(),
        }
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        let size = self.files.size(file);
        size.map_err(|error| self.renamed(file, error))
    }

    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let read = self.files.read(file, ranges);
        read.map_err(|error| self.renamed(file, error))
    }
}
