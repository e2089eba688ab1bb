//! `blocks rewrite`.

use anyhow::bail;
use phlare_block::BlockIds;
use phlare_block::compact::{self, CompactError, Options};
use phlare_block::marks::Mark;
use serde::Serialize;

use super::choose::{Choice, Chosen, choose};
use super::find::Places;
use super::make::{MEMORY_BYTES, Row, Target, Totals, cancellable, or_cancelled, show, sum_up};
use crate::cli::{Output, RewriteArgs};
use crate::ui;

/// What became of a block. Names and order of the fields are stable.
#[derive(Debug, Serialize)]
struct Rewritten {
    old: Row,
    /// Nothing, if the block had no rows.
    new: Option<Row>,
}

/// Writes blocks anew, one after the other. The first that cannot be read is the command's error, once the others are done.
pub(super) async fn run(places: &Places, args: &RewriteArgs, now_ms: i64) -> anyhow::Result<()> {
    let Choice {
        blocks,
        mut damaged,
    } = choose(places, &[Mark::Deletion]).await?;
    let count = blocks.len() + damaged.len();
    let target = Target::new(&args.into, &blocks)?;
    let mut ids = BlockIds::random();
    let (mut rewritten, mut is_cancelled) = (Vec::new(), false);
    for block in &blocks {
        match rewrite(&target, block, &mut ids, now_ms).await {
            Ok(new) => rewritten.push(Rewritten {
                old: Row::read(block),
                new: new.as_ref().map(Row::written),
            }),
            Err(error) => match error.downcast_ref() {
                Some(CompactError::Cancelled) => {
                    is_cancelled = true;
                    break;
                }
                Some(CompactError::Input { .. }) => damaged.push(error),
                _ => return Err(error),
            },
        }
    }
    report(&rewritten, args.output)?;
    if is_cancelled {
        bail!(
            "cancelled; {} of {count} blocks were written",
            rewritten.len()
        );
    }
    let bad = damaged.len();
    match damaged.into_iter().next() {
        Some(first) => {
            Err(first.context(format!("{bad} of {count} blocks cannot be read; the first")))
        }
        None => Ok(()),
    }
}

async fn rewrite(
    target: &Target,
    block: &Chosen,
    ids: &mut BlockIds,
    now_ms: i64,
) -> anyhow::Result<Option<compact::Output>> {
    let input = or_cancelled(target.input(block)).await?;
    let output = target.directory();
    // A greater id than the old one: so it is told which of both takes the other's place.
    let id = ids.next(now_ms.max(block.meta.id.time_ms().saturating_add(1)));
    let work = cancellable(move |cancelled| {
        let options = Options {
            output,
            shards: 0,
            stage_size: 0,
            downsample: false,
            memory_bytes: MEMORY_BYTES,
            cancelled,
            ids: &mut |_| id,
        };
        compact::rewrite(&input, options)
    });
    work.await
}

fn report(rewritten: &[Rewritten], output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => ui::json(&rewritten)?,
        Output::Table if rewritten.is_empty() => {}
        Output::Table => {
            let rows = || {
                rewritten.iter().flat_map(|block| {
                    let new = block.new.iter().map(|row| ("new", row));
                    std::iter::once(("old", &block.old)).chain(new)
                })
            };
            let side = |side| rows().filter(move |row| row.0 == side).map(|row| row.1);
            show(rows());
            sum_up(&Totals::of(side("old")), &Totals::of(side("new")));
        }
    }
    Ok(())
}
