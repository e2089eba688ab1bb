//! The log as its callers see it.

mod bad_disk;
mod faults;
mod restart;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phlare_model::error::{Classify, ErrorKind};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;
use bad_disk::BadDisk;

/// A log that never gives up and tries again at once.
fn options() -> Options {
    Options {
        name: "anton".to_owned(),
        committer: Committer::new(2),
        commit_timeout: Duration::from_secs(60),
        retry_pause: Duration::from_millis(1),
        ..Options::default()
    }
}

fn on(disk: &BadDisk) -> Options {
    Options {
        files: Arc::new(disk.clone()),
        ..options()
    }
}

type Replayed = Vec<(SegmentId, Vec<u8>)>;

fn open(directory: &Path, options: Options) -> (Wal, Recovery, Replayed) {
    let mut replayed = Vec::new();
    let (wal, recovery) = Wal::open(directory, options, &mut |segment, record| {
        replayed.push((segment, record.payload().to_vec()));
    })
    .unwrap();
    (wal, recovery, replayed)
}

/// What a new process would read.
fn payloads(directory: &Path) -> Vec<Vec<u8>> {
    open(directory, options())
        .2
        .into_iter()
        .map(|(_, payload)| payload)
        .collect()
}

/// Appends a record and waits until it is safe.
async fn put(wal: &Wal, payload: &[u8]) -> Position {
    let position = wal.append(payload).unwrap();
    wal.commit(position).wait().await.unwrap();
    position
}

#[tokio::test]
async fn records_come_back_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new").join("wal");
    let (wal, recovery, _) = open(&path, options());
    assert_eq!(recovery, Recovery::default());
    for payload in [&b"one"[..], b"", b"three"] {
        put(&wal, payload).await;
    }
    wal.close().unwrap();
    let (_, recovery, replayed) = open(&path, options());
    let expected = [&b"one"[..], b"", b"three"].map(|payload| (SegmentId(1), payload.to_vec()));
    assert_eq!(replayed, expected);
    assert_eq!(
        recovery,
        Recovery {
            segments: 1,
            records: 3,
            bytes: 8,
            ..Recovery::default()
        }
    );
}

#[tokio::test]
async fn a_record_goes_to_the_segment_that_was_named_before() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, ..) = open(
        directory.path(),
        Options {
            segment_bytes: 100,
            ..options()
        },
    );
    let mut expected = Vec::new();
    for number in 0..20_u8 {
        let named = wal.segment();
        let position = put(&wal, &[number; 30]).await;
        assert_eq!(position.segment(), named);
        expected.push((named, vec![number; 30]));
    }
    assert_eq!(wal.segment(), SegmentId(11), "two records reach the size");
    let on_disk: u64 = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(wal.size_bytes(), on_disk);
    wal.close().unwrap();
    assert_eq!(open(directory.path(), options()).2, expected);
}

#[tokio::test]
async fn deleting_keeps_what_is_not_older() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, ..) = open(
        directory.path(),
        Options {
            segment_bytes: 1,
            ..options()
        },
    );
    for number in 1..=5 {
        put(&wal, &[number]).await;
    }
    assert_eq!(wal.truncate_before(SegmentId(4)).unwrap(), 3);
    assert_eq!(wal.truncate_before(SegmentId(4)).unwrap(), 0);
    assert_eq!(wal.size_bytes(), 2 * (24 + 16 + 1));
    assert_eq!(
        wal.truncate_before(SegmentId(100)).unwrap(),
        2,
        "the one to come does not exist yet"
    );
    put(&wal, &[6]).await;
    wal.close().unwrap();
    assert_eq!(payloads(directory.path()), [[6]]);
}

#[test]
fn a_record_above_the_limit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, ..) = open(
        directory.path(),
        Options {
            max_record_bytes: 10,
            ..options()
        },
    );
    wal.append(&[0; 10]).unwrap();
    let error = wal.append(&[0; 11]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    wal.close().unwrap();
    assert_eq!(payloads(directory.path()), [[0; 10]]);
}

#[tokio::test]
async fn a_closed_log_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, ..) = open(directory.path(), options());
    let position = wal.append(b"last").unwrap();
    wal.close().unwrap();
    wal.commit(position).wait().await.unwrap();
    let error = wal.append(b"too late").unwrap_err();
    assert!(matches!(error, Error::Closed { .. }));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    wal.close().unwrap();
}

#[test]
fn what_was_appended_is_written_after_the_log_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, ..) = open(directory.path(), options());
    for number in 0..100 {
        wal.append(&[number]).unwrap();
    }
    drop(wal); // with its committer, which waits for its threads
    assert_eq!(payloads(directory.path()).len(), 100);
}

#[tokio::test]
async fn figures_end_where_they_began() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let (wal, ..) = open(
        directory.path(),
        Options {
            metrics: metrics.clone(),
            segment_bytes: 1,
            ..options()
        },
    );
    put(&wal, b"one").await;
    put(&wal, b"two").await;
    wal.close().unwrap();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "phlare_wal_written_bytes_total 86",
        "phlare_wal_fsync_duration_seconds_count 4", // one for each record, one on leaving a segment, one at the end
        "phlare_wal_group_records_sum 2",
        "phlare_wal_segments 2",
        "phlare_wal_segment_bytes 86",
        "phlare_wal_pending_bytes 0",
    ] {
        assert!(
            text.lines().any(|found| found.starts_with(line)),
            "{line} is missing in\n{text}"
        );
    }
    drop(wal);
    assert_eq!(metrics.segments.get(), 0);
    assert_eq!(metrics.segment_bytes.get(), 0);
}

#[tokio::test]
async fn many_logs_share_few_threads() {
    let directory = tempfile::tempdir().unwrap();
    let committer = Committer::new(3);
    let logs: Vec<Wal> = (0..60)
        .map(|number| {
            let options = Options {
                committer: committer.clone(),
                ..options()
            };
            open(&directory.path().join(number.to_string()), options).0
        })
        .collect();
    for _ in 0..5 {
        let commits: Vec<Commit> = logs
            .iter()
            .map(|wal| wal.commit(wal.append(b"a record").unwrap()))
            .collect();
        for commit in commits {
            commit.wait().await.unwrap();
        }
    }
    assert!((1..=3).contains(&committer.pool().threads_alive()));
}
