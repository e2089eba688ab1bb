//! The threads that write logs: few of them for any number of logs.
//!
//! A log asks for a turn when it has something to write, and again at a later time after a failure or for the next
//! sync. Threads begin when there is work and end when there was none for a while, so idle tenants cost none, and a
//! thousand busy ones share the disk fairly instead of starting a thousand threads.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing::error;

use super::log::{Log, Next};

/// Threads of a committer made by default: enough for the disk to merge syncs of different files.
const THREADS: usize = 16;
/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(10);
/// How long the last handle waits for a disk that hangs.
const FAREWELL: Duration = Duration::from_secs(10);

/// A handle to the threads that write logs. The last handle to go waits until they have written what they
/// can, but not long for a disk that hangs.
#[derive(Clone)]
pub struct Committer {
    pool: Arc<Pool>,
    owner: Option<Arc<Owner>>,
}

impl Committer {
    /// Writes with at most `threads` threads, one or more.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let queue = Mutex::default();
        let threads = threads.max(1);
        let pool = Pool {
            queue,
            wake: Condvar::new(),
            ended: Condvar::new(),
            threads,
        };
        let pool = Arc::new(pool);
        let owner = Some(Arc::new(Owner(Arc::clone(&pool))));
        Self { pool, owner }
    }

    /// A handle that does not count: for what the threads themselves may drop, as a thread cannot wait for itself.
    pub(super) fn downgrade(&self) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
            owner: None,
        }
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Default for Committer {
    fn default() -> Self {
        Self::new(THREADS)
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("threads", &self.pool.threads)
            .field("owner", &self.owner.is_some())
            .finish()
    }
}

/// Ends the threads of a pool.
struct Owner(Arc<Pool>);

impl Drop for Owner {
    fn drop(&mut self) {
        let until = Instant::now() + FAREWELL;
        let mut queue = self.0.queue.lock();
        queue.closed = true;
        self.0.wake.notify_all();
        while queue.alive > 0 {
            if self.0.ended.wait_until(&mut queue, until).timed_out() {
                error!(
                    threads = queue.alive,
                    "the disk does not answer; what was not written to the log is lost"
                );
                return;
            }
        }
    }
}

/// Logs that want to be written, and the threads that do it.
pub(super) struct Pool {
    queue: Mutex<Queue>,
    wake: Condvar,
    ended: Condvar,
    threads: usize,
}

/// Bounded by the number of logs: each is in `ready` at most once, and has few later turns.
#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<Log>>,
    later: BinaryHeap<Later>,
    /// Threads that wait for work.
    idle: usize,
    alive: usize,
    closed: bool,
}

impl Pool {
    /// Gives a turn to a log that has just been told by [`Log::request`] to ask for one.
    pub(super) fn enqueue(self: &Arc<Self>, log: Arc<Log>) {
        let mut queue = self.queue.lock();
        queue.ready.push_back(log);
        if queue.ready.len() > queue.idle && queue.alive < self.threads {
            self.spawn(&mut queue);
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Threads that write or wait for work.
    #[cfg(test)]
    pub(super) fn threads_alive(&self) -> usize {
        self.queue.lock().alive
    }

    fn spawn(self: &Arc<Self>, queue: &mut Queue) {
        let pool = Arc::clone(self);
        let thread = thread::Builder::new().name("wal".to_owned());
        match thread.spawn(move || pool.work()) {
            Ok(_) => queue.alive += 1, // the owner waits until none is alive
            // The next record tries again; those that wait hear of it by their timeout.
            Err(source) => error!(error = %source, "no thread to write the log with"),
        }
    }

    fn work(&self) {
        let _panic = Mourner(self);
        let mut queue = self.queue.lock();
        loop {
            queue.wake_due(Instant::now());
            if let Some(log) = queue.ready.pop_front() {
                let next = MutexGuard::unlocked(&mut queue, || log.turn());
                queue.put_back(log, next);
            } else if queue.closed || !self.wait(&mut queue) {
                // Under the same lock as the decision, so that whoever enqueues next knows.
                queue.alive -= 1;
                self.ended.notify_all();
                return;
            }
        }
    }

    /// Waits for work; false if it was long in vain.
    fn wait(&self, queue: &mut MutexGuard<'_, Queue>) -> bool {
        let until = queue
            .later
            .peek()
            .map_or_else(|| Instant::now() + IDLE, |later| later.at);
        queue.idle += 1;
        let waited = self.wake.wait_until(queue, until);
        queue.idle -= 1;
        !waited.timed_out() || !queue.ready.is_empty() || !queue.later.is_empty()
    }
}

/// Makes room for another thread when one panics.
struct Mourner<'a>(&'a Pool);

impl Drop for Mourner<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.queue.lock().alive -= 1;
            self.0.ended.notify_all();
        }
    }
}

impl Queue {
    /// Gives a turn to the logs whose time has come; to all of them when this is the end.
    fn wake_due(&mut self, now: Instant) {
        while self
            .later
            .peek()
            .is_some_and(|later| later.at <= now || self.closed)
        {
            if let Some(later) = self.later.pop()
                && later.log.request()
            {
                self.ready.push_back(later.log);
            }
        }
    }

    fn put_back(&mut self, log: Arc<Log>, next: Next) {
        if let Next::At(at) = next
            && !self.closed
        {
            self.later.push(Later {
                at,
                log: Arc::clone(&log),
            });
        }
        if log.end_turn() {
            self.ready.push_back(log);
        }
    }
}

/// A turn to give at a later time; the earliest is the greatest.
struct Later {
    at: Instant,
    log: Arc<Log>,
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}
