//! How a log behaves.

use std::sync::Arc;
use std::time::Duration;

use super::files::{Disk, Files};
use super::frame::MAX_PAYLOAD;
use super::{Committer, Metrics, SegmentId};

/// When a record counts as safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Once the disk has it.
    #[default]
    Always,
    /// Once the operating system has it; the disk follows at least this often.
    Interval(Duration),
    /// Once the operating system has it, which brings it to the disk when it likes.
    Never,
}

/// Settings of a [`Wal`](super::Wal).
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose log it is, for messages.
    pub name: String,
    /// When a record counts as safe.
    pub sync: SyncPolicy,
    /// Size at which the next segment begins. A segment exceeds it by less than a record.
    pub segment_bytes: u64,
    /// The most that may wait in memory; what would exceed it is refused, unless nothing waits.
    pub max_pending_bytes: usize,
    /// Segments before this one are deleted unread: what they held is kept elsewhere. New ones have no smaller number.
    pub first_segment: SegmentId,
    /// The largest record; not above 256 MiB.
    pub max_record_bytes: usize,
    /// How long a record may wait for the disk before its caller hears of it.
    pub commit_timeout: Duration,
    /// The pause after a failure of the disk; it doubles with each further one, up to 64 times this.
    pub retry_pause: Duration,
    /// The most that copies of damaged ranges may take on disk.
    pub max_damaged_bytes: u64,
    /// Who writes. Logs that share one share its threads.
    pub committer: Committer,
    /// Who counts.
    pub metrics: Metrics,
    pub(crate) files: Arc<dyn Files>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: String::new(),
            sync: SyncPolicy::Always,
            segment_bytes: 64 << 20,
            max_pending_bytes: 64 << 20,
            first_segment: SegmentId::new(1),
            max_record_bytes: 64 << 20,
            commit_timeout: Duration::from_secs(10),
            retry_pause: Duration::from_millis(50),
            max_damaged_bytes: 64 << 20,
            committer: Committer::default(),
            metrics: Metrics::default(),
            files: Arc::new(Disk),
        }
    }
}

impl Options {
    /// The largest record that is taken.
    pub(super) fn record_limit(&self) -> usize {
        self.max_record_bytes.min(MAX_PAYLOAD)
    }
}
