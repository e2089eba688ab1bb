//! The inputs, opened.

use std::sync::Arc;

use super::Input;
use super::error::CompactError;
use crate::error::Error;
use crate::files::Files;
use crate::id::BlockId;
use crate::meta::{Meta, names};
use crate::profiles::{DOWNSAMPLED, Profiles};
use crate::{symdb, tsdb};

/// An input: footers in memory, nothing else.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) meta: Meta,
    files: Arc<dyn Files>,
    pub(super) profiles: Profiles,
    pub(super) symbols: symdb::Reader,
}

/// Opens all, in the order in which results name them: by time, then by id.
pub(super) fn open(inputs: &[Input]) -> Result<Vec<Source>, CompactError> {
    if inputs.is_empty() {
        return Err(CompactError::NoInput);
    }
    let mut sources = Vec::with_capacity(inputs.len());
    for input in inputs {
        let source = Source::open(input);
        sources.push(source.map_err(CompactError::input(input.meta.id))?);
    }
    sources.sort_by_key(|source| (source.meta.min_ms, source.meta.id));
    Ok(sources)
}

impl Source {
    fn open(input: &Input) -> Result<Self, Error> {
        let Input { meta, files } = input;
        check_sizes(meta, &**files)?;
        let size = match meta.size_of(names::PROFILES) {
            Some(size) => size,
            None => files.size(names::PROFILES)?,
        };
        let listed: Vec<_> = meta
            .files
            .iter()
            .map(|file| (file.rel_path.as_str(), file.size_bytes))
            .collect();
        let layout = symdb::Layout::detect(u32::from(meta.version), &listed)
            .map_err(|error| in_block(error, &**files))?;
        Ok(Self {
            profiles: Profiles::open(Arc::clone(files), names::PROFILES, size)?,
            symbols: symdb::Reader::open(Arc::clone(files), layout)?,
            meta: meta.clone(),
            files: Arc::clone(files),
        })
    }

    pub(super) fn id(&self) -> BlockId {
        self.meta.id
    }

    /// Reads the index and looks at each byte of it: what is merged must be right.
    pub(super) fn index(&self) -> Result<tsdb::Index, Error> {
        let bytes = self.files.read_all(names::INDEX)?;
        let index = tsdb::Index::open(bytes, self.files.name(names::INDEX))?;
        index.verify()?;
        Ok(index)
    }

    /// The error for a row that does not fit to the rest of the block, with the place of its page.
    pub(super) fn bad_row(&self, row: u64, problem: &str) -> CompactError {
        CompactError::input(self.id())(self.profiles.bad_row(row, problem))
    }

    /// As [`Self::bad_row`], if it isn't known which row it is.
    pub(super) fn bad_rows(&self, problem: String) -> CompactError {
        let file = self.files.name(names::PROFILES);
        CompactError::input(self.id())(Error::corrupt(file, 0, problem))
    }
}

/// Whether a file of a block, by its name, is read when the block is merged. What is downsampled is made anew.
#[must_use]
pub fn is_needed(file: &str) -> bool {
    DOWNSAMPLED.iter().all(|(name, _)| *name != file)
}

/// A file that is shorter or longer than `meta.json` says was not uploaded as a whole, or is another one.
fn check_sizes(meta: &Meta, files: &dyn Files) -> Result<(), Error> {
    let needed = meta.files.iter().filter(|file| is_needed(file.name()));
    for file in needed.filter(|file| file.size_bytes > 0) {
        let size = files.size(&file.rel_path)?;
        if size != file.size_bytes {
            let said = file.size_bytes;
            let problem = format!("it has {size} bytes, meta.json says {said}");
            let name = files.name(&file.rel_path);
            return Err(Error::corrupt(name, size.min(said), problem));
        }
    }
    Ok(())
}

/// Says in which block a file is missing.
fn in_block(error: Error, files: &dyn Files) -> Error {
    match error {
        Error::Missing { file } => Error::Missing {
            file: files.name(&file),
        },
        other => other,
    }
}
