//! The index of the bucket spares requests, and nothing depends on it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use phlare_block::bucket_index::{Block, BlockDeletionMark, BucketIndex, FILE};
use phlare_block::marks::{DeletionMark, Mark};
use phlare_block::{BlockId, BlockIds, Meta};
use phlare_bucket::Bucket;
use phlare_model::query::MetadataQuery;
use phlare_model::{Clock, ManualClock, SystemClock, TenantId, TimeRange};
use phlare_phlaredb::{BlockCache, StoredBlock, View};
use phlare_store_gateway::{BucketStore, Config, Dependencies, Metrics, StoreGateway};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

const REAL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../block/tests/data/blocks/v3/01HD3X85G9BGAG4S3TKPNMFG4Z"
);

/// A bucket with four blocks, one of which is marked for deletion.
struct Fixture {
    directory: tempfile::TempDir,
    metas: Vec<Meta>,
    now_s: i64,
}

/// A store-gateway that has listed the bucket, and the figures of the bucket.
struct Listed {
    gateway: StoreGateway,
    registry: Registry,
    _copies: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let now_s = SystemClock.now_ns() / 1_000_000_000;
        let mut fixture = Self {
            directory,
            metas: Vec::new(),
            now_s,
        };
        let mut ids = BlockIds::random();
        for _ in 0..4 {
            let id = ids.next(now_s * 1000);
            let text = fs::read_to_string(format!("{REAL}/meta.json")).unwrap();
            let text = text.replace("01HD3X85G9BGAG4S3TKPNMFG4Z", &id.to_string());
            let index = fs::read(format!("{REAL}/index.tsdb")).unwrap();
            fixture.write(&format!("{id}/meta.json"), text.as_bytes());
            fixture.write(&format!("{id}/index.tsdb"), &index);
            let meta = Meta::parse(text.as_bytes(), "meta.json").unwrap();
            fixture.metas.push(meta);
        }
        let mark = DeletionMark::new(fixture.metas[0].id, now_s - 7200, "");
        fixture.write(&Mark::Deletion.global_key(mark.id), &mark.to_json());
        fixture
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.directory.path().join("anonymous/phlaredb").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// An index of all blocks but the last, so old.
    fn index(&self, age_s: i64) -> Vec<u8> {
        let mut index = BucketIndex::new(self.now_s - age_s);
        let blocks = self.metas[..3].iter();
        index.blocks = blocks.map(|meta| Block::of(meta, self.now_s)).collect();
        index.block_deletion_marks.push(BlockDeletionMark {
            id: self.metas[0].id,
            time_s: self.now_s - 7200,
        });
        index.to_bytes()
    }

    async fn list(&self) -> Listed {
        let mut registry = Registry::default();
        let metrics = phlare_bucket::Metrics::register(&mut registry);
        let cache = BlockCache::new(16 << 20);
        let copies = tempfile::tempdir().unwrap();
        let config = Config {
            bucket_store: BucketStore {
                sync_dir: copies.path().to_owned(),
                ..BucketStore::default()
            },
            ..Config::default()
        };
        let dependencies = Dependencies {
            bucket: Bucket::filesystem(self.directory.path(), &metrics).unwrap(),
            clock: Arc::new(ManualClock::at_ns(self.now_s * 1_000_000_000)),
            metrics: Metrics::register(&mut registry, &cache),
            cache,
        };
        let gateway = StoreGateway::new(config, dependencies, Handle::current());
        gateway.sync().await.unwrap();
        Listed {
            gateway,
            registry,
            _copies: copies,
        }
    }
}

impl Listed {
    /// Objects that were read until now.
    fn reads(&self) -> u64 {
        self.figure("objstore_bucket_operations_total{operation=\"get\"")
    }

    fn figure(&self, name: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn blocks(&self) -> Vec<StoredBlock> {
        self.gateway.blocks(&TenantId::anonymous(), None).unwrap()
    }

    fn ids(&self) -> Vec<BlockId> {
        let mut ids: Vec<_> = self.blocks().iter().map(StoredBlock::id).collect();
        ids.sort_unstable();
        ids
    }

    /// Label names in all blocks.
    async fn label_names(&self) -> Vec<String> {
        let view = View::default().with_stored(self.blocks());
        let everything = MetadataQuery {
            selectors: Vec::new(),
            range: None,
        };
        let answer = tokio::task::spawn_blocking(move || view.label_names(&everything));
        answer.await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_index_spares_reading_meta_and_marks() {
    let fixture = Fixture::new();
    let expected: Vec<_> = fixture.metas[1..].iter().map(|meta| meta.id).collect();

    let plain = fixture.list().await;
    assert_eq!(plain.ids(), expected);
    assert_eq!(
        plain.reads(),
        1 + 1 + 3,
        "no index, a mark, every meta.json"
    );

    fixture.write(FILE, &fixture.index(60));
    let indexed = fixture.list().await;
    assert_eq!(indexed.ids(), expected);
    assert_eq!(indexed.reads(), 1 + 1, "the index, the block it lacks");
    let times = |listed: &Listed| {
        let mut times: Vec<_> = listed
            .blocks()
            .iter()
            .map(|b| (b.id(), b.times_ms()))
            .collect();
        times.sort_unstable();
        times
    };
    assert_eq!(times(&indexed), times(&plain));
    let later = TimeRange {
        start_ms: fixture.metas[0].max_ms + 1,
        end_ms: i64::MAX,
    };
    let tenant = TenantId::anonymous();
    assert!(
        indexed
            .gateway
            .blocks(&tenant, Some(later))
            .unwrap()
            .is_empty()
    );

    // Queries open what they need, once.
    let names = indexed.label_names().await;
    assert!(names.contains(&"__profile_type__".to_owned()), "{names:?}");
    assert_eq!(names, plain.label_names().await);
    assert_eq!(
        indexed.reads(),
        2 + 2 + 3,
        "two of meta.json, three of index.tsdb"
    );
    assert_eq!(indexed.label_names().await, names);
    assert_eq!(indexed.reads(), 7);
    // The next listing knows them.
    indexed.gateway.sync().await.unwrap();
    assert_eq!(indexed.reads(), 8, "the index");
    assert_eq!(indexed.label_names().await, names);
    assert_eq!(indexed.reads(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_no_use_costs_nothing_but_reads() {
    let fixture = Fixture::new();
    let expected: Vec<_> = fixture.metas[1..].iter().map(|meta| meta.id).collect();
    let mut damaged = fixture.index(60);
    damaged.truncate(40);
    let cases = [
        (fixture.index(2 * 3600), 0),
        (fixture.index(-2 * 3600), 0),
        (damaged, 1),
        (b"{}".to_vec(), 1),
    ];
    for (index, failures) in cases {
        fixture.write(FILE, &index);
        let listed = fixture.list().await;
        assert_eq!(listed.ids(), expected);
        assert_eq!(listed.reads(), 1 + 1 + 3);
        let failed = listed.figure("pyroscope_bucket_index_load_failures_total");
        assert_eq!(failed, failures);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_index_lists_and_is_gone_or_damaged_is_left_out() {
    let fixture = Fixture::new();
    fixture.write(FILE, &fixture.index(60));
    let blocks = fixture.directory.path().join("anonymous/phlaredb");
    let gone = fixture.metas[1].id.to_string();
    fs::remove_dir_all(blocks.join(gone)).unwrap();
    let bad = fixture.metas[2].id.to_string();
    fixture.write(&format!("{bad}/meta.json"), b"{");

    let listed = fixture.list().await;
    assert_eq!(listed.ids(), [fixture.metas[2].id, fixture.metas[3].id]);
    let names = listed.label_names().await;
    assert!(names.contains(&"__profile_type__".to_owned()), "{names:?}");
    assert_eq!(listed.figure("phlare_blocks_left_out_total"), 1);
    // A block that is deleted after it was listed.
    let late = fixture.metas[3].id.to_string();
    fs::remove_dir_all(Path::new(&blocks).join(late)).unwrap();
    fs::remove_file(blocks.join(FILE)).unwrap();
    listed.gateway.sync().await.unwrap();
    assert_eq!(listed.ids(), [fixture.metas[2].id]);
    assert!(listed.label_names().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_told_of_is_there_once_before_and_after_the_next_listing() {
    let fixture = Fixture::new();
    let listed = fixture.list().await;
    let mut expected = listed.ids();
    let id = BlockIds::random().next(fixture.now_s * 1000 + 60_000);
    let text = fs::read_to_string(format!("{REAL}/meta.json")).unwrap();
    let text = text.replace("01HD3X85G9BGAG4S3TKPNMFG4Z", &id.to_string());
    fixture.write(&format!("{id}/meta.json"), text.as_bytes());
    let meta = Meta::parse(text.as_bytes(), "meta.json").unwrap();
    expected.push(id);
    expected.sort_unstable();
    for _ in 0..2 {
        listed.gateway.add(&TenantId::anonymous(), meta.clone());
        assert_eq!(listed.ids(), expected);
        assert_eq!(listed.figure("phlare_bucket_stores_blocks "), 4);
    }
    listed.gateway.sync().await.unwrap();
    assert_eq!(listed.ids(), expected);
    assert_eq!(listed.figure("phlare_bucket_stores_blocks "), 4);
}
