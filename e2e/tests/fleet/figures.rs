//! Figures do not grow with who was once there (field report B59).

use anyhow::ensure;
use phlare_e2e::fleet::Settings;
use phlare_e2e::{Options, Pprof, now_ns, until};
use tokio::task::JoinSet;

use crate::load::{Load, Pushed, all_acknowledged, check, rounds, unlimited};
use crate::noise::figure;

/// Tenants that push once: more than have figures of their own.
const TENANTS: usize = 400;

/// Most bytes of `/metrics`.
const MOST: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn ingesters_that_move_leave_no_figures_behind() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = unlimited(Settings::of_three(directory.path()));
    let mut fleet = Box::pin(settings.start()).await?;
    let mut pushed = Pushed::default();
    let mut addresses = Vec::new();
    for _ in 0..rounds(6) {
        let load = Load::after(&fleet, ["all-a", "all-b"], &pushed)?;
        load.more(5).await;
        fleet.stop("all-c").await?;
        addresses.push(fleet.url("all-c").trim_start_matches("http://").to_owned());
        fleet.move_away("all-c")?;
        fleet.restart("all-c").await?;
        fleet.settled().await?;
        load.more(5).await;
        pushed.add(load.end().await?);
    }
    all_acknowledged(&pushed)?;
    for name in ["all-a", "all-b", "all-c"] {
        check(&fleet, name, &pushed).await?;
        let client = fleet.client(name)?;
        let text = client.get("/metrics").await?.ok()?.text();
        ensure!(text.len() < MOST, "{} bytes", text.len());
        for address in &addresses {
            let host = address.split(':').next().unwrap_or(address);
            ensure!(!text.contains(host), "{name} still counts {address}");
        }
        until("no more connections than members", async || {
            let connections = r#"phlare_peer_connections{peer="ingester"}"#;
            Ok(figure(&client, connections).await? <= 3.0)
        })
        .await?;
    }
    fleet.down().await
}

/// What becomes of them when they are silent is tested with a clock, in `distributor`.
#[tokio::test(flavor = "multi_thread")]
async fn many_tenants_fit_into_a_scrape() -> anyhow::Result<()> {
    let server = Options::new()
        .flag("-auth.multitenancy-enabled=true")
        .flag("-pyroscopedb.wal-sync=never")
        .flag("-pyroscopedb.retention-policy-min-free-disk-gb=0")
        .start()
        .await?;
    let client = server.client()?;
    let mut pushers = JoinSet::new();
    for first in 0..4 {
        let client = client.clone();
        pushers.spawn(async move {
            let labels = [("__name__", "process_cpu"), ("service_name", "hello")];
            for number in (first..TENANTS).step_by(4) {
                let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[1]).bytes();
                let client = client.tenant(&format!("tenant-{number}"));
                client.push(&labels, profile).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(pushed) = pushers.join_next().await {
        pushed??;
    }
    let text = client.get("/metrics").await?.ok()?.text();
    ensure!(text.len() < MOST, "{} bytes", text.len());
    let received = "pyroscope_distributor_received_decompressed_bytes_count{";
    let counts = text.lines().filter(|line| line.starts_with(received));
    let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
    ensure!(counts.sum::<usize>() == TENANTS, "every profile is counted");
    Ok(())
}
