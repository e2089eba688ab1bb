//! Faults in an order that nobody thought of: from a seed, so that a run can be repeated.
#![expect(
    clippy::print_stdout,
    reason = "what a long run has seen, for whoever runs it"
)]

use std::time::{Duration, Instant};

use anyhow::Context;
use phlare_e2e::fleet::{Fleet, ZONES};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;

use crate::load::{Load, Pushed, check, rounds, settings};

const DOORS: [&str; 2] = ["query-frontend-0", "query-frontend-1"];

/// What happens to a process. One at a time: with three replicas, one may be away.
#[derive(Clone, Debug)]
enum Fault {
    /// It dies, and comes back.
    Kill(String),
    /// It is told to stop, and comes back.
    Stop(String),
    /// It stands still for a while.
    Pause(String),
    /// Its heads become blocks.
    Flush(String),
    /// All die at once, as in a power cut.
    PowerCut,
}

impl Fault {
    fn random(random: &mut StdRng, fleet: &Fleet) -> Self {
        let processes = fleet.description().processes;
        let any = processes.choose(random).map(|process| process.name.clone());
        let any = any.unwrap_or_default();
        let zone = ZONES.choose(random).copied().unwrap_or_default();
        let ingester = format!("ingester-{zone}-0");
        match random.random_range(0..100) {
            0..35 => Self::Kill(any),
            35..50 => Self::Kill(ingester),
            50..65 => Self::Stop(any),
            65..80 => Self::Pause(any),
            80..97 => Self::Flush(ingester),
            _ => Self::PowerCut,
        }
    }

    /// Lets it happen while profiles are pushed and queries are asked, and repairs it.
    async fn happen(&self, fleet: &mut Fleet, load: &Load, door: &str) -> anyhow::Result<()> {
        match self {
            Self::Kill(name) | Self::Stop(name) => {
                match self {
                    Self::Kill(_) => fleet.kill(name)?,
                    _ => fleet.stop(name).await?,
                }
                load.more(10).await;
                // Who is away answers nobody.
                if door != name {
                    load.ask(fleet, door).await?;
                }
                fleet.restart(name).await?;
            }
            Self::Pause(name) => {
                fleet.signal(name, Signal::STOP)?;
                // A client of a door that stands still waits for it.
                if door != name && !name.starts_with("distributor") {
                    load.more(10).await;
                    load.ask(fleet, door).await?;
                }
                fleet.signal(name, Signal::CONT)?;
            }
            Self::Flush(name) => {
                let client = fleet.client(name)?;
                client.post("/ingester/flush", &[], "").await?.ok()?;
            }
            Self::PowerCut => {
                fleet.kill_all()?;
                fleet.restart_all().await?;
            }
        }
        fleet.settled().await?;
        load.more(5).await;
        load.ask(fleet, door).await
    }
}

/// Every profile that was acknowledged counts once, whatever happened, from memory and from blocks.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_every_acknowledged_profile_counts_once() -> anyhow::Result<()> {
    let seed = std::env::var("PHLARE_FAULT_SEED").ok();
    let seed = match seed {
        Some(seed) => seed.parse().context("PHLARE_FAULT_SEED is a number")?,
        None => rand::rng().random(),
    };
    let mut faults = Vec::new();
    let ended = Box::pin(run(seed, &mut faults)).await;
    ended.with_context(|| {
        format!(
            "PHLARE_FAULT_SEED={seed}, {} faults: {faults:?}",
            faults.len()
        )
    })
}

async fn run(seed: u64, faults: &mut Vec<Fault>) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(20).await;
    let seconds = std::env::var("PHLARE_FAULT_SECONDS").ok();
    let seconds = seconds
        .and_then(|text| text.parse().ok())
        .map(Duration::from_secs);
    let begun = Instant::now();
    let goes_on = |faults: usize| match seconds {
        Some(seconds) => begun.elapsed() < seconds,
        None => faults < rounds(6),
    };
    while goes_on(faults.len()) {
        let fault = Fault::random(&mut random, &fleet);
        let door = DOORS.choose(&mut random).copied().unwrap_or_default();
        faults.push(fault.clone());
        fault.happen(&mut fleet, &load, door).await?;
    }
    let pushed = load.end().await?;
    all_count(&mut fleet, &pushed).await?;
    println!(
        "{} profiles, {} faults in {:?}",
        pushed.len(),
        faults.len(),
        begun.elapsed()
    );
    fleet.down().await
}

async fn all_count(fleet: &mut Fleet, pushed: &Pushed) -> anyhow::Result<()> {
    for door in DOORS {
        check(fleet, door, pushed).await?;
    }
    // The same from blocks.
    for zone in ZONES {
        let client = fleet.client(&format!("ingester-{zone}-0"))?;
        client.post("/ingester/flush", &[], "").await?.ok()?;
    }
    for gateway in ["store-gateway-0", "store-gateway-1"] {
        fleet.stop(gateway).await?;
        fleet.restart(gateway).await?;
    }
    fleet.settled().await?;
    check(fleet, DOORS[0], pushed).await
}
