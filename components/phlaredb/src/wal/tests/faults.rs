//! Failing, full and hanging disks, and the order in which things reach them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use super::bad_disk::{Done, EIO, ENOSPC, Kind};
use super::*;

fn is_pending(future: Pin<&mut impl Future>) -> bool {
    future
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

/// A log on a bad disk, freshly opened.
fn opened(directory: &Path, disk: &BadDisk, options: Options) -> Wal {
    let (wal, ..) = open(directory, options);
    disk.take_done();
    wal
}

fn opened_file(number: u64) -> Done {
    Done::Open(recover::file_name(SegmentId(number)))
}

#[tokio::test]
async fn an_acknowledgement_waits_for_the_file_and_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let wal = opened(directory.path(), &disk, on(&disk));
    disk.hold(Kind::SyncDirectory);
    let position = wal.append(b"one").unwrap();
    let mut wait = pin!(wal.commit(position).wait());
    disk.wait_for(&Done::SyncDirectory, 1);
    assert!(is_pending(wait.as_mut()));
    disk.release();
    wait.await.unwrap();
    assert_eq!(
        disk.take_done(),
        [
            opened_file(1),
            Done::Write(0),
            Done::Sync,
            Done::SyncDirectory
        ]
    );
    put(&wal, b"two").await;
    assert_eq!(disk.take_done(), [Done::Write(24 + 16 + 3), Done::Sync]);
}

#[tokio::test]
async fn what_is_appended_during_a_sync_shares_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let wal = opened(directory.path(), &disk, on(&disk));
    put(&wal, b"first").await;
    disk.take_done();
    disk.hold(Kind::Sync);
    let mut commits = vec![wal.commit(wal.append(b"second").unwrap())];
    disk.wait_for(&Done::Sync, 1);
    commits.extend((0..200_u8).map(|number| wal.commit(wal.append(&[number]).unwrap())));
    disk.release();
    for commit in commits {
        commit.wait().await.unwrap();
    }
    let second = 24 + (16 + 5);
    let third = second + 16 + 6;
    assert_eq!(
        disk.take_done(),
        [
            Done::Write(second),
            Done::Sync,
            Done::Write(third),
            Done::Sync
        ]
    );
}

#[tokio::test]
async fn a_segment_is_safe_before_the_next_one_begins() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            segment_bytes: 1,
            ..on(&disk)
        },
    );
    disk.hold(Kind::Open);
    wal.append(b"one").unwrap();
    disk.wait_for(&opened_file(1), 1);
    wal.append(b"two").unwrap();
    let last = wal.append(b"three").unwrap();
    disk.release();
    wal.commit(last).wait().await.unwrap();
    let one = [
        opened_file(1),
        Done::Write(0),
        Done::Sync,
        Done::SyncDirectory,
    ];
    let done = disk.take_done();
    assert_eq!(done[..4], one);
    let second = done
        .iter()
        .position(|done| *done == opened_file(2))
        .unwrap();
    let third = done
        .iter()
        .position(|done| *done == opened_file(3))
        .unwrap();
    assert!(done[second..third].contains(&Done::Sync));
}

#[tokio::test]
async fn a_disk_that_heals_has_every_record_once() {
    for (kind, errno) in [
        (Kind::Open, EIO),
        (Kind::Write, ENOSPC),
        (Kind::Sync, EIO),
        (Kind::SyncDirectory, EIO),
    ] {
        for before in 0..3 {
            let directory = tempfile::tempdir().unwrap();
            let disk = BadDisk::default();
            let wal = opened(directory.path(), &disk, on(&disk));
            let mut expected: Vec<Vec<u8>> = (0..before).map(|number| vec![number; 40]).collect();
            for payload in &expected {
                put(&wal, payload).await;
            }
            disk.fail(kind, errno, 3);
            if before > 0 && matches!(kind, Kind::Open | Kind::SyncDirectory) {
                // Only a file that is opened anew gets there.
                disk.heal();
                disk.fail(Kind::Sync, EIO, 1);
                disk.fail(kind, errno, 3);
            }
            let commits = [[8; 500], [9; 500]].map(|payload| {
                expected.push(payload.to_vec());
                wal.commit(wal.append(&payload).unwrap())
            });
            for commit in commits {
                commit.wait().await.unwrap();
            }
            expected.push(b"healthy".to_vec());
            put(&wal, b"healthy").await;
            wal.close().unwrap();
            let (_, recovery, replayed) = open(directory.path(), options());
            let replayed: Vec<_> = replayed.into_iter().map(|(_, payload)| payload).collect();
            assert_eq!(replayed, expected, "{kind:?} after {before}");
            assert_eq!(
                (recovery.torn, recovery.damage),
                (vec![], vec![]),
                "{kind:?} after {before}"
            );
        }
    }
}

#[tokio::test]
async fn another_attempt_begins_where_the_failed_one_did() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let wal = opened(directory.path(), &disk, on(&disk));
    put(&wal, b"one").await;
    disk.take_done();
    disk.fail(Kind::Write, ENOSPC, 1);
    put(&wal, b"two").await;
    let failed = [Done::Write(43)];
    let again = [
        opened_file(1),
        Done::Cut(43),
        Done::Write(43),
        Done::Sync,
        Done::SyncDirectory,
    ];
    assert_eq!(disk.take_done(), [&failed[..], &again].concat());
}

#[test]
fn a_disk_that_has_just_failed_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let pause = Duration::from_secs(3600);
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            retry_pause: pause,
            ..on(&disk)
        },
    );
    disk.fail(Kind::Open, EIO, 1);
    for payload in [b"one", b"two"] {
        wal.append(payload).unwrap();
        disk.wait_for(&opened_file(1), 1);
        while !wal.log.is_idle() {
            std::thread::yield_now();
        }
    }
    assert_eq!(disk.take_done(), [opened_file(1)]);
    wal.close().unwrap();
    assert_eq!(payloads(directory.path()), [b"one", b"two"]);
}

#[test]
fn a_new_directory_is_safe_with_its_ancestors() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    open(&directory.path().join("tenant").join("wal"), on(&disk));
    assert_eq!(disk.take_done(), [Done::SyncDirectory, Done::SyncDirectory]);
}

#[tokio::test]
async fn a_failed_disk_is_named_and_heals() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let timeout = Duration::from_millis(20);
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            commit_timeout: timeout,
            ..on(&disk)
        },
    );
    disk.fail(Kind::Write, ENOSPC, 1_000_000);
    let position = wal.append(b"one").unwrap();
    disk.wait_for(&Done::Write(0), 2); // the second attempt: the failure of the first is known
    let error = wal.commit(position).wait().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("anton") && text.contains("00000001.wal") && text.contains("No space left"),
        "{text}"
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_after().is_some());
    // Now known: nobody else has to wait for it.
    assert!(matches!(
        wal.append(b"refused").unwrap_err(),
        Error::Stalled { .. }
    ));
    assert!(matches!(wal.check(), Err(Error::Stalled { .. })));
    disk.heal();
    wal.log
        .progress
        .subscribe()
        .wait_for(|progress| progress.acked == 1)
        .await
        .unwrap();
    wal.append(b"two").unwrap();
    wal.log
        .progress
        .subscribe()
        .wait_for(|progress| progress.acked == 2)
        .await
        .unwrap();
    wal.check().unwrap();
    drop(wal);
    assert_eq!(payloads(directory.path()), [b"one", b"two"]);
}

#[tokio::test]
async fn a_hanging_disk_does_not_hang_those_who_wait() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let timeout = Duration::from_millis(20);
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            commit_timeout: timeout,
            ..on(&disk)
        },
    );
    disk.hold(Kind::Sync);
    let error = wal
        .commit(wal.append(b"one").unwrap())
        .wait()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert!(matches!(
        wal.append(b"refused").unwrap_err(),
        Error::Stalled { .. }
    ));
    disk.release();
}

#[tokio::test]
async fn a_log_takes_no_more_than_may_wait() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            max_pending_bytes: 1000,
            ..on(&disk)
        },
    );
    disk.hold(Kind::Write);
    let position = wal.append(&[1; 2000]).unwrap(); // alone, even a large one is taken
    let error = wal.append(b"one more").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Full {
                pending: 2040,
                limit: 1000,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    disk.release();
    wal.commit(position).wait().await.unwrap();
    put(&wal, b"one more").await;
    wal.close().unwrap();
    assert_eq!(payloads(directory.path()).len(), 2);
}

#[tokio::test]
async fn closing_gives_up_on_a_dead_disk() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let timeout = Duration::from_millis(20);
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            commit_timeout: timeout,
            ..on(&disk)
        },
    );
    disk.fail(Kind::Write, ENOSPC, 1_000_000);
    let position = wal.append(b"one").unwrap();
    assert!(matches!(wal.close().unwrap_err(), Error::Stalled { .. }));
    assert!(matches!(wal.close().unwrap_err(), Error::Stalled { .. }));
    assert!(wal.commit(position).wait().await.is_err());
    assert!(matches!(
        wal.append(b"two").unwrap_err(),
        Error::Closed { .. }
    ));
}

#[tokio::test]
async fn an_interval_acknowledges_before_it_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let sync = SyncPolicy::Interval(Duration::from_secs(3600));
    let wal = opened(directory.path(), &disk, Options { sync, ..on(&disk) });
    put(&wal, b"one").await;
    put(&wal, b"two").await;
    assert_eq!(
        disk.take_done(),
        [opened_file(1), Done::Write(0), Done::Write(43)]
    );
    wal.close().unwrap();
    assert_eq!(disk.take_done(), [Done::Sync, Done::SyncDirectory]);
}

#[tokio::test]
async fn an_interval_does_not_wait_for_a_sync_that_hangs() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let sync = SyncPolicy::Interval(Duration::ZERO);
    let wal = opened(directory.path(), &disk, Options { sync, ..on(&disk) });
    disk.hold(Kind::Sync);
    put(&wal, b"one").await;
    disk.wait_for(&Done::Sync, 1);
    disk.release();
}

#[tokio::test]
async fn an_interval_that_has_passed_is_synced_without_further_records() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let sync = SyncPolicy::Interval(Duration::from_millis(5));
    let wal = opened(directory.path(), &disk, Options { sync, ..on(&disk) });
    put(&wal, b"one").await;
    disk.wait_for(&Done::Sync, 1);
}

#[tokio::test]
async fn an_interval_is_synced_early_when_too_much_would_have_to_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let sync = SyncPolicy::Interval(Duration::from_secs(3600));
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            sync,
            max_pending_bytes: 1000,
            ..on(&disk)
        },
    );
    put(&wal, &[1; 400]).await;
    put(&wal, &[2; 400]).await;
    disk.wait_for(&Done::Sync, 1);
}

#[tokio::test]
async fn what_a_failed_sync_lost_is_written_again_though_it_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let sync = SyncPolicy::Interval(Duration::from_secs(3600));
    let wal = opened(directory.path(), &disk, Options { sync, ..on(&disk) });
    put(&wal, b"one").await;
    put(&wal, b"two").await;
    disk.fail(Kind::Sync, EIO, 2);
    wal.close().unwrap();
    assert_eq!(payloads(directory.path()), [b"one", b"two"]);
}

#[tokio::test]
async fn never_means_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            sync: SyncPolicy::Never,
            segment_bytes: 1,
            ..on(&disk)
        },
    );
    put(&wal, b"one").await;
    put(&wal, b"two").await;
    assert!(!disk.take_done().contains(&Done::Sync));
    assert_eq!(wal.log.options.metrics.pending_bytes.get(), 0);
    wal.close().unwrap();
    assert_eq!(disk.take_done(), [Done::Sync, Done::SyncDirectory]);
}

#[tokio::test]
async fn a_segment_that_vanished_costs_what_was_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let wal = opened(directory.path(), &disk, on(&disk));
    put(&wal, b"gone").await;
    std::fs::remove_file(directory.path().join("00000001.wal")).unwrap();
    disk.fail(Kind::Sync, EIO, 1);
    put(&wal, b"kept").await;
    wal.close().unwrap();
    let (_, recovery, replayed) = open(directory.path(), options());
    assert_eq!(replayed, [(SegmentId(1), b"kept".to_vec())]);
    assert_eq!(recovery.damage.len(), 1);
    assert_eq!(
        (recovery.damage[0].offset, recovery.damage[0].bytes),
        (0, 24 + 16 + 4)
    );
}

#[tokio::test]
async fn segments_that_are_still_to_be_written_are_not_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let wal = opened(
        directory.path(),
        &disk,
        Options {
            segment_bytes: 1,
            ..on(&disk)
        },
    );
    disk.hold(Kind::Write);
    wal.append(b"one").unwrap();
    disk.wait_for(&Done::Write(0), 1);
    let last = wal.append(b"two").unwrap();
    assert_eq!(wal.truncate_before(wal.segment()).unwrap(), 0);
    disk.release();
    wal.commit(last).wait().await.unwrap();
    assert_eq!(wal.truncate_before(wal.segment()).unwrap(), 2);
    assert_eq!(wal.size_bytes(), 0);
}
