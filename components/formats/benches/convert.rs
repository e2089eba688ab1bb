//! How fast what clients send becomes pprof: bytes of text and of recordings, profiles of OTLP.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use phlare_formats::file::{self, Assumed};
use phlare_formats::jfr::{self, LabelsSnapshot};
use phlare_formats::otlp::{Encoding, Export, Limits as OtlpLimits};
use phlare_formats::{Format, Limits, SampleRate, Timing, calls};
use phlare_pprof::gzip::Inflater;
use prost::Message;

const LIMITS: Limits = Limits {
    profile_bytes: 64 << 20,
    symbol_bytes: 65_535,
    stacktraces: 16_000,
};

const ASSUMED: Assumed<'_> = Assumed {
    suffix: "cpu",
    rate: SampleRate::DEFAULT,
    now_ns: 1,
};

/// A request of a real profiler.
fn real() -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::read(data.join("otel-ebpf-profile.pb.bin")).expect("a file of this room")
}

/// The real request with so many profiles, those that it has again and again.
fn request(profiles: usize) -> Vec<u8> {
    let mut request =
        ExportProfilesServiceRequest::decode(&*real()).expect("a request of a profiler");
    let resources = std::mem::take(&mut request.resource_profiles);
    let single = resources.iter().flat_map(|resource| {
        let scopes = resource.scope_profiles.iter();
        scopes.flat_map(move |scope| {
            scope.profiles.iter().map(move |profile| {
                let mut scope = scope.clone();
                scope.profiles = vec![profile.clone()];
                let mut resource = resource.clone();
                resource.scope_profiles = vec![scope];
                resource
            })
        })
    });
    let single: Vec<_> = single.collect();
    request.resource_profiles = single.iter().cycle().take(profiles).cloned().collect();
    request.encode_to_vec()
}

fn otlp(c: &mut Criterion) {
    let limits = OtlpLimits {
        profile_bytes: 4 << 20,
        total_bytes: 256 << 20,
    };
    let mut group = c.benchmark_group("otlp");
    for profiles in [1, 60, 1300] {
        let body = request(profiles);
        group.throughput(Throughput::Elements(profiles as u64));
        group.bench_function(BenchmarkId::from_parameter(profiles), |b| {
            b.iter(|| {
                let export = Export::from_protobuf(black_box(&body)).expect("a request");
                let converted = export.convert(&limits, 1).expect("profiles");
                assert!(converted.refused.is_empty());
                converted.profiles.len()
            });
        });
    }
}

/// The stacks of the real request, 50 times over with other roots: what a busy process sends.
fn collapsed() -> String {
    let format = Format::Otlp(Encoding::Protobuf);
    let contents = file::read(format, &real(), &ASSUMED, &LIMITS).expect("a request");
    let limits = calls::Limits {
        bytes: 64 << 20,
        depth: 1000,
        symbol_bytes: 65_535,
    };
    let mut text = String::new();
    for profile in contents.merged() {
        let tree = calls::tree(&profile.pprof, 0, &limits).expect("a pprof");
        for round in 0..50 {
            for line in tree.collapsed().lines() {
                text += &format!("thread {round};{line}\n");
            }
        }
    }
    text
}

fn text(c: &mut Criterion) {
    let text = collapsed();
    let mut group = c.benchmark_group("text");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("collapsed", |b| {
        b.iter(|| {
            file::read(
                Format::Groups,
                black_box(text.as_bytes()),
                &ASSUMED,
                &LIMITS,
            )
            .expect("collapsed stacks")
        });
    });
}

/// Recordings: that of this room, and those of the shared test data if this checkout has it.
fn recordings() -> Vec<(String, Vec<u8>)> {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = room.join("../../../shared/testdata");
    let shared = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    let paths = [
        room.join("tests/data/jfr/dump1.jfr.gz"),
        shared.join("jfr/cortex-dev-01__kafka-0__cpu__0.jfr.gz"),
        shared.join("jfr/cortex-dev-01__kafka-0__cpu_lock0_alloc0__0.jfr.gz"),
    ];
    let recording = |path: &PathBuf| {
        let mut plain = Vec::new();
        let file = std::fs::read(path).ok()?;
        let mut inflater = Inflater::new();
        inflater.gunzip(&file, 1 << 30, &mut plain).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, plain))
    };
    paths.iter().filter_map(recording).collect()
}

fn recording(c: &mut Criterion) {
    let labels = LabelsSnapshot::default();
    let options = jfr::Options {
        limits: LIMITS,
        rate: SampleRate::UNKNOWN,
        timing: Timing::default(),
        labels: &labels,
    };
    let mut group = c.benchmark_group("jfr");
    for (name, recording) in recordings() {
        group.throughput(Throughput::Bytes(recording.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| jfr::parse(black_box(&recording), &options).expect("a recording"));
        });
    }
}

criterion_group!(benches, otlp, text, recording);
criterion_main!(benches);
