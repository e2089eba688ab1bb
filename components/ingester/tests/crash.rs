//! A process that dies while it uploads leaves no half block in the bucket, and finishes after the next start.
//!
//! Each point is reached in a process of its own, which aborts there.
#![expect(clippy::unwrap_used, reason = "what cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use phlare_block::Meta;
use phlare_bucket::Bucket;
use phlare_ingester::{Config, Dependencies, Ingester, Metrics};
use phlare_model::labels::{Labels, names};
use phlare_model::{SystemClock, TenantId};
use phlare_phlaredb::{Append, BlockCache, MemoryBudget, PartitionId, Row, Uploads, wal};
use phlare_pprof::{Options, Seed, Workspace};
use phlare_tenancy::{Limits, Overrides};
use uuid::Uuid;

const PROFILE: &[u8] = include_bytes!("../../phlaredb/tests/data/java-cpu.pb.gz");
const POINT: &str = "PHLARE_TEST_CRASH_AT";
const DIRECTORY: &str = "PHLARE_TEST_DIRECTORY";
/// Every crash point of an upload.
const POINTS: [&str; 2] = ["upload.file", "upload.meta"];

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Meta>>);

impl Uploads for Heard {
    fn uploaded(&self, _: &TenantId, meta: Meta) {
        self.0.lock().push(meta);
    }
}

fn open(directory: &Path, heard: &Arc<Heard>) -> Arc<Ingester> {
    let storage = phlare_phlaredb::Config {
        data_path: directory.join("data"),
        ..phlare_phlaredb::Config::default()
    };
    let bucket = directory.join("bucket");
    std::fs::create_dir_all(&bucket).unwrap();
    let config = Config {
        max_tenants: 0,
        ..Config::default()
    };
    let dependencies = Dependencies {
        overrides: Overrides::fixed(Limits::default()),
        metrics: Metrics::default(),
        databases: phlare_phlaredb::Dependencies {
            clock: Arc::new(SystemClock),
            metrics: phlare_phlaredb::Metrics::default(),
            budget: Arc::new(MemoryBudget::new(0)),
            committer: wal::Committer::new(1),
            seed: Seed::new(1, 2),
            cache: BlockCache::new(1 << 20),
            ids: Arc::default(),
        },
        bucket: Bucket::filesystem(&bucket, &phlare_bucket::Metrics::default()).unwrap(),
        uploads: Arc::clone(heard) as _,
        ring: None,
    };
    let ingester = Ingester::new(config, storage, dependencies).unwrap();
    ingester.recover().unwrap();
    Arc::new(ingester)
}

async fn push(ingester: &Ingester) {
    let mut workspace = Workspace::new();
    let decoded = workspace.decode(PROFILE, 64 << 20).unwrap();
    let profile = decoded
        .normalize(&Options::new(Seed::new(1, 2), 1))
        .unwrap();
    let rows = [Row {
        labels: Labels::from_pairs([(names::SERVICE_NAME, "cart")]),
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
    let commit = ingester.append(&TenantId::anonymous(), &append).unwrap();
    commit.wait().await.unwrap();
}

fn blocks(directory: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(directory.join("bucket/anonymous/phlaredb"));
    let entries = listed.into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_point_of_an_upload_is_finished_after_a_restart() {
    if let Ok(point) = std::env::var(POINT) {
        let directory = std::env::var(DIRECTORY).unwrap();
        fail::cfg_callback(&*point, || std::process::abort()).unwrap();
        let ingester = open(Path::new(&directory), &Arc::default());
        push(&ingester).await;
        ingester.flush(None).await.unwrap();
        return;
    }
    for point in POINTS {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_crash_at_any_point_of_an_upload_is_finished_after_a_restart",
            ])
            .env(POINT, point)
            .env(DIRECTORY, directory.path())
            .output()
            .unwrap()
            .status;
        assert_eq!(status.code(), None, "{point}: it was to be killed");
        let whole = |block: &PathBuf| block.join("meta.json").is_file();
        let visible = blocks(directory.path())
            .iter()
            .filter(|block| whole(block))
            .count();
        assert_eq!(visible, usize::from(point == "upload.meta"), "{point}");

        let heard = Arc::new(Heard::default());
        let ingester = open(directory.path(), &heard);
        ingester.flush(None).await.unwrap();
        let found = blocks(directory.path());
        assert!(
            found.len() == 1 && found.iter().all(whole),
            "{point}: {found:?}"
        );
        let uploaded = heard.0.lock().clone();
        assert_eq!(uploaded.len(), 1, "{point}");
        for file in &uploaded[0].files {
            let size = found[0].join(&file.rel_path).metadata().unwrap().len();
            assert_eq!(size, file.size_bytes, "{point}: {}", file.rel_path);
        }
        ingester.flush(None).await.unwrap();
        assert_eq!(
            heard.0.lock().len(),
            1,
            "{point}: nothing is uploaded twice"
        );
    }
}
