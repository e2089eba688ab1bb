//! Query-schedulers that are found by their addresses, not in their ring.

use std::path::Path;

use anyhow::{Context, ensure};
use phlare_e2e::client::CPU;
use phlare_e2e::fleet::{Fleet, Settings};
use phlare_e2e::{Options, Pprof, now_ns, until};

use crate::load::unlimited;

const FIRST: &str = "query-scheduler-0";
const SECOND: &str = "query-scheduler-1";

/// How many queries queriers have taken from a query-scheduler.
async fn taken(fleet: &Fleet, name: &str) -> anyhow::Result<u64> {
    let metrics = fleet.client(name)?.get("/metrics").await?.ok()?.text();
    let name = "pyroscope_query_scheduler_queue_duration_seconds_count";
    let line = metrics.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next());
    Ok(value.context("the figure")?.parse()?)
}

/// The name of all query-schedulers leads to these.
fn point(hosts: &Path, fleet: &Fleet, names: &[&str]) -> anyhow::Result<()> {
    let mut text = "127.0.0.1 localhost\n".to_owned();
    for name in names {
        let url = fleet.url(name).trim_start_matches("http://");
        let (address, _) = url.rsplit_once(':').context("an address")?;
        text += &format!("{address} schedulers.test\n");
    }
    // The file itself: it is seen in the place of another one.
    Ok(std::fs::write(hosts, text)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn query_schedulers_are_found_by_name_and_looked_up_again() -> anyhow::Result<()> {
    if !Options::disk_allowed() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let hosts = directory.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost\n")?;
    let settings = unlimited(Settings::small(directory.path()))
        .hosts(&hosts)
        .flag("-query-scheduler.service-discovery-mode=dns")
        .flag("-query-frontend.scheduler-address=dns+schedulers.test:4040")
        .flag("-query-frontend.scheduler-dns-lookup-period=100ms")
        .flag("-querier.scheduler-address=dns+schedulers.test:4040")
        .flag("-querier.dns-lookup-period=100ms");
    // Nobody is ready before the name leads somewhere.
    let mut fleet = settings.begin()?;
    point(&hosts, &fleet, &[FIRST])?;
    Box::pin(fleet.restart_all()).await?;
    let frontend = fleet.client("query-frontend-0")?;
    let labels = [("__name__", "process_cpu"), ("service_name", "shop")];
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[7]).bytes();
    fleet
        .client("distributor-0")?
        .push(&labels, profile)
        .await?;
    ensure!(frontend.total(CPU, "{}").await? == 7);
    ensure!(taken(&fleet, FIRST).await? > 0);
    ensure!(taken(&fleet, SECOND).await? == 0, "it has no name yet");

    // The ring knows both: that does not count.
    point(&hosts, &fleet, &[FIRST, SECOND])?;
    until("both are asked", async || {
        ensure!(frontend.total(CPU, "{}").await? == 7);
        Ok(taken(&fleet, SECOND).await? > 0)
    })
    .await?;

    point(&hosts, &fleet, &[SECOND])?;
    fleet.kill(FIRST)?;
    let before = taken(&fleet, SECOND).await?;
    for _ in 0..5 {
        ensure!(frontend.total(CPU, "{}").await? == 7);
    }
    ensure!(taken(&fleet, SECOND).await? >= before + 5);
    fleet.down().await
}
