//! B27: numbers in queries that have no meaning, or ask for more than there can be.

use anyhow::{Context, ensure};
use phlare_e2e::client::{CPU, last_hour};
use phlare_e2e::{Client, Reply, Server, now_ms};
use serde_json::{Value, json};

use super::{cpu_of, work};

async fn select_series(client: &Client, more: Value) -> anyhow::Result<Reply> {
    let (start, end) = last_hour();
    let mut request = json!({"profileTypeID": CPU, "labelSelector": "{}", "start": start, "end": end, "step": 15});
    let (fields, more) = (request.as_object_mut().context("an object")?, more);
    fields.extend(more.as_object().context("an object")?.clone());
    client
        .json("querier.v1.QuerierService/SelectSeries", &request)
        .await
}

async fn flame_graph(client: &Client, max_nodes: &str) -> anyhow::Result<Reply> {
    let (start, end) = last_hour();
    let request = json!({"profileTypeID": CPU, "labelSelector": "{}", "start": start, "end": end, "maxNodes": max_nodes});
    client
        .json("querier.v1.QuerierService/SelectMergeStacktraces", &request)
        .await
}

async fn server() -> anyhow::Result<(Server, Client)> {
    let server = Server::start().await?;
    let client = server.client()?;
    client
        .push(
            &cpu_of("numbers"),
            work(5).stack(&["main", "rest"], &[7]).bytes(),
        )
        .await?;
    Ok((server, client))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_meaning_is_refused() -> anyhow::Result<()> {
    let (_server, client) = server().await?;
    for step in [
        json!(0),
        json!(0.0001),
        json!(-1),
        json!("NaN"),
        json!("Infinity"),
        json!("-Infinity"),
        json!(1e300),
    ] {
        let reply = select_series(&client, json!({"step": step})).await?;
        reply
            .refused(400, &["step"])
            .with_context(|| format!("step {step}"))?;
    }
    select_series(&client, json!({"step": 15})).await?.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_points_than_the_cap_are_refused_with_its_name() -> anyhow::Result<()> {
    let (_server, client) = server().await?;
    let day = json!({"step": 0.001, "start": now_ms() - 86_400_000, "end": now_ms()});
    select_series(&client, day)
        .await?
        .refused(400, &["max_query_points"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_nodes_beyond_the_limit_is_refused_and_else_costs_what_the_tree_does()
-> anyhow::Result<()> {
    let (_server, client) = server().await?;
    for (max_nodes, status) in [
        ("-1", 400),
        ("0", 200),
        ("1", 200),
        ("1048576", 200),
        ("4611686018427387904", 400),
    ] {
        let reply = flame_graph(&client, max_nodes).await?;
        ensure!(
            reply.status == status,
            "maxNodes {max_nodes}: status {}: {}",
            reply.status,
            reply.text()
        );
        if status == 200 {
            ensure!(
                reply.value()?["flamegraph"]["total"] == json!("12"),
                "maxNodes {max_nodes}: {}",
                reply.text()
            );
        } else if max_nodes != "-1" {
            reply.refused(400, &["max_flamegraph_nodes_max"])?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_to_group_by_may_be_many_unknown_or_repeated() -> anyhow::Result<()> {
    let (_server, client) = server().await?;
    let many: Vec<String> = (0..200).map(|number| format!("label{number}")).collect();
    for (by, labels) in [
        (json!(many), json!([])),
        (json!(["unknown"]), json!([])),
        (
            json!(["service_name", "service_name"]),
            json!([{"name": "service_name", "value": "numbers"}]),
        ),
    ] {
        let reply = select_series(&client, json!({"groupBy": by})).await?.ok()?;
        let series = reply.value()?["series"].clone();
        ensure!(
            series.as_array().is_some_and(|series| series.len() == 1),
            "{by}: {series}"
        );
        let found = series[0]
            .get("labels")
            .cloned()
            .unwrap_or_else(|| json!([]));
        ensure!(found == labels, "{by}: {series}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_limit_of_series_hides_nothing_silently() -> anyhow::Result<()> {
    let (_server, client) = server().await?;
    let (start, end) = last_hour();
    let limited = |limit: &str| json!({"limit": limit, "start": start, "end": end});
    let all = select_series(&client, limited("0")).await?.ok()?;
    ensure!(
        all.value()?["series"]
            .as_array()
            .is_some_and(|series| series.len() == 1),
        "{}",
        all.text()
    );
    let negative = select_series(&client, limited("-1")).await?;
    if negative.status == 200 {
        ensure!(negative.value()? == all.value()?, "{}", negative.text());
    } else {
        negative.refused(400, &["limit"])?;
    }
    Ok(())
}
