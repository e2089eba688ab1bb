//! Queries that wait for a querier, and those that queriers work on.
//!
//! Nothing here outlives who asks: an entry goes with the future of [`Scheduler::ask`], whether that has its answer or was
//! dropped, and with it whatever a querier does for it.

mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use phlare_model::{ErrorKind, SPANS, TenantId};
use phlare_server::{Status, TraceHeaders};
use phlare_tenancy::Overrides;
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::info_span;

use crate::config::Config;
use crate::metrics::{Metrics, SAMPLE_EVERY};
use state::{State, Wish};

/// How long an answer is waited for if nobody says it.
const LONGEST: Duration = Duration::from_secs(600);

/// A query of this process. Nobody else can guess it.
pub type QueryId = u128;

/// A query for a querier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name here.
    pub id: QueryId,
    /// Whose query it is.
    pub tenant: TenantId,
    /// The query, as it was asked.
    pub query: Bytes,
    /// When nobody waits for the answer any more.
    pub deadline: Instant,
    /// The trace of whoever asked.
    pub trace: Option<TraceHeaders>,
}

/// What a querier that pulls gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// A query that it is to answer.
    Task(Task),
    /// There was none in time.
    Nothing,
    /// There will be none: this query-scheduler stops, or the querier said that it does.
    Stopping,
}

/// The queues of a query-scheduler. Cheap to clone.
#[derive(Clone)]
pub struct Scheduler(Arc<Shared>);

struct Shared {
    config: Config,
    overrides: Overrides,
    metrics: Metrics,
    state: Mutex<State>,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Without queries.
    #[must_use]
    pub fn new(config: Config, overrides: Overrides, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            config,
            overrides,
            metrics,
            state: Mutex::default(),
        }))
    }

    /// Waits until a querier has answered a query. Dropping the future gives the query up, wherever it is.
    ///
    /// # Errors
    /// `ResourceExhausted` if too many queries of the tenant wait, `Unavailable` if this query-scheduler stops or the querier
    /// went away, `DeadlineExceeded`, and whatever the querier says.
    pub async fn ask(
        &self,
        tenant: &TenantId,
        query: Bytes,
        deadline: Option<Instant>,
    ) -> Result<Bytes, Status> {
        let deadline = deadline.unwrap_or_else(|| Instant::now() + LONGEST);
        let (id, answer) = self.enqueue(tenant, query, deadline)?;
        let _asked = AskedFor {
            scheduler: self,
            id,
        };
        match timeout_at(deadline, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Status::new(
                ErrorKind::Unavailable,
                "the query was given up".to_owned(),
            )),
            Err(_) => Err(Status::new(
                ErrorKind::DeadlineExceeded,
                "the query was not answered in time".to_owned(),
            )),
        }
    }

    fn enqueue(
        &self,
        tenant: &TenantId,
        query: Bytes,
        deadline: Instant,
    ) -> Result<(QueryId, oneshot::Receiver<Result<Bytes, Status>>), Status> {
        let now = Instant::now();
        self.0.metrics.asked(tenant, now);
        let mut state = self.state();
        if state.stopping {
            return Err(Status::new(
                ErrorKind::Unavailable,
                "this query-scheduler stops".to_owned(),
            ));
        }
        let id = rand::random();
        let limit = self.0.config.max_outstanding_requests_per_tenant;
        if let Err(waiting) = state.queue.push(tenant, id, limit) {
            self.0.metrics.discarded(tenant);
            return Err(too_many(tenant, waiting));
        }
        let (reply, answer) = oneshot::channel();
        state.wishes.insert(
            id,
            Wish {
                tenant: tenant.clone(),
                query,
                deadline,
                since: now,
                trace: TraceHeaders::current(),
                queued: Some(info_span!(target: SPANS, "queued", %tenant)),
                reply: Some(reply),
                over: CancellationToken::new(),
                work: None,
            },
        );
        self.dispatch(&mut state);
        self.show(&state, tenant);
        Ok((id, answer))
    }

    /// Waits for a query that `querier` is to answer, for `wait` at most. A query that comes when the future was dropped
    /// already is given to somebody else.
    pub async fn pull(&self, querier: &str, wait: Duration) -> Pulled {
        let mut pull = {
            let mut state = self.state();
            state.seen(querier, Instant::now());
            if let Some(task) = self.take(&mut state, querier) {
                return Pulled::Task(task);
            }
            if state.stopping {
                return Pulled::Stopping;
            }
            let (number, task) = state.wait(querier);
            Pull {
                scheduler: self,
                number,
                task: Some(task),
            }
        };
        let Some(task) = &mut pull.task else {
            return Pulled::Nothing;
        };
        let pulled = timeout(wait, &mut *task).await;
        match pulled {
            Ok(pulled) => {
                pull.task = None;
                pulled.map_or(Pulled::Stopping, Pulled::Task)
            }
            // What came in this moment is not lost: the end of `pull` gives it back.
            Err(_) => Pulled::Nothing,
        }
    }

    /// Says that `querier` works on a query, and waits for `wait` at most until nobody wants the answer any more, which it
    /// returns. If the future is dropped before, the querier is taken for gone.
    pub async fn hold(&self, querier: &str, id: QueryId, wait: Duration) -> bool {
        let over = {
            let mut state = self.state();
            state.seen(querier, Instant::now());
            match state.work(querier, id) {
                Some((work, over)) => {
                    work.holds += 1;
                    over
                }
                None => return true,
            }
        };
        let mut hold = Hold {
            scheduler: self,
            querier,
            id,
            in_order: false,
        };
        let over = timeout(wait, over.cancelled()).await.is_ok();
        hold.in_order = true;
        over
    }

    /// Brings the answer to a query that `querier` works on. Nothing happens if nobody wants it any more.
    pub fn finish(&self, querier: &str, id: QueryId, outcome: Result<Bytes, Status>) {
        let mut state = self.state();
        state.seen(querier, Instant::now());
        if state.work(querier, id).is_some() {
            state.reply(id, outcome);
        }
    }

    /// `querier` takes no more queries; what it works on it brings.
    pub fn leave(&self, querier: &str) {
        let mut state = self.state();
        state.pulls.retain(|pull| pull.querier != querier);
        state.queriers.remove(querier);
    }

    /// Takes no more queries. Those that wait are still answered.
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        self.dispatch(&mut state);
    }

    /// Waits until nobody waits for an answer.
    pub async fn drained(&self) {
        let mut looks = interval(SAMPLE_EVERY / 10);
        while !self.state().wishes.is_empty() {
            looks.tick().await;
        }
    }

    /// Counts, and gives up queries whose querier went away. Runs until it is dropped.
    pub async fn run(self) {
        let mut ticks = interval(SAMPLE_EVERY);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let now = Instant::now();
        let mut state = self.state();
        for _ in 0..state.give_up_lost(now) {
            self.0.metrics.lost();
        }
        state.forget_queriers(now, self.0.config.querier_forget_delay);
        let inflight = state.queue.waiting() + state.queue.running();
        self.0.metrics.sample(inflight, state.connected(), now);
        // Who was not allowed to a tenant may be, now that another querier is gone.
        self.dispatch(&mut state);
    }

    /// Hands queries that wait to queriers that wait.
    fn dispatch(&self, state: &mut State) {
        let mut left = std::mem::take(&mut state.pulls);
        while state.queue.waiting() > 0
            && let Some(pull) = left.pop_front()
        {
            match self.take(state, &pull.querier) {
                Some(task) => {
                    let id = task.id;
                    if pull.task.send(task).is_err() {
                        state.give_back(id);
                    }
                }
                None => state.pulls.push_back(pull),
            }
        }
        if state.stopping && state.queue.waiting() == 0 {
            left.clear();
            state.pulls.clear();
        }
        state.pulls.append(&mut left);
    }

    /// The next query for a querier.
    fn take(&self, state: &mut State, querier: &str) -> Option<Task> {
        let now = Instant::now();
        let task = state.take(querier, now, |tenant| {
            self.0.overrides.limits(tenant).max_queriers_per_tenant
        })?;
        self.0.metrics.taken(now.saturating_duration_since(task.1));
        self.show(state, &task.0.tenant);
        Some(task.0)
    }

    fn show(&self, state: &State, tenant: &TenantId) {
        let waiting = state.queue.waiting_of(tenant);
        self.0.metrics.waiting(tenant, waiting);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

pub(crate) fn too_many(tenant: &TenantId, waiting: usize) -> Status {
    let message = format!(
        "too many outstanding requests: {waiting} queries of tenant {tenant} wait \
         (`query_scheduler.max_outstanding_requests_per_tenant`)"
    );
    Status::new(ErrorKind::ResourceExhausted, message).with_retry_after(Duration::from_secs(1))
}

/// Somebody waits for an answer.
struct AskedFor<'a> {
    scheduler: &'a Scheduler,
    id: QueryId,
}

impl Drop for AskedFor<'_> {
    fn drop(&mut self) {
        let mut state = self.scheduler.state();
        let Some(wish) = state.forget(self.id) else {
            return;
        };
        if wish.reply.is_some() {
            self.scheduler.0.metrics.cancelled(&wish.tenant);
        }
        self.scheduler.show(&state, &wish.tenant);
        if state.stopping {
            self.scheduler.dispatch(&mut state);
        }
    }
}

/// A querier waits for a query.
struct Pull<'a> {
    scheduler: &'a Scheduler,
    number: u64,
    /// `None` once it has what it waited for.
    task: Option<oneshot::Receiver<Task>>,
}

impl Drop for Pull<'_> {
    fn drop(&mut self) {
        let Some(mut task) = self.task.take() else {
            return;
        };
        let mut state = self.scheduler.state();
        state.pulls.retain(|pull| pull.number != self.number);
        if let Ok(task) = task.try_recv() {
            state.give_back(task.id);
            self.scheduler.dispatch(&mut state);
            self.scheduler.show(&state, &task.tenant);
        }
    }
}

/// A querier says that it works on a query.
struct Hold<'a> {
    scheduler: &'a Scheduler,
    querier: &'a str,
    id: QueryId,
    in_order: bool,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.scheduler.state();
        let Some((work, _)) = state.work(self.querier, self.id) else {
            return;
        };
        work.holds = work.holds.saturating_sub(1);
        work.heard = Instant::now();
        if !self.in_order && state.lose(self.id) {
            self.scheduler.0.metrics.lost();
        }
    }
}

#[cfg(test)]
mod tests;
