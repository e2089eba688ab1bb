//! Heads become blocks: answers stay, whatever happens in between.

use std::sync::atomic::{AtomicBool, Ordering};

use phlare_block::LocalFiles;
use phlare_model::query::{AnalyzeQuery, TimeRange};

use crate::support::{
    CPU, Fixture, GO_CPU, GO_LABELS, JAVA_CPU, T0_MS, everything, merge, open, series,
};

const HOUR_MS: i64 = 3_600_000;

const ALL_TIME: TimeRange = TimeRange {
    start_ms: T0_MS - 1000,
    end_ms: T0_MS + 2 * HOUR_MS,
};

fn fill(fixture: &Fixture) {
    for (at, service) in [
        (0, "cart"),
        (15_000, "cart"),
        (15_000, "shop"),
        (HOUR_MS, "cart"),
    ] {
        fixture.push(GO_CPU, "process_cpu", service, T0_MS + at);
        fixture.push(JAVA_CPU, "process_cpu", service, T0_MS + at + 1);
        fixture.push(GO_LABELS, "process_cpu", service, T0_MS + at + 2);
    }
}

/// Everything that a user can ask.
fn answers(fixture: &Fixture) -> Vec<String> {
    let view = fixture.database.view();
    let mut answers = Vec::new();
    for selector in [
        "{}",
        r#"{service_name="cart"}"#,
        r#"{service_name!="cart"}"#,
        r#"{x="y"}"#,
    ] {
        let query = merge(CPU, selector);
        answers.push(view.select_tree(&query).unwrap().collapsed());
        let profile = view.select_pprof(&query).unwrap();
        let mut samples: Vec<_> = profile
            .sample
            .iter()
            .map(|sample| (sample.location_id.len(), sample.value.clone()))
            .collect();
        samples.sort();
        answers.push(format!(
            "{samples:?} {} {} {}",
            profile.location.len(),
            profile.function.len(),
            profile.mapping.len()
        ));
        for by in [&[][..], &["service_name"]] {
            let found = view.select_series(&series(CPU, selector, ALL_TIME, by));
            answers.push(format!("{:?}", found.unwrap()));
        }
    }
    let everything = everything();
    answers.push(format!("{:?}", view.label_names(&everything).unwrap()));
    answers.push(format!("{:?}", view.series(&[], &everything).unwrap()));
    answers.push(format!("{:?}", view.times_ms()));
    answers
}

#[test]
fn answers_are_the_same_before_and_after_a_cut_and_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    fill(&first);
    let before = answers(&first);
    let pushed = first.database.stats().profiles;
    let metas = first.database.cut().unwrap();
    assert_eq!(metas.len(), 2, "one block for each hour");
    let in_blocks: u64 = metas.iter().map(|meta| meta.stats.num_profiles).sum();
    assert_eq!(in_blocks, pushed);
    assert_eq!(first.database.stats().profiles, 0);
    pretty_assertions(&before, &answers(&first));
    first.database.close().unwrap();
    drop(first);

    let second = open(directory.path());
    assert_eq!(second.recovery.profiles, 0, "the log was deleted");
    assert_eq!(second.recovery.blocks, 2);
    pretty_assertions(&before, &answers(&second));
    assert_eq!(
        second.database.cut().unwrap(),
        [],
        "there is nothing to cut"
    );
}

#[track_caller]
fn pretty_assertions(before: &[String], after: &[String]) {
    for (before, after) in before.iter().zip(after) {
        assert!(
            before == after,
            "before:\n{before:.3000}\nafter:\n{after:.3000}"
        );
    }
}

#[test]
fn head_and_blocks_together_answer_as_one_head() {
    let directory = tempfile::tempdir().unwrap();
    let in_one_head = open(&directory.path().join("one"));
    fill(&in_one_head);
    fill_second(&in_one_head);
    let cut_between = open(&directory.path().join("cut"));
    fill(&cut_between);
    cut_between.database.cut().unwrap();
    fill_second(&cut_between);
    pretty_assertions(&answers(&in_one_head), &answers(&cut_between));
    cut_between.database.cut().unwrap();
    pretty_assertions(&answers(&in_one_head), &answers(&cut_between));
}

fn fill_second(fixture: &Fixture) {
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS + 30_000);
    fixture.push(GO_LABELS, "process_cpu", "late", T0_MS + 30_000);
}

#[test]
fn every_block_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fill(&fixture);
    fixture.database.cut().unwrap();
    for block in fixture.database.blocks() {
        let meta = block.meta();
        let path = directory.path().join("local").join(meta.id.to_string());
        let files = LocalFiles::new(&path);
        for file in &meta.files {
            let size = phlare_block::Files::size(&files, &file.rel_path).unwrap();
            assert_eq!(size, file.size_bytes, "{}", file.rel_path);
        }
        block.index().unwrap().verify().unwrap();
        block.profiles().unwrap().verify().unwrap();
        block.symbols().unwrap().verify().unwrap();
        assert_eq!(meta.compaction.sources, [meta.id]);
    }
}

#[test]
fn a_query_during_a_cut_sees_every_profile_once() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fill(&fixture);
    let expected = fixture.total(CPU, "{}");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let queries = scope.spawn(|| {
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) || asked < 3 {
                assert_eq!(fixture.total(CPU, "{}"), expected);
                asked += 1;
            }
        });
        for _ in 0..3 {
            fixture.database.cut().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        queries.join().unwrap();
    });
}

#[test]
fn pushes_during_a_cut_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    let each = {
        fixture.push(GO_CPU, "process_cpu", "cart", T0_MS);
        fixture.total(CPU, "{}")
    };
    std::thread::scope(|scope| {
        let pushes = scope.spawn(|| {
            for at in 1..60 {
                fixture.push(GO_CPU, "process_cpu", "cart", T0_MS + at);
            }
        });
        while !pushes.is_finished() {
            fixture.database.cut().unwrap();
        }
        pushes.join().unwrap();
    });
    assert_eq!(fixture.total(CPU, "{}"), 60 * each);
    drop(fixture);
    assert_eq!(open(directory.path()).total(CPU, "{}"), 60 * each);
}

#[test]
fn cumulative_profiles_go_on_across_a_cut_and_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    // Each profile counts `n` times the values of the first.
    first.push_cumulative("heap", T0_MS, 1);
    assert_eq!(first.total(CPU, "{}"), 0, "the first one is the base");
    first.push_cumulative("heap", T0_MS + 1, 2);
    let each = first.total(CPU, "{}");
    assert!(each > 0);
    first.database.cut().unwrap();
    first.push_cumulative("heap", T0_MS + 2, 3);
    assert_eq!(first.total(CPU, "{}"), 2 * each, "a cut is no restart");
    first.database.cut().unwrap();
    drop(first);
    let second = open(directory.path());
    second.push_cumulative("heap", T0_MS + 3, 5);
    assert_eq!(second.total(CPU, "{}"), 4 * each, "nor is a restart");
}

#[test]
fn a_removed_block_is_deleted_once_nobody_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let meta = fixture.database.cut().unwrap().remove(0);
    let path = directory.path().join("local").join(meta.id.to_string());
    let reading = fixture.database.view();
    fixture.database.remove_block(meta.id);
    assert_eq!(fixture.total(CPU, "{}"), 0);
    assert_eq!(fixture.database.delete_removed().unwrap(), 0);
    assert!(reading.select_tree(&merge(CPU, "{}")).unwrap().total() > 0);
    drop(reading);
    assert_eq!(fixture.database.delete_removed().unwrap(), 1);
    assert!(!path.try_exists().unwrap());
}

#[test]
fn a_block_that_cannot_be_read_is_set_aside_and_the_others_answer() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let each = first.total(CPU, "{}");
    let bad = first.database.cut().unwrap().remove(0);
    first.push(GO_CPU, "process_cpu", "cart", T0_MS + 1);
    first.database.cut().unwrap();
    drop(first);
    let local = directory.path().join("local");
    std::fs::write(local.join(bad.id.to_string()).join("meta.json"), b"{").unwrap();
    std::fs::create_dir(local.join("01M894XZ7NE6X1FAJZN8JYAHY1")).unwrap();
    std::fs::create_dir(local.join("lost+found")).unwrap();
    std::fs::create_dir(
        directory
            .path()
            .join("head")
            .join("01M894XZ7NE6X1FAJZN8JYAHY2"),
    )
    .unwrap();
    let second = open(directory.path());
    assert_eq!(second.recovery.blocks, 1);
    assert_eq!(second.total(CPU, "{}"), each);
    let aside = directory.path().join("set-aside").join(bad.id.to_string());
    assert!(aside.join("profiles.parquet").try_exists().unwrap());
    let heads = std::fs::read_dir(directory.path().join("head")).unwrap();
    assert_eq!(heads.count(), 0, "unfinished blocks are deleted");
}

#[test]
fn a_damaged_block_is_left_out_of_answers() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let each = first.total(CPU, "{}");
    let bad = first.database.cut().unwrap().remove(0);
    first.push(GO_CPU, "process_cpu", "cart", T0_MS + 1);
    first.database.cut().unwrap();
    let path = directory.path().join("local").join(bad.id.to_string());
    let index = path.join("index.tsdb");
    let mut bytes = std::fs::read(&index).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&index, bytes).unwrap();
    drop(first);
    let second = open(directory.path());
    assert_eq!(second.total(CPU, "{}"), each);
    std::fs::remove_dir_all(path.join("symbols")).unwrap();
    assert_eq!(second.total(CPU, "{}"), each);
}

#[test]
fn old_logs_are_not_read_again_after_the_log_began_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for round in 0..4 {
        let fixture = open(directory.path());
        assert_eq!(fixture.total(CPU, "{}"), expected, "round {round}");
        fixture.push(GO_CPU, "process_cpu", "cart", T0_MS + round);
        expected = fixture.total(CPU, "{}");
        if round % 2 == 0 {
            fixture.database.cut().unwrap();
        }
    }
    assert_eq!(open(directory.path()).total(CPU, "{}"), expected);
}

#[test]
fn time_prunes_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fill(&fixture);
    let pushed = fixture.database.stats().profiles;
    fixture.database.cut().unwrap();
    let last_hour = TimeRange {
        start_ms: T0_MS + HOUR_MS,
        end_ms: T0_MS + HOUR_MS + 10,
    };
    let view = fixture.database.view().within(last_hour);
    assert_eq!(view.blocks().len(), 1);
    let analysis = fixture.database.view().analyze(&AnalyzeQuery {
        profile_type: Some(CPU.parse().unwrap()),
        selector: phlare_model::Selector::all(),
        range: last_hour,
    });
    assert!(analysis.unwrap().profiles < pushed);
}

#[test]
fn a_head_that_could_not_be_written_is_kept_and_written_with_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS);
    let each = fixture.total(CPU, "{}");
    let head = directory.path().join("head");
    std::fs::remove_dir(&head).unwrap();
    std::fs::write(&head, "in the way").unwrap();
    fixture.database.cut().unwrap_err();
    assert!(fixture.database.has_unwritten_head());
    assert_eq!(fixture.total(CPU, "{}"), each);
    fixture.push(GO_CPU, "process_cpu", "cart", T0_MS + 1);
    fixture.database.cut().unwrap_err();
    assert_eq!(fixture.total(CPU, "{}"), 2 * each);
    std::fs::remove_file(&head).unwrap();
    assert_eq!(fixture.database.cut().unwrap().len(), 2);
    assert_eq!(fixture.total(CPU, "{}"), 2 * each);
    drop(fixture);
    assert_eq!(open(directory.path()).total(CPU, "{}"), 2 * each);
}
