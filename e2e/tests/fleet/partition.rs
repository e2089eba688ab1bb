//! A zone that is cut off from the others (field report B35).

use anyhow::ensure;
use phlare_e2e::client::CPU;
use phlare_e2e::netns::{Halves, Namespace};
use phlare_e2e::{Client, Pprof, now_ns, until};

use crate::load::{Load, all_acknowledged, check, settings};
use crate::unclean::{impatient, ingesters, knows};

/// What is in the zone.
const FAR: [&str; 4] = [
    "ingester-c-0",
    "store-gateway-1",
    "distributor-1",
    "querier-1",
];

#[test]
fn a_zone_that_is_cut_off_forgets_nobody_and_comes_back() -> anyhow::Result<()> {
    if !Namespace::allowed()? {
        return Ok(());
    }
    let halves = Halves::new()?;
    halves.near.block_on(async || cut_and_mend(&halves).await)
}

async fn cut_and_mend(halves: &Halves) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = impatient(settings(&directory)).halves(halves, &FAR);
    let mut fleet = Box::pin(settings.start()).await?;
    let load = Load::begin(&fleet)?;
    load.more(20).await;
    halves.cut()?;
    load.more(20).await;
    until("the majority forgets the zone", async || {
        Ok(!knows(&fleet, "distributor-0", FAR[0]).await?)
    })
    .await?;
    let [ingester, distributor, querier] =
        [FAR[0], FAR[2], FAR[3]].map(|name| fleet.url(name).to_owned());
    halves
        .far
        .visit(async move || minority(&ingester, &distributor, &querier).await)
        .await?;
    load.more(20).await;
    let mut pushed = load.end().await?;
    all_acknowledged(&pushed)?;
    check(&fleet, "querier-0", &pushed).await?;
    halves.mend()?;
    fleet.settled().await?;
    let load = Load::after(&fleet, ["distributor-1", "distributor-0"], &pushed)?;
    load.more(20).await;
    pushed.add(load.end().await?);
    all_acknowledged(&pushed)?;
    for querier in ["querier-0", "querier-1"] {
        check(&fleet, querier, &pushed).await?;
    }
    fleet.down().await
}

/// What the zone sees: it keeps all in its rings, and refuses rather than to answer with gaps.
async fn minority(ingester: &str, distributor: &str, querier: &str) -> anyhow::Result<()> {
    let client = Client::new(ingester)?;
    until("the zone sees that the others are away", async || {
        let ingesters = ingesters(&client).await?;
        ensure!(ingesters.len() == 3, "it forgot some: {ingesters:?}");
        Ok(ingesters.iter().filter(|(_, healthy)| !healthy).count() == 2)
    })
    .await?;
    let labels = [("__name__", "process_cpu"), ("service_name", "cut-off")];
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[1]).bytes();
    let reply = Client::new(distributor)?
        .try_push(&labels, vec![profile])
        .await?;
    ensure!(
        reply.status == 503,
        "push: {} {}",
        reply.status,
        reply.text()
    );
    let total = Client::new(querier)?.total(CPU, "{}").await;
    ensure!(total.is_err(), "an answer with gaps: {total:?}");
    Ok(())
}
