//! A database in a temporary directory, and real profiles to put into it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use phlare_block::BlockIds;
use phlare_model::labels::{Labels, LabelsBuilder, names};
use phlare_model::profile_type::ProfileType;
use phlare_model::query::{MergeQuery, MetadataQuery, SeriesQuery, TimeRange};
use phlare_model::selector::Selector;
use phlare_model::{Aggregation, ManualClock, TenantId};
use phlare_phlaredb::{
    Append, BlockCache, Commit, Config, Database, Dependencies, Error, MemoryBudget, Metrics,
    PartitionId, Recovery, Row, wal,
};
use phlare_pprof::{Options, Seed, Workspace};
use uuid::Uuid;

pub(crate) const GO_CPU: &[u8] = include_bytes!("../data/go-cpu.pb.gz");
pub(crate) const GO_LABELS: &[u8] = include_bytes!("../data/go-cpu-labels.pb.gz");
pub(crate) const JAVA_CPU: &[u8] = include_bytes!("../data/java-cpu.pb.gz");

/// The profile type of the fixtures.
pub(crate) const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// When the tests' profiles were taken.
pub(crate) const T0_MS: i64 = 1_700_000_000_000;

/// A database and what it was opened with.
pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) recovery: Recovery,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) budget: Arc<MemoryBudget>,
    seed: Seed,
}

/// Opens a database with settings changed by `change`.
pub(crate) fn open_with(directory: &Path, change: impl FnOnce(&mut Config)) -> Fixture {
    let mut config = Config {
        data_path: directory.to_owned(),
        ..Config::default()
    };
    change(&mut config);
    let clock = Arc::new(ManualClock::at_ns(T0_MS * 1_000_000));
    let budget = Arc::new(MemoryBudget::new(config.head_max_bytes));
    let seed = Seed::random();
    let dependencies = Dependencies {
        clock: Arc::clone(&clock) as _,
        metrics: Metrics::default(),
        budget: Arc::clone(&budget),
        committer: wal::Committer::new(1),
        seed,
        cache: BlockCache::new(64 << 20),
        ids: Arc::new(Mutex::new(BlockIds::random())),
    };
    let tenant = TenantId::anonymous();
    let (database, recovery) = Database::open(directory, tenant, &config, dependencies).unwrap();
    Fixture {
        database,
        recovery,
        clock,
        budget,
        seed,
    }
}

pub(crate) fn open(directory: &Path) -> Fixture {
    open_with(directory, |_| {})
}

impl Fixture {
    /// Appends all values of a real profile as it was taken `at_ms`, and waits until they are durable.
    pub(crate) fn push(&self, raw: &[u8], name: &str, service: &str, at_ms: i64) {
        block_on(self.append(raw, name, service, at_ms, 0).unwrap().wait()).unwrap();
    }

    /// As [`Self::push`], with a limit of series, without waiting.
    pub(crate) fn append(
        &self,
        raw: &[u8],
        name: &str,
        service: &str,
        at_ms: i64,
        max_series: usize,
    ) -> Result<Commit, Error> {
        self.append_rows(raw, name, service, at_ms, max_series, false)
    }

    /// Appends a profile whose values count from the start of a program: `times` those of [`GO_CPU`].
    pub(crate) fn push_cumulative(&self, service: &str, at_ms: i64, times: i64) {
        use prost::Message;
        let mut profile = decode(GO_CPU);
        for sample in &mut profile.sample {
            sample.value.iter_mut().for_each(|value| *value *= times);
        }
        let raw = profile.encode_to_vec();
        let appended = self.append_rows(&raw, "process_cpu", service, at_ms, 0, true);
        block_on(appended.unwrap().wait()).unwrap();
    }

    /// Appends the same profile to a series of each service, and waits until they are durable.
    pub(crate) fn push_to_all(&self, raw: &[u8], name: &str, services: &[String], at_ms: i64) {
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        let appended = self.append_to(raw, name, &services, at_ms, 0, false);
        block_on(appended.unwrap().wait()).unwrap();
    }

    fn append_rows(
        &self,
        raw: &[u8],
        name: &str,
        service: &str,
        at_ms: i64,
        max_series: usize,
        delta: bool,
    ) -> Result<Commit, Error> {
        self.append_to(raw, name, &[service], at_ms, max_series, delta)
    }

    fn append_to(
        &self,
        raw: &[u8],
        name: &str,
        services: &[&str],
        at_ms: i64,
        max_series: usize,
        delta: bool,
    ) -> Result<Commit, Error> {
        let mut workspace = Workspace::new();
        let decoded = workspace.decode(raw, 64 << 20).unwrap();
        let mut profile = decoded
            .normalize(&Options::new(self.seed, at_ms * 1_000_000))
            .unwrap();
        profile.time_ns = at_ms * 1_000_000;
        let id = Uuid::from_u128(at_ms as u128);
        let types = profile.sample_types.len();
        let kinds = (0..profile.groups.len())
            .flat_map(|group| (0..types).map(move |sample_type| (group, sample_type)));
        let rows: Vec<_> = services
            .iter()
            .flat_map(|&service| {
                kinds
                    .clone()
                    .map(move |(group, kind)| (service, group, kind))
            })
            .map(|(service, group, sample_type)| {
                let kind = profile.sample_types[sample_type];
                let period = profile.period_type.unwrap();
                let profile_type = ProfileType {
                    name: name.to_owned(),
                    sample_type: kind.kind.to_owned(),
                    sample_unit: kind.unit.to_owned(),
                    period_type: period.kind.to_owned(),
                    period_unit: period.unit.to_owned(),
                };
                Row {
                    labels: labels(service, &profile_type, &profile.groups[group].labels),
                    group,
                    sample_type,
                    id,
                    partition: PartitionId(7),
                    delta,
                }
            })
            .collect();
        self.database.append(
            &Append {
                profile: &profile,
                rows: &rows,
            },
            max_series,
        )
    }

    /// Sum of the values of a type over all time, as the flame graph says it.
    pub(crate) fn total(&self, profile_type: &str, selector: &str) -> i64 {
        self.database
            .view()
            .select_tree(&merge(profile_type, selector))
            .unwrap()
            .total()
    }
}

fn labels(service: &str, profile_type: &ProfileType, sample_labels: &[(&str, &str)]) -> Labels {
    let mut builder = LabelsBuilder::new();
    for &(name, value) in sample_labels {
        builder.set(name, value);
    }
    builder.set(names::NAME, &profile_type.name);
    builder.set(names::SERVICE_NAME, service);
    builder.set(names::PROFILE_TYPE, &profile_type.to_string());
    builder.build()
}

pub(crate) fn merge(profile_type: &str, selector: &str) -> MergeQuery {
    MergeQuery {
        profile_type: profile_type.parse().unwrap(),
        selector: Selector::parse(selector).unwrap(),
        range: TimeRange {
            start_ms: 0,
            end_ms: i64::MAX / 2_000_000,
        },
        spans: None,
        call_site: Vec::new(),
        max_nodes: 0,
        go_pgo: None,
    }
}

pub(crate) fn series(
    profile_type: &str,
    selector: &str,
    range: TimeRange,
    group_by: &[&str],
) -> SeriesQuery {
    SeriesQuery {
        profile_type: profile_type.parse().unwrap(),
        selector: Selector::parse(selector).unwrap(),
        range,
        step_ms: 1000,
        group_by: group_by.iter().map(ToString::to_string).collect(),
        aggregation: Aggregation::Sum,
        call_site: Vec::new(),
    }
}

pub(crate) fn everything() -> MetadataQuery {
    MetadataQuery {
        selectors: Vec::new(),
        range: None,
    }
}

/// Sum of one column of a pprof, by hand.
pub(crate) fn sum_by_hand(raw: &[u8], column: usize) -> i64 {
    let profile = decode(raw);
    profile
        .sample
        .iter()
        .map(|sample| sample.value[column])
        .sum()
}

fn decode(raw: &[u8]) -> phlare_proto::google::v1::Profile {
    use prost::Message;
    let mut plain = Vec::new();
    phlare_pprof::gzip::Inflater::new()
        .gunzip(raw, 64 << 20, &mut plain)
        .unwrap();
    phlare_proto::google::v1::Profile::decode(plain.as_slice()).unwrap()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), future)
            .await
            .unwrap()
    })
}
