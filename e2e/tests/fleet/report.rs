//! Figures of a fleet, for BENCHMARKS.md. They are printed, not judged: run with `--ignored --nocapture`, with
//! `PHLARE_BIN_DIR` at a release build.
#![expect(clippy::print_stdout, reason = "figures for whoever runs it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use phlare_e2e::client::CPU;
use phlare_e2e::fleet::Fleet;
use phlare_e2e::{Client, Pprof, now_ns};
use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::load::settings;

/// Whoever is away, these two are asked.
const PUSH: &str = "distributor-1";
const QUERY: &str = "query-frontend-1";

/// When requests ended, whether they succeeded, and how long they took.
type Seen = Vec<(Instant, bool, Duration)>;

async fn push(client: &Client, value: i64) -> bool {
    let labels = [("__name__", "process_cpu"), ("service_name", "report")];
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[value]);
    client.push(&labels, profile.bytes()).await.is_ok()
}

async fn query(client: &Client) -> bool {
    client.total(CPU, "{}").await.is_ok()
}

/// What is sent again and again.
#[derive(Clone, Copy, Debug)]
enum Request {
    Push,
    Query,
}

/// Sends requests one after the other until it is told to stop, or `most` were sent.
async fn repeat(request: Request, client: Client, stop: Arc<AtomicBool>, most: usize) -> Seen {
    let mut seen = Seen::new();
    while !stop.load(Ordering::Relaxed) && seen.len() < most {
        let begun = Instant::now();
        let succeeded = match request {
            Request::Push => push(&client, 1).await,
            Request::Query => query(&client).await,
        };
        seen.push((Instant::now(), succeeded, begun.elapsed()));
    }
    seen
}

fn percentile(seen: &Seen, percent: usize) -> Duration {
    let mut times: Vec<_> = seen.iter().map(|(_, _, time)| *time).collect();
    times.sort_unstable();
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).copied().unwrap_or_default()
}

fn times(what: &str, seen: &Seen) {
    let (half, most) = (percentile(seen, 50), percentile(seen, 99));
    println!(
        "{what:55} {:6} requests, p50 {half:9.2?}, p99 {most:9.2?}",
        seen.len()
    );
}

/// Requests while a process is away: how many fail, for how long, and what the slowest takes.
async fn while_away(fleet: &mut Fleet, name: &str, signal: Signal) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut sending = JoinSet::new();
    for (request, door) in [(Request::Push, PUSH), (Request::Query, QUERY)] {
        let repeated = repeat(request, fleet.client(door)?, Arc::clone(&stop), usize::MAX);
        sending.spawn(async move { (request, repeated.await) });
    }
    sleep(Duration::from_secs(2)).await;
    let away = Instant::now();
    match signal {
        Signal::KILL => fleet.kill(name)?,
        signal => fleet.signal(name, signal)?,
    }
    sleep(Duration::from_secs(8)).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(sent) = sending.join_next().await {
        let (what, seen) = sent?;
        let what = format!("{what:?}");
        let after = seen.iter().filter(|(ended, _, _)| *ended > away);
        let failed: Vec<_> = after
            .clone()
            .filter(|(_, succeeded, _)| !succeeded)
            .collect();
        let last = failed
            .last()
            .map(|(ended, _, _)| ended.duration_since(away));
        let slowest = after.clone().map(|(_, _, time)| *time).max();
        println!(
            "{name:20} {signal:?} {what:8} {:5} after it, {:3} failed, the last after {last:?}, slowest {slowest:.2?}",
            after.count(),
            failed.len(),
        );
    }
    match signal {
        Signal::KILL => fleet.restart(name).await?,
        _ => fleet.signal(name, Signal::CONT)?,
    }
    fleet.settled().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a report"]
async fn report_what_clients_notice_of_a_process_that_goes() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    for name in [
        "ingester-a-0",
        "distributor-0",
        "query-frontend-0",
        "query-scheduler-0",
        "querier-0",
        "store-gateway-0",
    ] {
        while_away(&mut fleet, name, Signal::KILL).await?;
    }
    for name in ["ingester-a-0", "querier-0", "query-scheduler-0"] {
        while_away(&mut fleet, name, Signal::STOP).await?;
    }
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a report"]
async fn report_queries_through_the_queue_and_without_it() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    let client = fleet.client(PUSH)?;
    for value in 0..200 {
        push(&client, value).await;
    }
    for door in ["querier-0", QUERY] {
        let client = fleet.client(door)?;
        let never = Arc::new(AtomicBool::new(false));
        for warm in [true, false] {
            let seen = repeat(Request::Query, client.clone(), Arc::clone(&never), 500).await;
            if !warm {
                times(&format!("flame graph of one series, {door}"), &seen);
            }
        }
    }
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a report"]
async fn report_a_quiet_tenant_beside_a_noisy_one() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = settings(&directory).flag("-auth.multitenancy-enabled");
    let mut fleet = Box::pin(settings.start()).await?;
    for tenant in ["noisy", "quiet"] {
        let client = fleet.client(PUSH)?.tenant(tenant);
        for value in 0..50 {
            push(&client, value).await;
        }
    }
    let quiet = fleet.client(QUERY)?.tenant("quiet");
    let mut medians = Vec::new();
    for noise in [0, 1, 10, 60] {
        let stop = Arc::new(AtomicBool::new(false));
        let mut noisy = JoinSet::new();
        for number in 0..noise {
            let client = fleet
                .client(["query-frontend-0", QUERY][number % 2])?
                .tenant("noisy");
            noisy.spawn(repeat(
                Request::Query,
                client,
                Arc::clone(&stop),
                usize::MAX,
            ));
        }
        sleep(Duration::from_secs(1)).await;
        let quiets = repeat(Request::Query, quiet.clone(), Arc::clone(&stop), usize::MAX);
        let mut asking = JoinSet::new();
        asking.spawn(quiets);
        sleep(Duration::from_secs(8)).await;
        stop.store(true, Ordering::Relaxed);
        let seen = asking.join_next().await.context("somebody asks")??;
        times(
            &format!("quiet tenant, {noise} queries of a noisy one at once"),
            &seen,
        );
        medians.push(percentile(&seen, 50));
        let mut of_noisy = Seen::new();
        while let Some(sent) = noisy.join_next().await {
            of_noisy.extend(sent?);
        }
        times("  the noisy one", &of_noisy);
    }
    let (alone, most) = (
        medians.first().context("one")?,
        medians.last().context("one")?,
    );
    println!("ratio {:.1}", most.as_secs_f64() / alone.as_secs_f64());
    fleet.down().await
}
