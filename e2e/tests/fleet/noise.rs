//! What does not belong to a cluster and comes to its gossip port all the same (field report B33).

use std::collections::BTreeSet;
use std::net::UdpSocket;

use anyhow::{Context, ensure};
use phlare_e2e::fleet::{Fleet, Settings};
use phlare_e2e::{Client, until};
use rand::RngCore;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::load::{Load, Pushed, all_acknowledged, check, unlimited};

const DOORS: [&str; 2] = ["all-a", "all-b"];

/// Requests and datagrams that nobody asked for.
const REQUESTS: usize = 1000;
const DATAGRAMS: usize = 10_000;

/// A figure of a process; 0 if it has none of this name.
pub(crate) async fn figure(client: &Client, series: &str) -> anyhow::Result<f64> {
    let text = client.get("/metrics").await?.ok()?.text();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(Ok(0.0), |value| value.parse().context("a number"))
}

async fn addresses(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let shown = client.get_json("/ring").await?;
    let instances = shown["instances"].as_array().into_iter().flatten();
    let healthy = instances.filter(|instance| instance["healthy"] == true);
    let address = |instance: &serde_json::Value| instance["address"].as_str().map(str::to_owned);
    healthy
        .map(|one| address(one).context("an address"))
        .collect()
}

/// Every process knows those of its own fleet, all of them, and nobody else.
async fn unmixed(fleet: &Fleet) -> anyhow::Result<()> {
    let processes = fleet.description().processes;
    let own: BTreeSet<_> = processes
        .iter()
        .filter_map(|process| process.url.strip_prefix("http://").map(str::to_owned))
        .collect();
    for process in &processes {
        let known = addresses(&Client::new(&process.url)?).await?;
        ensure!(
            known == own,
            "{} knows {known:?}, not {own:?}",
            process.name
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_that_join_each_other_stay_two() -> anyhow::Result<()> {
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let settings = unlimited(Settings::of_three(directories[0].path()));
    let mut one = Box::pin(settings.start()).await?;
    let asked = one.gossip("all-a")?;
    let settings = unlimited(Settings::of_three(directories[1].path()))
        .flag(&format!("-memberlist.join={asked}"))
        .flag("-memberlist.rejoin-interval=1s");
    let mut other = Box::pin(settings.start()).await?;
    let client = one.client("all-a")?;
    until("the foreign members are refused", async || {
        let refused = r#"phlare_gossip_refused_datagrams_total{reason="foreign"}"#;
        Ok(figure(&client, refused).await? >= 3.0)
    })
    .await?;
    for fleet in [&one, &other] {
        unmixed(fleet).await?;
        let load = Load::after(fleet, DOORS, &Pushed::default())?;
        load.more(10).await;
        let pushed = load.end().await?;
        all_acknowledged(&pushed)?;
        check(fleet, "all-c", &pushed).await?;
    }
    let log = one.log("all-a")?;
    ensure!(log.contains("another cluster"), "it is said who is refused");
    other.down().await?;
    one.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_on_the_gossip_port_changes_nothing() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = unlimited(Settings::of_three(directory.path()));
    let mut fleet = Box::pin(settings.start()).await?;
    let begun = Instant::now();
    let load = Load::after(&fleet, DOORS, &Pushed::default())?;
    load.more(5).await;
    let place = fleet.gossip("all-a")?;
    let scraper = Client::new(&format!("http://{place}"))?;
    for _ in 0..REQUESTS {
        ensure!(scraper.get("/metrics").await.is_err(), "it answers HTTP");
    }
    // So nobody can send bytes there, or leave a connection half open.
    let connected = TcpStream::connect(place).await;
    ensure!(connected.is_err(), "it takes connections");
    let sent = tokio::task::spawn_blocking(move || shout(place)).await??;
    let client = fleet.client("all-a")?;
    until("the datagrams are counted", async || {
        let refused = r#"phlare_gossip_refused_datagrams_total{reason="noise"}"#;
        // What comes faster than it is read is dropped by the system.
        Ok(figure(&client, refused).await? >= sent as f64 / 100.0)
    })
    .await?;
    load.more(20).await;
    let pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    for name in ["all-a", "all-b", "all-c"] {
        check(&fleet, name, &pushed).await?;
    }
    unmixed(&fleet).await?;
    let minutes = begun.elapsed().as_secs() as usize / 60;
    for name in ["all-a", "all-b", "all-c"] {
        let log = fleet.log(name)?;
        let lines = log
            .lines()
            .filter(|line| line.contains("datagram was refused"));
        let lines = lines.count();
        ensure!(
            lines <= minutes + 1,
            "{name}: {lines} lines in {minutes} minutes"
        );
        ensure!(!log.contains("level=error"), "{name}: {log}");
    }
    fleet.down().await
}

/// Sends random bytes of all lengths; how many datagrams.
fn shout(place: std::net::SocketAddr) -> anyhow::Result<usize> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut bytes = [0; 1500];
    for number in 0..DATAGRAMS {
        rand::rng().fill_bytes(&mut bytes);
        socket.send_to(&bytes[..number % bytes.len()], place)?;
    }
    Ok(DATAGRAMS)
}
