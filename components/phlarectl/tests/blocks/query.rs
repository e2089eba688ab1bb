//! `blocks query`: the answers of a server.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::store::Store;
use crate::support::{Ran, blocks, copy, text};

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// Runs a question with JSON for an answer.
fn ask(question: &str, place: &Path, more: &[&str]) -> Value {
    let args = ["query", question, text(place), "--output", "json"];
    blocks(&[&args, more].concat()).json()
}

/// The total of all CPU profiles.
pub(crate) fn total(place: &Path, more: &[&str]) -> i64 {
    ask("profile", place, more)["total"].as_i64().unwrap()
}

/// A recorded query as arguments; `None` if the command line cannot ask it.
fn recorded(body: &Value) -> Option<Vec<String>> {
    let mut args = Vec::new();
    for (field, value) in body.as_object()? {
        let text = value.as_str().map(str::to_owned);
        let flag = match field.as_str() {
            "start" => "--from",
            "end" => "--to",
            "profileTypeID" => "--profile-type",
            "labelSelector" => "--query",
            "maxNodes" | "step" | "groupBy" => continue,
            _ => return None,
        };
        args.extend([flag.to_owned(), text?]);
    }
    (args.len() == 8).then_some(args)
}

/// Some of the recorded queries of a method: arguments and the answer.
fn steps(bucket: &Path, method: &str, every: usize) -> Vec<(Vec<String>, Value)> {
    let file = std::fs::read(bucket.join("queries.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let steps = file["steps"].as_array().unwrap().iter();
    let steps = steps
        .filter(|step| step["path"].as_str().unwrap().ends_with(method))
        .filter(|step| step["expect"]["status"] == 200)
        .filter_map(|step| {
            let args = recorded(&step["body"]["json"])?;
            Some((args, step["expect"]["body"].clone()))
        });
    steps.step_by(every).collect()
}

#[test]
fn profiles_add_up_to_what_was_recorded() {
    let Some(bucket) = copy("v3-golden") else {
        return;
    };
    let steps = steps(bucket.path(), "SelectMergeStacktraces", 4);
    assert!(steps.len() >= 10, "{}", steps.len());
    for (args, answer) in steps {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let expected = answer["flamegraph"]["total"].as_i64().unwrap();
        assert_eq!(total(bucket.path(), &args), expected, "{args:?}");
    }
}

#[test]
fn totals_of_label_values_are_what_was_recorded() {
    let Some(bucket) = copy("v3-golden") else {
        return;
    };
    let steps = steps(bucket.path(), "SelectSeries", 3);
    let mut compared = 0;
    for (args, answer) in steps {
        let mut expected: BTreeMap<String, f64> = BTreeMap::new();
        for series in answer.as_array().unwrap() {
            let points = series["points"].as_array().unwrap().iter();
            let sum: f64 = points.map(|point| point[1].as_f64().unwrap()).sum();
            let Some(name) = series["labels"]["service_name"].as_str() else {
                continue;
            };
            *expected.entry(name.to_owned()).or_default() += sum;
        }
        if expected.is_empty() {
            continue;
        }
        compared += 1;
        let more: Vec<&str> = args.iter().map(String::as_str).collect();
        let found = ask("top", bucket.path(), &[&more[..], &["--top-n=0"]].concat());
        let found: BTreeMap<String, f64> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let name = row["labels"]["service_name"].as_str().unwrap();
                (name.to_owned(), row["total"].as_f64().unwrap())
            })
            .collect();
        assert_eq!(found, expected, "{args:?}");
    }
    assert!(compared >= 3, "{compared}");
}

#[test]
fn without_a_range_all_profiles_count() {
    let Some(bucket) = copy("v3-golden") else {
        return;
    };
    let place = bucket.path();
    assert_eq!(total(place, &[]), 76_399_927_824);
    let sum = |rows: &Value, value: fn(&Value) -> f64| -> f64 {
        rows.as_array().unwrap().iter().map(value).sum()
    };
    let top = ask("top", place, &["--top-n", "0"]);
    assert_eq!(
        sum(&top, |row| row["total"].as_f64().unwrap()),
        76_399_927_824.0
    );
    let points = ask("timeseries", place, &["--step", "60"]);
    let values = points[0]["points"].as_array().unwrap().iter();
    let all: f64 = values.map(|point| point["value"].as_f64().unwrap()).sum();
    assert_eq!(all, 76_399_927_824.0);
}

#[test]
fn every_question_has_its_answer() {
    let Some(bucket) = copy("v3-golden") else {
        return;
    };
    let place = bucket.path();
    assert_eq!(ask("types", place, &[]).as_array().unwrap().len(), 22);
    let spans = "9cda327950856346 d77dd6cd71d8cf79 1d4e88776f417c9c".split(' ');
    let spans: Vec<&str> = spans.flat_map(|span| ["--span-selector", span]).collect();
    assert_eq!(total(place, &spans), 240_000_000);
    let series = ask("series", place, &["--label-names", "service_name"]);
    assert!(
        series
            .as_array()
            .unwrap()
            .contains(&json!({"service_name": "shop/cart"}))
    );
    let labels = ask("label-values-cardinality", place, &["--top-n", "0"]);
    let types = json!({"label": "__profile_type__", "values": 22});
    assert!(labels.as_array().unwrap().contains(&types), "{labels}");

    let selector = ["--query", r#"{service_name="shop/cart"}"#];
    let run = |args: &[&str]| blocks(&[&["query"], args, &[text(place)], &selector].concat());
    let collapsed = run(&["merge", "--output=collapsed"]);
    let sum: i64 = collapsed
        .data
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap())
        .sum();
    assert_eq!(sum, 8_000_000_000);
    for form in ["table", "tree"] {
        let ran = run(&["profile", "--output", form]);
        assert!(ran.data.contains("total 8.00 s"), "{ran:?}");
    }
    assert!(
        run(&["profile", "--output=dot"])
            .data
            .starts_with("digraph")
    );

    for (question, name) in [("profile", "a.pb.gz"), ("go-pgo", "b.pgo")] {
        let file = place.join(name);
        let ran = run(&[question, "--output", &format!("pprof={}", text(&file))]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(std::fs::metadata(file).unwrap().len() > 100);
    }
}

#[test]
fn a_question_about_nothing_says_what_there_is() {
    let Some(bucket) = copy("v1") else {
        return;
    };
    let ran = blocks(&["query", "profile", text(bucket.path())]);
    assert_eq!(ran.code, 0);
    let expected = format!("no profile is of type {CPU}; there are:\n  ");
    assert!(ran.talk.starts_with(&expected), "{}", ran.talk);

    let is_usage = |args: &[&str]| {
        let ran = blocks(&[&["query", "profile", text(bucket.path())], args].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
        ran.talk
    };
    assert!(is_usage(&["--query", "{a="]).contains("--query `{a=`"));
    assert!(is_usage(&["--profile-type", "cpu"]).contains("--profile-type: "));
    assert!(is_usage(&["--span-selector", "x"]).contains("16 hexadecimal digits"));
    assert!(is_usage(&["--from", "now", "--to", "now-1h"]).contains("not before"));
}

/// The blocks before and after a compaction of the first four, all in one directory.
fn before_and_after() -> Option<(tempfile::TempDir, Vec<String>)> {
    let (bucket, after) = (copy("v3-compaction/input")?, copy("v3-compaction/output")?);
    let root = bucket.path().join("anonymous/phlaredb");
    let mut made = Vec::new();
    for entry in std::fs::read_dir(after.path().join("anonymous/phlaredb")).unwrap() {
        let entry = entry.unwrap();
        std::fs::rename(entry.path(), root.join(entry.file_name())).unwrap();
        made.push(entry.file_name().into_string().unwrap());
    }
    Some((bucket, made))
}

#[test]
fn what_was_merged_counts_once() {
    let (Some(bucket), Some((both, made))) = (copy("v3-compaction/input"), before_and_after())
    else {
        return;
    };
    let expected = total(bucket.path(), &[]);
    assert!(expected > 0);
    assert_eq!(total(both.path(), &[]), expected);
    let ran = blocks(&["query", "types", text(both.path())]);
    assert_eq!(ran.talk, "left out: 4 blocks contained in others\n");

    // The fifth is not in what was made of the first four.
    let last = "01M8952ZB9VC7EYDHPY3570165";
    let parts = total(both.path(), &[&made[0]]) + total(both.path(), &[last]);
    assert_eq!(parts, expected);
}

#[test]
fn marked_blocks_are_left_out_unless_named() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let expected = total(bucket.path(), &[]);
    let id = "01M8952SNR4MW2AEEN4TTF9M9R";
    let block = bucket.path().join("anonymous/phlaredb").join(id);
    let alone = total(bucket.path(), &[id]);
    assert!(alone > 0 && alone < expected, "{alone} {expected}");
    std::fs::write(block.join("deletion-mark.json"), "{}").unwrap();
    let ran = blocks(&["query", "types", text(bucket.path())]);
    assert_eq!(ran.talk, "left out: 1 blocks marked for deletion\n");
    assert_eq!(total(bucket.path(), &[id]), alone);
    assert_eq!(total(&block, &[]), alone);
}

#[test]
fn an_answer_without_a_damaged_block_is_an_error() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let root = bucket.path().join("anonymous/phlaredb");
    std::fs::write(root.join("01M8952SNR4MW2AEEN4TTF9M9R/index.tsdb"), "short").unwrap();
    std::fs::write(root.join("01M8952WJTX5S8F24CQ60Z8TX8/meta.json"), "{").unwrap();
    let Ran { code, data, talk } = blocks(&["query", "profile", text(&root)]);
    assert_eq!(code, 1);
    assert!(data.starts_with(CPU), "{data}");
    assert!(
        talk.starts_with("error: the answer lacks 2 of 5 blocks; the first: "),
        "{talk}"
    );
    assert!(
        talk.contains("01M8952WJTX5S8F24CQ60Z8TX8/meta.json is damaged at byte"),
        "{talk}"
    );
}

#[test]
fn a_bucket_answers_as_a_directory_does() {
    let Some(bucket) = copy("v3-compaction/input") else {
        return;
    };
    let expected = total(bucket.path(), &[]);
    let store = Store::start(bucket.path());
    let ran = store.blocks(&["query", "profile", &store.url(), "--output", "json"]);
    assert_eq!(ran.json()["total"], expected);
}
