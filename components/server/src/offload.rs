//! CPU work off the async threads: a pool of its own, a bounded queue before it.
//!
//! Full means a clear error to the caller. A caller that goes away before its work has
//! begun takes the work with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phlare_model::{Classify, ErrorKind};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Semaphore, oneshot};
use tracing::error;

use crate::metrics::Metrics;
use crate::trace::Trace;

/// A pool of threads for CPU work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Offload {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: rayon::ThreadPool,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    waiting_gauge: Gauge,
    running_gauge: Gauge,
    refused: Counter,
    panics: Counter,
}

/// Why work was not done.
#[derive(Debug, thiserror::Error)]
pub enum OffloadError {
    /// The queue is full.
    #[error(
        "the server is busy: {waiting} pieces of work wait for a processor, the limit of `-server.cpu-queue`"
    )]
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// The work panicked; the panic is in the log.
    #[error("the work panicked")]
    Panicked,
    /// The threads could not be started.
    #[error("start the threads of the pool `{name}`")]
    Start {
        /// The pool.
        name: String,
        /// What rayon says.
        source: rayon::ThreadPoolBuildError,
    },
}

impl Classify for OffloadError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Full { .. } => ErrorKind::Unavailable,
            Self::Panicked | Self::Start { .. } => ErrorKind::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full { .. } => Some(Duration::from_secs(1)),
            Self::Panicked | Self::Start { .. } => None,
        }
    }
}

/// Counts a waiting piece of work for as long as it waits.
struct Waiting<'a>(&'a Inner);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.waiting_gauge.dec();
    }
}

/// Counts a running piece of work for as long as it runs.
struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Offload {
    /// A pool of `threads` threads (0: one for each processor) named after `name`, before which at most
    /// `max_waiting` pieces of work wait.
    ///
    /// # Errors
    /// [`OffloadError::Start`].
    pub fn new(
        name: &str,
        threads: usize,
        max_waiting: usize,
        metrics: &Metrics,
    ) -> Result<Self, OffloadError> {
        let thread_name = name.to_owned();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |index| format!("{thread_name}-{index}"))
            .panic_handler(|_| error!("a panic left the work that caused it"))
            .build()
            .map_err(|source| OffloadError::Start {
                name: name.to_owned(),
                source,
            })?;
        // One piece for each thread and one that is ready when a thread is done.
        let permits = pool.current_num_threads() + 1;
        let labels = metrics.offload(name);
        let inner = Inner {
            pool,
            permits: Arc::new(Semaphore::new(permits)),
            waiting: AtomicUsize::new(0),
            max_waiting,
            waiting_gauge: labels.waiting,
            running_gauge: labels.running,
            refused: labels.refused,
            panics: metrics.panics.clone(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Runs `work` on the pool and returns what it returns.
    ///
    /// # Errors
    /// [`OffloadError::Full`], [`OffloadError::Panicked`].
    pub async fn run<T, F>(&self, work: F) -> Result<T, OffloadError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let inner = &self.inner;
        let permit = if let Ok(permit) = Arc::clone(&inner.permits).try_acquire_owned() {
            permit
        } else {
            let _waiting = inner.enqueue()?;
            let permits = Arc::clone(&inner.permits);
            permits
                .acquire_owned()
                .await
                .expect("nobody closes the semaphore")
        };
        let (send, receive) = oneshot::channel();
        let panics = inner.panics.clone();
        // Threads of the pool know no request.
        let trace = Trace::current();
        inner.running_gauge.inc();
        let running = Running(inner.running_gauge.clone());
        inner.pool.spawn(move || {
            // Freed when the work ends, even if the caller has gone.
            let _held = (permit, running);
            if send.is_closed() {
                return;
            }
            trace.sync_scope(|| match catch_unwind(AssertUnwindSafe(work)) {
                Ok(result) => drop(send.send(result)),
                Err(panic) => {
                    panics.inc();
                    error!(
                        panic = panic_message(panic.as_ref()),
                        "offloaded work panicked"
                    );
                }
            });
        });
        receive.await.map_err(|_| OffloadError::Panicked)
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.inner.pool.current_num_threads()
    }
}

impl Inner {
    fn enqueue(&self) -> Result<Waiting<'_>, OffloadError> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting_gauge.inc();
        let guard = Waiting(self);
        if waiting >= self.max_waiting {
            self.refused.inc();
            return Err(OffloadError::Full { waiting });
        }
        Ok(guard)
    }
}

/// The text of a panic, if it has one.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests;
