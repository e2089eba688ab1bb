//! B28: time ranges as people write them.

use anyhow::{Context, ensure};
use phlare_e2e::client::CPU;
use phlare_e2e::{Client, Reply, Server, now_ms};
use serde_json::json;

use super::{cpu_of, work};

async fn server() -> anyhow::Result<(Server, Client)> {
    let server = Server::start().await?;
    let client = server.client()?;
    client.push(&cpu_of("ranges"), work(5).bytes()).await?;
    Ok((server, client))
}

async fn render(client: &Client, range: &str) -> anyhow::Result<Reply> {
    client
        .get(&format!("/pyroscope/render?query={CPU}%7B%7D&{range}"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn render_ends_now_unless_it_is_told_otherwise() -> anyhow::Result<()> {
    let (_server, client) = server().await?;
    let (now, hour) = (now_ms(), 3_600_000);
    let from = now - hour;
    for range in [
        "from=now-1h".to_owned(),
        "from=now-30m&until=".to_owned(),
        format!("from={}", from / 1000),
        format!("from={from}"),
        format!("from={from}000"),
        format!("from={from}000000"),
        format!("from={from}&until={}", now + 60_000),
    ] {
        let reply = render(&client, &range)
            .await?
            .ok()
            .with_context(|| range.clone())?;
        let ticks = &reply.value()?["flamebearer"]["numTicks"];
        ensure!(ticks == &json!(5), "{range}: {ticks}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_range_of_a_render_are_refused() -> anyhow::Result<()> {
    let (_server, client) = server().await?;
    for range in ["from=now&until=now-1h", "from=now-25h", "from=20260101"] {
        let reply = render(&client, range).await?;
        ensure!(
            reply.status == 400,
            "{range}: status {}: {}",
            reply.status,
            reply.text()
        );
        ensure!(
            reply.value()?["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{}",
            reply.text()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_range_of_a_query_are_refused_by_every_method() -> anyhow::Result<()> {
    let (_server, client) = server().await?;
    let now = now_ms();
    let cases = [
        ("start after end", now, now - 1000, "start"),
        ("only a start", now, 0, "range"),
        ("only an end", 0, now, "range"),
        ("25 hours", now - 25 * 3_600_000, now, "max_query_length"),
        ("seconds", now / 1000 - 3600, now / 1000, "milliseconds"),
    ];
    for method in [
        "SelectMergeStacktraces",
        "SelectMergeSpanProfile",
        "SelectMergeProfile",
        "SelectSeries",
        "Diff",
    ] {
        for (case, start, end, word) in cases {
            let mut request =
                json!({"profileTypeID": CPU, "labelSelector": "{}", "start": start, "end": end});
            match method {
                "SelectSeries" => request["step"] = json!(15),
                "SelectMergeSpanProfile" => request["spanSelector"] = json!(["0123456789abcdef"]),
                "Diff" => request = json!({"left": request, "right": request}),
                _ => {}
            }
            let reply = client
                .json(&format!("querier.v1.QuerierService/{method}"), &request)
                .await?;
            reply
                .refused(400, &[word])
                .with_context(|| format!("{method}, {case}"))?;
            ensure!(
                reply.value()?["code"] == "invalid_argument",
                "{method}, {case}: {}",
                reply.text()
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_range_is_no_server_error() -> anyhow::Result<()> {
    let (_server, client) = server().await?;
    let request =
        json!({"profileTypeID": CPU, "labelSelector": "{}", "start": -2000, "end": -1000});
    let reply = client
        .json("querier.v1.QuerierService/SelectMergeStacktraces", &request)
        .await?;
    ensure!(
        [200, 400].contains(&reply.status),
        "status {}: {}",
        reply.status,
        reply.text()
    );
    Ok(())
}
