//! Readers that are not ours: pyarrow and DuckDB see the same schema and the same values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use phlare_block::profiles::{Annotation, DownsampledWriter, Layout, Options};

use crate::tables::{Owned, open, real, rows, write};

/// What the readers find in a file: a sum by column, and schemas.
struct Found {
    sums: [BTreeMap<String, String>; 2],
    schemas: Vec<String>,
}

/// A Python with pyarrow and DuckDB: `PHLARE_PYTHON`, else `python3`. None is an error if `PHLARE_REQUIRE_CLIENTS=1`.
#[expect(
    clippy::print_stderr,
    reason = "whoever runs the tests must see what did not run"
)]
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PHLARE_PYTHON").unwrap_or_else(|| "python3".into());
    let arguments = ["-c", "import pyarrow, duckdb"];
    let output = Command::new(&python).args(arguments).output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(python.into());
    }
    let why = format!(
        "{} has no pyarrow and duckdb (PHLARE_PYTHON names one that has)",
        python.display()
    );
    let required = std::env::var("PHLARE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
    assert!(
        !required,
        "{why}; PHLARE_REQUIRE_CLIENTS=1 forbids skipping"
    );
    eprintln!("skipped: {why}");
    None
}

fn ask(python: &Path, files: &[PathBuf]) -> Vec<Found> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profiles/oracle.py");
    let output = Command::new(python)
        .arg(script)
        .args(files)
        .output()
        .unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
    let text = String::from_utf8(output.stdout).unwrap();
    let found = |line: &str| {
        let mut answer: serde_json::Value = serde_json::from_str(line).unwrap();
        let mut sums = |reader| serde_json::from_value(answer[reader].take()).unwrap();
        Found {
            sums: [sums("pyarrow"), sums("duckdb")],
            schemas: serde_json::from_value(answer["schema"].take()).unwrap(),
        }
    };
    let found: Vec<_> = text.lines().map(found).collect();
    assert_eq!(found.len(), files.len(), "{problem}");
    found
}

/// The same sums of rows that we read.
fn sums(rows: &[Owned]) -> BTreeMap<String, String> {
    let numbers = |values: &mut dyn Iterator<Item = i128>| {
        let (count, sum) = values.fold((0, 0), |(n, sum), value| (n + 1, sum + value));
        format!("{count} {sum}")
    };
    let set = |values: &mut dyn Iterator<Item = i64>| {
        numbers(&mut values.filter(|&value| value != 0).map(i128::from))
    };
    let big = |values: &mut dyn Iterator<Item = &[u8; 16]>| {
        let halves = |id: &[u8; 16]| {
            let number = u128::from_be_bytes(*id);
            [(number >> 64) as i128, number as u64 as i128]
        };
        let all: Vec<_> = values.map(halves).collect();
        let sum = |half: usize| all.iter().map(|halves| halves[half]).sum::<i128>();
        // The sum may need more than 128 bits.
        let (high, low) = (sum(0), sum(1));
        format!("{} {}", all.len(), decimal(high + (low >> 64), low as u64))
    };
    let text = |part: fn(&Annotation) -> &str| {
        let all = rows.iter().flat_map(|row| &row.annotations);
        all.map(part).collect::<String>()
    };
    let samples = || {
        rows.iter()
            .flat_map(|row| row.stacktraces.iter().zip(&row.values))
    };
    let traces = || rows.iter().flat_map(|row| &row.traces);
    let entries = [
        ("rows", rows.len().to_string()),
        ("ID", big(&mut rows.iter().map(|row| &row.id))),
        (
            "SeriesIndex",
            numbers(&mut rows.iter().map(|row| row.series.into())),
        ),
        (
            "StacktracePartition",
            numbers(&mut rows.iter().map(|row| row.partition.into())),
        ),
        (
            "TotalValue",
            numbers(&mut rows.iter().map(|row| row.total.into())),
        ),
        (
            "Samples.list.element.StacktraceID",
            numbers(&mut samples().map(|s| (*s.0).into())),
        ),
        (
            "Samples.list.element.Value",
            numbers(&mut samples().map(|s| (*s.1).into())),
        ),
        (
            "Samples.list.element.SpanID",
            numbers(
                &mut rows
                    .iter()
                    .flat_map(|row| &row.spans)
                    .map(|&span| span.into()),
            ),
        ),
        (
            "Samples.list.element.TraceID",
            big(&mut traces().filter(|&&trace| trace != [0; 16])),
        ),
        ("DropFrames", "0 0".to_owned()),
        ("KeepFrames", "0 0".to_owned()),
        (
            "TimeNanos",
            numbers(&mut rows.iter().map(|row| row.time_ns.into())),
        ),
        (
            "DurationNanos",
            set(&mut rows.iter().map(|row| row.duration_ns)),
        ),
        ("Period", set(&mut rows.iter().map(|row| row.period))),
        (
            "DefaultSampleType",
            set(&mut rows.iter().map(|row| row.default_sample_type)),
        ),
        (
            "Annotations.list.element.Key",
            text(|annotation| &annotation.key),
        ),
        (
            "Annotations.list.element.Value",
            text(|annotation| &annotation.value),
        ),
    ];
    entries.map(|(name, sum)| (name.to_owned(), sum)).into()
}

/// `high · 2⁶⁴ + low`, which fits into 128 bits and a few.
fn decimal(high: i128, low: u64) -> String {
    let mut digits = Vec::new();
    let (mut high, mut low) = (high as u128, u128::from(low));
    while high > 0 || low > 0 {
        let rest = (high % 10) << 64 | low;
        high /= 10;
        low = rest / 10;
        digits.push(b'0' + (rest % 10) as u8);
    }
    digits.reverse();
    match digits.is_empty() {
        true => "0".to_owned(),
        false => String::from_utf8(digits).unwrap(),
    }
}

#[track_caller]
fn check(found: &Found, rows: &[Owned], name: &str) {
    let own = sums(rows);
    for (reader, sums) in ["pyarrow", "DuckDB"].iter().zip(&found.sums) {
        assert!(sums.len() > 5, "{name}: {reader} finds {sums:?}");
        for (column, sum) in sums {
            assert_eq!(Some(sum), own.get(column), "{name}: {reader} of {column}");
        }
    }
}

#[test]
fn others_find_in_real_tables_what_we_find() {
    let (Some(python), tables) = (python(), real()) else {
        return;
    };
    let files: Vec<_> = tables.iter().map(|(_, path)| path.clone()).collect();
    for (found, (name, path)) in ask(&python, &files).iter().zip(tables) {
        check(found, &rows(&open(&path)).unwrap(), &name);
    }
}

#[test]
fn others_read_our_tables_as_upstreams() {
    let Some(python) = python() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let path = |i: usize| directory.path().join(format!("{i}.parquet"));
    let mut files = Vec::new();
    let mut expected = Vec::new();
    let mut golden = None;
    for (name, real) in real() {
        let rows: Vec<_> = rows(&open(&real)).unwrap();
        let rows: Vec<_> = rows.into_iter().map(Owned::without_zeros).collect();
        for layout in [Layout::Compact, Layout::Upstream] {
            let options = Options {
                layout,
                sample_page_bytes: 4 << 10,
                header_page_rows: 10,
                row_group_rows: 40,
                ..Options::default()
            };
            write(&path(files.len()), options, &rows);
            files.push(path(files.len()));
            expected.push((format!("{name} {layout:?}"), rows.clone()));
        }
        if name.contains("v3-golden") {
            golden = Some(ask(&python, &[real]).remove(0).schemas);
        }
    }
    for (found, (name, rows)) in ask(&python, &files).iter().zip(expected) {
        check(found, &rows, &name);
        let lines = |schemas: &[String]| {
            schemas
                .join("\n")
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (ours, theirs) = (
            lines(&found.schemas),
            lines(golden.as_deref().unwrap_or_default()),
        );
        let differs = ours.iter().zip(&theirs).find(|(a, b)| a != b);
        assert_eq!((differs, ours.len()), (None, theirs.len()), "{name}");
    }
}

#[test]
fn others_read_downsampled_tables() {
    let Some(python) = python() else {
        return;
    };
    for (name, real) in real() {
        let directory = tempfile::tempdir().unwrap();
        let rows: Vec<_> = rows(&open(&real)).unwrap();
        let rows: Vec<_> = rows.into_iter().map(Owned::without_zeros).collect();
        let mut writer = DownsampledWriter::create(directory.path(), &Options::default()).unwrap();
        rows.iter().for_each(|row| writer.push(&row.row()).unwrap());
        let written = writer.finish().unwrap();
        let files: Vec<_> = written
            .iter()
            .map(|one| directory.path().join(one.file))
            .collect();
        for (found, file) in ask(&python, &files).iter().zip(&files) {
            check(found, &crate::tables::rows(&open(file)).unwrap(), &name);
            // The columns of blocks.md 3.7, in that order.
            let leaves: Vec<_> = found.schemas[0]
                .lines()
                .filter(|line| line.contains("int") || line.contains("binary"))
                .map(|line| line.split_whitespace().nth(3).unwrap())
                .collect();
            let expected = [
                "SeriesIndex",
                "StacktracePartition",
                "TotalValue",
                "StacktraceID",
                "Value",
                "TimeNanos",
                "Key",
                "Value",
            ];
            assert_eq!(leaves, expected, "{name}");
            assert!(found.schemas[0].starts_with("required group field_id=-1 DownsampledProfile"));
        }
    }
}
