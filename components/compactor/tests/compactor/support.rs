use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use phlare_block::bucket_index::BucketIndex;
use phlare_block::marks::{DeletionMark, Mark, NoCompactMark};
use phlare_block::{BlockId, BlockIds, Files, LocalFiles, Meta};
use phlare_bucket::Bucket;
use phlare_compactor::{Compactor, Config, Dependencies, Metrics, Sharding};
use phlare_model::{Clock, ManualClock, SystemClock, TenantId};
use phlare_phlaredb::Uploads;
use phlare_tenancy::{Limits, Overrides};

pub(crate) const TENANT: &str = "anonymous";

/// A bucket in a directory, and a compactor for it.
pub(crate) struct Fixture {
    _directory: Option<tempfile::TempDir>,
    path: PathBuf,
    pub(crate) compactor: Compactor,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) heard: Arc<Heard>,
}

#[derive(Debug, Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<Meta>>);

impl Uploads for Heard {
    fn uploaded(&self, tenant: &TenantId, meta: Meta) {
        assert_eq!(tenant.as_str(), TENANT);
        self.0.lock().push(meta);
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    pub(crate) fn with(
        configure: impl FnOnce(&mut Config),
        limit: impl FnOnce(&mut Limits),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        Self {
            _directory: Some(directory),
            ..Self::at(&path, configure, limit)
        }
    }

    /// In a directory that stays.
    pub(crate) fn at(
        path: &Path,
        configure: impl FnOnce(&mut Config),
        limit: impl FnOnce(&mut Limits),
    ) -> Self {
        Self::among(path, configure, limit, None)
    }

    /// Another compactor for the same bucket, which has a place among several.
    pub(crate) fn sharded(&self, sharding: Sharding) -> Self {
        Self::among(&self.path, |_| {}, |_| {}, Some(sharding))
    }

    fn among(
        path: &Path,
        configure: impl FnOnce(&mut Config),
        limit: impl FnOnce(&mut Limits),
        sharding: Option<Sharding>,
    ) -> Self {
        fs::create_dir_all(path.join("bucket")).unwrap();
        let mut config = Config {
            data_dir: path.join("data"),
            first_level_compaction_wait_period: Duration::ZERO,
            compaction_retries: 1,
            block_ranges: vec![Duration::from_secs(3600)],
            ..Config::default()
        };
        configure(&mut config);
        let mut limits = Limits::default();
        limit(&mut limits);
        let clock = Arc::new(ManualClock::at_ns(SystemClock.now_ns()));
        let heard = Arc::new(Heard::default());
        let metrics = phlare_bucket::Metrics::default();
        let dependencies = Dependencies {
            bucket: Bucket::filesystem(&path.join("bucket"), &metrics).unwrap(),
            overrides: Overrides::fixed(limits),
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(Mutex::new(BlockIds::random())),
            uploads: Arc::clone(&heard) as _,
            metrics: Metrics::default(),
            sharding,
        };
        Self {
            _directory: None,
            path: path.to_owned(),
            compactor: Compactor::new(config, dependencies).unwrap(),
            clock,
            heard,
        }
    }

    pub(crate) fn bucket(&self) -> PathBuf {
        self.path.join("bucket")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn blocks(&self) -> PathBuf {
        self.bucket().join(TENANT).join("phlaredb")
    }

    /// Where a file of a block is.
    pub(crate) fn file(&self, block: BlockId, file: &str) -> PathBuf {
        self.blocks().join(block.to_string()).join(file)
    }

    /// Copies real blocks into the bucket. Their ids; none if this checkout has no shared test data.
    pub(crate) fn add_real(&self, path: &str) -> Vec<BlockId> {
        let Some(from) = shared(path) else {
            return Vec::new();
        };
        let mut ids = Vec::new();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &self.blocks().join(entry.file_name()));
            ids.push(entry.file_name().to_str().unwrap().parse().unwrap());
        }
        ids.sort_unstable();
        ids
    }

    /// Blocks with a `meta.json`.
    pub(crate) fn metas(&self) -> BTreeMap<BlockId, Meta> {
        let listed = fs::read_dir(self.blocks()).into_iter().flatten();
        let metas =
            listed.filter_map(|entry| Meta::read(&LocalFiles::new(entry.unwrap().path())).ok());
        metas.map(|meta| (meta.id, meta)).collect()
    }

    /// Directories of blocks.
    pub(crate) fn directories(&self) -> BTreeSet<BlockId> {
        let listed = fs::read_dir(self.blocks()).into_iter().flatten();
        let names = listed.map(|entry| entry.unwrap().file_name());
        names
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect()
    }

    pub(crate) fn deletion_marks(&self) -> BTreeMap<BlockId, DeletionMark> {
        let parse = |bytes: &[u8]| DeletionMark::parse(bytes, "mark").unwrap();
        self.marks(Mark::Deletion, parse)
    }

    pub(crate) fn no_compact_marks(&self) -> BTreeMap<BlockId, NoCompactMark> {
        let parse = |bytes: &[u8]| NoCompactMark::parse(bytes, "mark").unwrap();
        self.marks(Mark::NoCompact, parse)
    }

    /// What is marked among the markers; the block has to have the same, if it is there.
    fn marks<T>(&self, mark: Mark, parse: impl Fn(&[u8]) -> T) -> BTreeMap<BlockId, T> {
        let mut marks = BTreeMap::new();
        for entry in fs::read_dir(self.blocks().join("markers"))
            .into_iter()
            .flatten()
        {
            let name = entry.unwrap().file_name();
            let Some((id, found)) = Mark::of_global_key(name.to_str().unwrap()) else {
                continue;
            };
            if found != mark {
                continue;
            }
            let global = fs::read(self.blocks().join(mark.global_key(id))).unwrap();
            if let Ok(own) = fs::read(self.blocks().join(mark.block_key(id))) {
                assert_eq!(own, global);
            }
            marks.insert(id, parse(&global));
        }
        marks
    }

    /// Blocks that are there and not marked for deletion.
    pub(crate) fn live(&self) -> BTreeMap<BlockId, Meta> {
        let marks = self.deletion_marks();
        let mut metas = self.metas();
        metas.retain(|id, _| !marks.contains_key(id));
        metas
    }

    pub(crate) fn index(&self) -> Option<BucketIndex> {
        let bytes = fs::read(self.blocks().join("bucket-index.json.gz")).ok()?;
        Some(BucketIndex::parse(&bytes, "index").unwrap())
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.clock.now_ns() / 1_000_000_000
    }

    /// Looks at each byte of a block.
    pub(crate) fn verify(&self, block: BlockId) {
        let files: Arc<dyn Files> = Arc::new(LocalFiles::new(self.file(block, "")));
        let meta = Meta::read(&*files).unwrap();
        phlare_block::verify(&meta, &files, &mut |_| {}).unwrap();
    }

    /// Nothing of jobs stays on the disk.
    pub(crate) fn check_disk(&self) {
        for entry in fs::read_dir(self.data().join("compact")).unwrap() {
            let tenant = entry.unwrap().path();
            assert_eq!(
                fs::read_dir(&tenant).unwrap().count(),
                0,
                "{}",
                tenant.display()
            );
        }
    }
}

fn shared(path: &str) -> Option<PathBuf> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testdata");
    let shared = std::env::var_os("PHLARE_TESTDATA").map_or(shared.into(), PathBuf::from);
    shared.is_dir().then(|| shared.join("blocks").join(path))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}
