//! A disk that is full: profiles are refused, and what was acknowledged is answered.

use anyhow::ensure;
use phlare_e2e::client::CPU;
use phlare_e2e::{Client, Options, Pprof, Server, now_ns};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::SEED;

/// Stack traces of one push: some 200 KB of names that no compression makes much smaller.
const STACKS: usize = 2000;

#[derive(Debug, Default)]
struct Pushed {
    least: i64,
    most: i64,
}

/// Pushes what is new each time, until so many were refused; the text of the last refusal.
async fn push_until_full(client: &Client, refusals: usize) -> anyhow::Result<(Pushed, String)> {
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut pushed, mut refused) = (Pushed::default(), Vec::new());
    while refused.len() < refusals {
        let mut profile = Pprof::cpu().at(now_ns());
        for _ in 0..STACKS {
            let name: String = (0..100).map(|_| random.random_range('a'..='z')).collect();
            profile = profile.stack(&["main", &name], &[1]);
        }
        let labels = [("__name__", "process_cpu"), ("service_name", "full")];
        let reply = client.try_push(&labels, vec![profile.bytes()]).await?;
        pushed.most += STACKS as i64;
        match reply.status {
            200 => pushed.least += STACKS as i64,
            status => {
                ensure!(status == 503, "{status}: {}", reply.text());
                refused.push(reply.text());
            }
        }
        ensure!(pushed.most < 2_000_000, "the disk does not fill");
    }
    Ok((pushed, refused.pop().unwrap_or_default()))
}

async fn answers(client: &Client, pushed: &Pushed) -> anyhow::Result<()> {
    let total = client.total(CPU, "{}").await?;
    ensure!(
        pushed.least > 0 && (pushed.least..=pushed.most).contains(&total),
        "{total} of {pushed:?}"
    );
    Ok(())
}

async fn on_small_disk() -> anyhow::Result<Server> {
    let options = Options::new()
        .disk(24)
        .flag("-distributor.ingestion-rate-limit-mb=0")
        .flag("-ingester.max-global-series-per-tenant=0");
    options.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_refuses_before_it_breaks() -> anyhow::Result<()> {
    if !Options::disk_allowed() {
        return Ok(());
    }
    let mut server = on_small_disk().await?;
    let client = server.client()?;
    let (pushed, refusal) = push_until_full(&client, 5).await?;
    ensure!(refusal.contains("disk"), "{refusal}");
    ensure!(
        pushed.most - pushed.least == 5 * STACKS as i64,
        "{pushed:?}"
    );
    answers(&client, &pushed).await?;
    let health = client.get("/ready").await?.text();
    ensure!(health.contains("disk"), "{health}");
    server.kill()
}
