use phlare_pprof::{Options, Seed, Workspace};
use phlare_tenancy::Limits;

use super::*;
use crate::testing::{NOW, typed};

/// Every row of a split as `labels total`, computed over the merged profile.
#[track_caller]
fn check(raw: &[u8], series: &[(&str, &str)], rules: &str, expected: &[&str]) {
    let limits = Limits {
        ingestion_relabeling_rules: rules.parse().unwrap(),
        ..Limits::default()
    };
    let mut workspace = Workspace::new();
    let profile = workspace
        .decode(raw, 0)
        .unwrap()
        .normalize(&Options::new(Seed::new(1, 2), NOW))
        .unwrap();
    let series: LabelsBuilder = [(NAME, "n"), (SERVICE_NAME, "s")]
        .into_iter()
        .chain(series.iter().copied())
        .collect();
    let mut split = Split::of(&profile, &series, &limits, raw);
    let merged = split.has_to_merge().then(|| split.merge(&profile));
    let profile = match &merged {
        Some(merged) => merged.apply(profile),
        None => profile,
    };
    let mut rows: Vec<String> = split
        .rows
        .iter()
        .map(|row| {
            let Group { first, count, .. } = profile.groups[row.group];
            let columns = profile.sample_types.len();
            let total: i64 = (first..first + count)
                .map(|s| profile.values[s as usize * columns + row.sample_type])
                .sum();
            let label = |name| row.labels.get(name).unwrap_or("-");
            format!("{} {} {total}", label("k"), label(TYPE))
        })
        .collect();
    rows.sort();
    assert_eq!(rows, expected, "{} errors", split.errors.len());
}

fn heap() -> Vec<u8> {
    typed(&[("x", "count"), ("y", "count")])
        .labelled(&["a"], &[1, 10], &[("k", "1")])
        .labelled(&["a"], &[2, 20], &[("k", "2")])
        .labelled(&["b"], &[4, 40], &[("k", "1"), ("drop", "me")])
        .sample(&["b"], &[8, 80])
        .build()
}

#[test]
fn each_set_of_sample_labels_is_a_series() {
    check(
        &heap(),
        &[],
        "",
        &[
            "- x 8", "- y 80", "1 x 1", "1 x 4", "1 y 10", "1 y 40", "2 x 2", "2 y 20",
        ],
    );
}

#[test]
fn groups_that_end_up_with_the_same_labels_are_one_row() {
    let drop = r#"[{"action": "labeldrop", "regex": "drop"}]"#;
    check(
        &heap(),
        &[],
        drop,
        &["- x 8", "- y 80", "1 x 5", "1 y 50", "2 x 2", "2 y 20"],
    );
    check(
        &heap(),
        &[("k", "mine"), ("drop", "no")],
        "",
        &["mine x 15", "mine y 150"],
    );
}

#[test]
fn a_sample_label_without_a_name_is_left_out() {
    let raw = typed(&[("x", "count")])
        .labelled(&["a"], &[1], &[("", "v")])
        .sample(&["b"], &[2])
        .build();
    check(&raw, &[], "", &["- x 3"]);
}
