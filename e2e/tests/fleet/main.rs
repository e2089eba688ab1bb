//! A fleet of real processes that lose members: every acknowledged profile counts, and counts once.

mod addresses;
mod faults;
mod figures;
mod load;
mod names;
mod noise;
mod partition;
mod report;
mod scale_down;
mod takeover;
mod traces;
mod unclean;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use phlare_e2e::client::CPU;
use phlare_e2e::{Client, Pprof, now_ns, programs};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::load::{Load, all_acknowledged, check, settings};

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
    for querier in ["query-frontend-0", "query-frontend-1", "querier-0"] {
        check(&fleet, querier, &pushed).await?;
    }
    // Each of the others in turn is away: what is left has everything.
    for ingester in ["ingester-a-0", "ingester-c-0"] {
        fleet.kill(ingester)?;
        check(&fleet, "query-frontend-0", &pushed).await?;
        fleet.restart(ingester).await?;
    }
    check(&fleet, "query-frontend-0", &pushed).await?;
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
    check(&fleet, "query-frontend-0", &pushed).await?;
    fleet.signal("ingester-a-0", Signal::CONT)?;
    check(&fleet, "query-frontend-0", &pushed).await?;
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
    for querier in ["query-frontend-0", "query-frontend-1", "querier-0"] {
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
    check(&fleet, "query-frontend-0", &pushed).await?;
    // Now store-gateways know the blocks, too.
    for gateway in ["store-gateway-0", "store-gateway-1"] {
        fleet.stop(gateway).await?;
        fleet.restart(gateway).await?;
    }
    fleet.settled().await?;
    check(&fleet, "query-frontend-0", &pushed).await?;
    fleet.kill("store-gateway-0")?;
    fleet.kill("ingester-b-0")?;
    check(&fleet, "query-frontend-1", &pushed).await?;
    fleet.down().await
}

/// The program for people: one line of JSON, and nothing is left when its input ends.
#[tokio::test(flavor = "multi_thread")]
async fn fleet_up_leaves_nothing_behind() -> anyhow::Result<()> {
    up_and_down(|up| {
        drop(up.stdin.take());
        Ok(())
    })
    .await
}

/// Or when it is told to, whoever may still write to it.
#[tokio::test(flavor = "multi_thread")]
async fn fleet_up_ends_at_a_signal_while_its_input_is_open() -> anyhow::Result<()> {
    up_and_down(|up| {
        let id = Pid::from_raw(up.id() as i32).context("a process id")?;
        Ok(kill_process(id, Signal::TERM)?)
    })
    .await
}

async fn up_and_down(end: impl FnOnce(&mut Child) -> anyhow::Result<()>) -> anyhow::Result<()> {
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
    ensure!(ids.len() == 15, "{ids:?}");
    let pid = |id: i64| Pid::from_raw(id as i32).context("a process id");
    for &id in &ids {
        test_kill_process(pid(id)?).context("it runs")?;
    }
    end(&mut up)?;
    let input = up.stdin.take();
    let status = tokio::task::spawn_blocking(move || up.wait()).await??;
    ensure!(status.success(), "{status}");
    drop(input);
    for id in ids {
        let left = kill_process(pid(id)?, Signal::KILL).is_ok();
        ensure!(!left, "process {id} was left behind");
    }
    Ok(())
}
