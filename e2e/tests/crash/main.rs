//! What was acknowledged is there after any end of the process, once and whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use phlare_e2e::pprof::{self, Pprof};
use phlare_e2e::{Client, Options, Server, now_ns, shared};
use phlare_proto::google::v1::Profile;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

mod damage;
mod full;
mod start;
mod stop;

/// Kills of the process in one test.
const ROUNDS: usize = 5;
/// Pushes at the same time.
const WORKERS: usize = 8;
/// Of the random numbers; the moments of the kills follow from them, as far as the machine's speed lets them.
const SEED: u64 = 20_261_125;

/// Real profiles of different programs and sizes.
const FIXTURES: [&str; 5] = [
    "pprof/og/cpu.pb.gz",
    "pprof/og/pyspy-1.pb.gz",
    "pprof/phlaredb/profile",
    "pprof/phlaredb/heap",
    "pprof/pprof/dotnet.labels.pprof",
];

/// Total of each profile type of a push, by the value of its label `push`.
type Totals = BTreeMap<String, BTreeMap<String, i64>>;

/// What one worker has sent.
#[derive(Default)]
struct Sent {
    acknowledged: Totals,
    /// Sent, and no answer came: there whole, or not at all.
    unknown: Totals,
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_under_load_loses_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    let profiles = Arc::new(profiles()?);
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut acknowledged, mut unknown) = (Totals::new(), Totals::new());
    let mut server = unlimited().start().await?;
    for round in 0..ROUNDS {
        let count = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS {
            let name = format!("{round}-{worker}");
            workers.spawn(push_until_refused(
                name,
                server.client()?,
                Arc::clone(&profiles),
                Arc::clone(&count),
            ));
        }
        let mut flushing = JoinSet::new();
        flushing.spawn(flush_until_refused(server.client()?));
        let (pushes, moment) = (random.random_range(20..80), random.random_range(0..15));
        while count.load(Ordering::Relaxed) < pushes {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(moment)).await;
        server.kill()?;
        while let Some(sent) = workers.join_next().await {
            let sent = sent??;
            acknowledged.extend(sent.acknowledged);
            unknown.extend(sent.unknown);
        }
        while let Some(flushed) = flushing.join_next().await {
            flushed??;
        }
        server = unlimited().directory(server.directory()).start().await?;
        nothing_unfinished(&server.data())?;
        check(&server.client()?, &acknowledged, &unknown)
            .await
            .with_context(|| {
                format!(
                    "round {round} of seed {SEED}, {} profiles",
                    acknowledged.len()
                )
            })?;
    }
    ensure!(
        acknowledged.len() >= ROUNDS * 20,
        "only {} profiles were taken",
        acknowledged.len()
    );
    // A kill in the middle of a write leaves a tail that is cut, and said.
    server.stop_quiet(&["cut"]).await
}

/// Cuts and uploads without a pause, so that the kill hits every part of it sooner or later.
async fn flush_until_refused(client: Client) -> anyhow::Result<()> {
    while let Ok(reply) = client.post("/ingester/flush", &[], Vec::new()).await {
        reply.ok()?;
    }
    Ok(())
}

/// B38: no half block lies around after a start.
fn nothing_unfinished(data: &Path) -> anyhow::Result<()> {
    for tenant in std::fs::read_dir(data.join("ingester"))? {
        let tenant = tenant?.path();
        for name in ["head", "trash", "set-aside"] {
            let Ok(entries) = std::fs::read_dir(tenant.join(name)) else {
                continue;
            };
            ensure!(entries.count() == 0, "something is left in {name}");
        }
    }
    Ok(())
}

/// No limit but memory: these tests push faster than a tenant may.
fn unlimited() -> Options {
    Options::new()
        .flag("-distributor.ingestion-rate-limit-mb=0")
        .flag("-ingester.max-global-series-per-tenant=0")
        .flag("-pyroscopedb.wal-segment-bytes=4194304")
}

/// Profiles to push: real ones where there are some, and always one made by hand.
fn profiles() -> anyhow::Result<Vec<Profile>> {
    let mut profiles = vec![
        Pprof::cpu()
            .stack(&["main", "work"], &[5])
            .stack(&["main", "rest"], &[7])
            .profile,
    ];
    if let Some(shared) = shared::directory()? {
        for name in FIXTURES {
            profiles.push(
                pprof::read(&shared::fixture(&shared, name)?).with_context(|| name.to_owned())?,
            );
        }
    }
    Ok(profiles)
}

async fn push_until_refused(
    worker: String,
    client: Client,
    profiles: Arc<Vec<Profile>>,
    count: Arc<AtomicUsize>,
) -> anyhow::Result<Sent> {
    let mut sent = Sent::default();
    for (number, profile) in profiles.iter().cycle().enumerate() {
        let name = format!("{worker}-{number}");
        let (bytes, totals) = ready_to_push(profile)?;
        // The name is that of a type without deltas, so what is stored is what was sent.
        let labels = [
            ("__name__", "crash"),
            ("service_name", "crash"),
            ("push", name.as_str()),
        ];
        match client.try_push(&labels, vec![bytes]).await {
            Ok(reply) => {
                reply.ok().with_context(|| format!("push {name}"))?;
                sent.acknowledged.insert(name, totals);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                sent.unknown.insert(name, totals);
                break;
            }
        }
    }
    Ok(sent)
}

/// The profile as of now, compressed, and its totals by profile type.
fn ready_to_push(profile: &Profile) -> anyhow::Result<(Vec<u8>, BTreeMap<String, i64>)> {
    let mut profile = profile.clone();
    profile.time_nanos = now_ns();
    let text = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|i| profile.string_table.get(i))
            .cloned()
    };
    let period = profile
        .period_type
        .context("the profile has a period type")?;
    let period = (
        text(period.r#type).unwrap_or_default(),
        text(period.unit).unwrap_or_default(),
    );
    let full = |(kind, total)| (format!("crash:{kind}:{}:{}", period.0, period.1), total);
    let totals = pprof::totals(&profile)
        .into_iter()
        .filter(|(_, total)| *total > 0)
        .map(full)
        .collect();
    Ok((pprof::gzip(&profile.encode_to_vec())?, totals))
}

/// What is stored, by push and profile type.
async fn stored(client: &Client, types: impl Iterator<Item = &String>) -> anyhow::Result<Totals> {
    let mut found = Totals::new();
    for profile_type in types {
        let mut sum = 0;
        for series in client.series(profile_type, "{}", &["push"]).await? {
            let push = series
                .labels
                .iter()
                .find(|label| label.name == "push")
                .context("a series has its label")?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "totals are integers far below 2^53"
            )]
            let value = series.points.iter().map(|point| point.value).sum::<f64>() as i64;
            found
                .entry(push.value.clone())
                .or_default()
                .insert(profile_type.clone(), value);
            sum += value;
        }
        let total = client.total(profile_type, "{}").await?;
        ensure!(
            total == sum,
            "{profile_type}: the flame graph has {total}, the series have {sum}"
        );
    }
    Ok(found)
}

/// Every acknowledged profile is there as it was sent; of the others each is whole or absent.
async fn check(client: &Client, acknowledged: &Totals, unknown: &Totals) -> anyhow::Result<()> {
    let types: BTreeMap<&String, ()> = acknowledged
        .values()
        .flat_map(|totals| totals.keys())
        .map(|k| (k, ()))
        .collect();
    let found = stored(client, types.keys().copied()).await?;
    for (push, totals) in acknowledged {
        let there = found
            .get(push)
            .with_context(|| format!("profile {push} was acknowledged and is lost"))?;
        ensure!(
            there == totals,
            "profile {push} was {totals:?} and is {there:?}"
        );
    }
    for (push, there) in &found {
        let sent = acknowledged.get(push).or_else(|| unknown.get(push));
        ensure!(
            sent == Some(there),
            "profile {push} is {there:?}, sent was {sent:?}"
        );
    }
    Ok(())
}

/// Pushes profiles one after the other, each with a record of its own in the log.
async fn push_in_turn(client: &Client, names: &[String]) -> anyhow::Result<Totals> {
    let mut all = Totals::new();
    for (number, name) in names.iter().enumerate() {
        let value = i64::try_from(number)? + 1;
        let profile = Pprof::cpu()
            .stack(&["main", &format!("work{number}")], &[value])
            .profile;
        let (bytes, totals) = ready_to_push(&profile)?;
        client
            .push(
                &[
                    ("__name__", "crash"),
                    ("service_name", "crash"),
                    ("push", name),
                ],
                bytes,
            )
            .await?;
        all.insert(name.clone(), totals);
    }
    Ok(all)
}

/// A server on the data of another that has ended.
async fn again(server: &Server) -> anyhow::Result<Server> {
    unlimited().directory(server.directory()).start().await
}
