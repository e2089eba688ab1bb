//! Start and stop: components in the order of their dependencies, and back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use phlare_distributor::{Ingest, Replicas};
use phlare_model::{Clock, SystemClock};
use phlare_pprof::Seed;
use phlare_ring::{Member, RingKind};
use phlare_server::{Health, Inbound, Offload, Parts, Registry, Rpc, Server, TenantMode};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::adapters::LocalIngester;
use crate::components::{Common, Connections};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::discovery::FoundSchedulers;
use crate::profiler::Profiler;
use crate::queries::Queries;
use crate::rings::Rings;
use crate::runtime_config::RuntimeConfig;
use crate::self_profiling::SelfProfiling;
use crate::storage::{Shared, Storage};
use crate::target::{Target, Targets};
use crate::traces::Traces;
use crate::{logging, rings, routes, tenant_files, ui};

/// Threads that serve sockets; computing has a pool of its own.
const SOCKET_THREADS: usize = 2;

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SOCKET_THREADS)
        .enable_all()
        .build()
        .context("start the threads of the server")?;
    runtime.block_on(async {
        let traces = Traces::begin(&config.tracing, &config.target.join("-"))?;
        logging::begin(&config.server, traces.as_ref().map(Traces::tracer));
        let outcome = serve(config, traces.as_ref()).await;
        if let Some(traces) = traces {
            traces.finish().await;
        }
        outcome
    })
}

async fn serve(config: &Config, traces: Option<&Traces>) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let listener = phlare_server::bind(&config.server).await?;
    let address = listener.local_addr().context("address of the listener")?;
    let mut system = System::build(config, address.port(), traces).await?;
    if config.show_banner {
        ui::welcome(config, address);
    }
    let bucket = system.storage.bucket.as_ref().map(ToString::to_string);
    let advertised = &system.rings.advertised;
    let others_reach_it = config.is_one_of_several() && !advertised.is_empty();
    info!(
        %address,
        advertised = others_reach_it.then(|| advertised.join(",")),
        bucket,
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
    tasks.spawn(system.runtime_config.clone().run(shutdown.clone()));
    system.credentials.watch(&mut tasks, &shutdown);
    let storing = CancellationToken::new();
    system.storage.run(&mut tasks, &storing);
    let leaving = CancellationToken::new();
    let mut in_rings = JoinSet::new();
    system.rings.run(&mut in_rings, leaving.clone());
    let mut following = JoinSet::new();
    if let Some(peers) = system.peers.take() {
        let schedulers = system.schedulers.clone();
        peers.follow(&system.rings.membership, schedulers, &mut following);
    }
    say_ready(&system, &mut following);
    system.queries.run();
    let mut recovering = recover(&system);
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
                    system.rings.ingester.iter().for_each(Member::ready);
                }
                Ok(Err(error)) => break Err(error.into()),
                Err(error) => break Err(error),
            },
        }
    };
    system.rings.leave();
    system.health.drain();
    system.queries.leave();
    if !config.shutdown_delay.is_zero() {
        let last = tokio::time::sleep(config.shutdown_delay);
        tokio::select! {
            () = &mut serving => {}
            () = last => {}
            name = stop.received() => info!(signal = name, "stopping without further delay"),
        }
    }
    // It serves meanwhile: answers come in.
    tokio::select! {
        () = &mut serving => {}
        () = system.queries.drained(config.server.graceful_shutdown_timeout) => {}
    }
    shutdown.cancel();
    serving.await;
    if let Some(replicas) = &system.replicas {
        replicas.drained().await;
    }
    storing.cancel();
    while tasks.join_next().await.is_some() {}
    let stopped = system.storage.stop().await;
    system.rings.drained();
    leaving.cancel();
    while in_rings.join_next().await.is_some() {}
    drop(following);
    info!("stopped");
    outcome.and(stopped)
}

/// Says in the rings that this process is ready, as far as it is.
fn say_ready(system: &System, following: &mut JoinSet<()>) {
    for member in &system.rings.others {
        match (&system.storage.gateway, member.kind()) {
            // Blocks are asked of a store-gateway once it knows which there are.
            (Some(gateway), RingKind::StoreGateway) => {
                let (gateway, member) = (Arc::clone(gateway), member.clone());
                following.spawn(async move {
                    gateway.wait_listed().await;
                    member.ready();
                });
            }
            _ => member.ready(),
        }
    }
}

/// Replays the logs, if there are any.
fn recover(system: &System) -> JoinHandle<Result<(), phlare_ingester::Error>> {
    let ingester = system.storage.ingester.clone();
    tokio::task::spawn_blocking(move || match ingester {
        Some(ingester) => ingester.recover(),
        None => Ok(()),
    })
}

/// The components, connected.
struct System {
    storage: Storage,
    rings: Rings,
    /// Connections to others, if there are several processes.
    peers: Option<Connections>,
    replicas: Option<Replicas>,
    queries: Queries,
    schedulers: FoundSchedulers,
    /// What looks for query-schedulers, if they are not found in their ring.
    _looking: JoinSet<()>,
    health: Health,
    server: Server,
    profiler: Profiler,
    runtime_config: RuntimeConfig,
    credentials: Credentials,
}

impl System {
    /// `port`: where the process serves.
    async fn build(config: &Config, port: u16, traces: Option<&Traces>) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut registry = Registry::default();
        traces.inspect(|traces| traces.register(&mut registry));
        let metrics = phlare_server::Metrics::register(&mut registry);
        let (offload, inbound) = computing(&config.server, &metrics)?;
        let credentials = Credentials::open(config, &mut registry)?;
        let targets = config.targets()?;
        let several = config.is_one_of_several();
        let health = Health::new();
        let told = (&mut registry, &health);
        let runtime_config = Box::pin(limits(config, &targets, told)).await?;
        let told = (&mut registry, &health);
        let rings = Rings::begin(config, &targets, Arc::clone(&clock), port, told);
        let rings = Box::pin(rings).await?;
        let ingesters = rings.membership.subscribe(RingKind::Ingester);
        let peers = several.then(|| Connections::new(&credentials.own, &mut registry));
        let mut looking = JoinSet::new();
        let schedulers = FoundSchedulers::begin(config, &rings.membership, &mut looking)?;
        let telling = peers.as_ref().filter(|_| targets.has(Target::Ingester));
        let announcer =
            telling.map(|peers| peers.announcer(config, &rings.membership, &mut registry));
        let common = Common {
            config,
            targets,
            shared: Shared {
                clock: Arc::clone(&clock),
                seed: Seed::random(),
                overrides: runtime_config.overrides(),
                health,
                ingesters: several.then_some(ingesters),
                announcer,
                compactors: rings.compactors(),
            },
            offload,
            inbound,
        };
        let storage = Storage::open(config, &common.targets, &common.shared, &mut registry)?;
        let mut rpc = Rpc::new();
        let mut routes = pages(config, &runtime_config, &rings);
        let replicas = match common.targets.has(Target::Distributor) {
            true => {
                let fleet = peers.as_ref().map(|peers| (&rings, peers));
                let served = common.distributor(local(&storage), fleet, &mut registry)?;
                served.distributor.register(&mut rpc);
                routes = routes.merge(served.distributor.routes());
                served.replicas
            }
            false => None,
        };
        let reading = common.reading(&metrics)?;
        let queries;
        (queries, routes) = match &peers {
            Some(peers) => {
                let of = phlare_querier::Metrics::register(&mut registry);
                common.serve_store(&storage, &rings, reading, of.clone(), &mut rpc)?;
                let fleet = (&rings, peers, &schedulers);
                Queries::of_fleet(&common, fleet, of, &mut registry, (&mut rpc, routes))
            }
            None => Queries::alone(
                &common,
                &storage,
                reading,
                &mut registry,
                (&mut rpc, routes),
            ),
        };
        tenant_files::serve(&common, storage.bucket.as_ref(), &mut rpc);
        let of_ingester = common.serve_ingester(&storage, &rings, several, &mut rpc);
        routes = routes.merge(of_ingester);
        let profiler = Profiler::new(clock);
        let slow_routes = routes::debug_routes(profiler.clone(), common.offload.clone());
        let health = common.shared.health;
        let parts = Parts {
            tenants: tenants(config),
            guard: credentials.guard.clone(),
            metrics,
            registry,
            health: health.clone(),
            offload: common.offload,
            inbound: common.inbound,
            rpc,
            routes,
            slow_routes,
        };
        Ok(Self {
            storage,
            rings,
            peers,
            replicas,
            queries,
            schedulers,
            _looking: looking,
            health,
            server: credentials.secured(Server::new(config.server.clone(), parts)),
            profiler,
            runtime_config,
            credentials,
        })
    }

    fn self_profiling(
        &self,
        config: &Config,
        listener: &TcpListener,
    ) -> anyhow::Result<SelfProfiling> {
        let settings = &config.self_profiling;
        let url = match settings.url.as_str() {
            "" => format!("{}://{}", scheme(config), reached(listener.local_addr()?)),
            url => url.to_owned(),
        };
        Ok(SelfProfiling {
            profiler: self.profiler.clone(),
            url,
            tenant: settings.tenant()?,
            interval: settings.interval,
            tls: self.credentials.own.tls.clone(),
            token: self.credentials.pushing.clone(),
            target: config.target.join(","),
        })
    }
}

/// How this process is spoken to.
fn scheme(config: &Config) -> &'static str {
    match config.server.http_tls_config.is_on() {
        true => "https",
        false => "http",
    }
}

/// Where work is done, and what reads the bodies of requests.
fn computing(
    config: &phlare_server::Config,
    metrics: &phlare_server::Metrics,
) -> anyhow::Result<(Offload, Inbound)> {
    let offload = Offload::new("cpu", config.cpu_threads, config.cpu_queue, metrics)?;
    let inbound = Inbound::new(config, offload.clone(), metrics);
    Ok((offload, inbound))
}

/// Whether requests name their tenant.
fn tenants(config: &Config) -> TenantMode {
    match config.multitenancy_enabled {
        true => TenantMode::Multi,
        false => TenantMode::Single,
    }
}

/// The limits of all tenants; shown where queries are answered.
async fn limits(
    config: &Config,
    targets: &Targets,
    (registry, health): (&mut Registry, &Health),
) -> anyhow::Result<RuntimeConfig> {
    let limits = RuntimeConfig::begin(&config.runtime_config, &config.limits).await?;
    limits.register(registry, health, targets.has(Target::QueryFrontend));
    Ok(limits)
}

/// What every process shows, whatever it runs.
fn pages(config: &Config, limits: &RuntimeConfig, rings: &Rings) -> Router {
    Router::new()
        .merge(routes::routes(config))
        .merge(limits.routes())
        .merge(rings::routes(&rings.membership, config.is_one_of_several()))
}

/// Where a process reaches itself that listens at `address`.
fn reached(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        false => address,
    }
}

/// The ingester of this process.
fn local(storage: &Storage) -> Option<Arc<dyn Ingest>> {
    let ingester = storage.ingester.clone()?;
    Some(Arc::new(LocalIngester(ingester)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_reaches_itself_where_it_listens() {
        for (listening, reaching) in [
            ("[::]:4040", "127.0.0.1:4040"),
            ("0.0.0.0:4040", "127.0.0.1:4040"),
            ("10.0.0.5:4040", "10.0.0.5:4040"),
            ("[fd00:1::]:4040", "[fd00:1::]:4040"),
        ] {
            assert_eq!(reached(listening.parse().unwrap()).to_string(), reaching);
        }
    }
}
