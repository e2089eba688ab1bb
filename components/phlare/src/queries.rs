//! The way of queries in this process: who takes them, where they wait, who answers them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use phlare_querier::{Fleet, Querier, Worker};
use phlare_query_frontend::{QueryFrontend, Schedulers};
use phlare_query_scheduler::{Scheduler, Turns};
use phlare_ring::{Ring, RingKind, host_name};
use phlare_server::{BodyLimit, Offload, Registry, Rpc};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::adapters::{Direct, InTurn};
use crate::components::{Common, Connections};
use crate::discovery::FoundSchedulers;
use crate::rings::Rings;
use crate::storage::Storage;
use crate::target::Target;

/// What a message takes besides the answer in it.
const FRAME: usize = 64 << 10;

/// What runs for queries, besides what serves them.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    scheduler: Option<Scheduler>,
    turns: Option<Turns>,
    worker: Option<(Worker, watch::Receiver<Ring>)>,
    working: JoinSet<()>,
    /// The querier takes nothing new.
    enough: CancellationToken,
}

impl Queries {
    /// Serves the queries of a process that is alone, from what it has.
    pub(crate) fn alone(
        common: &Common<'_>,
        storage: &Storage,
        reading: Offload,
        registry: &mut Registry,
        (rpc, routes): (&mut Rpc, Router),
    ) -> (Self, Router) {
        let config = common.config;
        let source = Arc::new(storage.all(config, &common.shared));
        let metrics = phlare_querier::Metrics::register(registry);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Turns::new(
            config.frontend_worker.max_concurrent.max(2 * processors),
            config.query_scheduler.max_outstanding_requests_per_tenant,
            phlare_query_scheduler::Metrics::register(registry),
        );
        let querier = InTurn {
            turns: turns.clone(),
            querier: Querier::new(source, common.offload.clone(), reading, metrics),
        };
        let metrics = phlare_query_frontend::Metrics::register(registry);
        let routes = serve(common, Arc::new(querier), metrics, (rpc, routes));
        let queries = Self {
            turns: Some(turns),
            ..Self::default()
        };
        (queries, routes)
    }

    /// Serves, schedules and answers queries as one of several processes, as far as its targets say so.
    pub(crate) fn of_fleet(
        common: &Common<'_>,
        (rings, peers, found): (&Rings, &Connections, &FoundSchedulers),
        metrics: phlare_querier::Metrics,
        registry: &mut Registry,
        (rpc, mut routes): (&mut Rpc, Router),
    ) -> (Self, Router) {
        let config = common.config;
        let mut queries = Self::default();
        let has_frontend = common.targets.has(Target::QueryFrontend);
        if let Some(me) = rings.other(RingKind::QueryScheduler) {
            let scheduler = Scheduler::new(
                config.query_scheduler.clone(),
                common.shared.overrides.clone(),
                phlare_query_scheduler::Metrics::register(registry),
            );
            let answers = BodyLimit {
                bytes: config.frontend.max_answer_bytes.saturating_add(FRAME),
                name: "query-frontend.max-answer-bytes",
            };
            phlare_query_scheduler::serve(rpc, &scheduler, me.id(), answers);
            queries.scheduler = Some(scheduler);
        }
        if common.targets.has(Target::Querier) {
            let fleet = common.fleet(rings, peers, metrics.clone());
            if !has_frontend {
                // It answers whoever asks it directly, too.
                let metrics = phlare_query_frontend::Metrics::register(registry);
                let direct = Arc::new(Direct(fleet.clone()));
                routes = serve(common, direct, metrics, (rpc, routes));
            }
            let worker = worker(common, fleet, peers, metrics);
            queries.worker = Some((worker, found.by_querier.clone()));
        }
        if has_frontend {
            let metrics = phlare_query_frontend::Metrics::register(registry);
            let schedulers = Arc::new(Schedulers::new(
                found.by_frontend.clone(),
                peers.schedulers.clone(),
                config.query_scheduler.max_used_instances,
                config.frontend.clone(),
                (
                    Arc::clone(&common.shared.clock),
                    common.offload.clone(),
                    metrics.clone(),
                ),
            ));
            let checked = Arc::clone(&schedulers);
            let health = &common.shared.health;
            health.register("query-frontend", move || checked.check_ready());
            routes = serve(common, schedulers, metrics, (rpc, routes));
        }
        (queries, routes)
    }

    /// Takes up work.
    pub(crate) fn run(&mut self) {
        if let Some(scheduler) = &self.scheduler {
            self.working.spawn(scheduler.clone().run());
        }
        if let Some(turns) = &self.turns {
            self.working.spawn(turns.clone().run());
        }
        if let Some((worker, schedulers)) = &self.worker {
            let running = worker.clone().run(schedulers.clone(), self.enough.clone());
            self.working.spawn(running);
        }
    }

    /// Takes nothing new, here or from others.
    pub(crate) fn leave(&self) {
        self.enough.cancel();
        if let Some(scheduler) = &self.scheduler {
            scheduler.stop();
        }
    }

    /// Waits until what was taken is answered, for `within` at most. The server has to serve meanwhile: answers come in.
    pub(crate) async fn drained(mut self, within: Duration) {
        let drained = async {
            if let Some(scheduler) = &self.scheduler {
                scheduler.drained().await;
            }
            if self.worker.is_some() {
                // What only counts runs until it is dropped.
                let counting = usize::from(self.scheduler.is_some());
                while self.working.len() > counting && self.working.join_next().await.is_some() {}
            }
        };
        if timeout(within, drained).await.is_err() {
            tracing::warn!(
                ?within,
                "some queries were not answered before the process stopped"
            );
        }
    }
}

fn worker(
    common: &Common<'_>,
    fleet: Fleet,
    peers: &Connections,
    metrics: phlare_querier::Metrics,
) -> Worker {
    let config = common.config;
    let id = match config.frontend_worker.id.as_str() {
        "" => host_name(),
        id => id.to_owned(),
    };
    Worker::new(
        id,
        (
            config.frontend_worker.clone(),
            config.query_scheduler.max_used_instances,
        ),
        fleet,
        peers.schedulers.clone(),
        (
            Arc::clone(&common.shared.clock),
            common.offload.clone(),
            metrics,
        ),
    )
}

/// Serves the public API, answered by `querier`.
fn serve(
    common: &Common<'_>,
    querier: Arc<dyn phlare_query_frontend::Querier>,
    metrics: phlare_query_frontend::Metrics,
    (rpc, routes): (&mut Rpc, Router),
) -> Router {
    let frontend = QueryFrontend::new(phlare_query_frontend::Deps {
        querier,
        overrides: common.shared.overrides.clone(),
        clock: Arc::clone(&common.shared.clock),
        offload: common.offload.clone(),
        metrics,
    });
    frontend.register(rpc);
    routes.merge(frontend.routes())
}
