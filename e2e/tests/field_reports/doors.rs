//! Requests that clients send by mistake: bodies that are no profiles, sizes, times and rates out of the ordinary.

use anyhow::{Context, ensure};
use phlare_e2e::client::{CPU, PUSH, series};
use phlare_e2e::{Pprof, Server, flame, now_ns, shared};
use phlare_proto::push::v1::PushRequest;
use tokio::time::{Duration, Instant, sleep};

use super::{cpu_of, work};

/// B04.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_profile_is_refused_with_the_format_that_was_assumed()
-> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    let now = now_ns() / 1_000_000_000;
    let path = format!(
        "/ingest?name=abc%7Bx%3Dy%7D&spyName=nodespy&from={}&until={now}",
        now - 60
    );
    let png: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let bodies: [(&[u8], &str); 3] = [
        (b"[object FormData]", "[object FormData]"),
        (
            b"<!DOCTYPE html>\n<html><body>Bad gateway</body></html>",
            "<!DOCTYPE",
        ),
        (png, "PNG"),
    ];
    for (body, shown) in bodies {
        let reply = client
            .post(&path, &[("content-type", "text/plain")], body)
            .await?;
        ensure!(
            (400..500).contains(&reply.status),
            "status {}: {}",
            reply.status,
            reply.text()
        );
        reply.refused(
            reply.status,
            &["format", "groups", "pprof", "multipart", shown],
        )?;
    }
    let empty = client
        .post(&path, &[("content-type", "text/plain")], "")
        .await?;
    ensure!(
        empty.status < 500,
        "status {}: {}",
        empty.status,
        empty.text()
    );
    ensure!(
        client.series(CPU, "{}", &[]).await?.is_empty(),
        "something was stored"
    );
    Ok(())
}

/// A profile of about this many bytes.
fn large(bytes: usize) -> Pprof {
    let mut profile = work(1);
    while profile.profile.string_table.len() * 1000 < bytes {
        let number = profile.profile.string_table.len();
        profile = profile.stack(&["main", &format!("{number:01000}")], &[1]);
    }
    profile
}

/// B05.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_size_limit_allows_passes_on_an_idle_server() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    let profile = large(3_000_000).bytes();
    ensure!(profile.len() > 2_900_000, "the profile is small");
    client.push(&cpu_of("large"), profile.clone()).await?;
    // Right after it the rate is used up: that is said with the limits' names and when to come again.
    let refused = client
        .try_push(&cpu_of("large"), vec![profile.clone()])
        .await?;
    if refused.status != 200 {
        refused.refused(429, &["ingestion_rate_mb", "4"])?;
        let after = refused
            .headers
            .get("retry-after")
            .context("429 says when to come again")?;
        ensure!(after.to_str()?.parse::<u64>()? <= 10, "{after:?}");
    }
    // It passes again soon.
    let deadline = Instant::now() + Duration::from_secs(10);
    while client
        .try_push(&cpu_of("large"), vec![profile.clone()])
        .await?
        .status
        != 200
    {
        ensure!(Instant::now() < deadline, "the profile is refused for ever");
        sleep(Duration::from_millis(200)).await;
    }
    // What can never pass is no matter of waiting.
    let never = client
        .try_push(&cpu_of("large"), vec![large(5_000_000).bytes()])
        .await?;
    never.refused(400, &["max_profile_size_bytes"])
}

/// B09.
#[tokio::test(flavor = "multi_thread")]
async fn profiles_of_another_time_do_not_cost_the_good_ones_and_are_named() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    let now = now_ns();
    let hour = 3_600_000_000_000;
    let profiles = vec![
        work(1).at(2_300_000_000).bytes(),
        work(10).at(now).bytes(),
        work(100).at(now + hour).bytes(),
    ];
    let reply = client.try_push(&cpu_of("times"), profiles).await?;
    ensure!(
        (400..500).contains(&reply.status),
        "status {}: {}",
        reply.status,
        reply.text()
    );
    reply.refused(
        reply.status,
        &["1970", "reject_older_than", "reject_newer_than"],
    )?;
    ensure!(client.total(CPU, "{}").await? == 10, "the good one is lost");
    Ok(())
}

/// B10.
#[tokio::test(flavor = "multi_thread")]
async fn a_sample_rate_without_meaning_neither_panics_nor_spoils_the_values() -> anyhow::Result<()>
{
    let server = Server::start().await?;
    let client = server.client()?;
    for rate in ["0", "-1", "abc", "1e9", "0.5"] {
        for (format, body) in [
            ("lines", b"a;b\n".to_vec()),
            ("pprof", work(5).bytes()),
            ("groups", b"a;b 1\n".to_vec()),
        ] {
            let path = format!("/ingest?name=a.cpu&sampleRate={rate}&format={format}");
            let reply = client.post(&path, &[], body).await?;
            ensure!(
                reply.status == 200,
                "{path}: status {}: {}",
                reply.status,
                reply.text()
            );
        }
    }
    // A name ends in a profile type where the body does not say one.
    let stacks = flame::stacks(&client.flame(CPU, "{service_name=\"a.cpu\"}").await?)?;
    ensure!(stacks.get("main;work") == Some(&25), "{stacks:?}");
    // Of 100 Hz a sample is 10 ms: for two rates that mean nothing, twice each; then 1 GHz and half a hertz.
    let stacks = flame::stacks(&client.flame(CPU, "{service_name=\"a\"}").await?)?;
    ensure!(
        stacks.get("a;b") == Some(&(2 * (2 * 10_000_000 + 1 + 2_000_000_000))),
        "{stacks:?}"
    );
    // A rate of 0 says that it is unknown: samples stay what they are.
    let unknown = "process_cpu:samples:count::";
    let stacks = flame::stacks(&client.flame(unknown, "{service_name=\"a\"}").await?)?;
    ensure!(stacks.get("a;b") == Some(&2), "{stacks:?}");
    // A recording says what a sample of it stands for.
    if let Some(shared) = shared::directory()? {
        let recording = std::fs::read(shared.join("testdata/jfr/dump1.jfr.gz"))?;
        for rate in ["0", "-1", "abc"] {
            let path = format!("/ingest?name=java&sampleRate={rate}&format=jfr");
            client.post(&path, &[], recording.clone()).await?.ok()?;
        }
        let total = client.total(CPU, "{service_name=\"java\"}").await?;
        ensure!(total == 3 * 21_880_000_000, "{total}");
    }
    let lines = server.complaints()?;
    ensure!(lines.len() <= 1, "the log is flooded: {lines:#?}");
    Ok(())
}

/// B25.
#[tokio::test(flavor = "multi_thread")]
async fn different_profiles_of_one_series_and_time_are_all_kept() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let now = now_ns();
    for value in [1, 10, 100] {
        client
            .push(&cpu_of("hosts"), work(value).at(now).bytes())
            .await?;
    }
    ensure!(client.total(CPU, "{}").await? == 111);
    let together = [1000, 10_000, 100_000]
        .map(|value| work(value).at(now).bytes())
        .to_vec();
    let request = PushRequest {
        series: vec![series(&cpu_of("hosts"), together)],
    };
    client.try_call(PUSH, &request).await?.ok()?;
    ensure!(client.total(CPU, "{}").await? == 111_111);
    let speedscope = r#"{"$schema":"https://www.speedscope.app/file-format-schema.json","shared":{"frames":[{"name":"a"},{"name":"b"}]},
        "profiles":[
          {"type":"sampled","name":"one","unit":"seconds","startValue":0,"endValue":3,"samples":[[0],[0,1]],"weights":[1,2]},
          {"type":"sampled","name":"one","unit":"seconds","startValue":0,"endValue":4,"samples":[[0],[0,1]],"weights":[3,1]}]}"#;
    client
        .post("/ingest?name=speed&format=speedscope", &[], speedscope)
        .await?
        .ok()?;
    let before = client.total(CPU, "{}").await?;
    server.kill()?;
    let server = phlare_e2e::Options::new()
        .directory(server.directory())
        .start()
        .await?;
    let after = server.client()?.total(CPU, "{}").await?;
    ensure!(
        after == before && after >= 111_111,
        "{before} before the restart, {after} after it"
    );
    Ok(())
}
