//! The components that take and answer requests, made of what a process shares.

use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use phlare_distributor::{
    Distributor, Ingest, RemoteIngesters, ReplicaDependencies, ReplicaMetrics, Replicas,
};
use phlare_ingester::{Announcer, AnnouncerMetrics, IngestService};
use phlare_peer::{Own, Peers};
use phlare_querier::{Fleet, LocalStore, Querier, RingStores};
use phlare_ring::{Membership, RingKind};
use phlare_server::{Inbound, Offload, Registry, Rpc};
use phlare_store_gateway::UploadsService;
use tokio::task::JoinSet;

use crate::adapters::Served;
use crate::config::Config;
use crate::discovery::FoundSchedulers;
use crate::rings::Rings;
use crate::storage::{Shared, Storage};
use crate::target::Targets;
use crate::{prepare, routes};

/// Threads that answer queries over blocks: most of the time they wait for bytes.
const READING_THREADS: usize = 16;

/// Connections to the members of the rings.
pub(crate) struct Connections {
    ingesters: Peers,
    gateways: Peers,
    pub(crate) schedulers: Peers,
}

impl Connections {
    pub(crate) fn new(own: &Own, registry: &mut Registry) -> Self {
        let mut to = |peer| {
            let metrics = phlare_peer::Metrics::register(registry, peer);
            Peers::new(metrics, own.clone())
        };
        Self {
            ingesters: to("ingester"),
            gateways: to("store-gateway"),
            schedulers: to("query-scheduler"),
        }
    }

    /// What tells store-gateways of the uploads of this process.
    pub(crate) fn announcer(
        &self,
        config: &Config,
        membership: &Membership,
        registry: &mut Registry,
    ) -> Arc<Announcer> {
        Arc::new(Announcer::new(
            membership.subscribe(RingKind::StoreGateway),
            self.gateways.clone(),
            Arc::clone(membership.clock()),
            config.store_gateway.bucket_store.sync_interval,
            AnnouncerMetrics::register(registry),
        ))
    }

    /// Closes those to members that have gone, until the rings end.
    pub(crate) fn follow(
        self,
        membership: &Membership,
        schedulers: FoundSchedulers,
        tasks: &mut JoinSet<()>,
    ) {
        for (peers, kind) in [
            (self.ingesters, RingKind::Ingester),
            (self.gateways, RingKind::StoreGateway),
        ] {
            tasks.spawn(peers.follow(membership.subscribe(kind)));
        }
        let FoundSchedulers {
            by_frontend,
            by_querier,
        } = schedulers;
        tasks.spawn(self.schedulers.follow_either(by_frontend, by_querier));
    }
}

/// A distributor, and what it has on its way to ingesters elsewhere.
pub(crate) struct ServedDistributor {
    pub(crate) distributor: Distributor,
    pub(crate) replicas: Option<Replicas>,
}

/// What components are made of.
pub(crate) struct Common<'a> {
    pub(crate) config: &'a Config,
    pub(crate) targets: Targets,
    pub(crate) shared: Shared,
    pub(crate) offload: Offload,
    pub(crate) inbound: Inbound,
}

impl Common<'_> {
    /// Takes profiles for the ingesters of the fleet, or for the one of this process if it is alone.
    pub(crate) fn distributor(
        &self,
        local: Option<Arc<dyn Ingest>>,
        fleet: Option<(&Rings, &Connections)>,
        registry: &mut Registry,
    ) -> anyhow::Result<ServedDistributor> {
        let replicas = fleet.map(|fleet| self.replicas(fleet, registry));
        let replica: Option<Arc<dyn Ingest>> = match &replicas {
            Some(remote) => Some(Arc::new(remote.clone())),
            None => local,
        };
        let distributors =
            fleet.map(|(rings, _)| rings.membership.subscribe(RingKind::Distributor));
        let distributor = Distributor::new(
            self.config.distributor.clone(),
            phlare_distributor::Dependencies {
                replica: replica.context("a process that is alone has an ingester")?,
                overrides: self.shared.overrides.clone(),
                offload: self.offload.clone(),
                inbound: self.inbound.clone(),
                clock: Arc::clone(&self.shared.clock),
                seed: self.shared.seed,
                distributors,
                metrics: phlare_distributor::Metrics::register(
                    registry,
                    Arc::clone(&self.shared.clock),
                ),
            },
        );
        Ok(ServedDistributor {
            distributor,
            replicas,
        })
    }

    /// Where profiles go if there are several ingesters.
    fn replicas(
        &self,
        (rings, peers): (&Rings, &Connections),
        registry: &mut Registry,
    ) -> Replicas {
        let dependencies = ReplicaDependencies {
            ring: rings.membership.subscribe(RingKind::Ingester),
            ingesters: Arc::new(RemoteIngesters::new(peers.ingesters.clone())),
            overrides: self.shared.overrides.clone(),
            clock: Arc::clone(&self.shared.clock),
            metrics: ReplicaMetrics::register(registry),
        };
        let config = &self.config.distributor;
        let replicas = Replicas::new(config.push_timeout, config.max_inflight_bytes, dependencies);
        let checked = replicas.clone();
        let health = &self.shared.health;
        health.register("distributor", move || checked.check_ready());
        replicas
    }

    /// Threads that read blocks.
    pub(crate) fn reading(&self, metrics: &phlare_server::Metrics) -> anyhow::Result<Offload> {
        let queue = self.config.server.cpu_queue;
        Ok(Offload::new("read", READING_THREADS, queue, metrics)?)
    }

    pub(crate) fn fleet(
        &self,
        rings: &Rings,
        peers: &Connections,
        metrics: phlare_querier::Metrics,
    ) -> Fleet {
        let config = self.config.querier.clone();
        let stores = RingStores::new(
            rings.membership.clone(),
            peers.ingesters.clone(),
            peers.gateways.clone(),
            config.clone(),
        );
        let clock = Arc::clone(&self.shared.clock);
        let offload = self.offload.clone();
        Fleet::new(config, Arc::new(stores), offload, clock, metrics)
    }

    /// Serves what this process holds to queriers elsewhere.
    pub(crate) fn serve_store(
        &self,
        storage: &Storage,
        rings: &Rings,
        reading: Offload,
        metrics: phlare_querier::Metrics,
        rpc: &mut Rpc,
    ) -> anyhow::Result<()> {
        let gateway = rings.other(RingKind::StoreGateway);
        if let (Some(me), Some(gateway)) = (gateway, &storage.gateway) {
            UploadsService::new(Arc::clone(gateway), me.id().clone()).register(rpc);
        }
        let ingester = rings.ingester.as_ref();
        let me = match (ingester, gateway) {
            (Some(one), Some(other)) if one.id() != other.id() => bail!(
                "`ingester.lifecycler.ID` is `{}`, `store_gateway.sharding_ring.instance_id` is `{}`: both are one process, \
                 so they need one name",
                one.id(),
                other.id()
            ),
            (Some(me), _) | (None, Some(me)) => me.id().clone(),
            (None, None) => return Ok(()),
        };
        let source = Arc::new(Served {
            ingester: storage.ingester.clone(),
            gateway: storage.gateway.clone(),
        });
        let querier = Querier::new(source, self.offload.clone(), reading, metrics);
        let store = Arc::new(LocalStore::new(me, querier));
        phlare_querier::serve(rpc, store, self.config.querier.max_profile_keys);
        Ok(())
    }

    /// Serves the ingester, if there is one, to people, and to distributors elsewhere if there are `several` processes.
    pub(crate) fn serve_ingester(
        &self,
        storage: &Storage,
        rings: &Rings,
        several: bool,
        rpc: &mut Rpc,
    ) -> Router {
        let (Some(ingester), Some(me)) = (&storage.ingester, &rings.ingester) else {
            return Router::new();
        };
        // What the file in the data directory says counts, not what the ring remembers.
        me.set_read_only(ingester.is_prepared());
        let routes = routes::flush(Arc::clone(ingester)).merge(prepare::routes(ingester, me));
        if !several {
            return routes;
        }
        let service = IngestService::new(
            Arc::clone(ingester),
            self.offload.clone(),
            self.shared.seed,
            me.id().clone(),
        );
        service.register(rpc);
        routes
    }
}
