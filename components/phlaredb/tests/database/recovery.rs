//! What was acknowledged is there after a restart, whatever happened to the files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{CPU, GO_CPU, GO_LABELS, JAVA_CPU, T0_MS, merge, open, open_with};

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    files.sort();
    files
}

/// A copy of the directory as a crash would leave it: nobody closed the log.
fn crashed(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("wal")).unwrap();
    for segment in segments(directory) {
        fs::copy(
            &segment,
            copy.path().join("wal").join(segment.file_name().unwrap()),
        )
        .unwrap();
    }
    copy
}

#[test]
fn everything_acknowledged_comes_back_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.push(GO_CPU, "process_cpu", "cart", T0_MS);
    first.push(GO_LABELS, "process_cpu", "api", T0_MS + 1);
    first.push(JAVA_CPU, "process_cpu", "orders", T0_MS + 2);
    first.push(GO_CPU, "process_cpu", "cart", T0_MS + 3);
    let copy = crashed(directory.path());
    let second = open(copy.path());
    assert_eq!(second.recovery.lost_profiles, 0);
    assert_eq!(second.recovery.profiles, first.database.stats().profiles);
    let stats = |fixture: &crate::support::Fixture| {
        let stats = fixture.database.stats();
        (
            stats.oldest_ms,
            stats.newest_ms,
            stats.series,
            stats.profiles,
            stats.samples,
        )
    };
    assert_eq!(stats(&second), stats(&first));
    let lines = |fixture: &crate::support::Fixture| {
        fixture
            .database
            .view()
            .select_tree(&merge(CPU, "{}"))
            .unwrap()
            .collapsed()
    };
    assert_eq!(lines(&second), lines(&first));
    // A third life, after the second wrote to a segment of its own.
    second.push(JAVA_CPU, "process_cpu", "orders", T0_MS + 4);
    second.database.close().unwrap();
    let expected = lines(&second);
    drop(second);
    let third = open(copy.path());
    assert_eq!(lines(&third), expected);
}

#[test]
fn segments_do_not_need_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let small = |config: &mut phlare_phlaredb::Config| config.wal_segment_bytes = 1;
    let first = open_with(directory.path(), small);
    for i in 0..4 {
        first.push(GO_CPU, "process_cpu", "cart", T0_MS + i);
    }
    let total = first.total(CPU, "{}");
    let copy = crashed(directory.path());
    let files = segments(copy.path());
    assert!(files.len() >= 4, "{files:?}");
    fs::remove_file(&files[0]).unwrap();
    let second = open(copy.path());
    assert_eq!(second.recovery.lost_profiles, 0);
    assert_eq!(second.total(CPU, "{}"), total / 4 * 3);
}

#[test]
fn a_torn_tail_costs_only_what_was_not_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let total = first.total(CPU, "{}");
    let copy = crashed(directory.path());
    let last = segments(copy.path()).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes.extend_from_slice(b"half a record that the power cut off");
    fs::write(&last, bytes).unwrap();
    let second = open(copy.path());
    assert_eq!(second.recovery.wal.torn.len(), 1);
    assert_eq!(second.recovery.wal.torn[0].bytes, 36);
    assert_eq!(second.total(CPU, "{}"), total);
}

/// A flipped bit in the record that defined the symbols: the profile in it is lost and reported, and
/// those after it keep their values, under a name that says why.
#[test]
fn damage_in_the_middle_keeps_totals_exact() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let one = first.total(CPU, "{}");
    let flipped_at = fs::metadata(segments(directory.path()).pop().unwrap())
        .unwrap()
        .len()
        / 2;
    first.push(GO_CPU, "process_cpu", "other", T0_MS + 1);
    first.push(GO_CPU, "process_cpu", "other", T0_MS + 2);
    let copy = crashed(directory.path());
    let file = segments(copy.path()).pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[flipped_at as usize] ^= 1;
    fs::write(&file, bytes).unwrap();
    let second = open(copy.path());
    assert_eq!(second.recovery.wal.damage.len(), 1);
    assert!(second.recovery.wal.damage[0].set_aside.is_some());
    assert_eq!(second.total(CPU, r#"{service_name="other"}"#), 2 * one);
    assert_eq!(second.total(CPU, r#"{service_name="cart"}"#), 0);
    let tree = second
        .database
        .view()
        .select_tree(&merge(CPU, "{}"))
        .unwrap();
    assert!(
        tree.nodes().any(|node| node.name.contains("symbols lost")),
        "{}",
        tree.collapsed()
    );
}

#[test]
fn a_closed_database_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS);
    fixture.database.close().unwrap();
    let refused = fixture.append(GO_CPU, "process_cpu", "cart", T0_MS + 1, 0);
    assert!(refused.is_err());
}

/// What makes no sense in the place of `checkpoint.json`.
const DAMAGED: [&[u8]; 4] = [
    b"",
    b"{\"version\":1,\"first_seg",
    b"{\"version\":0,\"first_segment\":1,\"blocks\":[]}",
    b"\0\0\0\0",
];

#[test]
fn a_damaged_checkpoint_is_set_aside_and_nothing_is_lost_or_counted_twice() {
    for damage in DAMAGED {
        let directory = tempfile::tempdir().unwrap();
        let first = open(directory.path());
        first.push(GO_CPU, "process_cpu", "cart", T0_MS);
        first.push_cumulative("heap", T0_MS, 1);
        first.push_cumulative("heap", T0_MS + 1, 2);
        let each = first.total(CPU, r#"{service_name="heap"}"#);
        first.database.cut().unwrap();
        first.push(GO_CPU, "process_cpu", "cart", T0_MS + 2);
        let before = first.total(CPU, "{}");
        drop(first);
        fs::write(directory.path().join("checkpoint.json"), damage).unwrap();

        let second = open(directory.path());
        assert_eq!(second.total(CPU, "{}"), before);
        let aside = fs::read(directory.path().join("checkpoint.json.damaged"));
        assert_eq!(aside.unwrap(), damage);
        // Cumulative series go on from what they had counted.
        second.push_cumulative("heap", T0_MS + 3, 3);
        assert_eq!(second.total(CPU, "{}"), before + each);
        drop(second);
        let third = open(directory.path());
        assert_eq!(third.total(CPU, "{}"), before + each);
        third.database.cut().unwrap();
        assert_eq!(third.total(CPU, "{}"), before + each);
    }
}

#[test]
fn without_a_log_a_damaged_checkpoint_leaves_the_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.push_cumulative("heap", T0_MS, 1);
    first.push_cumulative("heap", T0_MS + 1, 2);
    let each = first.total(CPU, "{}");
    first.database.cut().unwrap();
    first.database.close().unwrap();
    drop(first);
    for segment in segments(directory.path()) {
        fs::remove_file(segment).unwrap();
    }
    fs::write(directory.path().join("checkpoint.json"), b"{").unwrap();
    let second = open(directory.path());
    assert_eq!(second.total(CPU, "{}"), each);
    second.push_cumulative("heap", T0_MS + 2, 3);
    assert_eq!(second.total(CPU, "{}"), 2 * each);
    drop(second);
    assert_eq!(open(directory.path()).total(CPU, "{}"), 2 * each);
}
