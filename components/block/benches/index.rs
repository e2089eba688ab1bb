//! What an index of 100 000 series costs: `cargo bench -p phlare-block --bench index`.
#![expect(clippy::unwrap_used, reason = "what cannot go on fails")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phlare_block::tsdb::{Index, SeriesEntry, write};
use phlare_model::labels::Labels;
use phlare_model::selector::Selector;

const SERIES: usize = 100_000;
/// Name, type and unit, period type and unit of what a Go program pushes.
const TYPES: [[&str; 5]; 10] = [
    ["process_cpu", "cpu", "nanoseconds", "cpu", "nanoseconds"],
    ["process_cpu", "samples", "count", "cpu", "nanoseconds"],
    ["memory", "alloc_objects", "count", "space", "bytes"],
    ["memory", "alloc_space", "bytes", "space", "bytes"],
    ["memory", "inuse_objects", "count", "space", "bytes"],
    ["memory", "inuse_space", "bytes", "space", "bytes"],
    ["goroutines", "goroutine", "count", "goroutine", "count"],
    ["mutex", "contentions", "count", "contentions", "count"],
    ["mutex", "delay", "nanoseconds", "contentions", "count"],
    ["block", "delay", "nanoseconds", "contentions", "count"],
];

/// 10 000 pods of 200 services in 20 namespaces, each with all types.
fn series() -> Vec<SeriesEntry> {
    let mut series: Vec<_> = (0..SERIES)
        .map(|i| {
            let [name, kind, unit, period_type, period_unit] = TYPES[i % TYPES.len()];
            let pod = i / TYPES.len();
            let service = format!("service-{}", pod % 200);
            let labels = Labels::from_pairs([
                ("__name__", name),
                ("__period_type__", period_type),
                ("__period_unit__", period_unit),
                (
                    "__profile_type__",
                    &format!("{name}:{kind}:{unit}:{period_type}:{period_unit}"),
                ),
                ("__service_name__", &service),
                ("__type__", kind),
                ("__unit__", unit),
                ("namespace", &format!("namespace-{}", pod % 20)),
                ("pod", &format!("{service}-{:08x}", pod * 0x9e37)),
                ("service_name", &service),
            ]);
            SeriesEntry {
                labels,
                min_ns: 1_795_594_560_000_000_000 + i as i64,
                max_ns: 1_795_595_700_000_000_000 + i as i64,
            }
        })
        .collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series
}

const CPU: &str = r#"__profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds""#;

fn index(c: &mut Criterion) {
    let series = series();
    let mut file = Vec::new();
    write(&series, "index.tsdb", &mut file).unwrap();
    let file = Bytes::from(file);
    let open = || Index::open(file.clone(), "index.tsdb".to_owned()).unwrap();

    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.sample_size(10);
    group.bench_function("write", |b| {
        b.iter(|| write(black_box(&series), "index.tsdb", &mut std::io::sink()).unwrap());
    });
    group.bench_function("open", |b| b.iter(|| black_box(open())));
    let index = open();
    group.bench_function("verify", |b| b.iter(|| index.verify().unwrap()));
    group.finish();

    let mut group = c.benchmark_group("select");
    let pod = series[SERIES / 2].labels.get("pod").unwrap().to_owned();
    for (name, selector) in [
        ("pod", format!(r#"{{pod="{pod}"}}"#)),
        ("type", format!("{{{CPU}}}")),
        ("type, pod", format!(r#"{{{CPU},pod="{pod}"}}"#)),
        (
            "type, service",
            format!(r#"{{{CPU},service_name="service-7"}}"#),
        ),
        (
            "type, services",
            format!(r#"{{{CPU},service_name=~"service-(7|8|9)"}}"#),
        ),
        ("type, pod regex", format!(r#"{{{CPU},pod=~".*-1.*f"}}"#)),
        ("pod regex", r#"{pod=~".*-1.*f"}"#.to_owned()),
        ("any pod", r#"{pod!=""}"#.to_owned()),
        ("type, not pod", format!(r#"{{{CPU},pod!="{pod}"}}"#)),
        (
            "type, not namespaces",
            format!(r#"{{{CPU},namespace!~".*1.*"}}"#),
        ),
        (
            "type, service, not pods",
            format!(r#"{{{CPU},service_name="service-7",pod!~".*f.*"}}"#),
        ),
        ("all", "{}".to_owned()),
    ] {
        let selector = Selector::parse(&selector).unwrap();
        let found = index.select(&selector).unwrap().len();
        group.bench_function(format!("{name}: {found}"), |b| {
            b.iter(|| index.select(black_box(&selector)).unwrap());
        });
    }
    group.finish();

    let mut group = c.benchmark_group("read");
    group.bench_function("values of pod", |b| {
        b.iter(|| index.label_values(black_box("pod")).unwrap());
    });
    let mut ordinal = 0;
    group.bench_function("labels of a series", |b| {
        b.iter(|| {
            ordinal = (ordinal + 7919) % index.series_count();
            index.labels(black_box(ordinal)).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, index);
criterion_main!(benches);
