//! Profiles that are pushed while something happens, and the count of what came of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::CPU;
use crate::{Client, Pprof, now_ns, until};

/// Who pushes at once.
const PUSHERS: u64 = 3;

/// Pushes profiles one after the other, each a series of its own, until it is told to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    pushed: Arc<AtomicU64>,
    sums: Arc<Sums>,
    pushers: JoinSet<Pushed>,
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
pub struct Pushed(BTreeMap<u64, bool>);

/// The value of a profile says which one it is.
fn value(number: u64) -> i64 {
    1_000_000 + number as i64
}

impl Load {
    /// Goes on after what was pushed before. Clients ask the second door when the first does not take a profile, as a
    /// Service would have them do. Each waits for a while after each profile, to leave processors to others.
    #[must_use]
    pub fn after(doors: &[Client; 2], before: &Pushed, pause: Duration) -> Self {
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
            let doors = doors.clone();
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
                    sleep(pause).await;
                }
                pushed
            });
        }
        load
    }

    /// Waits until so many more have been pushed.
    pub async fn more(&self, count: u64) {
        let goal = self.pushed.load(Ordering::Relaxed) + count;
        while self.pushed.load(Ordering::Relaxed) < goal {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for the flame graph of all, which has what was acknowledged before, and not more than was pushed since. Whoever
    /// gets no answer asks again, for a while.
    ///
    /// # Errors
    /// There is no answer, or it is wrong; `door` says whose.
    pub async fn ask(&self, client: &Client, door: &str) -> anyhow::Result<()> {
        let least = self.sums.least.load(Ordering::Relaxed);
        let mut answer = None;
        until(&format!("{door} answers"), async || {
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

    /// Stops, and says what was pushed.
    ///
    /// # Errors
    /// A pusher panicked.
    pub async fn end(mut self) -> anyhow::Result<Pushed> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Pushed::default();
        while let Some(pushed) = self.pushers.join_next().await {
            all.0.extend(pushed?.0);
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

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With those of another time.
    pub fn add(&mut self, more: Self) {
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
///
/// # Errors
/// There is no answer, or it is wrong; `querier` says whose.
pub async fn check(client: &Client, querier: &str, pushed: &Pushed) -> anyhow::Result<()> {
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

/// That none was refused.
///
/// # Errors
/// Some were.
pub fn all_acknowledged(pushed: &Pushed) -> anyhow::Result<()> {
    let refused = pushed.0.iter().filter(|(_, acknowledged)| !**acknowledged);
    let refused: Vec<_> = refused.map(|(number, _)| number).take(20).collect();
    let of = pushed.0.len();
    ensure!(
        refused.is_empty(),
        "of {of}, not acknowledged, among others: {refused:?}"
    );
    Ok(())
}
