//! Databases, servers, and who is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use phlare_block::BlockId;
use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, MergeQuery, MetadataQuery, SeriesQuery};
use phlare_model::selector::Selector;
use phlare_model::{Aggregation, ManualClock, TenantId, TimeRange};
use phlare_phlaredb::{
    Append, BlockCache, Database, Dependencies, MemoryBudget, PartitionId, Row, View, wal,
};
use phlare_pprof::{Options, Seed, Workspace};
use phlare_proto::google::v1::{Function, Line, Location, Profile, Sample, ValueType};
use phlare_querier::{
    Asked, Config, Fleet, LocalStore, Metrics, Querier, Source, Store, Stores, serve,
};
use phlare_ring::{Heartbeat, Instance, InstanceId, ReplicationSet, State, Tokens};
use phlare_server::{
    Health, Inbound, Offload, Parts, Registry, Rpc, Server, Status, TenantMode, bind,
};
use prost::Message;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::Moody;

pub(crate) const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
pub(crate) const T0_MS: i64 = 1_767_225_600_000;

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("a").unwrap()
}

pub(crate) fn offload() -> Offload {
    let metrics = phlare_server::Metrics::register(&mut Registry::default());
    Offload::new("test", 2, 1000, &metrics).unwrap()
}

/// A database in a directory of its own, as the only thing that a process has.
pub(crate) struct Data {
    database: Database,
    seed: Seed,
    _directory: tempfile::TempDir,
}

impl Source for Data {
    fn view(&self, tenant: &TenantId, range: Option<TimeRange>) -> Result<View, Status> {
        if tenant.as_str() != "a" {
            return Ok(View::default());
        }
        let view = self.database.view();
        Ok(match range {
            Some(range) => view.within(range),
            None => view,
        })
    }
}

impl Data {
    pub(crate) fn new() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let seed = Seed::random();
        let dependencies = Dependencies {
            clock: Arc::new(ManualClock::at_ns(T0_MS * 1_000_000)),
            metrics: phlare_phlaredb::Metrics::register(&mut Registry::default()),
            budget: Arc::new(MemoryBudget::new(1 << 30)),
            committer: wal::Committer::new(1),
            seed,
            cache: BlockCache::new(16 << 20),
            ids: Arc::default(),
        };
        let config = phlare_phlaredb::Config::default();
        let (database, _) =
            Database::open(directory.path(), tenant(), &config, dependencies).unwrap();
        Arc::new(Self {
            database,
            seed,
            _directory: directory,
        })
    }

    /// The profile of a number: value, stack, service, partition, time and id follow from it.
    pub(crate) async fn push(&self, number: u16) {
        let bytes = profile(number).encode_to_vec();
        let mut workspace = Workspace::new();
        let decoded = workspace.decode(&bytes, 0).unwrap();
        let options = Options::new(self.seed, time_ms(number) * 1_000_000);
        let profile = decoded.normalize(&options).unwrap();
        let service = format!("service-{}", number % 4);
        let rows = [Row {
            labels: Labels::from_pairs([
                ("__profile_type__", CPU),
                ("pod", ["a", "b"][usize::from(number % 2)]),
                ("service_name", &service),
            ]),
            group: 0,
            sample_type: 0,
            id: Uuid::from_u128(u128::from(number) + 1),
            partition: PartitionId(u64::from(number % 4)),
            delta: false,
        }];
        let append = Append {
            profile: &profile,
            rows: &rows,
        };
        let commit = self.database.append(&append, 0).unwrap();
        commit.wait().await.unwrap();
    }

    pub(crate) async fn push_all(&self, numbers: impl IntoIterator<Item = u16>) {
        for number in numbers {
            self.push(number).await;
        }
    }

    /// What is in the head becomes a block.
    pub(crate) fn cut(&self) {
        self.database.cut().unwrap();
    }

    pub(crate) fn querier(self: &Arc<Self>) -> Querier {
        let (offload, source) = (offload(), Arc::<Self>::clone(self));
        Querier::new(source, offload.clone(), offload, Metrics::default())
    }

    /// A store under a name.
    pub(crate) fn store(self: &Arc<Self>, name: &str) -> Arc<Moody> {
        Moody::new(LocalStore::new(name.into(), self.querier()))
    }
}

/// Several have one time.
pub(crate) fn time_ms(number: u16) -> i64 {
    T0_MS + i64::from(number) / 3 * 1000
}

pub(crate) fn value(number: u16) -> i64 {
    1 + i64::from(number) * i64::from(number)
}

/// `main;work-N` for several N, and `main` alone.
fn profile(number: u16) -> Profile {
    let names = ["", "cpu", "nanoseconds", "main", "file.go", "binary"].map(str::to_owned);
    let mut strings = names.to_vec();
    let mut functions = vec![(3, 1)];
    for work in 0..3 {
        strings.push(format!("work-{}", (number + work * 7) % 11));
        functions.push((5 + i64::from(work) + 1, i64::from(work) + 2));
    }
    let function = |&(name, id): &(i64, i64)| Function {
        id: id as u64,
        name,
        system_name: name,
        filename: 4,
        start_line: id,
    };
    let location = |&(_, id): &(i64, i64)| Location {
        id: id as u64,
        line: vec![Line {
            function_id: id as u64,
            line: 10 + id,
            ..Line::default()
        }],
        address: 4096 + id as u64,
        ..Location::default()
    };
    let sample = |work: u64| Sample {
        location_id: if work == 0 {
            vec![1]
        } else {
            vec![work + 1, 1]
        },
        value: vec![value(number) * (1 + work as i64)],
        ..Sample::default()
    };
    Profile {
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        sample: (0..4).map(sample).collect(),
        location: functions.iter().map(location).collect(),
        function: functions.iter().map(function).collect(),
        string_table: strings,
        time_nanos: time_ms(number) * 1_000_000,
        ..Profile::default()
    }
}

/// What [`profile`] adds up to.
pub(crate) fn total(numbers: impl IntoIterator<Item = u16>) -> i64 {
    numbers.into_iter().map(|number| value(number) * 10).sum()
}

/// A server that has one store.
pub(crate) struct Node {
    pub(crate) store: Arc<Moody>,
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    running: JoinSet<()>,
}

impl Node {
    pub(crate) async fn start(store: Arc<Moody>) -> Self {
        let config = phlare_server::Config {
            http_listen_address: "127.0.0.1".into(),
            http_listen_port: 0,
            ..phlare_server::Config::default()
        };
        let mut registry = Registry::default();
        let metrics = phlare_server::Metrics::register(&mut registry);
        let offload = Offload::new("cpu", 2, 100, &metrics).unwrap();
        let mut rpc = Rpc::new();
        serve(&mut rpc, Arc::<Moody>::clone(&store), 1 << 20);
        let parts = Parts {
            tenants: TenantMode::Multi,
            inbound: Inbound::new(&config, offload.clone(), &metrics),
            metrics,
            registry,
            health: Health::new(),
            offload,
            rpc,
            routes: Router::new(),
            slow_routes: Router::new(),
            guard: phlare_server::Guard::default(),
        };
        let listener = bind(&config).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(Server::new(config, parts).run(listener, shutdown.clone()));
        Self {
            store,
            address,
            shutdown,
            running,
        }
    }

    /// Nobody listens any more.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        self.running.join_next().await.unwrap().unwrap();
    }

    pub(crate) fn instance(&self) -> Instance {
        let instance = instance(self.store.instance());
        Instance {
            addr: self.address.to_string(),
            ..instance
        }
    }
}

pub(crate) fn instance(id: &InstanceId) -> Instance {
    Instance {
        id: id.clone(),
        addr: "127.0.0.1:1".to_owned(),
        zone: "".into(),
        state: State::Active,
        tokens: Tokens::spread("test", "", id.as_str(), 16),
        registered_ms: T0_MS,
        fresh: false,
        read_only: false,
        read_only_changed_ms: 0,
        heartbeat: Heartbeat::at_ms(T0_MS),
    }
}

/// Waits little for a store, and never gives one up before the test does.
pub(crate) fn config() -> Config {
    Config {
        store_hedge_after: Duration::from_millis(100),
        store_timeout: Duration::from_secs(300),
        ..Config::default()
    }
}

/// Stores that are there or not. Every gateway owns every block, in the order of the list.
pub(crate) struct Given {
    pub(crate) ingesters: Vec<Arc<dyn Store>>,
    pub(crate) may_fail: usize,
    pub(crate) gateways: Vec<Arc<dyn Store>>,
}

impl Given {
    /// Three replicas or less.
    pub(crate) fn ingesters(stores: impl IntoIterator<Item = Arc<dyn Store>>) -> Self {
        let ingesters: Vec<_> = stores.into_iter().collect();
        Self {
            may_fail: ingesters.len() / 3,
            ingesters,
            gateways: Vec::new(),
        }
    }

    pub(crate) fn fleet(self) -> Fleet {
        fleet(Arc::new(self), config())
    }
}

pub(crate) fn fleet(stores: Arc<dyn Stores>, config: Config) -> Fleet {
    let clock = Arc::new(ManualClock::at_ns(T0_MS * 1_000_000));
    Fleet::new(config, stores, offload(), clock, Metrics::default())
}

impl Stores for Given {
    fn ingesters(&self, _: &TenantId) -> Result<Asked, Status> {
        let instances = self.ingesters.iter();
        let set = ReplicationSet {
            instances: instances
                .map(|store| Arc::new(instance(store.instance())))
                .collect(),
            max_errors: self.may_fail,
            max_unavailable_zones: None,
        };
        Ok(Asked {
            tally: set.tally(),
            stores: self.ingesters.clone(),
        })
    }

    fn gateways(&self, _: &TenantId) -> Result<Vec<Arc<dyn Store>>, Status> {
        Ok(self.gateways.clone())
    }

    fn owners(&self, _: &TenantId, _: BlockId) -> Result<Vec<Arc<dyn Store>>, Status> {
        Ok(self.gateways.clone())
    }
}

pub(crate) fn range() -> TimeRange {
    TimeRange {
        start_ms: T0_MS,
        end_ms: T0_MS + 7_200_000,
    }
}

pub(crate) fn merge() -> MergeQuery {
    MergeQuery {
        profile_type: CPU.parse().unwrap(),
        selector: Selector::all(),
        range: range(),
        spans: None,
        call_site: Vec::new(),
        max_nodes: 0,
        go_pgo: None,
    }
}

pub(crate) fn series(aggregation: Aggregation) -> SeriesQuery {
    SeriesQuery {
        profile_type: CPU.parse().unwrap(),
        selector: Selector::all(),
        range: range(),
        step_ms: 2000,
        group_by: vec!["service_name".to_owned()],
        aggregation,
        call_site: Vec::new(),
    }
}

pub(crate) fn analysis() -> AnalyzeQuery {
    AnalyzeQuery {
        profile_type: None,
        selector: Selector::all(),
        range: range(),
    }
}

pub(crate) fn metadata() -> MetadataQuery {
    MetadataQuery {
        selectors: vec![Selector::parse(r#"{pod="b"}"#).unwrap()],
        range: Some(range()),
    }
}

/// Values by stack, functions and lines, whatever order they come in.
fn stacks(profile: &Profile) -> Vec<(Vec<String>, i64)> {
    let text = |index: i64| &profile.string_table[index as usize];
    let frame = |id: &u64| {
        let location = &profile.location[*id as usize - 1];
        let lines = location.line.iter().map(|line| {
            let function = &profile.function[line.function_id as usize - 1];
            format!("{} {}", text(function.name), line.line)
        });
        format!("{:x} {:?}", location.address, lines.collect::<Vec<_>>())
    };
    let samples = profile.sample.iter();
    let mut stacks: Vec<(Vec<String>, i64)> = samples
        .map(|sample| {
            (
                sample.location_id.iter().map(frame).collect(),
                sample.value[0],
            )
        })
        .collect();
    stacks.sort();
    stacks
}

/// Asks everything of both; the answers have to be the same.
#[track_caller]
pub(crate) fn assert_same(fleet: &Fleet, whole: &Querier) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        let a = tenant();
        for max_nodes in [0, 5] {
            let query = MergeQuery {
                max_nodes,
                ..merge()
            };
            let found = fleet.select_tree(&a, query.clone()).await.unwrap();
            let expected = whole.select_tree(&a, query.clone()).await.unwrap();
            assert_eq!(found.collapsed(), expected.collapsed(), "{at} {max_nodes}");
            let found = fleet.select_pprof(&a, query.clone()).await.unwrap();
            let expected = whole.select_pprof(&a, query).await.unwrap();
            assert_eq!(stacks(&found), stacks(&expected), "{at} {max_nodes}");
        }
        for aggregation in [Aggregation::Sum, Aggregation::Average] {
            let found = fleet.select_series(&a, series(aggregation)).await.unwrap();
            let expected = whole.select_series(&a, series(aggregation)).await.unwrap();
            assert_eq!(found, expected, "{at}");
        }
        let found = fleet.analyze(&a, analysis()).await.unwrap();
        let expected = whole.analyze(&a, analysis()).await.unwrap();
        assert_eq!(
            (found.series, found.profiles),
            (expected.series, expected.profiles),
            "{at}"
        );
        let found = fleet.label_names(&a, metadata()).await.unwrap();
        assert_eq!(found, whole.label_names(&a, metadata()).await.unwrap());
        let name = || "service_name".to_owned();
        let found = fleet.label_values(&a, name(), metadata()).await.unwrap();
        let expected = whole.label_values(&a, name(), metadata()).await.unwrap();
        assert_eq!(found, expected, "{at}");
        for names in [Vec::new(), vec![name()]] {
            let found = fleet.series(&a, names.clone(), metadata()).await.unwrap();
            let expected = whole.series(&a, names, metadata()).await.unwrap();
            assert_eq!(found, expected, "{at}");
        }
        let found = fleet.stats(&a).await.unwrap();
        assert_eq!(found, whole.stats(&a).unwrap(), "{at}");
    }
}
