//! Takes queries from the queues of query-schedulers, some at a time, and brings their answers.

mod task;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use phlare_model::{Clock, TenantId};
use phlare_peer::{CallError, Channel, Peers, call, leaving_schedulers, name_of, used_schedulers};
use phlare_proto::phlare::query::v1 as proto;
use phlare_proto::phlare::query::v1::scheduler_service_client::SchedulerServiceClient;
use phlare_ring::{Instance, InstanceId, Ring};
use phlare_server::Offload;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::config::WorkerConfig;
use crate::fleet::Fleet;
use crate::metrics::Metrics;

/// How long a query-scheduler may let a querier wait for a query.
const WAIT: Duration = Duration::from_secs(10);
/// How much longer its answer may take on the way.
const ON_THE_WAY: Duration = Duration::from_secs(5);
/// Pause after a query-scheduler did not answer, and between looks at the ring.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a query-scheduler has to learn that a querier leaves.
const FAREWELL: Duration = Duration::from_secs(2);

/// A querier that pulls its work. Cheap to clone.
#[derive(Clone)]
pub struct Worker(Arc<Shared>);

struct Shared {
    id: String,
    config: WorkerConfig,
    /// How many query-schedulers are used; 0 is all.
    most_used: usize,
    fleet: Fleet,
    peers: Peers,
    clock: Arc<dyn Clock>,
    offload: Offload,
    metrics: Metrics,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

/// A query-scheduler that work is taken from.
#[derive(Clone)]
struct Source {
    instance: Arc<Instance>,
    client: SchedulerServiceClient<Channel>,
}

/// Work is taken from it by so many at once.
struct Taking {
    source: Source,
    wanted: watch::Sender<usize>,
    loops: Vec<AbortHandle>,
}

impl Worker {
    /// Answers with `fleet` what the query-schedulers have that `peers` reaches. `id`: its name there.
    #[must_use]
    pub fn new(
        id: String,
        (config, most_used): (WorkerConfig, usize),
        fleet: Fleet,
        peers: Peers,
        (clock, offload, metrics): (Arc<dyn Clock>, Offload, Metrics),
    ) -> Self {
        Self(Arc::new(Shared {
            id,
            config,
            most_used,
            fleet,
            peers,
            clock,
            offload,
            metrics,
        }))
    }

    /// Works for the members of `ring` until `stop`; then takes nothing new and ends what it has begun.
    pub async fn run(self, mut ring: watch::Receiver<Ring>, stop: CancellationToken) {
        let mut taking: HashMap<InstanceId, Taking> = HashMap::new();
        let mut loops = JoinSet::new();
        while !stop.is_cancelled() {
            let shares = self.shares(&ring.borrow_and_update());
            self.follow(shares, &mut taking, &mut loops);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = ring.changed() => {}
                // Members that fall silent change no ring.
                () = sleep(PAUSE) => {}
            }
            while loops.try_join_next().is_some() {}
        }
        info!(querier = self.0.id, "takes no more queries");
        self.leave(taking).await;
        while loops.join_next().await.is_some() {}
    }

    /// How many queries may be taken at once from each query-scheduler: all together as many as the settings say, but one
    /// at least, and one of those that stop.
    fn shares(&self, ring: &Ring) -> Vec<(Arc<Instance>, usize)> {
        let now_ms = self.0.clock.now_ms();
        let used = used_schedulers(ring, self.0.most_used, now_ms);
        let counts = shares(self.0.config.max_concurrent, used.len(), &self.0.id);
        let leaving = leaving_schedulers(ring, now_ms);
        let leaving = leaving.into_iter().map(|instance| (instance, 1));
        used.into_iter().zip(counts).chain(leaving).collect()
    }

    fn follow(
        &self,
        shares: Vec<(Arc<Instance>, usize)>,
        taking: &mut HashMap<InstanceId, Taking>,
        loops: &mut JoinSet<()>,
    ) {
        taking.retain(|id, taking| {
            let kept = shares.iter().any(|(instance, _)| {
                instance.id == *id && instance.addr == taking.source.instance.addr
            });
            if !kept {
                taking.wanted.send_replace(0);
            }
            kept
        });
        for (instance, count) in shares {
            let taking = match taking.entry(instance.id.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => match self.0.peers.channel(&instance) {
                    Ok(channel) => new.insert(Taking {
                        source: Source {
                            instance,
                            client: SchedulerServiceClient::new(channel),
                        },
                        wanted: watch::Sender::new(count),
                        loops: Vec::new(),
                    }),
                    Err(error) => {
                        debug!(
                            error = error.status.message,
                            "a query-scheduler is left out"
                        );
                        continue;
                    }
                },
            };
            taking.wanted.send_replace(count);
            for number in 0..count {
                // One that was to end, and has not yet, goes on.
                let runs = taking.loops.get(number).map(|one| !one.is_finished());
                if runs == Some(true) {
                    continue;
                }
                let (worker, source) = (self.clone(), taking.source.clone());
                let one = loops.spawn(worker.take(source, number, taking.wanted.subscribe()));
                match taking.loops.get_mut(number) {
                    Some(ended) => *ended = one,
                    None => taking.loops.push(one),
                }
            }
        }
        let sources = i64::try_from(taking.len()).unwrap_or(i64::MAX);
        self.0.metrics.schedulers(sources);
    }

    /// Says to everybody that this querier takes nothing more.
    async fn leave(&self, taking: HashMap<InstanceId, Taking>) {
        let mut told = JoinSet::new();
        for Taking { source, wanted, .. } in taking.into_values() {
            let id = self.0.id.clone();
            wanted.send_replace(0);
            told.spawn(async move {
                let request = proto::LeaveRequest {
                    instance_id: name_of(&source.instance),
                    querier: id,
                };
                let mut client = source.client;
                let send = async move |request| client.leave(request).await;
                let tenant = TenantId::anonymous();
                if let Err(error) = call(&source.instance, &tenant, FAREWELL, request, send).await {
                    debug!(
                        error = error.status.message,
                        "a query-scheduler was not told"
                    );
                }
                // Until here nothing of `wanted` may go: the loops end when they see it.
                drop(wanted);
            });
        }
        while told.join_next().await.is_some() {}
    }

    /// Takes and answers one query after the other, as long as more than `number` are wanted at once.
    async fn take(self, source: Source, number: usize, mut wanted: watch::Receiver<usize>) {
        while *wanted.borrow_and_update() > number {
            match self.pull(&source).await {
                Ok(proto::PullResponse {
                    task: Some(task), ..
                }) => self.work(&source, task).await,
                Ok(proto::PullResponse {
                    stopping: false, ..
                }) => {}
                Ok(_) => self.pause(&mut wanted).await,
                Err(error) => {
                    debug!(error = error.status.message, "no query");
                    self.pause(&mut wanted).await;
                }
            }
        }
    }

    async fn pause(&self, wanted: &mut watch::Receiver<usize>) {
        // Either is an end of the pause.
        let _ = timeout(PAUSE, wanted.changed()).await;
    }

    async fn pull(&self, source: &Source) -> Result<proto::PullResponse, CallError> {
        let request = proto::PullRequest {
            instance_id: name_of(&source.instance),
            querier: self.0.id.clone(),
            wait_ms: WAIT.as_millis() as u64,
        };
        let mut client = source.client.clone();
        let send = async move |request| client.pull(request).await;
        let tenant = TenantId::anonymous();
        call(&source.instance, &tenant, WAIT + ON_THE_WAY, request, send).await
    }
}

/// `total` over `count`, one at least for each. Who gets one more differs from querier to querier.
fn shares(total: usize, count: usize, id: &str) -> Vec<usize> {
    let Some(each) = total.checked_div(count) else {
        return Vec::new();
    };
    let more = total % count;
    let first = id.bytes().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    let place = |number: usize| (number + first % count) % count;
    (0..count)
        .map(|number| (each + usize::from(place(number) < more)).max(1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_taken_from_all_and_no_more_than_allowed() {
        assert_eq!(shares(4, 2, "a"), [2, 2]);
        assert_eq!(shares(4, 0, "a"), [] as [usize; 0]);
        assert_eq!(shares(4, 6, "a"), [1; 6]);
        let odd = shares(5, 3, "querier-0");
        assert_eq!(odd.iter().sum::<usize>(), 5);
        assert!(odd.iter().all(|share| (1..=2).contains(share)));
        let of_others = (0..20).map(|n| shares(5, 2, &format!("querier-{n}")));
        let uneven: std::collections::BTreeSet<_> = of_others.collect();
        assert_eq!(uneven.len(), 2, "{uneven:?}");
    }
}
