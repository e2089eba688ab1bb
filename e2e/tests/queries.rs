//! Queries of a fleet: through query-frontend and query-scheduler to queriers that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use phlare_e2e::client::{CPU, stacktraces};
use phlare_e2e::fleet::{Fleet, Settings};
use phlare_e2e::{Client, Pprof, now_ns};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const FLAME: &str = "querier.v1.QuerierService/SelectMergeStacktraces";
const FRONTENDS: [&str; 2] = ["query-frontend-0", "query-frontend-1"];
const SCHEDULERS: [&str; 2] = ["query-scheduler-0", "query-scheduler-1"];
const QUERIERS: [&str; 2] = ["querier-0", "querier-1"];
const INGESTERS: [&str; 3] = ["ingester-a-0", "ingester-b-0", "ingester-c-0"];

fn settings(directory: &TempDir) -> Settings {
    Settings::new(directory.path()).flag("-pyroscopedb.retention-policy-min-free-disk-gb=0")
}

async fn push(client: &Client, value: i64) -> anyhow::Result<()> {
    let labels = [("__name__", "process_cpu"), ("service_name", "asked")];
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[value]);
    client.push(&labels, profile.bytes()).await
}

/// A figure of a process, summed over its labels.
async fn figure(fleet: &Fleet, process: &str, name: &str) -> anyhow::Result<f64> {
    let text = fleet.client(process)?.get("/metrics").await?.ok()?.text();
    let of_name = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    let values = text.lines().filter(of_name);
    let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

async fn sum(fleet: &Fleet, processes: &[&str], name: &str) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for process in processes {
        sum += figure(fleet, process, name).await?;
    }
    Ok(sum)
}

/// Waits until a figure is what it is to be.
async fn until(
    fleet: &Fleet,
    processes: &[&str],
    name: &str,
    reached: impl Fn(f64) -> bool,
) -> anyhow::Result<()> {
    let waited = timeout(Duration::from_secs(60), async {
        while !reached(sum(fleet, processes, name).await?) {
            sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    });
    let last = || format!("{name} of {processes:?} is not what it is to be");
    waited.await.with_context(last)?
}

/// Asks again and again, and demands the right answer each time.
struct Asking {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    askers: JoinSet<anyhow::Result<()>>,
}

impl Asking {
    fn begin(fleet: &Fleet, total: i64) -> anyhow::Result<Self> {
        let mut asking = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            askers: JoinSet::new(),
        };
        for frontend in FRONTENDS.into_iter().chain(FRONTENDS) {
            let client = fleet.client(frontend)?;
            let (stop, answered) = (Arc::clone(&asking.stop), Arc::clone(&asking.answered));
            asking.askers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let found = client.total(CPU, "{}").await.context(frontend)?;
                    ensure!(found == total, "{frontend}: {found}, not {total}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Ok(asking)
    }

    /// Waits until so many more are answered, or one was not.
    async fn more(&mut self, count: u64) -> anyhow::Result<()> {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        while self.answered.load(Ordering::Relaxed) < goal {
            tokio::select! {
                ended = self.askers.join_next() => ended.context("somebody asks")???,
                () = sleep(Duration::from_millis(20)) => {}
            }
        }
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.askers.join_next().await {
            ended??;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_outlive_their_queriers_and_query_schedulers() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    push(&fleet.client("distributor-0")?, 7).await?;
    let mut asking = Asking::begin(&fleet, 7)?;
    asking.more(20).await?;
    for gone in ["querier-0", "query-scheduler-0", "querier-1"] {
        fleet.kill(gone)?;
        asking.more(20).await?;
        fleet.restart(gone).await?;
        fleet.settled().await?;
        // The one that came back takes queries again.
        until(
            &fleet,
            &QUERIERS,
            "pyroscope_querier_query_frontend_clients",
            |n| n == 4.0,
        )
        .await?;
        asking.more(20).await?;
    }
    asking.end().await?;
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_stops_the_work_everywhere() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    push(&fleet.client("distributor-0")?, 7).await?;
    // Nobody answers the querier.
    for ingester in INGESTERS {
        fleet.signal(ingester, Signal::STOP)?;
    }
    let client = fleet.client("query-frontend-0")?;
    let request = stacktraces(CPU, "{}");
    let mut asking = Box::pin(client.try_call(FLAME, &request));
    let running = "phlare_querier_taken_queries_running";
    tokio::select! {
        answered = &mut asking => anyhow::bail!("{:?}", answered?.text()),
        waited = until(&fleet, &QUERIERS, running, |n| n == 1.0) => waited?,
    }
    until(
        &fleet,
        &SCHEDULERS,
        "phlare_query_scheduler_inflight_requests",
        |n| n == 1.0,
    )
    .await?;
    drop(asking);
    until(&fleet, &QUERIERS, running, |n| n == 0.0).await?;
    let cancelled = "pyroscope_query_scheduler_cancelled_requests_total";
    until(&fleet, &SCHEDULERS, cancelled, |n| n == 1.0).await?;
    let in_progress = "pyroscope_query_frontend_queries_in_progress";
    until(&fleet, &FRONTENDS, in_progress, |n| n == 0.0).await?;
    // One that waits for a querier goes, too.
    for querier in QUERIERS {
        fleet.signal(querier, Signal::STOP)?;
    }
    drop(timeout(Duration::from_millis(300), client.try_call(FLAME, &request)).await);
    let inflight = "phlare_query_scheduler_inflight_requests";
    until(&fleet, &SCHEDULERS, inflight, |n| n == 0.0).await?;
    for paused in INGESTERS.into_iter().chain(QUERIERS) {
        fleet.signal(paused, Signal::CONT)?;
    }
    ensure!(client.total(CPU, "{}").await? == 7);
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noisy_tenant_does_not_keep_others_waiting() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = settings(&directory)
        .flag("-auth.multitenancy-enabled")
        .flag("-querier.max-concurrent=2");
    let mut fleet = Box::pin(settings.start()).await?;
    let pushed = fleet.client("distributor-0")?;
    push(&pushed.tenant("noisy"), 3).await?;
    push(&pushed.tenant("quiet"), 7).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let mut noise = JoinSet::new();
    for number in 0..60 {
        let client = fleet.client(FRONTENDS[number % 2])?.tenant("noisy");
        let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
        noise.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                ensure!(client.total(CPU, "{}").await? == 3);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    until(
        &fleet,
        &SCHEDULERS,
        "pyroscope_query_scheduler_queue_length",
        |n| n > 30.0,
    )
    .await?;
    let client = fleet.client(FRONTENDS[0])?.tenant("quiet");
    let mut overtaken = Vec::new();
    for _ in 0..20 {
        let before = answered.load(Ordering::Relaxed);
        ensure!(client.total(CPU, "{}").await? == 7);
        overtaken.push(answered.load(Ordering::Relaxed) - before);
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = noise.join_next().await {
        ended??;
    }
    // In one queue for all, each query would wait for some fifty others.
    overtaken.sort_unstable();
    let median = overtaken[overtaken.len() / 2];
    ensure!(
        median <= 20,
        "others that were answered meanwhile: {overtaken:?}"
    );
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_queries_of_a_tenant_are_refused_and_say_why() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings =
        settings(&directory).flag("-query-scheduler.max-outstanding-requests-per-tenant=1");
    let mut fleet = Box::pin(settings.start()).await?;
    push(&fleet.client("distributor-0")?, 7).await?;
    // Whatever queriers have taken before counts as running; the others wait.
    for querier in QUERIERS {
        fleet.kill(querier)?;
    }
    let client = fleet.client("query-frontend-0")?;
    let request = stacktraces(CPU, "{}");
    let mut asking = JoinSet::new();
    for _ in 0..3 {
        let (client, request) = (client.clone(), request.clone());
        asking.spawn(async move { client.try_call(FLAME, &request).await });
    }
    // Two query-schedulers have room for one each.
    let refused = asking.join_next().await.context("somebody asks")???;
    refused.refused(429, &["too many outstanding requests", "tenant anonymous"])?;
    let discarded = "pyroscope_query_scheduler_discarded_requests_total";
    until(&fleet, &SCHEDULERS, discarded, |n| n == 1.0).await?;
    let length = "pyroscope_query_scheduler_queue_length";
    ensure!(sum(&fleet, &SCHEDULERS, length).await? == 2.0);
    let lately = "pyroscope_query_scheduler_inflight_requests";
    until(&fleet, &SCHEDULERS, lately, |n| n > 0.0).await?;
    // They are answered once there is a querier.
    for querier in QUERIERS {
        fleet.restart(querier).await?;
    }
    while let Some(reply) = asking.join_next().await {
        reply??.ok()?;
    }
    until(
        &fleet,
        &SCHEDULERS,
        "pyroscope_query_scheduler_connected_querier_clients",
        |n| n == 4.0,
    )
    .await?;
    fleet.down().await
}
