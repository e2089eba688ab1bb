//! What the profiles of a recording share: functions, locations, stacks, each once, over all chunks.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::events::Origin;
use super::kinds::Kind;
use crate::error::Error;
use crate::stacks::Limits;

/// A function and a line, 0 if not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Location {
    pub(super) function: u32,
    pub(super) line: u32,
}

/// Functions by name, locations, stacks of locations, and origins, all by number.
#[derive(Debug)]
pub(super) struct Symbols {
    hasher: DefaultHashBuilder,
    names: Vec<String>,
    by_name: HashTable<u32>,
    locations: Vec<Location>,
    by_location: HashMap<Location, u32>,
    frames: Vec<u32>,
    /// Where stacks end in `frames`; each begins where the one before it ends.
    ends: Vec<usize>,
    by_frames: HashTable<u32>,
    origins: Vec<Origin>,
    by_origin: HashMap<Origin, u32>,
    name_bytes: usize,
    /// Names in which bytes that are not UTF-8 were replaced by U+FFFD.
    repaired_names: u64,
    /// Bytes of names, and frames, that may still be read.
    unread: usize,
    unread_frames: usize,
    /// Bytes of a pprof.
    limit: usize,
}

/// How often the bytes of a recording may be read as names: once for each method, and methods share their classes.
const NAMES_OF_RECORDING: usize = 16;

impl Symbols {
    pub(super) fn new(limits: &Limits, recording: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            names: Vec::new(),
            by_name: HashTable::new(),
            locations: Vec::new(),
            by_location: HashMap::new(),
            frames: Vec::new(),
            ends: Vec::new(),
            by_frames: HashTable::new(),
            origins: Vec::new(),
            by_origin: HashMap::new(),
            name_bytes: 0,
            repaired_names: 0,
            unread: recording.saturating_mul(NAMES_OF_RECORDING),
            unread_frames: recording,
            limit: limits.profile_bytes,
        }
    }

    /// More than all profiles of a recording together can have.
    fn check(&self, bytes: usize) -> Result<(), Error> {
        if bytes > self.limit.saturating_mul(Kind::COUNT) {
            return Err(Error::TooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// Notes a frame that is read, the last of so many of its stack. In a recording each takes at least a byte, and is
    /// read once; in a pprof as well.
    pub(super) fn read_frame(&mut self, frames: usize) -> Result<(), Error> {
        let left = self.unread_frames.checked_sub(1);
        self.unread_frames = left
            .filter(|_| frames <= self.limit)
            .ok_or(Error::TooLarge { limit: self.limit })?;
        Ok(())
    }

    /// Notes that so many bytes of names are read.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), Error> {
        let left = self.unread.checked_sub(bytes);
        self.unread = left.ok_or(Error::TooLarge { limit: self.limit })?;
        Ok(())
    }

    pub(super) fn function(&mut self, name: &str) -> Result<u32, Error> {
        let (names, hasher) = (&self.names, &self.hasher);
        let hash = |name: &str| hasher.hash_one(name);
        let name_of = |number: &u32| names.get(*number as usize).map_or("", String::as_str);
        if let Some(&number) = self
            .by_name
            .find(hash(name), |number| name_of(number) == name)
        {
            return Ok(number);
        }
        self.name_bytes = self.name_bytes.saturating_add(name.len());
        self.check(self.name_bytes)?;
        if name.contains(char::REPLACEMENT_CHARACTER) {
            self.repaired_names = self.repaired_names.saturating_add(1);
        }
        let number = next(self.names.len(), self.limit)?;
        let (names, hasher) = (&self.names, &self.hasher);
        let rehash =
            |number: &u32| hasher.hash_one(names.get(*number as usize).map_or("", String::as_str));
        self.by_name
            .insert_unique(hasher.hash_one(name), number, rehash);
        self.names.push(name.to_owned());
        Ok(number)
    }

    pub(super) fn location(&mut self, function: u32, line: u32) -> Result<u32, Error> {
        let location = Location { function, line };
        if let Some(&number) = self.by_location.get(&location) {
            return Ok(number);
        }
        let number = next(self.locations.len(), self.limit)?;
        self.check(self.locations.len())?;
        self.locations.push(location);
        self.by_location.insert(location, number);
        Ok(number)
    }

    pub(super) fn stack(&mut self, frames: &[u32]) -> Result<u32, Error> {
        let hash = hash_of(&self.hasher, frames);
        let same = |number: &u32| self.frames_of(*number) == frames;
        if let Some(&number) = self.by_frames.find(hash, same) {
            return Ok(number);
        }
        self.check(self.frames.len().saturating_add(frames.len()))?;
        let number = next(self.ends.len(), self.limit)?;
        self.frames.extend_from_slice(frames);
        self.ends.push(self.frames.len());
        let (all, ends, hasher) = (&self.frames, &self.ends, &self.hasher);
        let rehash = |number: &u32| hash_of(hasher, slice(all, ends, *number));
        self.by_frames.insert_unique(hash, number, rehash);
        Ok(number)
    }

    pub(super) fn origin(&mut self, origin: Origin) -> Result<u32, Error> {
        if let Some(&number) = self.by_origin.get(&origin) {
            return Ok(number);
        }
        let number = next(self.origins.len(), self.limit)?;
        self.check(self.origins.len().saturating_mul(size_of::<Origin>()))?;
        self.origins.push(origin);
        self.by_origin.insert(origin, number);
        Ok(number)
    }

    /// The locations of a stack, leaf first.
    pub(super) fn frames_of(&self, stack: u32) -> &[u32] {
        slice(&self.frames, &self.ends, stack)
    }

    pub(super) fn repaired_names(&self) -> u64 {
        self.repaired_names
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn locations(&self) -> &[Location] {
        &self.locations
    }

    pub(super) fn origins(&self) -> &[Origin] {
        &self.origins
    }
}

fn slice<'f>(frames: &'f [u32], ends: &[usize], stack: u32) -> &'f [u32] {
    let stack = stack as usize;
    let start = stack
        .checked_sub(1)
        .and_then(|before| ends.get(before))
        .copied()
        .unwrap_or(0);
    let end = ends.get(stack).copied().unwrap_or(start);
    frames.get(start..end).unwrap_or_default()
}

fn hash_of(hasher: &DefaultHashBuilder, frames: impl Hash) -> u64 {
    hasher.hash_one(frames)
}

fn next(length: usize, limit: usize) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::TooLarge { limit })
}
