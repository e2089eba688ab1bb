//! The write-ahead log of one tenant: byte records in numbered files, safe before they are acknowledged.
//!
//! Knows nothing of profiles or tenants. A record is whatever the caller encodes; a segment is the unit that begins
//! and is deleted as a whole, so a record may refer to earlier ones of its segment but to none of another.
//!
//! [`Wal::append`] only copies; a thread of the [`Committer`] writes all that is pending with one write and one sync,
//! and [`Commit::wait`] returns when that is done. When the disk fails, the same bytes are written again at the same
//! place until it takes them: order never changes, nothing is written twice, and callers hear of it after a timeout.
//!
//! After a crash, [`Wal::open`] cuts an unfinished write off the end. Damage elsewhere costs the records it hits and no
//! others; it is logged, counted, and copied to `damaged/`.

mod commit;
mod committer;
mod error;
mod files;
mod frame;
mod log;
mod metrics;
mod options;
mod recover;
mod scan;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use commit::Commit;
pub use committer::Committer;
pub use error::Error;
pub use metrics::Metrics;
pub use options::{Options, SyncPolicy};

use log::Log;
pub(crate) use recover::first_segment;

/// The number of a segment; later ones have larger numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(u64);

impl SegmentId {
    /// The segment of this number; the first has 1.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number.max(1))
    }

    /// Its number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    segment: SegmentId,
    offset: u64,
    sequence: u64,
}

impl Position {
    /// The segment that holds it.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Where in the segment its frame begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// A record that came back.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    payload: &'a [u8],
    offset: u64,
    after_damage: bool,
}

impl<'a> Record<'a> {
    /// The bytes that were appended.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Where in its segment its frame begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether something before it in its segment is lost, to which it may refer.
    #[must_use]
    pub fn after_damage(&self) -> bool {
        self.after_damage
    }
}

/// What [`Wal::open`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments read.
    pub segments: u64,
    /// Records that came back.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Unfinished writes that were cut off. Nothing in them was acknowledged under [`SyncPolicy::Always`].
    pub torn: Vec<Torn>,
    /// Damaged ranges: their records are lost.
    pub damage: Vec<Damage>,
    /// Files and directories that do not belong to the log.
    pub foreign: Vec<PathBuf>,
}

/// An unfinished write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment it was cut off from.
    pub segment: SegmentId,
    /// Where it began.
    pub offset: u64,
    /// Bytes cut off.
    pub bytes: u64,
}

/// A damaged range of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: SegmentId,
    /// Where the range begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// A copy of it; none if `max_damaged_bytes` is used up or the copy failed.
    pub set_aside: Option<PathBuf>,
}

/// An open log. Appending needs `&self` only, but order matters: whoever encodes a record for [`Wal::segment`] must
/// append it before anybody else appends one.
pub struct Wal {
    log: Arc<Log>,
    /// Keeps the threads alive.
    committer: Committer,
}

impl Wal {
    /// Opens or creates the log in `directory`, and hands every intact record to `replay`, oldest first. Blocks.
    /// At most one log may be open in a directory. New records go to a new segment.
    ///
    /// # Errors
    /// [`Error::Io`] if something cannot be read or an unfinished write not cut off, [`Error::Version`] if a newer
    /// program wrote here. Damage is no error: see [`Recovery`].
    pub fn open(
        directory: &Path,
        mut options: Options,
        replay: &mut dyn FnMut(SegmentId, Record<'_>),
    ) -> Result<(Self, Recovery), Error> {
        let found = recover::recover(directory, &options, replay)?;
        let committer = options.committer.clone();
        options.committer = committer.downgrade();
        let log = Log::new(directory.to_owned(), options, found.next, found.sizes);
        Ok((
            Self {
                log: Arc::new(log),
                committer,
            },
            found.recovery,
        ))
    }

    /// The segment that the next record goes to. It changes only inside [`Wal::append`], after a
    /// record was taken, and in [`Wal::rotate`].
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.log.segment()
    }

    /// Lets the next record begin a new segment, unless nothing is in the current one, and returns that segment.
    pub fn rotate(&self) -> SegmentId {
        self.log.rotate()
    }

    /// Whether the disk keeps up.
    ///
    /// # Errors
    /// [`Error::Stalled`] while writing fails, or a record has waited for `commit_timeout`; [`Error::Closed`].
    pub fn check(&self) -> Result<(), Error> {
        self.log.check()
    }

    /// Takes a record. Copies it and returns; [`Wal::commit`] waits for the disk.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Stalled`] when the disk has failed for longer than `commit_timeout`,
    /// [`Error::TooLarge`], [`Error::Closed`]. Nothing was taken then.
    pub fn append(&self, payload: &[u8]) -> Result<Position, Error> {
        let (position, wants_turn) = self.log.append(payload)?;
        if wants_turn {
            self.committer.pool().enqueue(Arc::clone(&self.log));
        }
        Ok(position)
    }

    /// Follows a record to the disk.
    pub fn commit(&self, position: Position) -> Commit {
        Commit::new(Arc::clone(&self.log), position.sequence)
    }

    /// Deletes the segments before `first` that are completely written, and returns how many. Blocks.
    ///
    /// # Errors
    /// [`Error::Io`] if one cannot be deleted; those before it are gone.
    pub fn truncate_before(&self, first: SegmentId) -> Result<usize, Error> {
        self.log.truncate_before(first)
    }

    /// Bytes of all segments, with those that are still to be written.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }

    /// Refuses further records, writes and syncs those it has. Blocks, at most for `commit_timeout`.
    ///
    /// # Errors
    /// [`Error::Stalled`] if the disk did not take everything; what it did not take is lost.
    pub fn close(&self) -> Result<(), Error> {
        if self.log.begin_close() {
            self.committer.pool().enqueue(Arc::clone(&self.log));
        }
        self.log.finish_close()
    }
}

impl fmt::Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal")
            .field("directory", &self.log.directory)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
