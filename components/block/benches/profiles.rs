//! What a table of profiles costs, in time and bytes: `cargo bench -p phlare-block --bench profiles`.
//!
//! The rows are those of a real block (`v3-golden` of the shared test data): once as they are, once 80 times over, each
//! time without 30 % of the samples and with 50 to 150 % of the values of the others.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what cannot go on fails; sizes are a result"
)]

use std::hint::black_box;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phlare_block::profiles::{
    Columns, Headers, Layout, Options, Profiles, ProfilesWriter, Row, Written,
};
use phlare_block::{LocalFiles, MemoryFiles};

/// A row that owns its samples.
#[derive(Clone, Default)]
struct Owned {
    row: Row<'static>,
    stacktraces: Vec<u64>,
    values: Vec<i64>,
    spans: Vec<u64>,
}

impl Owned {
    fn row(&self) -> Row<'_> {
        Row {
            stacktraces: &self.stacktraces,
            values: &self.values,
            spans: &self.spans,
            ..self.row
        }
    }
}

fn golden() -> Option<Vec<Owned>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let data = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    let block = "blocks/v3-golden/anonymous/phlaredb/01M894XZ7NE6X1FAJZN8JYAHY1";
    let files = LocalFiles::new(data.join(block));
    let size = std::fs::metadata(data.join(block).join("profiles.parquet"))
        .ok()?
        .len();
    let table = Profiles::open(Arc::new(files), "profiles.parquet", size).unwrap();
    let mut scan = table.scan(0..table.rows(), 1 << 20);
    let mut rows = Vec::new();
    while let Some(row) = scan.next().unwrap() {
        rows.push(Owned {
            row: Row {
                id: row.id,
                series: row.series,
                partition: row.partition,
                total: row.total,
                time_ns: row.time_ns,
                duration_ns: row.duration_ns,
                ..Row::default()
            },
            stacktraces: row.stacktraces.to_vec(),
            values: row.values.to_vec(),
            spans: row.spans.to_vec(),
        });
    }
    Some(rows)
}

/// A generator of numbers below 1 000, the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % 1000
    }
}

fn varied(golden: &[Owned], copies: i64) -> Vec<Owned> {
    let mut random = Random(7);
    let mut rows = Vec::new();
    for copy in 0..copies {
        for original in golden {
            let mut row = Owned {
                row: original.row,
                ..Owned::default()
            };
            row.row.time_ns += copy * 15_000_000_000;
            row.row.id = [random.next() as u8; 16];
            for (i, (&id, &value)) in original
                .stacktraces
                .iter()
                .zip(&original.values)
                .enumerate()
            {
                if random.next() < 300 {
                    continue;
                }
                let factor = 50 + (random.next() * 101 / 1000) as i128;
                row.stacktraces.push(id);
                row.values
                    .push((i128::from(value) * factor / 100).max(1) as i64);
                row.spans.extend(original.spans.get(i));
            }
            row.row.total = row.values.iter().sum::<i64>() as u64;
            rows.push(row);
        }
    }
    rows.sort_by_key(|row| (row.row.series, row.row.time_ns));
    rows
}

fn write(path: &Path, options: &Options, rows: &[Owned]) -> Written {
    let mut writer = ProfilesWriter::create(path, options.clone()).unwrap();
    for row in rows {
        writer.push(&row.row()).unwrap();
    }
    writer.finish().unwrap()
}

/// Options by name: both layouts, and other pages.
fn variants() -> Vec<(String, Options)> {
    let mut variants = Vec::new();
    for layout in [Layout::Upstream, Layout::Compact] {
        let options = Options {
            layout,
            ..Options::default()
        };
        variants.push((format!("{layout:?}"), options));
    }
    for kib in [32, 64, 128, 512, 1024] {
        let options = Options {
            sample_page_bytes: kib << 10,
            ..Options::default()
        };
        variants.push((format!("Compact, pages of {kib} KiB"), options));
    }
    variants
}

fn sizes(directory: &Path, sets: &[(&str, Vec<Owned>)]) {
    for (name, rows) in sets {
        for (variant, options) in variants() {
            let written = write(&directory.join("sizes"), &options, rows);
            let per_sample = written.size_bytes as f64 / written.samples as f64;
            println!(
                "{name}, {variant}: {} rows, {} samples, {} bytes, {per_sample:.3} B/sample, peak {} bytes",
                written.rows, written.samples, written.size_bytes, written.peak_memory
            );
        }
    }
}

fn open(path: &Path) -> Profiles {
    let bytes = std::fs::read(path).unwrap();
    let size = bytes.len() as u64;
    let mut files = MemoryFiles::default();
    files.insert("profiles.parquet", bytes);
    Profiles::open(Arc::new(files), "profiles.parquet", size).unwrap()
}

fn all_rows(table: &Profiles) -> Vec<Range<u32>> {
    table
        .row_groups()
        .map(|rows| 0..(rows.end - rows.start) as u32)
        .collect()
}

fn profiles(c: &mut Criterion) {
    let Some(golden) = golden() else {
        println!("the shared test data is not beside this checkout");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let sets = [("varied", varied(&golden, 80)), ("golden", golden)];
    sizes(directory.path(), &sets);
    for (name, rows) in &sets {
        let samples = rows.iter().map(|row| row.values.len() as u64).sum();
        let mut group = c.benchmark_group(format!("profiles/{name}"));
        group
            .throughput(Throughput::Elements(samples))
            .sample_size(10);
        for (variant, options) in variants().into_iter().take(2) {
            let file = directory.path().join("profiles");
            group.bench_function(format!("write, {variant}"), |b| {
                b.iter(|| write(&file, &options, black_box(rows)));
            });
            write(&file, &options, rows);
            let table = open(&file);
            let all = all_rows(&table);
            group.bench_function(format!("samples, {variant}"), |b| {
                b.iter(|| {
                    let mut sum = 0i64;
                    for (i, rows) in all.iter().enumerate() {
                        let rows = std::slice::from_ref(rows);
                        let each = &mut |row: phlare_block::profiles::SampleRow<'_>| {
                            sum = sum.wrapping_add(row.values.iter().sum::<i64>());
                            sum = sum.wrapping_add(row.stacktraces.iter().sum::<u64>() as i64);
                            ControlFlow::Continue(())
                        };
                        table.samples(i, rows, Columns::default(), each).unwrap();
                    }
                    sum
                });
            });
            group.bench_function(format!("scan, {variant}"), |b| {
                b.iter(|| {
                    let mut scan = table.scan(0..table.rows(), 8 << 20);
                    let mut samples = 0;
                    while let Some(row) = scan.next().unwrap() {
                        samples += row.values.len();
                    }
                    samples
                });
            });
            group.bench_function(format!("open, {variant}"), |b| b.iter(|| open(&file)));
            group.bench_function(format!("headers, {variant}"), |b| {
                b.iter(|| {
                    (0..all.len())
                        .map(|i| table.headers(i).unwrap().len())
                        .sum::<usize>()
                });
            });
            group.bench_function(format!("one series, {variant}"), |b| {
                b.iter(|| {
                    let pages = table
                        .header_pages(0, &[30], &(i64::MIN..=i64::MAX))
                        .unwrap();
                    let headers = Headers::join(&table.headers_of(0, &pages).unwrap());
                    let rows = headers.rows_at(headers.find(30, i64::MIN..=i64::MAX));
                    let mut samples = 0;
                    table
                        .samples(0, &rows, Columns::default(), &mut |row| {
                            samples += row.values.len();
                            ControlFlow::Continue(())
                        })
                        .unwrap();
                    samples
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, profiles);
criterion_main!(benches);
