//! Values, strings and lines that profilers get wrong, and profiles that are too large.

use anyhow::{Context, ensure};
use phlare_e2e::client::{CPU, stacktraces};
use phlare_e2e::{Client, Pprof, Server, flame, pprof, shared};
use phlare_proto::google::v1::{Line, Location, Profile, Sample};
use phlare_proto::querier::v1::{DiffRequest, DiffResponse};

use super::references::{exported, go_tool_pprof};
use super::{cpu_of, metric, work};

/// B15.
#[tokio::test(flavor = "multi_thread")]
async fn a_string_that_is_not_utf8_is_replaced_and_counted() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let odd = [0xd6, 0x14, 0x50, 0x8c];
    let label = |key, value| {
        Pprof::cpu()
            .labelled(&["main", "work"], &[5], &[(key, value)])
            .bytes()
    };
    let mut unused = work(5);
    unused.string("@@@@");
    let cases = [
        ("value", pprof::replace(label("key", "@@@@"), b"@@@@", &odd)),
        (
            "function",
            pprof::replace(
                Pprof::cpu().stack(&["main", "@@@@"], &[5]).bytes(),
                b"@@@@",
                &odd,
            ),
        ),
        ("key", pprof::replace(label("@@@@", "value"), b"@@@@", &odd)),
        ("unused", pprof::replace(unused.bytes(), b"@@@@", &odd)),
        (
            "half",
            pprof::replace(label("key", "caf@"), b"caf@", b"caf\xc3"),
        ),
    ];
    for (case, bytes) in cases {
        client
            .push(&cpu_of(case), bytes.clone())
            .await
            .with_context(|| case.to_owned())?;
        let ingest = format!("/ingest?name={case}.ingest&format=pprof");
        client
            .post(&ingest, &[], bytes)
            .await?
            .ok()
            .with_context(|| ingest)?;
        for service in [case.to_owned(), format!("{case}.ingest")] {
            let total = client
                .total(CPU, &format!("{{service_name={service:?}}}"))
                .await?;
            ensure!(total == 5, "{service}: {total}");
        }
    }
    let graph = client.flame(CPU, "{service_name=\"function\"}").await?;
    ensure!(flame::mentions(&graph, "\u{fffd}"), "{:?}", graph.names);
    ensure!(
        metric(
            &client,
            "phlare_distributor_repairs_total",
            &["repaired_string"]
        )
        .await?
            >= 4.0,
        "nothing was counted"
    );
    server.stop_quiet(&[]).await
}

/// B18.
#[tokio::test(flavor = "multi_thread")]
async fn negative_values_are_dropped_and_the_others_of_the_sample_kept() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let profile = Pprof::cpu()
        .stack(&["a", "b"], &[10])
        .stack(&["a", "c"], &[-4])
        .stack(&["a", "d"], &[i64::MIN]);
    client.push(&cpu_of("negative"), profile.bytes()).await?;
    let graph = client.flame(CPU, "{}").await?;
    let stacks = flame::stacks(&graph)?;
    ensure!(
        graph.total == 10 && stacks.len() == 1 && stacks.get("a;b") == Some(&10),
        "{stacks:?}"
    );
    let series = client.series(CPU, "{}", &[]).await?;
    let sum: f64 = series
        .iter()
        .flat_map(|s| &s.points)
        .map(|point| point.value)
        .sum();
    ensure!((sum - 10.0).abs() < 0.5, "the series say {sum}");
    ensure!(
        metric(
            &client,
            "phlare_distributor_repairs_total",
            &["negative_value"]
        )
        .await?
            >= 2.0,
        "nothing was counted"
    );
    let types = [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ];
    let heap = Pprof::new(&types, ("space", "bytes")).stack(&["a", "b"], &[5, 5, -1, -1]);
    let labels = [
        ("__name__", "memory"),
        ("service_name", "negative"),
        ("__delta__", "false"),
    ];
    client.push(&labels, heap.bytes()).await?;
    for (kind, unit, expected) in [
        ("alloc_objects", "count", 5),
        ("alloc_space", "bytes", 5),
        ("inuse_space", "bytes", 0),
    ] {
        let total = client
            .total(&format!("memory:{kind}:{unit}:space:bytes"), "{}")
            .await?;
        ensure!(total == expected, "{kind}: {total}");
    }
    server.stop_quiet(&[]).await
}

/// B18.
#[tokio::test(flavor = "multi_thread")]
async fn values_at_the_edge_of_64_bits_overflow_nowhere() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    let huge = Pprof::cpu()
        .stack(&["a", "b"], &[i64::MAX])
        .stack(&["a", "b"], &[i64::MAX])
        .stack(&["a"], &[i64::MAX]);
    for _ in 0..2 {
        let reply = client.try_push(&cpu_of("huge"), vec![huge.bytes()]).await?;
        ensure!(
            reply.status < 500,
            "status {}: {}",
            reply.status,
            reply.text()
        );
    }
    let graph = client.flame(CPU, "{}").await?;
    ensure!(graph.total >= 0, "{graph:?}");
    let series = client.series(CPU, "{}", &[]).await?;
    ensure!(
        series
            .iter()
            .flat_map(|s| &s.points)
            .all(|point| point.value >= 0.0),
        "{series:?}"
    );
    let side = stacktraces(CPU, "{}");
    let request = DiffRequest {
        left: Some(side.clone()),
        right: Some(side),
    };
    let reply = client
        .try_call("querier.v1.QuerierService/Diff", &request)
        .await?;
    ensure!(
        reply.status < 500,
        "status {}: {}",
        reply.status,
        reply.text()
    );
    Ok(())
}

/// B18.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_delta_of_a_heap_hangs_together() -> anyhow::Result<()> {
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    let server = Server::start().await?;
    let client = server.client()?;
    let mut profile = pprof::read(&shared::fixture(&shared, "pprof/pprof/heap_delta")?)?;
    profile.time_nanos = 0;
    let labels = [
        ("__name__", "memory"),
        ("service_name", "delta"),
        ("__delta__", "false"),
    ];
    client
        .push(&labels, prost::Message::encode_to_vec(&profile))
        .await?;
    for (kind, expected) in pprof::totals(&profile) {
        let graph = client
            .flame(&format!("memory:{kind}:space:bytes"), "{}")
            .await?;
        flame::stacks(&graph).with_context(|| kind.clone())?;
        ensure!(
            graph.total == expected,
            "{kind}: {} instead of {expected}",
            graph.total
        );
        let side = stacktraces(&format!("memory:{kind}:space:bytes"), "{}");
        let request = DiffRequest {
            left: Some(side.clone()),
            right: Some(side),
        };
        let diff: DiffResponse = client
            .call("querier.v1.QuerierService/Diff", &request)
            .await?;
        let diff = diff
            .flamegraph
            .context("the difference has a flame graph")?;
        ensure!(
            (diff.left_ticks, diff.right_ticks) == (expected, expected),
            "{kind}: {diff:?}"
        );
    }
    Ok(())
}

/// Two locations that differ only in the column of the inlined line.
fn columns() -> Pprof {
    let mut profile = Pprof::cpu();
    let (inner, outer) = (profile.function("inner"), profile.function("outer"));
    for (id, column) in [(1, 3), (2, 9)] {
        let line = vec![
            Line {
                function_id: inner,
                line: 10,
                column,
            },
            Line {
                function_id: outer,
                line: 20,
                column: 0,
            },
        ];
        profile.profile.location.push(Location {
            id,
            mapping_id: 1,
            address: 0x1000,
            line,
            is_folded: false,
        });
        let value = vec![i64::try_from(id).unwrap_or_default()];
        profile.profile.sample.push(Sample {
            location_id: vec![id],
            value,
            label: Vec::new(),
        });
    }
    profile.profile.doc_url = profile.string("https://example.com/doc");
    profile.profile.comment = vec![profile.string("a comment")];
    profile.profile.default_sample_type = profile.string("cpu");
    profile
}

/// B20.
#[tokio::test(flavor = "multi_thread")]
async fn locations_that_differ_only_in_a_column_stay_apart() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    for _ in 0..2 {
        let mut bytes = columns().bytes();
        // Field 99, a text that nobody knows.
        bytes.extend([0x9a, 0x06, 0x03, b'n', b'e', b'w']);
        client.push(&cpu_of("columns"), bytes).await?;
    }
    let graph = flame::stacks(&client.flame(CPU, "{}").await?)?;
    ensure!(
        graph.get("outer;inner") == Some(&6) && graph.len() == 1,
        "{graph:?}"
    );
    let export: Profile = exported(&client, "{}").await?;
    let mut by_column: Vec<(i64, i64)> = Vec::new();
    for sample in &export.sample {
        let id = sample
            .location_id
            .first()
            .context("a sample has a location")?;
        let location = export
            .location
            .iter()
            .find(|location| location.id == *id)
            .context("the location is there")?;
        let line = location.line.first().context("the location has lines")?;
        by_column.push((
            line.column,
            sample.value.first().copied().unwrap_or_default(),
        ));
    }
    by_column.sort_unstable();
    ensure!(by_column == [(3, 2), (9, 4)], "{by_column:?}");
    let doc = usize::try_from(export.doc_url)
        .ok()
        .and_then(|index| export.string_table.get(index));
    ensure!(
        doc.is_some_and(|doc| doc == "https://example.com/doc"),
        "doc_url is {doc:?}"
    );
    go_tool_pprof(&export)?;
    server.stop_quiet(&[]).await
}

/// B24.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_over_the_sample_limit_keeps_its_heaviest_stacks_and_its_total()
-> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let total = push_goroutines(&client, 20_000).await?;
    let goroutines = "goroutine:goroutine:count:goroutine:count";
    let graph = client.flame(goroutines, "{}").await?;
    ensure!(graph.total == total, "{} instead of {total}", graph.total);
    ensure!(
        flame::mentions(&graph, "other") && flame::mentions(&graph, "leaks"),
        "{:?}",
        graph.names.get(..5)
    );
    ensure!(
        metric(
            &client,
            "phlare_distributor_repairs_total",
            &["folded_sample"]
        )
        .await?
            > 0.0,
        "nothing was counted"
    );
    server.stop_quiet(&[]).await
}

/// Goroutines with distinct stacks, one of them heavy.
async fn push_goroutines(client: &Client, count: u64) -> anyhow::Result<i64> {
    let mut profile = Pprof::new(&[("goroutine", "count")], ("goroutine", "count"));
    let root = profile.location("main");
    let line = vec![Line {
        function_id: profile.function("wait"),
        ..Line::default()
    }];
    for number in 0..count {
        let (id, address) = (number + 100, 0x1000 + number);
        profile.profile.location.push(Location {
            id,
            mapping_id: 1,
            address,
            line: line.clone(),
            is_folded: false,
        });
        profile.profile.sample.push(Sample {
            location_id: vec![id, root],
            value: vec![1],
            label: Vec::new(),
        });
    }
    // Lines tell the locations apart: a mapping with functions loses its addresses.
    for (number, location) in profile.profile.location.iter_mut().enumerate() {
        for line in &mut location.line {
            line.line = i64::try_from(number)?;
        }
    }
    profile = profile.stack(&["main", "leaks"], &[500]);
    let bytes = pprof::gzip(&profile.bytes())?;
    client
        .push(
            &[("__name__", "goroutine"), ("service_name", "leak")],
            bytes,
        )
        .await?;
    Ok(i64::try_from(count)? + 500)
}
