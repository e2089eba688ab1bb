//! The end of a file, where formats say what lies before it.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use bytes::Bytes;

use crate::error::Error;
use crate::files::Files;

/// The end of a file.
#[derive(Debug)]
pub(crate) struct Tail {
    start: u64,
    bytes: Bytes,
}

impl Tail {
    /// Reads from `start` to the end, which is at `size`.
    pub(crate) fn read(
        files: &dyn Files,
        name: &str,
        size: u64,
        start: u64,
    ) -> Result<Self, Error> {
        let range = start..size;
        let parts = files.read(name, std::slice::from_ref(&range))?;
        Ok(Self {
            start,
            bytes: parts.into_iter().next().unwrap_or_default(),
        })
    }

    /// Reads more, if it doesn't begin at `start` or before.
    pub(crate) fn extend(
        &mut self,
        files: &dyn Files,
        name: &str,
        start: u64,
    ) -> Result<(), Error> {
        if start < self.start {
            let before = Self::read(files, name, self.start, start)?;
            let mut bytes = Vec::from(before.bytes);
            bytes.extend_from_slice(&self.bytes);
            *self = Self {
                start,
                bytes: bytes.into(),
            };
        }
        Ok(())
    }

    /// Bytes of the file; `None` if they were not read.
    pub(crate) fn get(&self, range: &Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..end)
    }
}
