//! The log between those who append and the thread that writes: what is pending, and how far the disk is.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::frame::{self, FRAME_HEADER, SEGMENT_HEADER};
use super::recover::{file_name, sync_directory};
use super::writer::{Batch, Writer};
use super::{Error, Options, Position, SegmentId};

/// A log, shared by its handle, its waiting callers and the threads of a committer.
///
/// `writer` is locked before `state`, and for as long as the disk takes; `state` only for a copy.
pub(super) struct Log {
    pub(super) directory: PathBuf,
    pub(super) options: Options,
    pub(super) progress: watch::Sender<Progress>,
    state: Mutex<State>,
    writer: Mutex<Writer>,
    flushed: Condvar,
}

/// How far the log is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Records up to this one are safe.
    pub(super) acked: u64,
    /// Nothing more will become safe.
    pub(super) closed: bool,
}

/// When a log wants its next turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// When something is appended.
    Idle,
    /// Then, at the latest.
    At(Instant),
}

/// Whether a thread is at work on the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    None,
    Queued,
    Running,
    /// And something came in since.
    RunningAgain,
}

#[derive(Debug)]
struct State {
    /// Not yet taken by the writer.
    batches: VecDeque<Batch>,
    /// Where the next record goes.
    segment: SegmentId,
    offset: u64,
    /// The number of the last record.
    sequence: u64,
    acked: u64,
    /// Bytes in memory, here and with the writer.
    pending_bytes: usize,
    /// Since when the writer owes an acknowledgement.
    waiting_since: Option<Instant>,
    /// The oldest segment that the writer may still write to.
    in_flight: Option<SegmentId>,
    sizes: BTreeMap<SegmentId, u64>,
    /// The last failure, until the disk works again.
    cause: Option<String>,
    turn: Turn,
    closed: bool,
    /// Everything is to be synced, whatever the policy.
    flush: bool,
    /// Closed without success: the files may belong to somebody else by now.
    abandoned: bool,
}

impl Log {
    pub(super) fn new(
        directory: PathBuf,
        options: Options,
        segment: SegmentId,
        sizes: BTreeMap<SegmentId, u64>,
    ) -> Self {
        options.metrics.segments.inc_by(signed(sizes.len() as u64));
        options
            .metrics
            .segment_bytes
            .inc_by(signed(sizes.values().sum()));
        Self {
            writer: Mutex::new(Writer::new(directory.clone())),
            directory,
            options,
            progress: watch::Sender::default(),
            state: Mutex::new(State {
                batches: VecDeque::new(),
                segment,
                offset: 0,
                sequence: 0,
                acked: 0,
                pending_bytes: 0,
                waiting_since: None,
                in_flight: None,
                sizes,
                cause: None,
                turn: Turn::None,
                closed: false,
                flush: false,
                abandoned: false,
            }),
            flushed: Condvar::new(),
        }
    }

    pub(super) fn segment(&self) -> SegmentId {
        self.state.lock().segment
    }

    pub(super) fn rotate(&self) -> SegmentId {
        let mut state = self.state.lock();
        if state.offset > 0 {
            state.segment = state.segment.next();
            state.offset = 0;
        }
        state.segment
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.state.lock().sizes.values().sum()
    }

    /// Takes a record; true if the log now wants a turn.
    pub(super) fn append(&self, payload: &[u8]) -> Result<(Position, bool), Error> {
        let limit = self.options.record_limit();
        if payload.len() > limit {
            return Err(Error::TooLarge {
                bytes: payload.len(),
                limit,
            });
        }
        let checksum = frame::checksum(payload);
        let mut state = self.state.lock();
        self.admit(&state, payload.len()).inspect_err(|_| {
            self.options.metrics.refused.inc();
        })?;
        let bytes_before = state.pending_bytes;
        let segments_before = state.sizes.len();
        let position = state.push(payload, checksum);
        self.options
            .metrics
            .segments
            .inc_by(signed((state.sizes.len() - segments_before) as u64));
        let added = signed((state.pending_bytes - bytes_before) as u64);
        self.options.metrics.segment_bytes.inc_by(added);
        self.options.metrics.pending_bytes.inc_by(added);
        if state.offset >= self.options.segment_bytes {
            state.segment = state.segment.next();
            state.offset = 0;
        }
        Ok((position, state.request()))
    }

    /// Why a record would be refused, or its disk is failing.
    pub(super) fn check(&self) -> Result<(), Error> {
        let state = self.state.lock();
        self.admit(&state, 0)?;
        match (&state.cause, state.waiting_since) {
            (Some(_), Some(since)) => Err(self.stalled_by(&state, since.elapsed())),
            _ => Ok(()),
        }
    }

    fn admit(&self, state: &State, bytes: usize) -> Result<(), Error> {
        if state.closed {
            return Err(self.closed());
        }
        if let Some(waited) = state.waiting_since.map(|since| since.elapsed())
            && waited > self.options.commit_timeout
        {
            return Err(self.stalled_by(state, waited));
        }
        let (pending, limit) = (state.pending_bytes, self.options.max_pending_bytes);
        if pending > 0 && pending + SEGMENT_HEADER + FRAME_HEADER + bytes > limit {
            return Err(Error::Full {
                name: self.options.name.clone(),
                pending,
                limit,
            });
        }
        Ok(())
    }

    /// Asks for a turn; true if the caller must enqueue the log.
    pub(super) fn request(&self) -> bool {
        self.state.lock().request()
    }

    /// Writes what is pending. Only the thread that has the log from the queue calls this.
    pub(super) fn turn(&self) -> Next {
        let mut writer = self.writer.lock();
        let flush = {
            let mut state = self.state.lock();
            state.turn = Turn::Running;
            if state.abandoned {
                return Next::Idle;
            }
            writer.take(&mut state.batches);
            state.in_flight = writer.first_segment();
            state.flush
        };
        if writer.rests() && !flush {
            return Next::Idle; // the turn after the pause is planned already
        }
        match self.write(&mut writer, flush) {
            Ok(()) => {
                writer.recovered(&self.options);
                self.settle(&mut writer, None, flush);
                writer.plan(&self.options).map_or(Next::Idle, Next::At)
            }
            Err(failure) => {
                let again = writer.rewind(&failure, &self.options);
                self.settle(&mut writer, Some(failure.to_string()), false);
                Next::At(again)
            }
        }
    }

    fn write(&self, writer: &mut Writer, flush: bool) -> Result<(), super::writer::Failure> {
        writer.write(&self.options)?;
        if writer.sync_is_due(&self.options, flush) {
            // Those who do not wait for the sync need not wait for this one.
            self.acknowledge(&mut self.state.lock(), writer.acked);
            writer.sync(&self.options)?;
        }
        Ok(())
    }

    /// Tells everybody how far the writer is.
    fn settle(&self, writer: &mut Writer, cause: Option<String>, flushed: bool) {
        let mut state = self.state.lock();
        let released = std::mem::take(&mut writer.released);
        self.options
            .metrics
            .pending_bytes
            .dec_by(signed(released as u64));
        state.pending_bytes -= released;
        state.in_flight = writer.first_segment();
        state.cause = cause;
        if flushed {
            state.flush = false;
            self.flushed.notify_all();
        }
        self.acknowledge(&mut state, writer.acked);
    }

    fn acknowledge(&self, state: &mut State, acked: u64) {
        if acked > state.acked {
            state.acked = acked;
            state.waiting_since = (state.sequence > acked).then(Instant::now);
            self.progress.send_modify(|progress| progress.acked = acked);
        }
    }

    /// Whether no thread is at work on it or about to be.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().turn == Turn::None
    }

    /// Ends a turn; true if another one is wanted.
    pub(super) fn end_turn(&self) -> bool {
        let mut state = self.state.lock();
        let again = state.turn == Turn::RunningAgain;
        state.turn = if again { Turn::Queued } else { Turn::None };
        again
    }

    pub(super) fn truncate_before(&self, first: SegmentId) -> Result<usize, Error> {
        let mut removed = 0;
        loop {
            let removable = self.state.lock().removable(first);
            let Some(segment) = removable else { break };
            let path = self.directory.join(file_name(segment));
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Io {
                        operation: "delete",
                        path,
                        source,
                    });
                }
                _ => removed += 1,
            }
            if let Some(bytes) = self.state.lock().sizes.remove(&segment) {
                self.options.metrics.segments.dec();
                self.options.metrics.segment_bytes.dec_by(signed(bytes));
            }
        }
        if removed > 0 {
            sync_directory(self.options.files.as_ref(), &self.directory)?;
        }
        Ok(removed)
    }

    /// Refuses records from now on; true if the caller must enqueue the log.
    pub(super) fn begin_close(&self) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.closed = true;
        state.flush = true;
        state.request()
    }

    /// Waits until the writer has done its last.
    pub(super) fn finish_close(&self) -> Result<(), Error> {
        let timeout = self.options.commit_timeout;
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        while state.flush && !state.abandoned {
            state.abandoned =
                self.flushed.wait_until(&mut state, deadline).timed_out() && state.flush;
        }
        let outcome = if state.flush {
            Err(self.stalled_by(&state, timeout))
        } else {
            Ok(())
        };
        drop(state);
        self.progress.send_modify(|progress| progress.closed = true);
        outcome
    }

    pub(super) fn stalled(&self, waited: Duration) -> Error {
        self.stalled_by(&self.state.lock(), waited)
    }

    fn stalled_by(&self, state: &State, waited: Duration) -> Error {
        let cause = state
            .cause
            .clone()
            .unwrap_or_else(|| "the disk does not answer".to_owned());
        Error::Stalled {
            name: self.options.name.clone(),
            waited,
            cause,
        }
    }

    pub(super) fn closed(&self) -> Error {
        Error::Closed {
            name: self.options.name.clone(),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let metrics = &self.options.metrics;
        metrics.segments.dec_by(signed(state.sizes.len() as u64));
        metrics
            .segment_bytes
            .dec_by(signed(state.sizes.values().sum()));
        metrics
            .pending_bytes
            .dec_by(signed(state.pending_bytes as u64));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Adds a record to the last batch, or begins one.
    fn push(&mut self, payload: &[u8], checksum: u32) -> Position {
        self.sequence += 1;
        if self
            .batches
            .back()
            .is_none_or(|batch| batch.segment != self.segment)
        {
            self.batches.push_back(Batch {
                segment: self.segment,
                offset: self.offset,
                bytes: if self.offset == 0 {
                    frame::segment_header(self.segment)
                } else {
                    Vec::new()
                },
                records: 0,
                last: 0,
            });
        }
        let batch = self.batches.back_mut().expect("there is one now");
        let offset = batch.offset + batch.bytes.len() as u64;
        frame::put(&mut batch.bytes, self.segment, offset, payload, checksum);
        batch.records += 1;
        batch.last = self.sequence;
        let end = batch.offset + batch.bytes.len() as u64;
        // A header, if this is the first record, and the frame.
        let added = end - self.offset;
        self.offset = end;
        self.pending_bytes += usize::try_from(added).expect("it lies in memory");
        *self.sizes.entry(self.segment).or_default() += added;
        self.waiting_since.get_or_insert_with(Instant::now);
        Position {
            segment: self.segment,
            offset,
            sequence: self.sequence,
        }
    }

    fn request(&mut self) -> bool {
        let (turn, enqueue) = match self.turn {
            Turn::None => (Turn::Queued, true),
            Turn::Queued => (Turn::Queued, false),
            Turn::Running | Turn::RunningAgain => (Turn::RunningAgain, false),
        };
        self.turn = turn;
        enqueue
    }

    /// The oldest segment, if it lies before `first` and nothing will be written to it.
    fn removable(&self, first: SegmentId) -> Option<SegmentId> {
        let pending = self.batches.front().map(|batch| batch.segment);
        let busy = [Some(first), Some(self.segment), self.in_flight, pending]
            .into_iter()
            .flatten()
            .min()?;
        self.sizes
            .keys()
            .next()
            .copied()
            .filter(|oldest| *oldest < busy)
    }
}

/// For gauges.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
