//! Profiles that are pushed while something happens, and the count of what came of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use anyhow::{Context, ensure};
use phlare_e2e::client::CPU;
use phlare_e2e::fleet::{Fleet, Settings};
use phlare_e2e::{Client, Pprof, now_ns};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Who pushes at once.
const PUSHERS: u64 = 3;

/// Pushes profiles one after the other, each a series of its own, until it is told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    pushed: Arc<AtomicU64>,
    sums: Arc<Sums>,
    pushers: JoinSet<anyhow::Result<Pushed>>,
}

/// Sums of the values of profiles.
#[derive(Debug, Default)]
struct Sums {
    /// Of those that were acknowledged.
    least: AtomicI64,
    /// Of those that were pushed or are being pushed.
    most: AtomicI64,
}

/// What was pushed, and whether it was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Pushed(BTreeMap<u64, bool>);

/// Every profile is a series of its own, so that none can be taken for another. How full the disk of the tests is does
/// not matter.
pub(crate) fn settings(directory: &TempDir) -> Settings {
    unlimited(Settings::new(directory.path()))
}

/// How often a fault is repeated: as usual, or as often as `PHLARE_FAULT_ROUNDS` says.
pub(crate) fn rounds(usual: usize) -> usize {
    let asked = std::env::var("PHLARE_FAULT_ROUNDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The same [`settings`] for another fleet.
pub(crate) fn unlimited(settings: Settings) -> Settings {
    settings
        .flag("-ingester.max-global-series-per-tenant=0")
        .flag("-pyroscopedb.retention-policy-min-free-disk-gb=0")
}

/// The value of a profile says which one it is.
fn value(number: u64) -> i64 {
    1_000_000 + number as i64
}

impl Load {
    /// Through the distributors of a whole fleet.
    pub(crate) fn begin(fleet: &Fleet) -> anyhow::Result<Self> {
        Self::after(
            fleet,
            ["distributor-0", "distributor-1"],
            &Pushed::default(),
        )
    }

    /// Goes on after what was pushed before. Clients ask the second door when the first does not take a profile, as a
    /// Service would have them do.
    pub(crate) fn after(fleet: &Fleet, doors: [&str; 2], before: &Pushed) -> anyhow::Result<Self> {
        let mut load = Self {
            stop: Arc::default(),
            pushed: Arc::default(),
            sums: Arc::new(Sums {
                least: before.least().into(),
                most: before.most().into(),
            }),
            pushers: JoinSet::new(),
        };
        let first = before.0.keys().next_back().map_or(0, |last| last + 1);
        for pusher in 0..PUSHERS {
            let doors = [fleet.client(doors[0])?, fleet.client(doors[1])?];
            let (stop, counter) = (Arc::clone(&load.stop), Arc::clone(&load.pushed));
            let sums = Arc::clone(&load.sums);
            load.pushers.spawn(async move {
                let mut pushed = Pushed::default();
                let mut number = first + pusher;
                while !stop.load(Ordering::Relaxed) {
                    sums.most.fetch_add(value(number), Ordering::Relaxed);
                    let acknowledged = push(&doors, number).await;
                    if acknowledged {
                        sums.least.fetch_add(value(number), Ordering::Relaxed);
                    }
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
    pub(crate) async fn more(&self, count: u64) {
        let goal = self.pushed.load(Ordering::Relaxed) + count;
        while self.pushed.load(Ordering::Relaxed) < goal {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Asks for the flame graph of all, which has what was acknowledged before, and not more than was pushed since. Whoever
    /// gets no answer asks again, for a while.
    pub(crate) async fn ask(&self, fleet: &Fleet, door: &str) -> anyhow::Result<()> {
        let client = fleet.client(door)?;
        let least = self.sums.least.load(Ordering::Relaxed);
        let mut answer = None;
        phlare_e2e::until(&format!("{door} answers"), async || {
            answer = client.total(CPU, r#"{service_name="load"}"#).await.ok();
            Ok(answer.is_some())
        })
        .await?;
        let total = answer.context("an answer")?;
        let most = self.sums.most.load(Ordering::Relaxed);
        ensure!(
            (least..=most).contains(&total),
            "{door}: the flame graph has {total}, not {least} to {most}"
        );
        Ok(())
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<Pushed> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Pushed::default();
        while let Some(pushed) = self.pushers.join_next().await {
            all.0.extend(pushed??.0);
        }
        Ok(all)
    }
}

impl Pushed {
    fn least(&self) -> i64 {
        let acknowledged = self.0.iter().filter(|(_, acknowledged)| **acknowledged);
        acknowledged.map(|(number, _)| value(*number)).sum()
    }

    fn most(&self) -> i64 {
        self.0.keys().map(|number| value(*number)).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.0.extend(more.0);
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
pub(crate) async fn check(fleet: &Fleet, querier: &str, pushed: &Pushed) -> anyhow::Result<()> {
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
    let (least, most) = (pushed.least(), pushed.most());
    ensure!(
        (least..=most).contains(&total),
        "{querier}: the flame graph has {total}, not {least} to {most}"
    );
    Ok(())
}

pub(crate) fn all_acknowledged(pushed: &Pushed) -> anyhow::Result<()> {
    let refused = pushed.0.iter().filter(|(_, acknowledged)| !**acknowledged);
    let refused: Vec<_> = refused.map(|(number, _)| number).take(20).collect();
    let of = pushed.0.len();
    ensure!(
        refused.is_empty(),
        "of {of}, not acknowledged, among others: {refused:?}"
    );
    Ok(())
}
