//! Ingesters that go for good. Each profile is stored once here, so nobody else has what one of them holds.

use anyhow::ensure;
use phlare_e2e::fleet::{Fleet, Settings};
use phlare_e2e::until;
use serde_json::Value;
use tempfile::TempDir;

use crate::load::{Load, all_acknowledged, check, settings};
use crate::unclean::knows;

const PAGE: &str = "/ingester/prepare-shutdown";

fn without_replicas(directory: &TempDir) -> Settings {
    settings(directory)
        .flag("-distributor.replication-factor=1")
        .flag("-distributor.zone-awareness-enabled=false")
}

async fn preparation(fleet: &Fleet, ingester: &str) -> anyhow::Result<Value> {
    fleet.client(ingester)?.get_json(PAGE).await
}

/// Waits until a process knows that an ingester takes nothing, or takes profiles again.
async fn is_read_only(
    fleet: &Fleet,
    name: &str,
    ingester: &str,
    wanted: bool,
) -> anyhow::Result<()> {
    let client = fleet.client(name)?;
    until("the ring shows it", async || {
        let shown = client.get_json("/ring").await?;
        let instances = shown["instances"].as_array().into_iter().flatten();
        let mut found = instances.filter(|instance| instance["id"] == ingester);
        Ok(found.any(|instance| instance["read_only"] == wanted))
    })
    .await
}

/// Waits until the processes that ask ingesters do not know this one any more.
async fn is_unknown(fleet: &Fleet, ingester: &str) -> anyhow::Result<()> {
    for name in ["querier-0", "querier-1", "distributor-0", "distributor-1"] {
        until("it is forgotten", async || {
            Ok(!knows(fleet, name, ingester).await?)
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_ingester_can_be_thrown_away() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(without_replicas(&directory).start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(60).await;
    let client = fleet.client("ingester-b-0")?;
    let reply = client.post(PAGE, &[], "").await?.ok()?;
    ensure!(
        reply.text().contains("\"prepared\":true"),
        "{}",
        reply.text()
    );
    for distributor in ["distributor-0", "distributor-1"] {
        is_read_only(&fleet, distributor, "ingester-b-0", true).await?;
    }
    load.more(20).await;

    // It goes on after a restart.
    fleet.kill("ingester-b-0")?;
    fleet.restart("ingester-b-0").await?;
    until("all is in the bucket", async || {
        let found = preparation(&fleet, "ingester-b-0").await?;
        ensure!(found["prepared"] == true, "{found}");
        Ok(found["finished"] == true)
    })
    .await?;
    let found = preparation(&fleet, "ingester-b-0").await?;
    ensure!(
        found["heads"] == 0 && found["blocks"] == 0 && found["notices"] == 0,
        "{found}"
    );
    let blocks = directory.path().join("bucket/anonymous/phlaredb");
    ensure!(blocks.is_dir(), "it had something");
    until("its figures say so", async || {
        let figures = client.get("/metrics").await?.ok()?.text();
        Ok(figures.contains("\nphlare_ingester_prepare_shutdown_finished 1"))
    })
    .await?;
    load.more(20).await;

    fleet.kill("ingester-b-0")?;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let querier = fleet.client("querier-0")?;
    querier.post("/ring", &form, "forget=ingester-b-0").await?;
    is_unknown(&fleet, "ingester-b-0").await?;
    load.more(20).await;
    let pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    for querier in ["querier-0", "querier-1"] {
        check(&fleet, querier, &pushed).await?;
    }
    fleet.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingester_that_is_to_stay_after_all_takes_profiles_again() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(without_replicas(&directory).start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(30).await;
    let client = fleet.client("ingester-c-0")?;
    client.post(PAGE, &[], "").await?.ok()?;
    is_read_only(&fleet, "distributor-0", "ingester-c-0", true).await?;
    let reply = client.delete(PAGE).await?.ok()?;
    ensure!(
        reply.text().contains("\"prepared\":false"),
        "{}",
        reply.text()
    );
    is_read_only(&fleet, "distributor-0", "ingester-c-0", false).await?;
    until("it takes profiles", async || {
        let found = preparation(&fleet, "ingester-c-0").await?;
        Ok(found["heads"] != 0)
    })
    .await?;
    let pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    check(&fleet, "querier-0", &pushed).await?;
    fleet.down().await
}

/// Store-gateways list the bucket every quarter of an hour; what an ingester uploads at its end is seen at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_ingester_uploads_at_its_end_is_seen_at_once() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(without_replicas(&directory).start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(60).await;
    let pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    fleet.stop("ingester-a-0").await?;
    is_unknown(&fleet, "ingester-a-0").await?;
    for querier in ["querier-0", "querier-1"] {
        check(&fleet, querier, &pushed).await?;
    }
    fleet.down().await
}
