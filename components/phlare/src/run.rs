//! Start and stop: components in the order of their dependencies, and back.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use phlare_distributor::Distributor;
use phlare_model::{Clock, SystemClock};
use phlare_pprof::Seed;
use phlare_querier::Querier;
use phlare_query_frontend::QueryFrontend;
use phlare_server::{Health, Inbound, Offload, Parts, Registry, Rpc, Server, TenantMode};
use phlare_tenancy::Overrides;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::adapters::{LocalIngester, LocalQuerier};
use crate::config::Config;
use crate::profiler::Profiler;
use crate::rings::Rings;
use crate::self_profiling::SelfProfiling;
use crate::storage::{Shared, Storage};
use crate::{logging, rings, routes, ui};

/// Threads that serve sockets; computing has a pool of its own.
const SOCKET_THREADS: usize = 2;

/// Threads that answer queries over blocks: most of the time they wait for bytes.
const READING_THREADS: usize = 16;

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    logging::begin(&config.server);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SOCKET_THREADS)
        .enable_all()
        .build()
        .context("start the threads of the server")?;
    runtime.block_on(serve(config))
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let system = System::build(config)?;
    let listener = phlare_server::bind(&config.server).await?;
    let address = listener.local_addr().context("address of the listener")?;
    if config.show_banner {
        ui::welcome(config, address);
    }
    info!(
        %address,
        bucket = %system.storage.bucket,
        version = env!("CARGO_PKG_VERSION"),
        target = config.target.join(","),
        "started"
    );

    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    if !config.self_profiling.disable_push {
        let pushing = system.self_profiling(config, &listener)?;
        tasks.spawn(pushing.run(shutdown.clone()));
    }
    let ingester = Arc::clone(&system.storage.ingester);
    let storing = CancellationToken::new();
    system.storage.run(&mut tasks, &storing);
    let member = system.ring.ingester;
    let leaving = CancellationToken::new();
    let mut in_ring = JoinSet::new();
    in_ring.spawn(system.ring.task.run());
    let (membership, left) = (system.ring.membership, leaving.clone());
    in_ring.spawn(async move {
        if let Err(error) = membership.run(left).await {
            tracing::error!(%error, "the ring is not kept up to date any more");
        }
    });
    let mut recovering = tokio::task::spawn_blocking(move || ingester.recover());
    let serving = system.server.run(listener, shutdown.clone());
    let mut serving = std::pin::pin!(serving);

    let mut recovered = false;
    let outcome = loop {
        tokio::select! {
            () = &mut serving => break Ok(()),
            name = stop.received() => {
                info!(signal = name, "stopping");
                break Ok(());
            }
            ended = &mut recovering, if !recovered => match ended.context("replay of the logs") {
                Ok(Ok(())) => {
                    recovered = true;
                    member.ready();
                }
                Ok(Err(error)) => break Err(error.into()),
                Err(error) => break Err(error),
            },
        }
    };
    member.leave();
    shutdown.cancel();
    serving.await;
    storing.cancel();
    while tasks.join_next().await.is_some() {}
    let stopped = system.storage.stop().await;
    member.drained();
    leaving.cancel();
    while in_ring.join_next().await.is_some() {}
    info!("stopped");
    outcome.and(stopped)
}

/// The components, connected.
struct System {
    storage: Storage,
    ring: Rings,
    server: Server,
    profiler: Profiler,
}

impl System {
    fn build(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut registry = Registry::default();
        let metrics = phlare_server::Metrics::register(&mut registry);
        let offload = Offload::new(
            "cpu",
            config.server.cpu_threads,
            config.server.cpu_queue,
            &metrics,
        )?;
        let reading = Offload::new("read", READING_THREADS, config.server.cpu_queue, &metrics)?;
        let inbound = Inbound::new(&config.server, offload.clone(), &metrics);
        let shared = Shared {
            clock: Arc::clone(&clock),
            seed: Seed::random(),
            overrides: Overrides::fixed(config.limits.clone()),
            health: Health::new(),
        };
        let storage = Storage::open(config, &shared, &mut registry)?;

        let distributor = Distributor::new(
            config.distributor.clone(),
            phlare_distributor::Dependencies {
                replica: Arc::new(LocalIngester(Arc::clone(&storage.ingester))),
                overrides: shared.overrides.clone(),
                offload: offload.clone(),
                inbound: inbound.clone(),
                clock: Arc::clone(&clock),
                seed: shared.seed,
                metrics: phlare_distributor::Metrics::register(&mut registry),
            },
        );
        let querier_metrics = phlare_querier::Metrics::register(&mut registry);
        let querier = LocalQuerier(Querier::new(
            Arc::new(storage.stored(config, &shared)),
            offload.clone(),
            reading,
            querier_metrics,
        ));
        let frontend = QueryFrontend::new(phlare_query_frontend::Deps {
            querier: Arc::new(querier),
            overrides: shared.overrides.clone(),
            clock: Arc::clone(&clock),
            offload: offload.clone(),
            metrics: phlare_query_frontend::Metrics::register(&mut registry),
        });

        let mut rpc = Rpc::new();
        distributor.register(&mut rpc);
        frontend.register(&mut rpc);
        let port = config.server.http_listen_port;
        let ring = Rings::alone(Arc::clone(&clock), port, &mut registry);
        let profiler = Profiler::new(clock);
        let routes = Router::new()
            .merge(distributor.routes())
            .merge(frontend.routes())
            .merge(routes::routes(config))
            .merge(rings::routes(ring.membership.clone()))
            .merge(routes::flush(Arc::clone(&storage.ingester)));
        let tenants = if config.multitenancy_enabled {
            TenantMode::Multi
        } else {
            TenantMode::Single
        };
        let slow_routes = routes::debug_routes(profiler.clone(), offload.clone());
        let parts = Parts {
            tenants,
            metrics,
            registry,
            health: shared.health,
            offload,
            inbound,
            rpc,
            routes,
            slow_routes,
        };
        Ok(Self {
            storage,
            ring,
            server: Server::new(config.server.clone(), parts),
            profiler,
        })
    }

    fn self_profiling(
        &self,
        config: &Config,
        listener: &TcpListener,
    ) -> anyhow::Result<SelfProfiling> {
        let settings = &config.self_profiling;
        let url = match settings.url.as_str() {
            "" => format!("http://127.0.0.1:{}", listener.local_addr()?.port()),
            url => url.to_owned(),
        };
        Ok(SelfProfiling {
            profiler: self.profiler.clone(),
            url,
            tenant: settings.tenant()?,
            interval: settings.interval,
            target: config.target.join(","),
        })
    }
}

/// SIGINT and SIGTERM.
struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
