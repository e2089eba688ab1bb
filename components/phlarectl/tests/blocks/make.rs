//! `compact` and `rewrite`: new blocks that say what the old ones say.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::query::total;
use crate::store::Store;
use crate::support::{blocks, copy, copy_all, damage, text};

/// What `list` says of the blocks in a directory.
fn listed(place: &Path) -> Vec<Value> {
    let list = blocks(&["list", text(place), "--output", "json"]).json();
    list.as_array().unwrap().clone()
}

/// All that a directory holds, with sizes.
fn files(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            files.extend(self::files(&entry.path()));
        } else {
            files.push((entry.path(), entry.metadata().unwrap().len()));
        }
    }
    files.sort();
    files
}

fn sum(rows: &[Value], field: &str) -> i64 {
    rows.iter().map(|row| row[field].as_i64().unwrap()).sum()
}

#[test]
fn merged_blocks_answer_as_the_old_ones_do() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let (place, out) = (bucket.path(), tempfile::tempdir().unwrap());
    let before = (files(place), total(place, &[]));
    for shards in ["0", "3"] {
        let into = out.path().join("new").join(shards);
        let args = ["compact", text(place), "--into", text(&into)];
        let ran = blocks(&[&args[..], &["--shards", shards, "--output=json"]].concat());
        let report = ran.json();
        let sides = ["inputs", "outputs"].map(|side| report[side].as_array().unwrap().clone());
        assert_eq!(sides[0].len(), 5);
        assert_eq!(report["before"]["blocks"], 5);
        assert_eq!(report["after"]["profiles"], sum(&sides[1], "profiles"));
        assert_eq!(report["after"]["bytes"], sum(&sides[1], "bytes"));
        assert!(sum(&sides[1], "bytes") < sum(&sides[0], "bytes"));
        assert_eq!(total(&into, &[]), before.1);

        let made = listed(&into);
        assert_eq!(made.len(), shards.parse::<usize>().unwrap().max(1));
        for block in &made {
            assert_eq!(
                (&block["level"], &block["source"]),
                (&json!(2), &json!("compactor"))
            );
        }
        assert_eq!(sum(&made, "bytes"), sum(&sides[1], "bytes"));
        let verified = blocks(&["verify", text(&into)]);
        assert_eq!(verified.code, 0, "{verified:?}");
        // Both together count once.
        let both = copy("v3-compaction/input").unwrap();
        copy_all(&into, &both.path().join("anonymous/phlaredb"));
        assert_eq!(total(both.path(), &[]), before.1);
    }
    assert_eq!(files(place), before.0, "the place has changed");

    let into = out.path().join("table");
    let ran = blocks(&["compact", text(place), "--into", text(&into)]);
    let sides: Vec<&str> = ran
        .data
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(sides, ["", "in", "in", "in", "in", "in", "out"]);
    assert!(ran.talk.starts_with("before  5 blocks: "), "{}", ran.talk);
    assert!(ran.talk.contains("\nafter   1 blocks: "), "{}", ran.talk);
}

#[test]
fn what_cannot_be_merged_leaves_nothing() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let root = bucket.path().join("anonymous/phlaredb");
    let out = tempfile::tempdir().unwrap();
    let into = out.path().join("a/b");
    let one = "01M8952SNR4MW2AEEN4TTF9M9R";
    let run = |args: &[&str], into: &Path| {
        let ran = blocks(&[&["compact", text(&root), "--into", text(into)], args].concat());
        assert!(!out.path().join("a").is_dir(), "{ran:?}");
        (ran.code, ran.talk)
    };
    let (code, talk) = run(&[one], &into);
    assert!(code == 2 && talk.contains("is the only block"), "{talk}");
    for inside in [root.clone(), root.join(one), root.join(one).join("x")] {
        let (code, talk) = run(&[], &inside);
        assert!(code == 2 && talk.contains("another directory"), "{talk}");
    }
    assert!(!root.join(one).join("x").is_dir());

    let name = root.join("01M8952WJTX5S8F24CQ60Z8TX8/profiles.parquet");
    damage(&name);
    let (code, talk) = run(&[], &into);
    assert_eq!(code, 1);
    assert!(
        talk.starts_with("error: read block 01M8952WJTX5S8F24CQ60Z8TX8: "),
        "{talk}"
    );
    assert!(
        talk.contains("/profiles.parquet is damaged at byte "),
        "{talk}"
    );

    let meta = root.join(one).join("meta.json");
    let changed = std::fs::read_to_string(&meta).unwrap();
    let label = r#""labels": {"__compactor_shard_id__": "1_of_2", "#;
    let changed = changed.replace("\"labels\": {", label);
    std::fs::write(&meta, changed).unwrap();
    let (code, talk) = run(&[], &into);
    assert!(code == 2 && talk.contains("different labels"), "{talk}");
    let (code, talk) = run(&[one, "--shards=2"], &into);
    assert!(code == 2 && talk.contains("is shard 1_of_2"), "{talk}");
}

#[test]
fn old_versions_are_written_anew() {
    for name in ["v1", "v2", "v3", "v3-golden"] {
        let Some(bucket) = copy(name) else {
            return;
        };
        let out = tempfile::tempdir().unwrap();
        let (place, into) = (bucket.path(), out.path());
        let ran = blocks(&[
            "rewrite",
            text(place),
            "--into",
            text(into),
            "--output",
            "json",
        ]);
        let report = ran.json();
        let (old, new) = (&report[0]["old"], &report[0]["new"]);
        assert_eq!(new["version"], 3);
        for same in ["from_ms", "to_ms", "shard", "source"] {
            assert_eq!(new[same], old[same], "{name} {same}");
        }
        assert_eq!(new["level"], json!(1));
        assert!(new["block"].as_str() > old["block"].as_str());
        let verified = blocks(&["verify", text(into)]);
        assert_eq!(verified.code, 0, "{verified:?}");

        // The same by type, alone and beside the old one, which it replaces.
        let types = blocks(&["query", "types", text(place), "--output", "json"]).json();
        assert_eq!(
            blocks(&["query", "types", text(into), "--output", "json"]).json(),
            types
        );
        assert!(!types.as_array().unwrap().is_empty());
        let both = tempfile::tempdir().unwrap();
        copy_all(into, both.path());
        let id = old["block"].as_str().unwrap();
        let block = PathBuf::from(old["location"].as_str().unwrap());
        copy_all(&block, &both.path().join(id));
        for kind in types.as_array().unwrap() {
            let kind = ["--profile-type", kind.as_str().unwrap()];
            let expected = total(place, &kind);
            assert_eq!(total(into, &kind), expected, "{name} {kind:?}");
            assert_eq!(total(both.path(), &kind), expected, "{name} {kind:?}");
        }
        let ran = blocks(&["query", "types", text(both.path())]);
        assert_eq!(ran.talk, "left out: 1 blocks contained in others\n");
    }
}

#[test]
fn a_damaged_block_does_not_keep_others_from_being_written() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let root = bucket.path().join("anonymous/phlaredb");
    damage(&root.join("01M8952SNR4MW2AEEN4TTF9M9R/symbols/stacktraces.symdb"));
    let out = tempfile::tempdir().unwrap();
    let ran = blocks(&["rewrite", text(&root), "--into", text(out.path())]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.talk
            .contains("error: 1 of 5 blocks cannot be read; the first: read block 01M8952SNR4MW2AEEN4TTF9M9R: "),
        "{}",
        ran.talk
    );
    assert_eq!(listed(out.path()).len(), 4);
}

#[test]
fn blocks_of_a_bucket_are_merged_and_written_anew() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let expected = total(bucket.path(), &[]);
    let store = Store::start(bucket.path());
    for command in ["compact", "rewrite"] {
        let out = tempfile::tempdir().unwrap();
        let ran = store.blocks(&[command, &store.url(), "--into", text(out.path())]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(total(out.path(), &[]), expected);
        let left: Vec<_> = std::fs::read_dir(out.path()).unwrap().collect();
        assert_eq!(left.len(), listed(out.path()).len(), "{left:?}");
    }
}
