//! Processes that end without a word (field report B35).

use anyhow::ensure;
use phlare_e2e::fleet::{Fleet, Settings};
use phlare_e2e::{Client, until};

use crate::load::{Load, Pushed, all_acknowledged, check, settings, unlimited};

/// Names of the ingesters in a ring, and whether each is healthy.
pub(crate) async fn ingesters(client: &Client) -> anyhow::Result<Vec<(String, bool)>> {
    let shown = client.get_json("/ring").await?;
    let instances = shown["instances"].as_array().into_iter().flatten();
    let named = |instance: &serde_json::Value| {
        let id = instance["id"].as_str().unwrap_or_default();
        (id.to_owned(), instance["healthy"] == true)
    };
    Ok(instances.map(named).collect())
}

/// Whether a process has an ingester in its ring, dead or alive.
pub(crate) async fn knows(fleet: &Fleet, name: &str, ingester: &str) -> anyhow::Result<bool> {
    let ingesters = ingesters(&fleet.client(name)?).await?;
    Ok(ingesters.iter().any(|(id, _)| id == ingester))
}

/// Settings under which ingesters that are dead are forgotten after seconds, not minutes.
pub(crate) fn impatient(settings: Settings) -> Settings {
    settings
        .flag("-ingester.heartbeat-period=500ms")
        .flag("-ring.heartbeat-timeout=6s")
        .flag("-ring.auto-forget-after=1s")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_nobody_who_is_dead() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = unlimited(Settings::of_three(directory.path()));
    let mut fleet = Box::pin(settings.start()).await?;
    let load = Load::after(&fleet, ["all-a", "all-c"], &Pushed::default())?;
    load.more(10).await;
    let pushed = load.end().await?;
    fleet.kill("all-b")?;
    fleet.stop("all-a").await?;
    // It is ready, and the dead one is forgotten ten minutes from now.
    fleet.restart("all-a").await?;
    for name in ["all-a", "all-c"] {
        let client = fleet.client(name)?;
        until("the dead one is still in the ring", async || {
            let ingesters = ingesters(&client).await?;
            Ok(ingesters.len() == 3)
        })
        .await?;
        check(&fleet, name, &pushed).await?;
    }
    let load = Load::after(&fleet, ["all-a", "all-c"], &pushed)?;
    load.more(10).await;
    let more = load.end().await?;
    all_acknowledged(&more)?;
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_ingester_is_forgotten_after_its_time() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = impatient(unlimited(Settings::of_three(directory.path())));
    let mut fleet = Box::pin(settings.start()).await?;
    let doors = ["all-a", "all-c"];
    let load = Load::after(&fleet, doors, &Pushed::default())?;
    load.more(10).await;
    fleet.kill("all-b")?;
    load.more(10).await;
    for name in doors {
        until("the dead one is forgotten", async || {
            Ok(!knows(&fleet, name, "all-b").await?)
        })
        .await?;
    }
    load.more(10).await;
    let pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    for name in doors {
        check(&fleet, name, &pushed).await?;
    }
    // Who was forgotten comes back by coming back.
    fleet.restart("all-b").await?;
    fleet.settled().await?;
    check(&fleet, "all-b", &pushed).await?;
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_all_start_without_help() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(30).await;
    // What is on its way then is stored once or not at all.
    fleet.kill_all()?;
    let mut pushed = load.end().await?;
    fleet.restart_all().await?;
    check(&fleet, "querier-0", &pushed).await?;
    let load = Load::after(&fleet, ["distributor-0", "distributor-1"], &pushed)?;
    load.more(30).await;
    let more = load.end().await?;
    all_acknowledged(&more)?;
    pushed.add(more);
    fleet.kill_all()?;
    let processes = fleet.description().processes;
    for process in &processes {
        fleet.restart(&process.name).await?;
    }
    fleet.settled().await?;
    ensure!(processes.len() == 15, "a whole fleet");
    check(&fleet, "querier-1", &pushed).await?;
    fleet.down().await
}
