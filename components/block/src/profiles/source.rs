//! The file that a table is read from.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::files::Files;

/// A file of a block.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    files: Arc<dyn Files>,
    file: Arc<str>,
    size: u64,
}

impl Source {
    pub(crate) fn new(files: Arc<dyn Files>, file: &str, size: u64) -> Self {
        let file = file.into();
        Self { files, file, size }
    }

    /// The same file, read through other files.
    pub(crate) fn through(&self, files: Arc<dyn Files>) -> Self {
        Self {
            files,
            ..self.clone()
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Ranges of the file, which ascend and do not overlap.
    pub(crate) fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let bytes = self.files.read(&self.file, ranges)?;
        let fits =
            |(range, bytes): (&Range<u64>, &Bytes)| range.end - range.start == bytes.len() as u64;
        match bytes.len() == ranges.len() && ranges.iter().zip(&bytes).all(fits) {
            true => Ok(bytes),
            false => Err(self.corrupt(
                self.size,
                "the storage gave other bytes than it was asked for",
            )),
        }
    }

    pub(crate) fn corrupt(&self, offset: u64, problem: impl Into<String>) -> Error {
        Error::corrupt(self.files.name(&self.file), offset, problem)
    }

    pub(crate) fn unsupported(&self, problem: impl Into<String>) -> Error {
        Error::Unsupported {
            file: self.files.name(&self.file),
            problem: problem.into(),
        }
    }
}
