//! Where the bytes of a block come from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;

use crate::error::Error;

/// The files of one block, wherever they lie. Names are relative to the block: `symbols/index.symdb`.
pub trait Files: Send + Sync + fmt::Debug {
    /// The block's directory, or its address in a bucket: for messages.
    fn location(&self) -> String;

    /// Bytes of a file.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Read`].
    fn size(&self, file: &str) -> Result<u64, Error>;

    /// Several ranges of a file, in order, each as long as it was asked for. Blocks. The ranges ascend and do not overlap;
    /// a store over a network joins close ones and asks for the others side by side.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Read`]; [`Error::Corrupt`] if the file ends before a range does.
    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error>;

    /// A file as a whole.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_all(&self, file: &str) -> Result<Bytes, Error> {
        let size = self.size(file)?;
        let whole: Range<u64> = 0..size;
        let parts = self.read(file, std::slice::from_ref(&whole))?;
        Ok(parts.into_iter().next().unwrap_or_default())
    }

    /// Whether several reads at once take less time than one after another, as over a network.
    fn is_far(&self) -> bool {
        false
    }

    /// How messages name a file.
    fn name(&self, file: &str) -> String {
        format!("{}/{file}", self.location())
    }
}

/// Does two things that read files: side by side if the files are far away.
pub fn both<A: Send, B>(
    files: &dyn Files,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    if !files.is_far() {
        return (one(), other());
    }
    // Not a pool of threads for computing: one that waits for a piece of a block must not begin other work meanwhile,
    // which may wait for the same piece.
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        match one.join() {
            Ok(one) => (one, other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A block in a directory.
#[derive(Clone, Debug)]
pub struct LocalFiles {
    directory: PathBuf,
    name: Option<String>,
}

impl LocalFiles {
    /// The block in `directory`; nothing is read.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            name: None,
        }
    }

    /// The same, named otherwise in messages: by where it was copied from.
    #[must_use]
    pub fn named(self, location: impl Into<String>) -> Self {
        Self {
            name: Some(location.into()),
            ..self
        }
    }

    fn open(&self, file: &str) -> Result<File, Error> {
        File::open(self.directory.join(file)).map_err(|source| self.failed(file, source))
    }

    fn failed(&self, file: &str, source: io::Error) -> Error {
        let file = self.name(file);
        match source.kind() {
            io::ErrorKind::NotFound => Error::Missing { file },
            _ => Error::Read {
                file,
                source: source.into(),
            },
        }
    }
}

impl Files for LocalFiles {
    fn location(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => self.directory.display().to_string(),
        }
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        let meta = self.open(file)?.metadata();
        Ok(meta.map_err(|source| self.failed(file, source))?.len())
    }

    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let opened = self.open(file)?;
        let size = opened
            .metadata()
            .map_err(|source| self.failed(file, source))?
            .len();
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            if range.end > size {
                return Err(ends_early(self, file, size, range));
            }
            let mut part = vec![0; (range.end - range.start) as usize];
            opened
                .read_exact_at(&mut part, range.start)
                .map_err(|source| self.failed(file, source))?;
            parts.push(part.into());
        }
        Ok(parts)
    }
}

/// A block in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, Bytes>,
}

impl MemoryFiles {
    /// Adds or replaces a file.
    pub fn insert(&mut self, file: impl Into<String>, bytes: impl Into<Bytes>) {
        self.files.insert(file.into(), bytes.into());
    }

    fn get(&self, file: &str) -> Result<&Bytes, Error> {
        self.files.get(file).ok_or_else(|| Error::Missing {
            file: self.name(file),
        })
    }
}

impl Files for MemoryFiles {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        Ok(self.get(file)?.len() as u64)
    }

    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let bytes = self.get(file)?;
        let size = bytes.len() as u64;
        let part = |range: &Range<u64>| match range.end <= size {
            true => Ok(bytes.slice(range.start as usize..range.end as usize)),
            false => Err(ends_early(self, file, size, range)),
        };
        ranges.iter().map(part).collect()
    }
}

fn ends_early(files: &dyn Files, file: &str, size: u64, range: &Range<u64>) -> Error {
    let problem = format!("it ends here, {} bytes were expected", range.end);
    Error::corrupt(files.name(file), size, problem)
}
