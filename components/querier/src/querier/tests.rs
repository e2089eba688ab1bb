use std::path::Path;

use phlare_model::{Aggregation, ErrorKind, ManualClock, Selector};
use phlare_phlaredb::{
    Append, Config, Database, Dependencies, MemoryBudget, PartitionId, Row, wal,
};
use phlare_pprof::{Options, Seed, Workspace};
use phlare_proto::google::v1::{Function, Line, Location, Sample, ValueType};
use phlare_server::Registry;
use prost::Message;
use uuid::Uuid;

use super::*;

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const TIME_MS: i64 = 1_767_225_600_000;

/// One database for the tenant `a`, none for others, and `starting` is not known yet.
struct One(Arc<Database>);

impl Source for One {
    fn view(&self, tenant: &TenantId, _: Option<TimeRange>) -> Result<View, Status> {
        match tenant.as_str() {
            "a" => Ok(self.0.view()),
            "starting" => Err(Status::new(ErrorKind::Unavailable, "logs are read back")),
            _ => Ok(View::default()),
        }
    }
}

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

/// `main;work 5` at [`TIME_MS`].
fn one_stack() -> Profile {
    let function = |id, name| Function {
        id,
        name,
        ..Function::default()
    };
    let location = |id| Location {
        id,
        line: vec![Line {
            function_id: id,
            ..Line::default()
        }],
        address: id,
        ..Location::default()
    };
    Profile {
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        sample: vec![Sample {
            location_id: vec![2, 1],
            value: vec![5],
            ..Sample::default()
        }],
        location: vec![location(1), location(2)],
        function: vec![function(1, 3), function(2, 4)],
        string_table: ["", "cpu", "nanoseconds", "main", "work"]
            .map(str::to_owned)
            .to_vec(),
        time_nanos: TIME_MS * 1_000_000,
        ..Profile::default()
    }
}

async fn filled(directory: &Path) -> Database {
    let seed = Seed::random();
    let dependencies = Dependencies {
        clock: Arc::new(ManualClock::at_ns(TIME_MS * 1_000_000)),
        metrics: phlare_phlaredb::Metrics::register(&mut Registry::default()),
        budget: Arc::new(MemoryBudget::new(1 << 30)),
        committer: wal::Committer::new(1),
        seed,
        cache: phlare_phlaredb::BlockCache::new(1 << 20),
        ids: Arc::default(),
    };
    let (database, _) =
        Database::open(directory, tenant("a"), &Config::default(), dependencies).unwrap();
    let bytes = one_stack().encode_to_vec();
    let mut workspace = Workspace::new();
    let decoded = workspace.decode(&bytes, 0).unwrap();
    let profile = decoded
        .normalize(&Options::new(seed, TIME_MS * 1_000_000))
        .unwrap();
    let rows = [Row {
        labels: Labels::from_pairs([("__profile_type__", CPU), ("service_name", "shop")]),
        group: 0,
        sample_type: 0,
        id: Uuid::nil(),
        partition: PartitionId(1),
        delta: false,
    }];
    database
        .append(
            &Append {
                profile: &profile,
                rows: &rows,
            },
            0,
        )
        .unwrap()
        .wait()
        .await
        .unwrap();
    database
}

async fn querier(directory: &tempfile::TempDir) -> Querier {
    let server = phlare_server::Metrics::register(&mut Registry::default());
    let offload = Offload::new("test", 1, 8, &server).unwrap();
    Querier::new(
        Arc::new(One(Arc::new(filled(directory.path()).await))),
        offload.clone(),
        offload,
        Metrics::default(),
    )
}

fn all() -> MetadataQuery {
    MetadataQuery {
        selectors: vec![Selector::all()],
        range: None,
    }
}

fn merge() -> MergeQuery {
    MergeQuery {
        profile_type: CPU.parse().unwrap(),
        selector: Selector::parse("{service_name=\"shop\"}").unwrap(),
        range: TimeRange {
            start_ms: TIME_MS - 1000,
            end_ms: TIME_MS,
        },
        spans: None,
        call_site: Vec::new(),
        max_nodes: 0,
        go_pgo: None,
    }
}

fn series() -> SeriesQuery {
    SeriesQuery {
        profile_type: CPU.parse().unwrap(),
        selector: Selector::all(),
        range: TimeRange {
            start_ms: TIME_MS - 1000,
            end_ms: TIME_MS,
        },
        step_ms: 1000,
        group_by: vec!["service_name".to_owned()],
        aggregation: Aggregation::Sum,
        call_site: Vec::new(),
    }
}

fn analysis() -> AnalyzeQuery {
    let MergeQuery {
        profile_type,
        selector,
        range,
        ..
    } = merge();
    AnalyzeQuery {
        profile_type: Some(profile_type),
        selector,
        range,
    }
}

#[tokio::test]
async fn queries_are_answered_from_the_tenants_database() {
    let directory = tempfile::tempdir().unwrap();
    let querier = querier(&directory).await;
    let a = tenant("a");
    assert_eq!(
        querier.label_names(&a, all()).await.unwrap(),
        ["__profile_type__", "service_name"]
    );
    assert_eq!(
        querier
            .label_values(&a, "service_name".to_owned(), all())
            .await
            .unwrap(),
        ["shop"]
    );
    let sets = querier
        .series(&a, vec!["service_name".to_owned()], all())
        .await
        .unwrap();
    assert_eq!(sets, [Labels::from_pairs([("service_name", "shop")])]);
    assert_eq!(
        querier.select_tree(&a, merge()).await.unwrap().collapsed(),
        "main;work 5\n"
    );
    assert_eq!(
        querier.select_pprof(&a, merge()).await.unwrap().sample[0].value,
        [5]
    );
    assert_eq!(
        querier.select_series(&a, series()).await.unwrap()[0].points,
        [(TIME_MS, 5.0)]
    );
    let found = querier.analyze(&a, analysis()).await.unwrap();
    assert_eq!((found.series, found.profiles, found.samples), (1, 1, 1));
    let times = Some(TimeRange {
        start_ms: TIME_MS,
        end_ms: TIME_MS,
    });
    assert_eq!(querier.stats(&a).unwrap().times, times);
}

#[tokio::test]
async fn a_tenant_without_a_database_gets_empty_answers() {
    let directory = tempfile::tempdir().unwrap();
    let querier = querier(&directory).await;
    let other = tenant("other");
    assert_eq!(
        querier.label_names(&other, all()).await.unwrap(),
        <[&str; 0]>::default()
    );
    assert_eq!(querier.series(&other, Vec::new(), all()).await.unwrap(), []);
    assert!(
        querier
            .select_tree(&other, merge())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        querier
            .select_pprof(&other, merge())
            .await
            .unwrap()
            .sample
            .is_empty()
    );
    assert_eq!(querier.select_series(&other, series()).await.unwrap(), []);
    assert_eq!(
        querier.analyze(&other, analysis()).await.unwrap(),
        Analysis::default()
    );
    assert_eq!(querier.stats(&other).unwrap(), ProfileStats::default());
}

#[tokio::test]
async fn a_database_that_is_not_known_yet_is_no_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let querier = querier(&directory).await;
    let starting = tenant("starting");
    assert_eq!(
        querier
            .label_names(&starting, all())
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Unavailable
    );
    assert_eq!(
        querier.stats(&starting).unwrap_err().kind,
        ErrorKind::Unavailable
    );
}
