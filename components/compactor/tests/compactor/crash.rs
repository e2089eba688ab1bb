//! Each point is reached in a process of its own, which aborts there.

use std::path::Path;
use std::process::Command;

use crate::support::Fixture;

const POINT: &str = "PHLARE_TEST_CRASH_AT";
const DIRECTORY: &str = "PHLARE_TEST_DIRECTORY";
const INPUT: &str = "v3-compaction/input/anonymous/phlaredb";
/// Every crash point of a job.
const POINTS: [&str; 5] = [
    "compact.downloaded",
    "compact.written",
    "compact.meta",
    "compact.uploaded",
    "compact.marked",
];

fn open(directory: &Path) -> Fixture {
    let split = |limits: &mut phlare_tenancy::Limits| limits.compactor_split_and_merge_shards = 2;
    Fixture::at(directory, |_| {}, split)
}

/// Shard and samples of what readers see, whatever the ids.
fn seen(fixture: &Fixture) -> Vec<(String, u64)> {
    let metas = fixture.live().into_values();
    let mut seen: Vec<_> = metas
        .map(|meta| (meta.shard_id().to_owned(), meta.stats.num_samples))
        .collect();
    seen.sort();
    seen
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_job_is_made_good_by_the_next_run() {
    if let Ok(point) = std::env::var(POINT) {
        let directory = std::env::var(DIRECTORY).unwrap();
        fail::cfg_callback(&*point, || std::process::abort()).unwrap();
        open(Path::new(&directory))
            .compactor
            .compact()
            .await
            .unwrap();
        return;
    }
    let whole = tempfile::tempdir().unwrap();
    let expected = open(whole.path());
    if expected.add_real(INPUT).is_empty() {
        return;
    }
    expected.compactor.compact().await.unwrap();
    for point in POINTS {
        let directory = tempfile::tempdir().unwrap();
        let ids = open(directory.path()).add_real(INPUT);
        let status = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::a_crash_at_any_point_of_a_job_is_made_good_by_the_next_run",
            ])
            .env(POINT, point)
            .env(DIRECTORY, directory.path())
            .output()
            .unwrap()
            .status;
        assert_eq!(status.code(), None, "{point}: it was to be killed");

        let fixture = open(directory.path());
        fixture.check_disk();
        // Until all shards are there, nothing that they are made of is marked.
        let marked = fixture.deletion_marks();
        assert_eq!(!marked.is_empty(), point == "compact.marked", "{point}");
        assert!(
            ids.iter().all(|id| fixture.metas().contains_key(id)),
            "{point}"
        );
        fixture.compactor.compact().await.unwrap();
        assert_eq!(seen(&fixture), seen(&expected), "{point}");
    }
}
