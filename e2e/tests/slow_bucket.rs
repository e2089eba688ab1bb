//! A bucket that is slow, or does not answer at all, while profiles come and queries are asked.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use phlare_e2e::client::{CPU, stacktraces};
use phlare_e2e::store::{Mood, Store};
use phlare_e2e::{Client, Options, Pprof, Reply, Server, now_ns, until};
use prost::Message;
use tempfile::TempDir;
use tokio::task::JoinSet;

const SELECT: &str = "/querier.v1.QuerierService/SelectMergeStacktraces";

fn options(store: &Store) -> Options {
    let flags = store.flags();
    let options = Options::new()
        .flag("-auth.multitenancy-enabled=true")
        .flag("-ingester.max-global-series-per-tenant=0")
        .flag("-pyroscopedb.retention-policy-min-free-disk-gb=0");
    flags
        .iter()
        .fold(options, |options, flag| options.flag(flag))
}

/// Pushes profiles, each a series of its own with its number as its value; the sum of what was pushed by then.
async fn push(client: &Client, numbers: std::ops::Range<i64>) -> anyhow::Result<i64> {
    let end = numbers.end;
    for number in numbers {
        let pod = format!("pod-{number}");
        let labels = [
            ("__name__", "process_cpu"),
            ("service_name", "shop"),
            ("pod", &pod),
        ];
        let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[number]);
        client.push(&labels, profile.bytes()).await?;
    }
    Ok((1..end).sum())
}

/// Asks for the sum with a deadline, whatever comes back.
async fn ask(client: &Client, within: Duration) -> anyhow::Result<Reply> {
    let within = within.as_millis().to_string();
    let headers = [
        ("content-type", "application/proto"),
        ("connect-timeout-ms", within.as_str()),
    ];
    let query = stacktraces(CPU, "{}").encode_to_vec();
    client.post(SELECT, &headers, query).await
}

async fn is_ready(server: &Server) -> anyhow::Result<bool> {
    Ok(server.client()?.get("/ready").await?.status == 200)
}

async fn metric(client: &Client, name: &str) -> anyhow::Result<f64> {
    let text = client.get("/metrics").await?.ok()?.text();
    let lines = text.lines().filter(|line| line.starts_with(name));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

/// What a server that has nothing but the bucket knows.
async fn from_the_bucket(store: &Store, tenant: &str) -> anyhow::Result<i64> {
    let server = options(store).start().await?;
    server.client()?.tenant(tenant).total(CPU, "{}").await
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_do_not_wait_for_a_bucket_that_stalls() -> anyhow::Result<()> {
    let objects = TempDir::new()?;
    let store = Store::start(objects.path()).await?;
    let mut server = options(&store).start().await?;
    let client = server.client()?.tenant("a");
    push(&client, 1..20).await?;

    store.becomes(Mood::Stalled);
    let flushing = server.client()?;
    let mut flush = JoinSet::new();
    flush.spawn(async move { flushing.post("/ingester/flush", &[], "").await });
    until("the upload stalls", async || Ok(store.waiting() > 0)).await?;
    let mut sum = 0;
    // Cuts that cannot be uploaded pile up on the disk, and nowhere else.
    for round in 1..10 {
        sum = push(&client, round * 20..(round + 1) * 20).await?;
        ensure!(client.total(CPU, "{}").await? == sum, "round {round}");
        ensure!(is_ready(&server).await?, "round {round}");
    }
    let waiting = store.waiting();
    ensure!(waiting <= 32, "{waiting} requests wait");

    store.becomes(Mood::Well);
    let flushed = flush.join_next().await.context("it was begun")?;
    flushed??.ok()?;
    ensure!(client.total(CPU, "{}").await? == sum, "after the upload");
    // It has to say nothing but that the bucket was slow, if that.
    server.stop().await?;
    ensure!(
        from_the_bucket(&store, "a").await? == sum,
        "from the bucket"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_uploaded_when_the_process_dies_is_uploaded_later() -> anyhow::Result<()> {
    let objects = TempDir::new()?;
    let store = Store::start(objects.path()).await?;
    let directory = Arc::new(TempDir::new()?);
    let mut server = options(&store).directory(&directory).start().await?;
    let client = server.client()?.tenant("a");
    push(&client, 1..20).await?;
    store.becomes(Mood::Stalled);
    let flushing = server.client()?;
    let mut flush = JoinSet::new();
    flush.spawn(async move { flushing.post("/ingester/flush", &[], "").await });
    until("the upload stalls", async || Ok(store.waiting() > 0)).await?;
    let sum = push(&client, 20..40).await?;
    server.kill()?;
    // The end of the connection.
    let _ = flush.join_next().await;

    store.becomes(Mood::Slow(Duration::from_millis(300)));
    let mut server = options(&store).directory(&directory).start().await?;
    let client = server.client()?.tenant("a");
    ensure!(client.total(CPU, "{}").await? == sum, "after the restart");
    server
        .client()?
        .post("/ingester/flush", &[], "")
        .await?
        .ok()?;
    ensure!(client.total(CPU, "{}").await? == sum, "after the upload");
    server.stop().await?;
    store.becomes(Mood::Well);
    ensure!(
        from_the_bucket(&store, "a").await? == sum,
        "from the bucket"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_on_a_bucket_that_stalls_end_and_take_nothing_with_them() -> anyhow::Result<()> {
    let objects = TempDir::new()?;
    let store = Store::start(objects.path()).await?;
    let mut first = options(&store).start().await?;
    let sum = push(&first.client()?.tenant("a"), 1..20).await?;
    first.stop_quiet(&[]).await?;

    // It has seen which blocks there are, and read none.
    let mut server = options(&store).start().await?;
    let client = server.client()?.tenant("a");
    let other = server.client()?.tenant("b");
    store.becomes(Mood::Stalled);
    // More than there are threads that read.
    let mut asking = JoinSet::new();
    for _ in 0..40 {
        let client = client.clone();
        asking.spawn(async move { ask(&client, Duration::from_secs(2)).await });
    }
    let (who_waits, mut patient) = (client.clone(), JoinSet::new());
    patient.spawn(async move { ask(&who_waits, Duration::from_secs(600)).await });
    until("queries stall", async || Ok(store.waiting() > 0)).await?;

    // Meanwhile others notice nothing.
    let of_other = push(&other, 1..20).await?;
    ensure!(other.total(CPU, "{}").await? == of_other, "another tenant");
    let in_head = push(&client, 20..30).await?;
    ensure!(is_ready(&server).await?);

    while let Some(reply) = asking.join_next().await {
        let reply = reply??;
        let texts: &[&str] = match reply.status {
            504 => &["deadline_exceeded"],
            _ => &["busy"],
        };
        ensure!([503, 504].contains(&reply.status), "{}", reply.text());
        reply.refused(reply.status, texts)?;
    }
    // Whoever waits longer than the server does is told what it waited for.
    let reply = patient.join_next().await.context("it was asked")???;
    ensure!([503, 504].contains(&reply.status), "{}", reply.text());
    let text = reply.text();
    ensure!(
        text.contains("bucket") || text.contains("deadline") || text.contains("busy"),
        "{text}"
    );
    ensure!(is_ready(&server).await?);
    // What was asked for in vain is not asked for any more, sooner or later.
    until("nothing of the queries is left", async || {
        let running = metric(&client, "phlare_server_offload_running").await?;
        Ok(running == 0.0)
    })
    .await?;
    let waiting = store.waiting();
    ensure!(waiting <= 32, "{waiting} requests wait");

    store.becomes(Mood::Well);
    until("all is there again", async || {
        let reply = ask(&client, Duration::from_secs(60)).await?;
        Ok(reply.status == 200)
    })
    .await?;
    ensure!(in_head == (1..30).sum::<i64>() && sum < in_head);
    ensure!(client.total(CPU, "{}").await? == in_head);
    ensure!(other.total(CPU, "{}").await? == of_other);
    server.stop().await?;
    ensure!(from_the_bucket(&store, "a").await? == in_head);
    ensure!(from_the_bucket(&store, "b").await? == of_other);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_bucket_is_waited_for() -> anyhow::Result<()> {
    let objects = TempDir::new()?;
    let store = Store::start(objects.path()).await?;
    store.becomes(Mood::Slow(Duration::from_secs(1)));
    let mut first = options(&store).start().await?;
    let client = first.client()?.tenant("a");
    push(&client, 1..20).await?;
    first
        .client()?
        .post("/ingester/flush", &[], "")
        .await?
        .ok()?;
    let sum = push(&client, 20..30).await?;
    ensure!(client.total(CPU, "{}").await? == sum);
    first.stop().await?;

    let second = options(&store).start().await?;
    let client = second.client()?.tenant("a");
    ensure!(client.total(CPU, "{}").await? == sum, "each read is late");
    ensure!(is_ready(&second).await?);
    Ok(())
}
