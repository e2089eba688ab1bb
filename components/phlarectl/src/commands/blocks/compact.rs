//! `blocks compact`.

use phlare_block::compact::{self, CompactError, Options};
use phlare_block::marks::Mark;
use phlare_block::{BlockIds, meta};
use serde::Serialize;

use super::choose::{Choice, Chosen, choose};
use super::find::Places;
use super::make::{MEMORY_BYTES, Row, Target, Totals, cancellable, or_cancelled, show, sum_up};
use crate::cli::{CompactArgs, Output, UsageError};
use crate::ui;

/// What was made of what. Names and order of the fields are stable.
#[derive(Debug, Serialize)]
struct Report {
    inputs: Vec<Row>,
    outputs: Vec<Row>,
    before: Totals,
    after: Totals,
}

/// Merges blocks. On an error nothing is left of it.
pub(super) async fn run(places: &Places, args: &CompactArgs) -> anyhow::Result<()> {
    let Choice { blocks, damaged } = choose(places, &[Mark::Deletion, Mark::NoCompact]).await?;
    if let Some(first) = damaged.into_iter().next() {
        return Err(first);
    }
    check(&blocks, args.shards)?;
    let target = Target::new(&args.into, &blocks)?;
    let outputs = merge(&target, &blocks, args).await;
    let outputs = outputs.map_err(|error| match error.downcast_ref() {
        Some(CompactError::Cancelled) => error.context("nothing was written"),
        _ => error,
    })?;
    let inputs: Vec<Row> = blocks.iter().map(Row::read).collect();
    let outputs: Vec<Row> = outputs.iter().map(Row::written).collect();
    let report = Report {
        before: Totals::of(inputs.iter()),
        after: Totals::of(outputs.iter()),
        inputs,
        outputs,
    };
    match args.output {
        Output::Json => ui::json(&report)?,
        Output::Table => {
            let inputs = report.inputs.iter().map(|row| ("in", row));
            show(inputs.chain(report.outputs.iter().map(|row| ("out", row))));
            sum_up(&report.before, &report.after);
        }
    }
    Ok(())
}

async fn merge(
    target: &Target,
    blocks: &[Chosen],
    args: &CompactArgs,
) -> anyhow::Result<Vec<compact::Output>> {
    let mut inputs = Vec::with_capacity(blocks.len());
    for block in blocks {
        inputs.push(or_cancelled(target.input(block)).await?);
    }
    let (output, shards, downsample) = (target.directory(), args.shards, args.downsample);
    let work = cancellable(move |cancelled| {
        let mut ids = BlockIds::random();
        let options = Options {
            output,
            shards,
            stage_size: 0,
            downsample,
            memory_bytes: MEMORY_BYTES,
            cancelled,
            ids: &mut |time_ms| ids.at(time_ms),
        };
        compact::compact(&inputs, options)
    });
    work.await
}

/// Refuses what would make blocks that say something else than they are.
fn check(blocks: &[Chosen], shards: u32) -> Result<(), UsageError> {
    let Some(first) = blocks.first() else {
        return Ok(());
    };
    if let ([one], 0..=1) = (blocks, shards) {
        let id = one.meta.id;
        let text =
            format!("{id} is the only block: there is nothing to merge; `rewrite` writes it anew");
        return Err(UsageError(text));
    }
    let labels = |block: &Chosen| {
        let mut labels = block.meta.labels.clone();
        labels.remove(meta::names::HOSTNAME);
        labels
    };
    if let Some(other) = blocks.iter().find(|block| labels(block) != labels(first)) {
        return Err(UsageError(format!(
            "blocks with different labels are not merged: {} has {}, {} has {}; name those that belong together",
            first.meta.id,
            text(&labels(first)),
            other.meta.id,
            text(&labels(other)),
        )));
    }
    if shards > 1 && !first.meta.shard_id().is_empty() {
        let (id, shard) = (first.meta.id, first.meta.shard_id());
        let text = format!("{id} is shard {shard}: what is split is not split again");
        return Err(UsageError(text));
    }
    Ok(())
}

fn text(labels: &std::collections::BTreeMap<String, String>) -> String {
    phlare_model::Labels::from_pairs(labels).to_string()
}
