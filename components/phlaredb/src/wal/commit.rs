//! Waiting until a record is safe.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Error;
use super::log::{Log, Progress};

/// A record on its way to the disk. Dropping it changes nothing: the record is written all the same.
#[must_use = "a record is not safe before `wait` has returned"]
pub struct Commit {
    log: Arc<Log>,
    progress: watch::Receiver<Progress>,
    sequence: u64,
    since: Instant,
    timeout: Duration,
}

impl Commit {
    pub(super) fn new(log: Arc<Log>, sequence: u64) -> Self {
        let timeout = log.options.commit_timeout;
        let progress = log.progress.subscribe();
        Self {
            log,
            progress,
            sequence,
            since: Instant::now(),
            timeout,
        }
    }

    /// Returns once the record is as safe as the [`SyncPolicy`](super::SyncPolicy) promises. Cancel-safe.
    /// Needs a runtime with time.
    ///
    /// # Errors
    /// [`Error::Stalled`] after `commit_timeout`: the record may still be written later, so a client that sends it
    /// again makes a duplicate. [`Error::Closed`] if the log was closed before it could be written.
    pub async fn wait(mut self) -> Result<(), Error> {
        let sequence = self.sequence;
        if self.progress.borrow().acked >= sequence {
            return Ok(());
        }
        let reached = self
            .progress
            .wait_for(|progress| progress.acked >= sequence || progress.closed);
        match tokio::time::timeout_at(self.since + self.timeout, reached).await {
            Ok(Ok(progress)) if progress.acked >= sequence => Ok(()),
            Ok(_) => Err(self.log.closed()),
            Err(_) => Err(self.log.stalled(self.since.elapsed())),
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
