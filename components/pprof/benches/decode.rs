//! How fast a worker takes in real profiles: throughput in uncompressed bytes.
//!
//! The profiles are those of `tests/data`, and of the shared test data if this checkout has it.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use phlare_pprof::gzip::{Inflater, is_gzip};
use phlare_pprof::{Options, Seed, Workspace};

/// Profiles by the name of their file.
fn profiles() -> Vec<(String, Vec<u8>)> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let shared = std::env::var_os("PHLARE_TESTDATA")
        .map_or(beside, PathBuf::from)
        .join("pprof");
    let paths = [
        own.join("profile"),
        own.join("profile_java"),
        own.join("profile_python"),
        own.join("go.cpu.labels.pprof"),
        shared.join("phlaredb/heap"),
        shared.join("pprof/dotnet.labels.pprof"),
        shared.join("pprof/gotruncatefix/cpu_go_truncated_1.pb.gz"),
        shared.join("pprof/gotruncatefix/heap_go_truncated_1.pb.gz"),
    ];
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    paths
        .iter()
        .filter_map(|path| Some((name(path), std::fs::read(path).ok()?)))
        .collect()
}

fn decode(c: &mut Criterion) {
    let options = Options {
        max_samples: 0,
        ..Options::new(Seed::new(1, 2), 1)
    };
    let mut inflater = Inflater::new();
    for (name, raw) in profiles() {
        let mut plain = Vec::new();
        if is_gzip(&raw) {
            inflater
                .gunzip(&raw, 1 << 30, &mut plain)
                .expect("a real profile");
        } else {
            plain.clone_from(&raw);
        }
        let mut group = c.benchmark_group("pprof");
        group.throughput(Throughput::Bytes(plain.len() as u64));
        if is_gzip(&raw) {
            let mut out = Vec::new();
            group.bench_function(BenchmarkId::new("gunzip", &name), |b| {
                b.iter(|| inflater.gunzip(black_box(&raw), 1 << 30, &mut out));
            });
        }
        let mut workspace = Workspace::new();
        group.bench_function(BenchmarkId::new("decode", &name), |b| {
            b.iter(|| {
                workspace
                    .decode(black_box(&plain), 0)
                    .map(|decoded| decoded.sample_count())
            });
        });
        group.bench_function(BenchmarkId::new("decode+normalize", &name), |b| {
            b.iter(|| {
                workspace
                    .decode(black_box(&plain), 0)
                    .and_then(|d| d.normalize(&options))
                    .map(|n| n.samples.len())
            });
        });
        let go_fixes = Options {
            go_fixes: true,
            ..options
        };
        group.bench_function(BenchmarkId::new("decode+normalize+go", &name), |b| {
            b.iter(|| {
                workspace
                    .decode(black_box(&plain), 0)
                    .and_then(|d| d.normalize(&go_fixes))
                    .map(|n| n.samples.len())
            });
        });
        group.bench_function(BenchmarkId::new("gunzip+decode+normalize", &name), |b| {
            b.iter(|| {
                workspace
                    .decode(black_box(&raw), 0)
                    .and_then(|d| d.normalize(&options))
                    .map(|n| n.samples.len())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
