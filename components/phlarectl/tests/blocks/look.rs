//! `list`, `inspect`, `verify`.

use serde_json::{Value, json};

use crate::support::{blocks, copy, damage, text};

const GOLDEN: &str = "01M894XZ7NE6X1FAJZN8JYAHY1";

/// JSON without paths of this machine.
fn shown(mut value: Value) -> String {
    for block in value.as_array_mut().unwrap() {
        block.as_object_mut().unwrap().remove("location");
    }
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn list_says_what_meta_says() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let ran = blocks(&["list", text(bucket.path())]);
    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.data);
    insta::assert_snapshot!(ran.talk);

    let json = blocks(&[
        "ls",
        text(bucket.path()),
        "01M8952XZX39WT9AB2WWQ650KX",
        "--output",
        "json",
    ]);
    insta::assert_snapshot!(shown(json.json()));
}

#[test]
fn list_reads_every_version() {
    for (name, version, profiles, samples) in
        [("v1", 1, 2, 40), ("v2", 2, 12, 955), ("v3", 3, 20, 20)]
    {
        let Some(bucket) = copy(name) else {
            return;
        };
        let listed = blocks(&["list", text(bucket.path()), "--output=json"]).json();
        let block = &listed[0];
        assert_eq!(
            [&block["version"], &block["profiles"], &block["samples"]],
            [&json!(version), &json!(profiles), &json!(samples)]
        );
    }
}

#[test]
fn list_shows_marks_and_what_is_not_complete() {
    let (Some(bucket), Some(after)) = (
        copy("v3-compaction/input"),
        copy("v3-compaction/bucket-after"),
    ) else {
        return;
    };
    let root = bucket.path().join("anonymous/phlaredb");
    let markers = after.path().join("markers");
    std::fs::create_dir(root.join("markers")).unwrap();
    let marker = "01M8952SNR4MW2AEEN4TTF9M9R-deletion-mark.json";
    std::fs::copy(markers.join(marker), root.join("markers").join(marker)).unwrap();
    let mark =
        r#"{"id":"01M8952XZX39WT9AB2WWQ650KX","version":1,"no_compact_time":5,"reason":"manual"}"#;
    std::fs::write(
        root.join("01M8952XZX39WT9AB2WWQ650KX/no-compact-mark.json"),
        mark,
    )
    .unwrap();
    std::fs::remove_file(root.join("01M8952V4B1QZWVKQR2HZ474HG/meta.json")).unwrap();
    std::fs::write(root.join("01M8952WJTX5S8F24CQ60Z8TX8/meta.json"), "{").unwrap();

    let ran = blocks(&["list", text(&root)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let last = |id: &str| {
        let line = ran.data.lines().find(|line| line.starts_with(id)).unwrap();
        line.rsplit("  ").next().unwrap().to_owned()
    };
    assert_eq!(last("01M8952SNR4MW2AEEN4TTF9M9R"), "deletion");
    assert_eq!(last("01M8952XZX39WT9AB2WWQ650KX"), "no-compact");
    assert_eq!(last("01M8952V4B1QZWVKQR2HZ474HG"), "not readable");
    assert_eq!(last("01M8952WJTX5S8F24CQ60Z8TX8"), "not readable");
    assert!(
        ran.talk
            .contains("01M8952V4B1QZWVKQR2HZ474HG/meta.json is missing"),
        "{}",
        ran.talk
    );
    assert!(
        ran.talk.contains("meta.json is damaged at byte"),
        "{}",
        ran.talk
    );

    let json = blocks(&["list", text(&root), "--output", "json"]).json();
    assert_eq!(
        json[0]["marks"],
        json!([{"mark": "deletion", "time_s": 1_795_603_662, "reason": "source of compacted block"}])
    );
}

#[test]
fn inspect_shows_files_columns_series_and_symbols() {
    let Some(bucket) = copy("v3") else {
        return;
    };
    let ran = blocks(&["inspect", text(bucket.path())]);
    assert_eq!((ran.code, ran.talk.as_str()), (0, ""), "{ran:?}");
    let path = text(bucket.path());
    insta::assert_snapshot!(ran.data.replace(path, "BUCKET"));
    let json = blocks(&["inspect", path, "--output", "json"]);
    let mut json = json.json();
    json[0]["tables"] = json!("left out");
    insta::assert_snapshot!(shown(json));
}

#[test]
fn inspect_counts_what_a_block_holds() {
    let Some(bucket) = copy("v3-golden") else {
        return;
    };
    let json = blocks(&["inspect", text(bucket.path()), "--output", "json"]).json();
    let block = &json[0];
    let sum = |list: &str, field: &str| -> i64 {
        let rows = block[list].as_array().unwrap().iter();
        rows.map(|row| row[field].as_i64().unwrap()).sum()
    };
    assert_eq!(sum("profile_types", "series"), 60);
    assert_eq!(sum("profile_types", "profiles"), 142);
    assert_eq!(sum("profile_types", "samples"), 25_293);
    assert_eq!(sum("profile_types", "total"), 412_861_880_115);
    assert_eq!(block["symbols"].as_array().unwrap().len(), 16);
    assert_eq!(block["profile_types"].as_array().unwrap().len(), 22);
    assert_eq!(sum("files", "bytes"), 1_134_936 + 1309);

    let table = blocks(&["inspect", text(bucket.path()), "--top-n", "3"]);
    assert!(
        table.data.contains("… 19 more; --top-n 0 shows all"),
        "{}",
        table.data
    );
}

#[test]
fn verify_reads_every_version() {
    for (name, counts) in [
        (
            "v1",
            "2 series, 2 profiles, 48 samples, 1 partitions, 27.07 KiB",
        ),
        (
            "v2",
            "9 series, 12 profiles, 955 samples, 1 partitions, 170.01 KiB",
        ),
        (
            "v3",
            "2 series, 20 profiles, 20 samples, 1 partitions, 12.35 KiB",
        ),
        (
            "v3-golden",
            "60 series, 142 profiles, 25293 samples, 16 partitions, 1.08 MiB",
        ),
    ] {
        let Some(bucket) = copy(name) else {
            return;
        };
        let ran = blocks(&["verify", text(bucket.path())]);
        assert_eq!((ran.code, ran.talk.as_str()), (0, ""), "{ran:?}");
        assert_eq!(
            ran.data.trim_end()[26..].trim_start_matches("  ok       "),
            counts
        );
    }
}

#[test]
fn verify_names_file_and_byte_and_goes_on() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let root = bucket.path().join("anonymous/phlaredb");
    damage(&root.join("01M8952SNR4MW2AEEN4TTF9M9R/index.tsdb"));
    damage(&root.join("01M8952WJTX5S8F24CQ60Z8TX8/symbols/stacktraces.symdb"));
    std::fs::remove_file(root.join("01M8952XZX39WT9AB2WWQ650KX/profiles.parquet")).unwrap();

    let ran = blocks(&["verify", text(&root)]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines: Vec<&str> = ran.data.lines().collect();
    let status: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(status, ["bad", "ok", "bad", "bad", "ok"]);
    for (line, expected) in [
        (
            lines[0],
            "01M8952SNR4MW2AEEN4TTF9M9R/index.tsdb is damaged at byte ",
        ),
        (
            lines[2],
            "01M8952WJTX5S8F24CQ60Z8TX8/symbols/stacktraces.symdb is damaged at byte ",
        ),
        (
            lines[3],
            "01M8952XZX39WT9AB2WWQ650KX/profiles.parquet is missing",
        ),
    ] {
        assert!(line.contains(expected), "{line}");
    }
    assert!(
        ran.talk
            .starts_with("error: 3 of 5 blocks are not sound; the first: "),
        "{}",
        ran.talk
    );

    let one = blocks(&[
        "verify",
        text(&root),
        "01M8952ZB9VC7EYDHPY3570165",
        "--output",
        "json",
    ]);
    assert_eq!(one.json()[0]["status"], "ok");
}

#[test]
fn a_block_under_another_name_is_not_sound() {
    let Some(bucket) = copy("v3-golden") else {
        return;
    };
    let root = bucket.path().join("anonymous/phlaredb");
    let other = root.join("01M8952SNR4MW2AEEN4TTF9M9R");
    std::fs::rename(root.join(GOLDEN), &other).unwrap();
    let ran = blocks(&["verify", text(&other)]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.data.contains(&format!("it is that of block {GOLDEN}")),
        "{}",
        ran.data
    );
}

#[test]
fn a_place_that_makes_no_sense_is_a_usage_error() {
    for args in [&["list"][..], &["list", "ftp://x"], &["verify", GOLDEN]] {
        let ran = blocks(args);
        assert_eq!((ran.code, ran.data.as_str()), (2, ""), "{ran:?}");
    }
}
