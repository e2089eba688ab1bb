//! A fleet of real processes that lose members: every acknowledged profile counts, and counts once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, ensure};
use phlare_e2e::client::CPU;
use phlare_e2e::fleet::{Fleet, Settings};
use phlare_e2e::{Client, Pprof, now_ns, programs};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Who pushes at once.
const PUSHERS: u64 = 3;

/// Pushes profiles one after the other, each a series of its own, until it is told to stop.
#[derive(Debug)]
struct Load {
    stop: Arc<AtomicBool>,
    pushed: Arc<AtomicU64>,
    pushers: JoinSet<anyhow::Result<Pushed>>,
}

/// What was pushed, and whether it was acknowledged.
#[derive(Debug, Default)]
struct Pushed(BTreeMap<u64, bool>);

/// Every profile is a series of its own, so that none can be taken for another. How full the disk of the tests is does
/// not matter.
fn settings(directory: &TempDir) -> Settings {
    Settings::new(directory.path())
        .flag("-ingester.max-global-series-per-tenant=0")
        .flag("-pyroscopedb.retention-policy-min-free-disk-gb=0")
}

/// The value of a profile says which one it is.
fn value(number: u64) -> i64 {
    1_000_000 + number as i64
}

impl Load {
    /// Clients that ask another distributor when one does not take a profile, as a Service would have them do.
    fn begin(fleet: &Fleet) -> anyhow::Result<Self> {
        let mut load = Self {
            stop: Arc::default(),
            pushed: Arc::default(),
            pushers: JoinSet::new(),
        };
        for pusher in 0..PUSHERS {
            let doors = [
                fleet.client("distributor-0")?,
                fleet.client("distributor-1")?,
            ];
            let (stop, counter) = (Arc::clone(&load.stop), Arc::clone(&load.pushed));
            load.pushers.spawn(async move {
                let mut pushed = Pushed::default();
                let mut number = pusher;
                while !stop.load(Ordering::Relaxed) {
                    let acknowledged = push(&doors, number).await;
                    pushed.0.insert(number, acknowledged);
                    counter.fetch_add(1, Ordering::Relaxed);
                    number += PUSHERS;
                }
                Ok(pushed)
            });
        }
        Ok(load)
    }

    /// Waits until so many more have been pushed.
    async fn more(&self, count: u64) {
        let goal = self.pushed.load(Ordering::Relaxed) + count;
        while self.pushed.load(Ordering::Relaxed) < goal {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn end(mut self) -> anyhow::Result<Pushed> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Pushed::default();
        while let Some(pushed) = self.pushers.join_next().await {
            all.0.extend(pushed??.0);
        }
        Ok(all)
    }
}

/// Whether one of two tries was acknowledged.
async fn push(doors: &[Client; 2], number: u64) -> bool {
    let name = number.to_string();
    let labels = [
        ("__name__", "process_cpu"),
        ("service_name", "load"),
        ("n", &name),
    ];
    let profile = Pprof::cpu()
        .at(now_ns())
        .stack(&["main", "work"], &[value(number)])
        .bytes();
    for door in doors {
        let reply = door.try_push(&labels, vec![profile.clone()]).await;
        if reply.is_ok_and(|reply| reply.status == 200) {
            return true;
        }
    }
    false
}

/// Every acknowledged profile is counted once; what was not acknowledged once or not at all.
async fn check(fleet: &Fleet, querier: &str, pushed: &Pushed) -> anyhow::Result<()> {
    let client = fleet.client(querier)?;
    let series = client
        .series(CPU, r#"{service_name="load"}"#, &["n"])
        .await?;
    let mut found: BTreeMap<u64, i64> = BTreeMap::new();
    for series in series {
        let label = series.labels.iter().find(|label| label.name == "n");
        let number = label.context("a label n")?.value.parse()?;
        let total: f64 = series.points.iter().map(|point| point.value).sum();
        found.insert(number, total as i64);
    }
    for (&number, &acknowledged) in &pushed.0 {
        let counted = found.remove(&number).unwrap_or_default();
        let right = counted == value(number) || (!acknowledged && counted == 0);
        ensure!(
            right,
            "{querier}: profile {number}, acknowledged: {acknowledged}, counts {counted}, not {}",
            value(number)
        );
    }
    ensure!(found.is_empty(), "{querier}: never pushed: {found:?}");
    let total = client.total(CPU, r#"{service_name="load"}"#).await?;
    let acknowledged = pushed.0.iter().filter(|(_, acknowledged)| **acknowledged);
    let least: i64 = acknowledged.map(|(number, _)| value(*number)).sum();
    let most: i64 = pushed.0.keys().map(|number| value(*number)).sum();
    ensure!(
        (least..=most).contains(&total),
        "{querier}: the flame graph has {total}, not {least} to {most}"
    );
    Ok(())
}

fn all_acknowledged(pushed: &Pushed) -> anyhow::Result<()> {
    let refused = pushed.0.iter().filter(|(_, acknowledged)| !**acknowledged);
    let refused: Vec<_> = refused.map(|(number, _)| number).take(20).collect();
    let of = pushed.0.len();
    ensure!(
        refused.is_empty(),
        "of {of}, not acknowledged, among others: {refused:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_ingester_loses_nothing_and_fails_nothing() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(30).await;
    fleet.kill("ingester-b-0")?;
    load.more(60).await;
    fleet.restart("ingester-b-0").await?;
    load.more(30).await;
    let pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    for querier in ["querier-0", "querier-1"] {
        check(&fleet, querier, &pushed).await?;
    }
    // Each of the others in turn is away: what is left has everything.
    for ingester in ["ingester-a-0", "ingester-c-0"] {
        fleet.kill(ingester)?;
        check(&fleet, "querier-0", &pushed).await?;
        fleet.restart(ingester).await?;
    }
    check(&fleet, "querier-0", &pushed).await?;
    fleet.down().await
}

/// Field report B37.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_ingester_is_not_waited_for() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(30).await;
    fleet.signal("ingester-a-0", Signal::STOP)?;
    load.more(30).await;
    let pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    check(&fleet, "querier-0", &pushed).await?;
    fleet.signal("ingester-a-0", Signal::CONT)?;
    check(&fleet, "querier-0", &pushed).await?;
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_replaced_under_load() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    // Others learn of a stop while the process still serves.
    let settings = settings(&directory).flag("-shutdown-delay=1s");
    let mut fleet = Box::pin(settings.start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(20).await;
    let names = fleet.description().processes.into_iter();
    for name in names.map(|process| process.name) {
        fleet.stop(&name).await?;
        load.more(5).await;
        fleet.restart(&name).await?;
        fleet.settled().await?;
    }
    load.more(20).await;
    let pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    for querier in ["querier-0", "querier-1"] {
        check(&fleet, querier, &pushed).await?;
    }
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_all_replicas_count_once() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(50).await;
    for zone in ["a", "b", "c"] {
        let client = fleet.client(&format!("ingester-{zone}-0"))?;
        client.post("/ingester/flush", &[], "").await?.ok()?;
    }
    load.more(20).await;
    let pushed = load.end().await?;
    check(&fleet, "querier-0", &pushed).await?;
    // Now store-gateways know the blocks, too.
    for gateway in ["store-gateway-0", "store-gateway-1"] {
        fleet.stop(gateway).await?;
        fleet.restart(gateway).await?;
    }
    fleet.settled().await?;
    check(&fleet, "querier-0", &pushed).await?;
    fleet.kill("store-gateway-0")?;
    fleet.kill("ingester-b-0")?;
    check(&fleet, "querier-1", &pushed).await?;
    fleet.down().await
}

/// The program for people: one line of JSON, and nothing is left when its input ends.
#[tokio::test(flavor = "multi_thread")]
async fn fleet_up_leaves_nothing_behind() -> anyhow::Result<()> {
    let mut up = Command::new(env!("CARGO_BIN_EXE_phlare-fleet"))
        .arg("up")
        .env(
            "PHLARE_BIN_DIR",
            programs::phlare()?.parent().context("a directory")?,
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = up.stdout.take().context("standard output")?;
    let read = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map(|_| line)
    });
    let line = read.await??;
    let fleet: serde_json::Value = serde_json::from_str(&line).context(line)?;
    let push = fleet["push"].as_str().context("push")?;
    let query = fleet["query"].as_str().context("query")?;
    let labels = [("__name__", "process_cpu"), ("service_name", "hello")];
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[7]).bytes();
    Client::new(push)?.push(&labels, profile).await?;
    let total = Client::new(query)?.total(CPU, "{}").await?;
    ensure!(total == 7, "{total}");
    let processes = fleet["processes"].as_array().context("processes")?;
    let ids = processes.iter().map(|process| process["pid"].as_i64());
    let ids: Option<Vec<i64>> = ids.collect();
    let ids = ids.context("process ids")?;
    ensure!(ids.len() == 11, "{ids:?}");
    let pid = |id: i64| Pid::from_raw(id as i32).context("a process id");
    for &id in &ids {
        test_kill_process(pid(id)?).context("it runs")?;
    }
    drop(up.stdin.take());
    let status = tokio::task::spawn_blocking(move || up.wait()).await??;
    ensure!(status.success(), "{status}");
    for id in ids {
        let left = kill_process(pid(id)?, Signal::KILL).is_ok();
        ensure!(!left, "process {id} was left behind");
    }
    Ok(())
}
