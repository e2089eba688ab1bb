//! A process that dies at any point of a cut loses nothing that it has acknowledged, and nothing counts twice.
//!
//! Each point is reached in a process of its own, which aborts there; then the directory is opened again.
#![expect(clippy::unwrap_used, reason = "what cannot go on fails")]

#[path = "database/support.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod support;

use std::path::Path;
use std::process::Command;

use support::{CPU, GO_CPU, JAVA_CPU, T0_MS, open};

const POINT: &str = "PHLARE_TEST_CRASH_AT";
const DIRECTORY: &str = "PHLARE_TEST_DIRECTORY";

/// Every crash point of cutting and deleting, in the order in which they come.
const POINTS: [&str; 10] = [
    "cut.sealed",
    "flush.symbols",
    "flush.profiles",
    "flush.index",
    "cut.flushed",
    "cut.baselines",
    "cut.committed",
    "cut.published",
    "cut.truncating",
    "local.removed",
];

#[test]
fn a_crash_at_any_point_of_a_cut_loses_nothing() {
    if let Ok(point) = std::env::var(POINT) {
        let directory = std::env::var(DIRECTORY).unwrap();
        return work_until(&point, Path::new(&directory));
    }
    for point in POINTS {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_crash_at_any_point_of_a_cut_loses_nothing"])
            .env(POINT, point)
            .env(DIRECTORY, directory.path())
            .output()
            .unwrap()
            .status;
        assert_eq!(status.code(), None, "{point}: it was to be killed");
        check(point, directory.path());
    }
}

/// What is acknowledged before the crash.
fn work_until(point: &str, directory: &Path) {
    fail::cfg_callback(point, || std::process::abort()).unwrap();
    let fixture = open(directory);
    for at in 0..3 {
        fixture.push(GO_CPU, "process_cpu", "cart", T0_MS + at);
        fixture.push(JAVA_CPU, "process_cpu", "cart", T0_MS + 3_600_000 + at);
    }
    fixture.push_cumulative("heap", T0_MS, 1);
    fixture.push_cumulative("heap", T0_MS + 1, 2);
    for meta in fixture.database.cut().unwrap() {
        fixture.database.remove_block(meta.id);
    }
    fixture.database.delete_removed().unwrap();
}

fn check(point: &str, directory: &Path) {
    let alone = tempfile::tempdir().unwrap();
    let other = open(alone.path());
    other.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let cpu = other.total(CPU, "{}");
    other.push(JAVA_CPU, "process_cpu", "java", T0_MS);
    let java = other.total(CPU, r#"{service_name="java"}"#);

    for round in 0..3 {
        let fixture = open(directory);
        let total = |service: &str| fixture.total(CPU, &format!("{{service_name={service:?}}}"));
        let expected = match point {
            // One of the two blocks was deleted on purpose before the crash.
            "local.removed" => [3 * cpu, 3 * java].contains(&total("cart")),
            _ => total("cart") == 3 * cpu + 3 * java,
        };
        assert!(expected, "{point}, round {round}: {}", total("cart"));
        if point != "local.removed" {
            fixture.push_cumulative("heap", T0_MS + 2 + round, 3 + round);
            assert_eq!(total("heap"), (2 + round) * cpu, "{point}, round {round}");
        }
        if round == 1 {
            fixture.database.cut().unwrap();
        }
    }
}
