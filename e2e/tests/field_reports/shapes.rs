//! Emptiness: profiles with nothing in them, queries that find nothing.

use anyhow::{Context, ensure};
use phlare_e2e::client::{CPU, last_hour};
use phlare_e2e::{Client, Options, Pprof, Server, flame, now_ms};
use serde_json::{Value, json};

use super::references::{exported, go_tool_pprof};
use super::{cpu_of, work};

/// B19.
#[tokio::test(flavor = "multi_thread")]
async fn profiles_that_are_empty_in_some_way_spoil_nothing() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let mut unmapped = work(10);
    unmapped.profile.mapping.clear();
    for location in &mut unmapped.profile.location {
        location.mapping_id = 0;
    }
    let cases = [
        ("all zero", work(0), 0),
        ("no mapping", unmapped, 10),
        ("with a mapping", work(100), 110),
        ("no locations", Pprof::cpu().stack(&[], &[5]), 115),
        ("no samples", Pprof::cpu(), 115),
    ];
    for (case, profile, expected) in cases {
        let reply = client
            .try_push(&cpu_of("empty"), vec![profile.bytes()])
            .await?;
        ensure!(
            reply.status < 500,
            "{case}: status {}: {}",
            reply.status,
            reply.text()
        );
        totals(&client, expected)
            .await
            .with_context(|| case.to_owned())?;
    }
    server.kill()?;
    let server = Options::new().directory(server.directory()).start().await?;
    totals(&server.client()?, 115)
        .await
        .context("after the restart")
}

/// Flame graph, series and export agree. A sample without locations counts in all of them, or in none.
async fn totals(client: &Client, expected: i64) -> anyhow::Result<()> {
    let graph = client.flame(CPU, "{}").await?;
    flame::stacks(&graph)?;
    let series = client.series(CPU, "{}", &[]).await?;
    #[expect(clippy::cast_possible_truncation, reason = "small integers")]
    let sum = series
        .iter()
        .flat_map(|s| &s.points)
        .map(|point| point.value)
        .sum::<f64>() as i64;
    let export = exported(client, "{}").await?;
    let exported: i64 = export.sample.iter().flat_map(|sample| &sample.value).sum();
    let allowed = [expected, if expected == 115 { 110 } else { expected }];
    ensure!(
        graph.total == sum && sum == exported,
        "flame graph {}, series {sum}, export {exported}",
        graph.total
    );
    ensure!(allowed.contains(&sum), "{sum} instead of {expected}");
    if expected > 0 {
        go_tool_pprof(&export)?;
    }
    Ok(())
}

/// A query of each kind that has a flame graph, in JSON.
async fn empty_flame_graphs(client: &Client, query: &Value) -> anyhow::Result<()> {
    let mut spans = query.clone();
    spans["spanSelector"] = json!(["0123456789abcdef"]);
    let diff = json!({"left": query, "right": query});
    for (method, request, zeros) in [
        ("SelectMergeStacktraces", query, 4),
        ("SelectMergeSpanProfile", &spans, 4),
        ("Diff", &diff, 7),
    ] {
        let reply = client
            .json(&format!("querier.v1.QuerierService/{method}"), request)
            .await?
            .ok()?;
        let graph = &reply.value()?["flamegraph"];
        let level: Vec<Value> = vec![json!("0"); zeros];
        let shape = (&graph["names"], &graph["levels"]);
        let expected = (&json!(["total"]), &json!([{"values": level}]));
        ensure!(shape == expected, "{method}: {}", reply.text());
    }
    let mut series = query.clone();
    series["step"] = json!(60);
    let reply = client
        .json("querier.v1.QuerierService/SelectSeries", &series)
        .await?
        .ok()?;
    let none = reply
        .value()?
        .get("series")
        .is_none_or(|series| series == &json!([]));
    ensure!(none, "SelectSeries: {}", reply.text());
    Ok(())
}

/// B26.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_data_always_has_the_same_shape() -> anyhow::Result<()> {
    let server = Options::new()
        .flag("-auth.multitenancy-enabled=true")
        .start()
        .await?;
    let client = server.client()?.tenant("known");
    client.push(&cpu_of("here"), work(5).bytes()).await?;
    let (start, end) = last_hour();
    let query = |kind: &str, selector: &str, start: i64, end: i64| json!({"profileTypeID": kind, "labelSelector": selector, "start": start, "end": end});
    let month = 30 * 24 * 3_600_000;
    let stranger = server.client()?.tenant("stranger");
    let cases = [
        (
            "before the lookback",
            &client,
            query(CPU, "{}", start - month, end - month),
        ),
        (
            "no match",
            &client,
            query(CPU, "{service_name=\"gone\"}", start, end),
        ),
        (
            "another time",
            &client,
            query(CPU, "{}", now_ms() - 7_200_000, now_ms() - 3_700_000),
        ),
        (
            "unknown type",
            &client,
            query("a:b:c:d:e", "{}", start, end),
        ),
        ("unknown tenant", &stranger, query(CPU, "{}", start, end)),
    ];
    for (case, client, query) in cases {
        empty_flame_graphs(client, &query)
            .await
            .with_context(|| case.to_owned())?;
    }
    Ok(())
}
