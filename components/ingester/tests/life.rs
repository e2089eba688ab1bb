//! An ingester's life: start, take, stop, start again.
#![expect(clippy::unwrap_used, reason = "what cannot go on fails")]

use std::sync::Arc;

use phlare_bucket::Bucket;
use phlare_ingester::{Config, Dependencies, Error, Ingester, Metrics};
use phlare_model::labels::{Labels, names};
use phlare_model::query::MetadataQuery;
use phlare_model::{Classify, ErrorKind, ManualClock, TenantId};
use phlare_phlaredb::{Append, BlockCache, MemoryBudget, PartitionId, Row, Uploads, wal};
use phlare_pprof::{Options, Seed, Workspace};
use phlare_tenancy::{Limits, Overrides};
use uuid::Uuid;

const PROFILE: &[u8] = include_bytes!("../../phlaredb/tests/data/java-cpu.pb.gz");

fn ingester(directory: &std::path::Path, max_tenants: usize) -> Result<Ingester, Error> {
    let storage = phlare_phlaredb::Config {
        data_path: directory.to_owned(),
        ..phlare_phlaredb::Config::default()
    };
    let config = Config {
        max_tenants,
        ..Config::default()
    };
    let dependencies = Dependencies {
        overrides: Overrides::fixed(Limits::default()),
        metrics: Metrics::default(),
        databases: phlare_phlaredb::Dependencies {
            clock: Arc::new(ManualClock::at_ns(1)),
            metrics: phlare_phlaredb::Metrics::default(),
            budget: Arc::new(MemoryBudget::new(0)),
            committer: wal::Committer::new(1),
            seed: Seed::new(1, 2),
            cache: BlockCache::new(1 << 20),
            ids: Arc::default(),
        },
        bucket: Bucket::memory(&phlare_bucket::Metrics::default()),
        uploads: Arc::new(Nobody),
        ring: None,
    };
    Ingester::new(config, storage, dependencies)
}

#[derive(Debug)]
struct Nobody;

impl Uploads for Nobody {
    fn uploaded(&self, _: &TenantId, _: phlare_block::Meta) {}
}

fn push(ingester: &Ingester, tenant: &str) -> Result<(), Error> {
    let mut workspace = Workspace::new();
    let decoded = workspace.decode(PROFILE, 64 << 20).unwrap();
    let profile = decoded
        .normalize(&Options::new(Seed::new(1, 2), 1))
        .unwrap();
    let rows = [Row {
        labels: Labels::from_pairs([(names::SERVICE_NAME, tenant)]),
        group: 0,
        sample_type: 0,
        id: Uuid::from_u128(1),
        partition: PartitionId(1),
        delta: false,
    }];
    let append = Append {
        profile: &profile,
        rows: &rows,
    };
    ingester
        .append(&TenantId::parse(tenant).unwrap(), &append)
        .map(drop)
}

fn services(ingester: &Ingester, tenant: &str) -> Vec<String> {
    let everything = MetadataQuery {
        selectors: Vec::new(),
        range: None,
    };
    let database = ingester.database(&TenantId::parse(tenant).unwrap());
    database.map_or_else(Vec::new, |database| {
        database
            .view()
            .label_values(names::SERVICE_NAME, &everything)
            .unwrap()
    })
}

#[test]
fn nothing_is_taken_before_all_logs_are_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let ingester = ingester(directory.path(), 0).unwrap();
    let refused = push(&ingester, "a").unwrap_err();
    assert!(matches!(refused, Error::Starting { .. }), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    ingester.recover().unwrap();
    assert!(ingester.check_ready().is_ok());
    push(&ingester, "a").unwrap();
}

#[test]
fn each_tenant_finds_its_own_profiles_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let first = ingester(directory.path(), 0).unwrap();
    first.recover().unwrap();
    for tenant in ["a", "b", "it's-(odd)!"] {
        push(&first, tenant).unwrap();
    }
    first.stop().unwrap();
    assert!(matches!(push(&first, "a"), Err(Error::Stopping)));
    drop(first);
    let second = ingester(directory.path(), 0).unwrap();
    second.recover().unwrap();
    for tenant in ["a", "b", "it's-(odd)!"] {
        assert_eq!(services(&second, tenant), [tenant]);
    }
    assert!(services(&second, "nobody").is_empty());
}

#[test]
fn one_tenant_too_many_is_refused_and_known_ones_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let ingester = ingester(directory.path(), 2).unwrap();
    ingester.recover().unwrap();
    push(&ingester, "a").unwrap();
    push(&ingester, "b").unwrap();
    let refused = push(&ingester, "c").unwrap_err();
    assert!(
        matches!(refused, Error::Tenants { limit: 2, .. }),
        "{refused}"
    );
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    push(&ingester, "b").unwrap();
}

#[test]
fn two_ingesters_do_not_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _first = ingester(directory.path(), 0).unwrap();
    assert!(matches!(
        ingester(directory.path(), 0),
        Err(Error::InUse { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_ingester_takes_nothing_until_that_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    let first = Arc::new(ingester(directory.path(), 0).unwrap());
    first.recover().unwrap();
    push(&first, "a").unwrap();
    assert!(!first.preparation().finished, "nobody asked for it");
    first.prepare_shutdown().unwrap();
    let refused = push(&first, "a").unwrap_err();
    assert!(matches!(refused, Error::ReadOnly), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let found = first.preparation();
    assert!(found.prepared && !found.finished && found.heads == 1 && found.head_bytes > 0);
    first.flush(None).await.unwrap();
    let found = first.preparation();
    assert!(
        found.finished && found.heads == 0 && found.blocks == 0,
        "{found:?}"
    );
    assert_eq!(services(&first, "a"), ["a"], "it still answers");
    drop(first);

    let second = ingester(directory.path(), 0).unwrap();
    assert!(second.is_prepared());
    assert!(
        !second.preparation().finished,
        "who knows what is in its logs"
    );
    second.recover().unwrap();
    assert!(matches!(push(&second, "a"), Err(Error::ReadOnly)));
    // Its bucket is another one, so its block has to go there.
    let found = second.preparation();
    assert!(
        !found.finished && found.blocks == 1 && found.block_bytes > 0,
        "{found:?}"
    );
    second.undo_prepare_shutdown().unwrap();
    second.undo_prepare_shutdown().unwrap();
    push(&second, "a").unwrap();
    drop(second);
    assert!(!ingester(directory.path(), 0).unwrap().is_prepared());
}
