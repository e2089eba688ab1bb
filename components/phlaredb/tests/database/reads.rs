//! What queries read of the files of a block, and how.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use phlare_block::meta::names;
use phlare_block::{Error, Files, LocalFiles, Meta};
use phlare_model::query::TimeRange;
use phlare_phlaredb::{Block, BlockCache, BytesRead, View};

use crate::support::{CPU, GO_CPU, T0_MS, merge, open, series};

/// With two profile types they fill five pages of headers.
const SERIES: usize = 10_000;

const ALL_TIME: TimeRange = TimeRange {
    start_ms: T0_MS - 1000,
    end_ms: T0_MS + 1000,
};

fn service(number: usize) -> String {
    format!("service-{number:05}")
}

/// A block in which each series of two types has one profile.
fn large_block(directory: &Path) -> PathBuf {
    let fixture = open(directory);
    let services: Vec<String> = (0..SERIES).map(service).collect();
    fixture.push_to_all(GO_CPU, "process_cpu", &services, T0_MS);
    let metas = fixture.database.cut().unwrap();
    fixture.database.close().unwrap();
    directory.join("local").join(metas[0].id.to_string())
}

/// The total of a selector, and how much was read for it.
fn ask(block: &Arc<Block>, selector: &str) -> (i64, u64) {
    let read = BytesRead::default();
    let view = View::default().with_blocks([Arc::clone(block)]);
    let view = view.counting(&read);
    let total = view.select_tree(&merge(CPU, selector)).unwrap().total();
    let points = view.select_series(&series(CPU, selector, ALL_TIME, &[]));
    let sums = points.unwrap();
    let sum: f64 = sums.iter().flat_map(|s| &s.points).map(|p| p.1).sum();
    assert_eq!(total, sum as i64, "{selector}");
    (total, read.get())
}

/// A block of which nothing is in memory, and what will be.
fn fresh(path: &Path) -> (Arc<Block>, BlockCache) {
    let cache = BlockCache::new(64 << 20);
    (Arc::new(Block::open(path, &cache).unwrap()), cache)
}

#[test]
fn few_series_read_few_pages_of_headers() {
    let directory = tempfile::tempdir().unwrap();
    let path = large_block(directory.path());
    let (all, all_cache) = fresh(&path);
    let (total, whole) = ask(&all, "{}");
    assert_eq!(ask(&all, "{}").0, total);
    let one = total / SERIES as i64;
    for number in [0, 1, SERIES / 2, SERIES - 1] {
        let selector = format!("{{service_name=\"{}\"}}", service(number));
        let (cold, cache) = fresh(&path);
        let (found, read) = ask(&cold, &selector);
        assert_eq!(found, one, "{selector}");
        assert!(read < whole, "{read} of {whole} for {selector}");
        // Three pages of five, at 28 bytes a row.
        let spared = all_cache.size_bytes() - cache.size_bytes();
        assert!(spared > 3 * 4096 * 28, "{spared} for {selector}");
        let (found, again) = ask(&cold, &selector);
        assert_eq!(found, one, "{selector}");
        assert!(again * 2 < read, "{again} of {read} for {selector}, again");
        // What one query has left in memory, another uses.
        assert_eq!(ask(&all, &selector).0, one);
        assert_eq!(ask(&cold, "{}").0, total);
        assert_eq!(ask(&cold, &selector).0, one);
    }
    // Both ends: two pages, with others between.
    let selector = format!(
        "{{service_name=~\"{}|{}\"}}",
        service(0),
        service(SERIES - 1)
    );
    let (cold, _) = fresh(&path);
    assert_eq!(ask(&cold, &selector).0, one * 2);
    assert_eq!(ask(&cold, &selector).0, one * 2);
    assert_eq!(ask(&cold, "{service_name=\"none\"}").0, 0);
}

/// Files that are far away: the first read of each that opens a part of the block waits for those of the others.
#[derive(Debug)]
struct Far {
    files: LocalFiles,
    wanted: BTreeSet<String>,
    begun: Mutex<BTreeSet<String>>,
    more: Condvar,
}

impl Far {
    fn meet(&self, file: &str) {
        let mut begun = self.begun.lock();
        if !self.wanted.contains(file) || !begun.insert(file.to_owned()) {
            return;
        }
        self.more.notify_all();
        while begun.len() < self.wanted.len() {
            let waited = self.more.wait_for(&mut begun, Duration::from_secs(20));
            assert!(
                !waited.timed_out(),
                "{file} waits for others than {begun:?}"
            );
        }
    }
}

impl Files for Far {
    fn location(&self) -> String {
        self.files.location()
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        self.files.size(file)
    }

    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        self.meet(file);
        self.files.read(file, ranges)
    }

    fn read_all(&self, file: &str) -> Result<Bytes, Error> {
        self.meet(file);
        self.files.read_all(file)
    }

    fn is_far(&self) -> bool {
        true
    }
}

#[test]
fn the_parts_of_a_block_that_is_far_away_are_opened_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let before = fixture.total(CPU, "{}");
    let metas = fixture.database.cut().unwrap();
    fixture.database.close().unwrap();
    let path = directory.path().join("local").join(metas[0].id.to_string());
    let files = LocalFiles::new(&path);
    let meta = Meta::read(&files).unwrap();
    let opens_symbols = |name: &str| {
        name.ends_with(".symdb") && !name.ends_with("stacktraces.symdb")
            || name.ends_with("s.parquet") && name != names::PROFILES
    };
    let symbols = meta.files.iter().map(|file| file.rel_path.clone());
    let mut wanted: BTreeSet<String> = symbols.filter(|name| opens_symbols(name)).collect();
    wanted.insert(names::INDEX.to_owned());
    wanted.insert(names::PROFILES.to_owned());
    assert!(wanted.len() > 2, "{wanted:?}");
    let far = Far {
        files,
        wanted: wanted.clone(),
        begun: Mutex::default(),
        more: Condvar::new(),
    };
    let far = Arc::new(far);
    let cache = BlockCache::new(16 << 20);
    let block = Arc::new(Block::new(meta, Arc::clone(&far) as _, &cache));
    let view = View::default().with_blocks([block]);
    let total = view.select_tree(&merge(CPU, "{}")).unwrap().total();
    assert_eq!(total, before);
    assert_eq!(*far.begun.lock(), wanted);
}
