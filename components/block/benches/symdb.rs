//! What it costs to read, merge and write the symbols of real blocks. Throughput is in bytes of symbols in memory.
//!
//! The blocks are those of the shared test data; without them nothing is measured.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use phlare_block::symbols::Symbols;
use phlare_block::symdb::merge::PartitionBuilder;
use phlare_block::symdb::{Layout, Reader, Writer};
use phlare_block::{Error, LocalFiles};

const FORMAT_2: [&str; 6] = [
    "symbols/index.symdb",
    "symbols/stacktraces.symdb",
    "symbols/locations.parquet",
    "symbols/functions.parquet",
    "symbols/mappings.parquet",
    "symbols/strings.parquet",
];
const FORMAT_3: [&str; 1] = ["symbols.symdb"];

/// Blocks, and the files of their symbols.
const BLOCKS: [(&str, &[&str]); 3] = [
    ("blocks/v3-partial/01HHYG6245NWHZWVP27V8WJRT7", &FORMAT_2),
    (
        "blocks/v3-golden/anonymous/phlaredb/01M894XZ7NE6X1FAJZN8JYAHY1",
        &FORMAT_2,
    ),
    ("v2arch/01JKT2S01VXGG0YS6TG8QC2JWD/carved", &FORMAT_3),
];

fn shared() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from)
}

fn open(block: &Path, files: &[&str]) -> Result<Reader, Error> {
    let files: Vec<_> = files.iter().map(|&file| (file, 0)).collect();
    Reader::open(Arc::new(LocalFiles::new(block)), Layout::detect(3, &files)?)
}

/// All partitions.
fn load(reader: &Reader) -> Result<Vec<(u64, Symbols)>, Error> {
    let partitions = reader.partitions().iter();
    partitions.map(|&id| Ok((id, reader.load(id)?))).collect()
}

fn read(c: &mut Criterion, name: &str, reader: &Reader) -> Result<(), Error> {
    let all = load(reader)?;
    let size = |symbols: &Symbols| symbols.size_bytes() as u64;
    let mut group = c.benchmark_group("symdb");
    if let Some((largest, symbols)) = all.iter().max_by_key(|(_, symbols)| size(symbols)) {
        group.throughput(Throughput::Bytes(size(symbols)));
        group.bench_function(BenchmarkId::new("load the largest partition", name), |b| {
            b.iter(|| reader.load(black_box(*largest)));
        });
        group.bench_function(BenchmarkId::new("merge it with itself", name), |b| {
            b.iter(|| {
                let mut builder = PartitionBuilder::new();
                builder.add(symbols)?;
                builder.add(symbols)?;
                Ok::<_, Error>(builder.finish())
            });
        });
    }
    group.throughput(Throughput::Bytes(
        all.iter().map(|(_, symbols)| size(symbols)).sum(),
    ));
    group.bench_function(BenchmarkId::new("load all partitions", name), |b| {
        b.iter(|| load(reader));
    });
    group.finish();
    Ok(())
}

fn write(c: &mut Criterion, name: &str, reader: &Reader) -> Result<(), Error> {
    let all = load(reader)?;
    let directory = std::env::temp_dir().join(format!("phlare-bench-{}", std::process::id()));
    let write = || {
        let mut writer = Writer::new(&directory)?;
        for (id, symbols) in &all {
            writer.partition(*id, symbols)?;
        }
        writer.finish()
    };
    let mut group = c.benchmark_group("symdb");
    let size = |(_, symbols): &(u64, Symbols)| symbols.size_bytes() as u64;
    group.throughput(Throughput::Bytes(all.iter().map(size).sum()));
    group.bench_function(BenchmarkId::new("write all partitions", name), |b| {
        b.iter(write);
    });
    write()?;
    let ours = open(&directory, &FORMAT_2)?;
    group.bench_function(BenchmarkId::new("load what we wrote", name), |b| {
        b.iter(|| load(&ours));
    });
    group.finish();
    drop(std::fs::remove_dir_all(&directory));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a missing figure is explained")]
fn symdb(c: &mut Criterion) {
    for (block, files) in BLOCKS {
        let path = shared().join(block);
        let name = block.rsplit('/').next().unwrap_or_default();
        let measured = open(&path, files).and_then(|reader| {
            read(c, name, &reader)?;
            write(c, name, &reader)
        });
        if let Err(error) = measured {
            eprintln!("{block} is not measured: {error}");
        }
    }
}

criterion_group!(benches, symdb);
criterion_main!(benches);
