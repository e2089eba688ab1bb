//! Files that count what is read of them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use phlare_block::{Error, Files};

/// Bytes that were read from blocks, for one query. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    /// How many, until now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The files of a block, as one query reads them.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) files: Arc<dyn Files>,
    pub(super) read: BytesRead,
}

impl Files for Counted {
    fn location(&self) -> String {
        self.files.location()
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        self.files.size(file)
    }

    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let parts = self.files.read(file, ranges)?;
        self.read.add(parts.iter().map(Bytes::len).sum());
        Ok(parts)
    }

    fn read_all(&self, file: &str) -> Result<Bytes, Error> {
        let bytes = self.files.read_all(file)?;
        self.read.add(bytes.len());
        Ok(bytes)
    }

    fn is_far(&self) -> bool {
        self.files.is_far()
    }

    fn name(&self, file: &str) -> String {
        self.files.name(file)
    }
}
