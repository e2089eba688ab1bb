//! The files of a block in a bucket.

use std::ops::Range;

use bytes::Bytes;
use phlare_block::{Error, Files};
use phlare_bucket::{Bucket, ErrorKind};
use tokio::runtime::Handle;

/// Reads objects below a prefix. Blocks the thread that asks, which must not be one that runs async work.
#[derive(Clone, Debug)]
pub struct BucketFiles {
    bucket: Bucket,
    prefix: String,
    runtime: Handle,
}

impl BucketFiles {
    /// The objects whose keys are `prefix`, a slash and the name of a file.
    #[must_use]
    pub fn new(bucket: Bucket, prefix: impl Into<String>, runtime: Handle) -> Self {
        Self {
            bucket,
            prefix: prefix.into(),
            runtime,
        }
    }

    fn key(&self, file: &str) -> String {
        format!("{}/{file}", self.prefix)
    }

    fn failed(&self, file: &str, source: phlare_bucket::Error) -> Error {
        let file = self.name(file);
        match source.kind() {
            ErrorKind::NotFound => Error::Missing { file },
            // Blocks never change: what is too short stays so.
            ErrorKind::Truncated => Error::Corrupt {
                file,
                offset: 0,
                problem: source.to_string(),
            },
            _ => Error::Read {
                file,
                source: Box::new(source),
            },
        }
    }
}

impl Files for BucketFiles {
    fn location(&self) -> String {
        self.bucket.location(&self.prefix)
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        let head = self.runtime.block_on(self.bucket.head(&self.key(file)));
        Ok(head.map_err(|error| self.failed(file, error))?.size)
    }

    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let key = self.key(file);
        self.runtime
            .block_on(self.bucket.get_ranges(&key, ranges))
            .map_err(|error| self.failed(file, error))
    }

    fn read_all(&self, file: &str) -> Result<Bytes, Error> {
        self.runtime
            .block_on(self.bucket.get(&self.key(file)))
            .map_err(|error| self.failed(file, error))
    }

    fn is_far(&self) -> bool {
        true
    }
}
