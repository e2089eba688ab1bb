//! An address changes hands (field report B36).

use phlare_e2e::until;

use crate::load::{Load, Pushed, all_acknowledged, check, rounds, settings};

/// In turn, the one before leaves in order, or dies and comes back elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn an_ingester_at_the_address_of_another_answers_for_itself_only() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut fleet = Box::pin(settings(&directory).start()).await?;
    let doors = ["distributor-0", "distributor-1"];
    let mut pushed = Pushed::default();
    let mut before = "ingester-a-0".to_owned();
    for round in 1..=rounds(4) {
        let load = Load::after(&fleet, doors, &pushed)?;
        load.more(15).await;
        let dies = round % 2 == 1;
        if dies {
            fleet.kill(&before)?;
        } else {
            fleet.stop(&before).await?;
        }
        let after = format!("ingester-a-{round}");
        fleet.take_over(&before, &after).await?;
        load.more(15).await;
        if dies {
            // Rings still have it at this address; the log names who was meant and who answered.
            let refusal = format!("this is `{after}`, and the call is for `{before}`");
            let what = format!("a distributor is told: {refusal}");
            until(&what, async || {
                let logs = [fleet.log(doors[0])?, fleet.log(doors[1])?];
                Ok(logs.iter().any(|log| log.contains(&refusal)))
            })
            .await?;
        }
        pushed.add(load.end().await?);
        all_acknowledged(&pushed)?;
        check(&fleet, "querier-0", &pushed).await?;
        if dies {
            let load = Load::after(&fleet, doors, &pushed)?;
            fleet.move_away(&before)?;
            fleet.restart(&before).await?;
            load.more(15).await;
            pushed.add(load.end().await?);
            all_acknowledged(&pushed)?;
        }
        check(&fleet, "querier-1", &pushed).await?;
        before = after;
    }
    fleet.settled().await?;
    check(&fleet, "querier-0", &pushed).await?;
    fleet.down().await
}
