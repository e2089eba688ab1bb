//! What appending and querying cost on real profiles: `cargo bench -p phlare-phlaredb`.
//!
//! The log goes to a temporary directory and is not waited for: this is CPU time, not the disk's.
#![expect(clippy::unwrap_used, reason = "what cannot go on fails")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phlare_model::labels::{LabelsBuilder, names};
use phlare_model::query::{MergeQuery, TimeRange};
use phlare_model::selector::Selector;
use phlare_model::{ManualClock, TenantId};
use phlare_phlaredb::{
    Append, BlockCache, Config, Database, Dependencies, MemoryBudget, Metrics, PartitionId, Row,
    WalSync, wal,
};
use phlare_pprof::{Normalized, Options, Seed, Workspace};
use uuid::Uuid;

const PROFILES: [(&str, &[u8]); 2] = [
    ("go-cpu", include_bytes!("../tests/data/go-cpu.pb.gz")),
    ("java-cpu", include_bytes!("../tests/data/java-cpu.pb.gz")),
];
const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const SERIES: u32 = 100;

fn open(directory: &std::path::Path) -> Database {
    let config = Config {
        wal_sync: WalSync::Never,
        ..Config::default()
    };
    let dependencies = Dependencies {
        clock: Arc::new(ManualClock::at_ns(1)),
        metrics: Metrics::default(),
        budget: Arc::new(MemoryBudget::new(0)),
        committer: wal::Committer::new(1),
        seed: Seed::new(1, 2),
        cache: BlockCache::new(0),
        ids: Arc::default(),
    };
    let (database, _) =
        Database::open(directory, TenantId::anonymous(), &config, dependencies).unwrap();
    database
}

/// Rows of the last sample type of a profile in one of [`SERIES`] series.
fn row(profile: &Normalized<'_>, series: u32) -> Row {
    let mut labels = LabelsBuilder::new();
    labels.set(names::PROFILE_TYPE, CPU);
    labels.set("pod", &format!("pod-{series}"));
    Row {
        labels: labels.build(),
        group: 0,
        sample_type: profile.sample_types.len() - 1,
        id: Uuid::from_u128(1),
        partition: PartitionId(1),
        delta: false,
    }
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for (name, raw) in PROFILES {
        let mut workspace = Workspace::new();
        let decoded = workspace.decode(raw, 64 << 20).unwrap();
        let profile = decoded
            .normalize(&Options::new(Seed::new(1, 2), 1))
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path());
        let rows: Vec<_> = (0..SERIES).map(|series| [row(&profile, series)]).collect();
        let mut next = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |b| {
            b.iter(|| {
                next = (next + 1) % rows.len();
                let append = Append {
                    profile: &profile,
                    rows: &rows[next],
                };
                database.append(&append, 0)
            });
        });
    }
    group.finish();
}

fn select_tree(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let database = open(directory.path());
    for (_, raw) in PROFILES {
        let mut workspace = Workspace::new();
        let decoded = workspace.decode(raw, 64 << 20).unwrap();
        let profile = decoded
            .normalize(&Options::new(Seed::new(1, 2), 1))
            .unwrap();
        for i in 0..5000 {
            let rows = [row(&profile, i % SERIES)];
            let append = Append {
                profile: &profile,
                rows: &rows,
            };
            database.append(&append, 0).unwrap();
        }
    }
    let query = MergeQuery {
        profile_type: CPU.parse().unwrap(),
        selector: Selector::all(),
        range: TimeRange {
            start_ms: 0,
            end_ms: i64::MAX / 2_000_000,
        },
        spans: None,
        call_site: Vec::new(),
        max_nodes: 0,
        go_pgo: None,
    };
    let mut group = c.benchmark_group("select_tree");
    group.throughput(Throughput::Elements(database.stats().samples));
    group.bench_function("10000 profiles in 100 series", |b| {
        b.iter(|| black_box(database.view().select_tree(&query).unwrap()));
    });
    group.finish();
}

criterion_group!(benches, append, select_tree);
criterion_main!(benches);
