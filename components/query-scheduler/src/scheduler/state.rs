//! What a query-scheduler knows at one moment.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use phlare_model::{ErrorKind, TenantId};
use phlare_server::{Status, TraceHeaders};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{QueryId, Task};
use crate::queue::Queue;
use crate::shard::serves;

/// How long a querier may keep silent about a query that it took: then it holds a call, or has the answer.
const SILENCE: Duration = Duration::from_secs(2);

/// How long a querier counts as there after its last call.
const QUIET: Duration = Duration::from_secs(1);

/// A query that somebody waits for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) tenant: TenantId,
    pub(super) query: Bytes,
    pub(super) deadline: Instant,
    /// When it came.
    pub(super) since: Instant,
    /// The trace of whoever asked.
    pub(super) trace: Option<TraceHeaders>,
    /// Ends when it is taken for the first time.
    pub(super) queued: Option<Span>,
    /// `None` once it has an answer.
    pub(super) reply: Option<oneshot::Sender<Result<Bytes, Status>>>,
    /// Ends with the wish.
    pub(super) over: CancellationToken,
    /// `None` while it waits.
    pub(super) work: Option<Work>,
}

/// A querier works on it.
#[derive(Debug)]
pub(super) struct Work {
    querier: String,
    /// When it last said so.
    pub(super) heard: Instant,
    /// Calls that say so right now.
    pub(super) holds: usize,
}

/// A querier that waits for a query.
#[derive(Debug)]
pub(super) struct WaitingPull {
    pub(super) number: u64,
    pub(super) querier: String,
    pub(super) task: oneshot::Sender<Task>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: Queue<QueryId>,
    pub(super) wishes: HashMap<QueryId, Wish>,
    pub(super) pulls: VecDeque<WaitingPull>,
    /// When queriers were last heard of.
    pub(super) queriers: BTreeMap<String, Instant>,
    pub(super) stopping: bool,
    next_pull: u64,
}

impl State {
    /// A querier is there.
    pub(super) fn seen(&mut self, querier: &str, now: Instant) {
        match self.queriers.get_mut(querier) {
            Some(last) => *last = now,
            None => {
                self.queriers.insert(querier.to_owned(), now);
            }
        }
    }

    /// A querier waits for a query.
    pub(super) fn wait(&mut self, querier: &str) -> (u64, oneshot::Receiver<Task>) {
        let (task, taken) = oneshot::channel();
        self.next_pull += 1;
        self.pulls.push_back(WaitingPull {
            number: self.next_pull,
            querier: querier.to_owned(),
            task,
        });
        (self.next_pull, taken)
    }

    /// The next query for a querier, and since when it waited. Those that nobody waits for any more are passed over.
    pub(super) fn take(
        &mut self,
        querier: &str,
        now: Instant,
        shard_size: impl Fn(&TenantId) -> usize,
    ) -> Option<(Task, Instant)> {
        loop {
            let queriers = &self.queriers;
            let (tenant, id) = self.queue.take(|tenant| {
                let names = queriers.keys().map(String::as_str);
                serves(querier, tenant, shard_size(tenant), names)
            })?;
            match self.wishes.get_mut(&id) {
                Some(wish) if wish.deadline > now => {
                    wish.queued = None;
                    wish.work = Some(Work {
                        querier: querier.to_owned(),
                        heard: now,
                        holds: 0,
                    });
                    let task = Task {
                        id,
                        tenant,
                        query: wish.query.clone(),
                        deadline: wish.deadline,
                        trace: wish.trace.clone(),
                    };
                    return Some((task, wish.since));
                }
                // Whoever waits for it knows.
                _ => self.queue.done(&tenant),
            }
        }
    }

    /// A query that was taken waits again, before all others of its tenant.
    pub(super) fn give_back(&mut self, id: QueryId) {
        if let Some(wish) = self.wishes.get_mut(&id)
            && wish.work.take().is_some()
        {
            self.queue.give_back(&wish.tenant, id);
        }
    }

    /// Nobody waits for an answer any more.
    pub(super) fn forget(&mut self, id: QueryId) -> Option<Wish> {
        let wish = self.wishes.remove(&id)?;
        match &wish.work {
            Some(_) => self.queue.done(&wish.tenant),
            None => {
                self.queue.remove(&wish.tenant, &id);
            }
        }
        wish.over.cancel();
        Some(wish)
    }

    /// The work of a querier on a query that has no answer yet.
    pub(super) fn work(
        &mut self,
        querier: &str,
        id: QueryId,
    ) -> Option<(&mut Work, CancellationToken)> {
        let wish = self.wishes.get_mut(&id)?;
        wish.reply.as_ref()?;
        let over = wish.over.clone();
        let work = wish.work.as_mut()?;
        (work.querier == querier).then_some((work, over))
    }

    /// Answers a query.
    pub(super) fn reply(&mut self, id: QueryId, outcome: Result<Bytes, Status>) {
        let wish = self.wishes.get_mut(&id);
        if let Some(reply) = wish.and_then(|wish| wish.reply.take()) {
            // Whoever asked may have gone in this moment.
            let _ = reply.send(outcome);
        }
    }

    /// The querier of a query is gone; whether the query still waited for it.
    pub(super) fn lose(&mut self, id: QueryId) -> bool {
        let wish = self.wishes.get(&id);
        let Some(wish) = wish.filter(|wish| wish.reply.is_some()) else {
            return false;
        };
        let Some(work) = &wish.work else {
            return false;
        };
        let message = format!(
            "querier `{}` went away before it had the answer",
            work.querier
        );
        self.reply(id, Err(Status::new(ErrorKind::Unavailable, message)));
        true
    }

    /// Answers queries whose querier keeps silent; how many.
    pub(super) fn give_up_lost(&mut self, now: Instant) -> usize {
        let silent = |wish: &Wish| {
            wish.reply.is_some()
                && wish.work.as_ref().is_some_and(|work| {
                    work.holds == 0 && now.saturating_duration_since(work.heard) > SILENCE
                })
        };
        let lost = self.wishes.iter().filter(|(_, wish)| silent(wish));
        let lost: Vec<QueryId> = lost.map(|(id, _)| *id).collect();
        lost.into_iter().filter(|id| self.lose(*id)).count()
    }

    /// Forgets queriers that were not heard of for `delay`.
    pub(super) fn forget_queriers(&mut self, now: Instant, delay: Duration) {
        let kept = QUIET.max(delay);
        let mut queriers = std::mem::take(&mut self.queriers);
        queriers.retain(|name, last| {
            now.saturating_duration_since(*last) <= kept || self.is_busy(name)
        });
        self.queriers = queriers;
    }

    /// How many queriers are there now.
    pub(super) fn connected(&self) -> usize {
        let now = Instant::now();
        let there = |(name, last): &(&String, &Instant)| {
            now.saturating_duration_since(**last) <= QUIET || self.is_busy(name)
        };
        self.queriers.iter().filter(there).count()
    }

    /// Whether a querier waits or works.
    fn is_busy(&self, querier: &str) -> bool {
        let works = |wish: &Wish| {
            let work = wish.work.as_ref();
            work.is_some_and(|work| work.querier == querier && work.holds > 0)
        };
        self.pulls.iter().any(|pull| pull.querier == querier) || self.wishes.values().any(works)
    }
}
