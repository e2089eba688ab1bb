//! Turns for the queries of a process that is alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use phlare_model::{ErrorKind, SPANS, TenantId};
use phlare_server::Status;
use tokio::sync::oneshot;
use tokio::time::{Instant, interval};
use tracing::{Instrument, info_span};

use crate::metrics::{Metrics, SAMPLE_EVERY};
use crate::queue::Queue;
use crate::scheduler::too_many;

/// Lets some queries run at once; the others wait, each tenant's in a queue of its own. Cheap to clone.
#[derive(Clone)]
pub struct Turns(Arc<Shared>);

struct Shared {
    /// How many run at once.
    at_once: usize,
    /// How many of a tenant may wait.
    limit: usize,
    metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: Queue<u64>,
    waiting: HashMap<u64, (Instant, oneshot::Sender<()>)>,
    next: u64,
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

impl Turns {
    /// `at_once` queries run at the same time, `limit` of a tenant wait.
    #[must_use]
    pub fn new(at_once: usize, limit: usize, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            at_once: at_once.max(1),
            limit: limit.max(1),
            metrics,
            state: Mutex::default(),
        }))
    }

    /// Waits until a query of the tenant may run; it has its turn until that is dropped.
    ///
    /// # Errors
    /// `ResourceExhausted` if too many queries of the tenant wait.
    pub async fn turn(&self, tenant: &TenantId) -> Result<Turn, Status> {
        let (number, granted) = self.enqueue(tenant)?;
        // Who is dropped while it waits, or in the moment it need not any more, gives its turn to the next.
        let turn = Turn {
            turns: self.clone(),
            tenant: tenant.clone(),
            number,
        };
        let queued = info_span!(target: SPANS, "queued", %tenant);
        match granted.instrument(queued).await {
            Ok(()) => Ok(turn),
            Err(_) => Err(Status::new(
                ErrorKind::Unavailable,
                "the query was given up".to_owned(),
            )),
        }
    }

    fn enqueue(&self, tenant: &TenantId) -> Result<(u64, oneshot::Receiver<()>), Status> {
        let now = Instant::now();
        self.0.metrics.asked(tenant, now);
        let mut state = self.0.state.lock();
        state.next += 1;
        let number = state.next;
        if let Err(waiting) = state.queue.push(tenant, number, self.0.limit) {
            self.0.metrics.discarded(tenant);
            return Err(too_many(tenant, waiting));
        }
        let (grant, granted) = oneshot::channel();
        state.waiting.insert(number, (now, grant));
        self.grant(&mut state);
        self.0
            .metrics
            .waiting(tenant, state.queue.waiting_of(tenant));
        Ok((number, granted))
    }

    fn grant(&self, state: &mut State) {
        while state.queue.running() < self.0.at_once
            && let Some((tenant, number)) = state.queue.take(|_| true)
        {
            let waiting = state.queue.waiting_of(&tenant);
            self.0.metrics.waiting(&tenant, waiting);
            if let Some((since, grant)) = state.waiting.remove(&number) {
                self.0.metrics.taken(since.elapsed());
                // Who is gone already ends its turn itself.
                let _ = grant.send(());
            }
        }
    }

    /// Counts what is in flight, until it is dropped.
    pub async fn run(self) {
        let mut ticks = interval(SAMPLE_EVERY);
        loop {
            ticks.tick().await;
            let inflight = {
                let state = self.0.state.lock();
                state.queue.waiting() + state.queue.running()
            };
            self.0.metrics.sample(inflight, 1, Instant::now());
        }
    }
}

/// A query that may run, or waits for it.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    tenant: TenantId,
    number: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Shared { metrics, state, .. } = &*self.turns.0;
        let mut state = state.lock();
        if state.waiting.remove(&self.number).is_some() {
            state.queue.remove(&self.tenant, &self.number);
            metrics.cancelled(&self.tenant);
            metrics.waiting(&self.tenant, state.queue.waiting_of(&self.tenant));
        } else {
            state.queue.done(&self.tenant);
            self.turns.grant(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[tokio::test]
    async fn so_many_run_and_the_next_is_the_tenant_with_fewest() {
        let turns = Turns::new(2, 10, Metrics::default());
        let (noisy, quiet) = (tenant("noisy"), tenant("quiet"));
        let first = turns.turn(&noisy).await.unwrap();
        let second = turns.turn(&noisy).await.unwrap();
        let mut third = Box::pin(turns.turn(&noisy));
        assert!((&mut third).now_or_never().is_none());
        let mut other = Box::pin(turns.turn(&quiet));
        assert!((&mut other).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        let other = other.now_or_never().unwrap().unwrap();
        drop((second, other));
        third.now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn too_many_are_refused_and_who_gives_up_makes_room() {
        let turns = Turns::new(1, 2, Metrics::default());
        let tenant = tenant("a");
        let running = turns.turn(&tenant).await.unwrap();
        let mut second = Box::pin(turns.turn(&tenant));
        let mut third = Box::pin(turns.turn(&tenant));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        let refused = turns.turn(&tenant).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::ResourceExhausted);
        assert!(refused.message.contains("too many outstanding requests: 2"));
        drop(second);
        let mut fourth = Box::pin(turns.turn(&tenant));
        assert!((&mut fourth).now_or_never().is_none());
        assert_eq!(turns.0.metrics.of_tenant(&tenant), (2, 1, 1));
        // One that may run and does not know it yet is given up.
        drop(running);
        drop(third);
        fourth.now_or_never().unwrap().unwrap();
        assert_eq!(turns.0.state.lock().queue.running(), 0);
    }
}
