//! Brings batches of frames into segment files, and starts over where that fails.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::files::SegmentFile;
use super::metrics::Operation;
use super::recover::file_name;
use super::{Options, SegmentId, SyncPolicy};

/// The same failure is logged once in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// Consecutive frames of one segment; the first batch of a segment begins with its header.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) segment: SegmentId,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) records: u64,
    /// The sequence number of the last record.
    pub(super) last: u64,
}

/// A file operation that went wrong.
#[derive(Debug)]
pub(super) struct Failure {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.operation,
            self.path.display(),
            self.source
        )
    }
}

/// The end of the log that touches the disk.
#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    /// What is not yet as safe as it will get. Kept until then: after a failed sync nobody knows what the disk has.
    batches: VecDeque<Batch>,
    /// How many of them are in the file.
    written: usize,
    file: Option<(SegmentId, Box<dyn SegmentFile>)>,
    /// Whether the directory durably has the file.
    entry_safe: bool,
    unsynced_since: Option<Instant>,
    /// The sequence number up to which records may be acknowledged.
    pub(super) acked: u64,
    /// Bytes of batches that were let go since somebody last looked.
    pub(super) released: usize,
    /// The later turn that was asked for.
    planned: Option<Instant>,
    failing: Option<Failing>,
    complaints: Vec<(&'static str, io::ErrorKind, Instant)>,
}

/// A series of failures.
#[derive(Debug)]
struct Failing {
    since: Instant,
    failures: u32,
    rest_until: Instant,
}

impl Writer {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            batches: VecDeque::new(),
            written: 0,
            file: None,
            entry_safe: false,
            unsynced_since: None,
            acked: 0,
            released: 0,
            planned: None,
            failing: None,
            complaints: Vec::new(),
        }
    }

    /// Takes over what was appended.
    pub(super) fn take(&mut self, batches: &mut VecDeque<Batch>) {
        self.batches.append(batches);
    }

    /// The oldest segment that may still be written to.
    pub(super) fn first_segment(&self) -> Option<SegmentId> {
        self.batches.front().map(|batch| batch.segment)
    }

    /// Whether the disk has failed so recently that it should be left alone.
    pub(super) fn rests(&self) -> bool {
        self.failing
            .as_ref()
            .is_some_and(|failing| Instant::now() < failing.rest_until)
    }

    /// Writes everything. Segments that are complete are synced on the way, so that an unfinished write can only be
    /// in the last one.
    pub(super) fn write(&mut self, options: &Options) -> Result<(), Failure> {
        let mut records = 0;
        while let Some(batch) = self.batches.get(self.written) {
            let (segment, offset) = (batch.segment, batch.offset);
            if self.file.as_ref().is_none_or(|(open, _)| *open != segment) {
                if options.sync != SyncPolicy::Never {
                    self.sync(options)?;
                }
                self.open(segment, offset, options)?;
            }
            records += self.write_next(options)?;
        }
        if records > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a count of records in memory")]
            options.metrics.group_records.observe(records as f64);
        }
        Ok(())
    }

    /// Writes one batch into the open file and returns its records.
    fn write_next(&mut self, options: &Options) -> Result<u64, Failure> {
        let (Some(batch), Some((_, file))) = (self.batches.get(self.written), &self.file) else {
            return Ok(0);
        };
        file.write_at(&batch.bytes, batch.offset)
            .map_err(|source| self.failure("write", batch.segment, source))?;
        options
            .metrics
            .written_bytes
            .inc_by(batch.bytes.len() as u64);
        let (records, last) = (batch.records, batch.last);
        self.written += 1;
        match options.sync {
            SyncPolicy::Always => {}
            SyncPolicy::Interval(_) => self.acked = last,
            SyncPolicy::Never => self.let_go(),
        }
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(records)
    }

    /// Opens a segment to be written from `offset` on. Whatever lies behind is from a write that failed.
    fn open(&mut self, segment: SegmentId, offset: u64, options: &Options) -> Result<(), Failure> {
        self.file = None;
        self.entry_safe = false;
        let path = self.path(segment);
        let file = options
            .files
            .open(&path)
            .map_err(|source| self.failure("open", segment, source))?;
        let length = file
            .length()
            .map_err(|source| self.failure("inspect", segment, source))?;
        if length > offset {
            file.set_length(offset)
                .map_err(|source| self.failure("truncate", segment, source))?;
        } else if length < offset {
            error!(
                path = %path.display(),
                bytes = offset - length,
                "a part of the log that was already written is gone from the disk"
            );
        }
        self.file = Some((segment, file));
        Ok(())
    }

    /// Whether it is time to sync.
    pub(super) fn sync_is_due(&self, options: &Options, flush: bool) -> bool {
        let waiting = self.written > 0;
        match options.sync {
            _ if flush => true,
            SyncPolicy::Always => waiting,
            SyncPolicy::Interval(_) => {
                let unsynced: usize = self
                    .batches
                    .iter()
                    .take(self.written)
                    .map(|batch| batch.bytes.len())
                    .sum();
                let due = self.sync_at(options).is_some_and(|at| at <= Instant::now());
                waiting && (due || unsynced >= options.max_pending_bytes / 2)
            }
            SyncPolicy::Never => false,
        }
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&mut self, options: &Options) -> Result<(), Failure> {
        if let Some((segment, file)) = &self.file {
            let began = Instant::now();
            file.sync()
                .map_err(|source| self.failure("sync", *segment, source))?;
            options
                .metrics
                .fsync_seconds
                .observe(began.elapsed().as_secs_f64());
            if !self.entry_safe {
                options
                    .files
                    .sync_directory(&self.directory)
                    .map_err(|source| Failure {
                        operation: "sync",
                        path: self.directory.clone(),
                        source,
                    })?;
                self.entry_safe = true;
            }
        }
        self.let_go();
        self.unsynced_since = None;
        Ok(())
    }

    /// Forgets the batches that are as safe as they will get.
    fn let_go(&mut self) {
        for batch in self.batches.drain(..self.written) {
            self.released += batch.bytes.len();
            self.acked = batch.last;
        }
        self.written = 0;
    }

    /// When the next turn has to be, if nothing is appended. Said once for each time.
    pub(super) fn plan(&mut self, options: &Options) -> Option<Instant> {
        let at = self
            .sync_at(options)
            .filter(|at| self.planned != Some(*at))?;
        self.planned = Some(at);
        Some(at)
    }

    fn sync_at(&self, options: &Options) -> Option<Instant> {
        match options.sync {
            SyncPolicy::Interval(interval) => Some(self.unsynced_since? + interval),
            SyncPolicy::Always | SyncPolicy::Never => None,
        }
    }

    /// After a failure: everything that is kept will be written again, into a file that is opened anew. Returns when.
    pub(super) fn rewind(&mut self, failure: &Failure, options: &Options) -> Instant {
        self.file = None;
        self.written = 0;
        self.unsynced_since = None;
        options
            .metrics
            .errors
            .get_or_create(&Operation {
                operation: failure.operation,
            })
            .inc();
        let now = Instant::now();
        self.complain(failure, options, now);
        let failing = self.failing.get_or_insert(Failing {
            since: now,
            failures: 0,
            rest_until: now,
        });
        failing.rest_until = now + options.retry_pause * (1 << failing.failures.min(6));
        failing.failures += 1;
        failing.rest_until
    }

    /// After a success.
    pub(super) fn recovered(&mut self, options: &Options) {
        if let Some(failing) = self.failing.take() {
            info!(
                tenant = options.name,
                seconds = failing.since.elapsed().as_secs_f64(),
                failures = failing.failures,
                "the log can be written again; nothing that waited was lost"
            );
        }
    }

    fn complain(&mut self, failure: &Failure, options: &Options, now: Instant) {
        self.complaints
            .retain(|(_, _, at)| now.duration_since(*at) < COMPLAINT_INTERVAL);
        let kind = failure.source.kind();
        if !self
            .complaints
            .iter()
            .any(|known| (known.0, known.1) == (failure.operation, kind))
        {
            self.complaints.push((failure.operation, kind, now));
            error!(
                tenant = options.name,
                operation = failure.operation,
                path = %failure.path.display(),
                error = %failure.source,
                "the log cannot be written; records wait in memory, and it is tried again"
            );
        }
    }

    fn failure(&self, operation: &'static str, segment: SegmentId, source: io::Error) -> Failure {
        Failure {
            operation,
            path: self.path(segment),
            source,
        }
    }

    fn path(&self, segment: SegmentId) -> PathBuf {
        Path::new(&self.directory).join(file_name(segment))
    }
}
