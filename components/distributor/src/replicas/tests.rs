use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::pending;

use parking_lot::Mutex;
use phlare_model::{Labels, ManualClock};
use phlare_phlaredb::PartitionId;
use phlare_pprof::carried::Carried;
use phlare_pprof::{Normalized, Options, Seed, Workspace};
use phlare_proto::phlare::ingest::v1::Refusal;
use phlare_ring::{Heartbeat, InstanceId, RingSettings, State, Token, Tokens};
use phlare_tenancy::Limits;
use uuid::Uuid;

use super::*;

const NOW_MS: i64 = 1_763_000_000_000;
const SEED: Seed = Seed::new(1, 2);

/// What an ingester does with a call.
#[derive(Clone, Debug, Default)]
enum Does {
    #[default]
    Stores,
    Refuses,
    IsAway,
    Hangs,
}

/// Ingesters that note what they get.
#[derive(Default)]
struct Fleet {
    does: HashMap<String, Does>,
    /// By ingester, the label sets of the rows.
    stored: Mutex<BTreeMap<String, Vec<Labels>>>,
}

impl Ingesters for Fleet {
    fn append(
        &self,
        to: Arc<Instance>,
        _tenant: TenantId,
        request: AppendRequest,
        _within: Duration,
    ) -> BoxFuture<'static, Result<AppendResponse, CallError>> {
        assert_eq!(request.instance_id, to.id.as_str());
        let refusal = Refusal {
            kind: "resource_exhausted".to_owned(),
            message: "too many series".to_owned(),
            reason: "series_limit".to_owned(),
            retry_after_ms: 1500,
        };
        match self.does.get(to.id.as_str()).cloned().unwrap_or_default() {
            Does::Stores => {
                let bytes = zstd::bulk::decompress(&request.profile, 1 << 20).unwrap();
                let carried = Carried::decode(&bytes, SEED).unwrap();
                let rows = Row::from_wire(&request.rows, &carried.normalized()).unwrap();
                let mut stored = self.stored.lock();
                let of = stored.entry(to.id.to_string()).or_default();
                of.extend(rows.into_iter().map(|row| row.labels));
                Box::pin(async { Ok(AppendResponse { refusal: None }) })
            }
            Does::Refuses => Box::pin(async {
                Ok(AppendResponse {
                    refusal: Some(refusal),
                })
            }),
            Does::IsAway => Box::pin(async move {
                Err(CallError {
                    status: Status::new(ErrorKind::Unavailable, format!("{} is away", to.id)),
                    unavailable: true,
                })
            }),
            Does::Hangs => Box::pin(pending()),
        }
    }
}

fn instance(number: u32) -> Arc<Instance> {
    Arc::new(Instance {
        id: InstanceId::from(format!("i{number}").as_str()),
        addr: format!("127.0.0.1:{number}"),
        zone: ["a", "b", "c"][number as usize % 3].into(),
        state: State::Active,
        tokens: Tokens::spread("ingester", "", &format!("i-{number}"), 16),
        registered_ms: 0,
        fresh: false,
        read_only: false,
        read_only_changed_ms: 0,
        heartbeat: Heartbeat::at_ms(NOW_MS),
    })
}

fn ring(members: u32) -> Ring {
    let settings = RingSettings {
        replication_factor: 3,
        zone_awareness: true,
        ..RingSettings::default()
    };
    Ring::new(Arc::new(settings), (0..members).map(instance))
}

struct Bench {
    replicas: Replicas,
    fleet: Arc<Fleet>,
    _ring: watch::Sender<Ring>,
}

fn bench(members: u32, does: &[(&str, Does)]) -> Bench {
    bench_with(members, does, 1 << 20)
}

fn bench_with(members: u32, does: &[(&str, Does)], limit: usize) -> Bench {
    let does = does.iter().cloned();
    let fleet = Arc::new(Fleet {
        does: does.map(|(id, does)| (id.to_owned(), does)).collect(),
        ..Fleet::default()
    });
    let (sender, receiver) = watch::channel(ring(members));
    let dependencies = ReplicaDependencies {
        ring: receiver,
        ingesters: Arc::<Fleet>::clone(&fleet),
        overrides: Overrides::fixed(Limits::default()),
        clock: Arc::new(ManualClock::at_ns(NOW_MS * 1_000_000)),
        metrics: ReplicaMetrics::default(),
    };
    Bench {
        replicas: Replicas::new(Duration::from_secs(5), limit, dependencies),
        fleet,
        _ring: sender,
    }
}

fn row(service: &str, group: usize, sample_type: usize) -> Row {
    let kind = sample_type.to_string();
    Row {
        labels: Labels::from_pairs([
            ("service_name", service),
            ("__type__", kind.as_str()),
            ("__profile_type__", kind.as_str()),
        ]),
        group,
        sample_type,
        id: Uuid::from_u128(1),
        partition: PartitionId(1),
        delta: false,
    }
}

/// Asks with a profile of two groups and two sample types.
fn with_profile<T>(ask: impl FnOnce(&Normalized<'_>) -> T) -> T {
    let bytes = crate::testing::typed(&[("cpu", "nanoseconds"), ("samples", "count")])
        .labelled(&["main"], &[1, 2], &[("k", "x")])
        .labelled(&["main"], &[3, 4], &[("k", "y")])
        .build();
    let mut workspace = Workspace::new();
    let decoded = workspace.decode(&bytes, 1 << 20).unwrap();
    let profile = decoded.normalize(&Options::new(SEED, 1)).unwrap();
    assert_eq!((profile.groups.len(), profile.sample_types.len()), (2, 2));
    ask(&profile)
}

impl Bench {
    fn append(&self, rows: &[Row]) -> Result<Durable, Refused> {
        with_profile(|profile| {
            let append = Append { profile, rows };
            self.replicas.append(&TenantId::anonymous(), &append)
        })
    }

    fn stored(&self) -> BTreeMap<String, Vec<Labels>> {
        self.fleet.stored.lock().clone()
    }

    fn figures(&self) -> [u64; 4] {
        let metrics = &self.replicas.0.dependencies.metrics;
        [
            metrics.stored.get(),
            metrics.refused.get(),
            metrics.unavailable.get(),
            metrics.stood_in.get(),
        ]
    }
}

#[tokio::test]
async fn three_replicas_in_three_zones_get_all_rows_of_a_profile() {
    let bench = bench(6, &[]);
    let rows = [row("s", 0, 0), row("s", 0, 1)];
    bench.append(&rows).unwrap().await.unwrap();
    bench.replicas.drained().await;
    let stored = bench.stored();
    assert_eq!(stored.len(), 3);
    let zone = |id: &String| id[1..].parse::<u32>().unwrap() % 3;
    let zones: BTreeSet<u32> = stored.keys().map(zone).collect();
    assert_eq!(zones.len(), 3);
    for labels in stored.values() {
        assert_eq!(labels.len(), 2);
    }
    assert_eq!(bench.figures(), [3, 0, 0, 0]);
    assert_eq!(bench.replicas.in_flight(), 0);
}

#[tokio::test]
async fn sets_of_labels_go_their_own_ways() {
    let bench = bench(30, &[]);
    let rows: Vec<_> = (0..2)
        .map(|group| row(["x", "y"][group], group, 0))
        .collect();
    bench.append(&rows).unwrap().await.unwrap();
    bench.replicas.drained().await;
    let stored = bench.stored();
    for service in ["x", "y"] {
        let has = |labels: &&Vec<Labels>| {
            labels
                .iter()
                .any(|l| l.get("service_name") == Some(service))
        };
        assert_eq!(stored.values().filter(has).count(), 3, "{service}");
    }
    assert!(stored.len() > 3, "all went to the same ingesters");
}

#[tokio::test]
async fn a_hung_replica_holds_up_nobody() {
    let bench = bench(3, &[("i1", Does::Hangs)]);
    bench.append(&[row("s", 0, 0)]).unwrap().await.unwrap();
    assert_eq!(bench.stored().len(), 2);
    // Its bytes still count.
    assert!(bench.replicas.in_flight() > 0);
}

#[tokio::test]
async fn one_that_is_away_is_replaced() {
    let bench = bench(6, &[("i0", Does::IsAway), ("i3", Does::IsAway)]);
    for service in ["a", "b", "c", "d", "e"] {
        bench.append(&[row(service, 0, 0)]).unwrap().await.unwrap();
    }
    bench.replicas.drained().await;
    let stored: usize = bench.stored().values().map(Vec::len).sum();
    // A spare may be the other one that is away.
    assert!((5 * 2..=5 * 3).contains(&stored), "{stored}");
    let [ok, refused, unavailable, stood_in] = bench.figures();
    assert_eq!((ok as usize, refused), (stored, 0));
    assert_eq!((unavailable, stood_in), (5, 5));
}

#[tokio::test]
async fn two_of_three_away_is_a_failure_that_names_one() {
    let bench = bench(3, &[("i0", Does::IsAway), ("i2", Does::IsAway)]);
    let refused = bench.append(&[row("s", 0, 0)]).unwrap().await.unwrap_err();
    assert_eq!(refused.status.kind, ErrorKind::Unavailable);
    assert!(refused.status.message.ends_with("is away"), "{refused:?}");
}

#[tokio::test]
async fn what_an_ingester_says_wins_over_one_that_is_away() {
    let does = [
        ("i0", Does::IsAway),
        ("i1", Does::Refuses),
        ("i2", Does::Refuses),
    ];
    let refused = bench(3, &does).append(&[row("s", 0, 0)]);
    let refused = refused.unwrap().await.unwrap_err();
    assert_eq!(refused.status.kind, ErrorKind::ResourceExhausted);
    assert_eq!(refused.status.message, "too many series");
    assert_eq!(
        refused.status.retry_after,
        Some(Duration::from_millis(1500))
    );
    assert_eq!(refused.reason, "series_limit");
}

#[tokio::test]
async fn a_refusal_of_one_replica_is_outvoted() {
    let bench = bench(6, &[("i1", Does::Refuses), ("i4", Does::Refuses)]);
    bench.append(&[row("s", 0, 0)]).unwrap().await.unwrap();
    bench.replicas.drained().await;
    // Nobody stands in for one who could be reached.
    assert_eq!(bench.figures(), [2, 1, 0, 0]);
}

#[tokio::test]
async fn bytes_on_their_way_are_bounded() {
    let does = [("i1", Does::Hangs), ("i2", Does::Hangs)];
    // One profile for three ingesters.
    let bench = bench_with(3, &does, 1 << 10);
    let hanging = bench.append(&[row("s", 0, 0)]).unwrap();
    let refused = bench.append(&[row("s", 0, 0)]).err().unwrap();
    assert_eq!(refused.status.kind, ErrorKind::Unavailable);
    let text = refused.status.message;
    assert!(
        text.contains("`-distributor.max-inflight-bytes`, 1024"),
        "{text}"
    );
    drop(hanging);
    assert_eq!(bench.replicas.in_flight(), 0);
    assert!(bench.append(&[row("s", 0, 0)]).is_ok());
}

#[tokio::test]
async fn too_few_in_the_ring_is_said_before_anything_is_sent() {
    let alone = bench(1, &[]);
    let refused = alone.append(&[row("s", 0, 0)]).err().unwrap();
    assert!(
        refused
            .status
            .message
            .starts_with("at least 2 live replicas required"),
        "{refused:?}"
    );
    assert!(
        alone
            .replicas
            .check_ready()
            .unwrap_err()
            .starts_with("1 ingesters")
    );
    assert_eq!(bench(2, &[]).replicas.check_ready(), Ok(()));
}

#[test]
fn sample_types_of_a_series_share_its_place() {
    let rows = [row("s", 0, 0), row("s", 0, 1)];
    let plan = Plan::new(&ring(9), &TenantId::anonymous(), &rows, NOW_MS).unwrap();
    assert_eq!(plan.parts.len(), 1);
    assert_eq!(plan.parts[0].rows, [0, 1]);
    let labels = Labels::from_pairs([("service_name", "s")]);
    assert_eq!(
        plan.parts[0].token,
        Token::of_series(&TenantId::anonymous(), &labels)
    );
}
