//! `blocks query`: the questions of `query`, answered without a server.

use std::sync::Arc;

use phlare_block::marks::Mark;
use phlare_phlaredb::{Block, BlockCache};

use super::choose::{Choice, choose};
use super::find::Places;
use crate::cli::BlocksQueryCommand;
use crate::commands::{cardinality, labels, profile, series, timeseries, top};
use crate::source::{Source, Stored};

/// Memory for pieces of blocks that are read more than once.
const CACHE_BYTES: u64 = 256 << 20;

/// Answers out of blocks. What can be read is shown, and what is missing is the command's error.
pub(super) async fn run(
    places: &Places,
    command: &BlocksQueryCommand,
    now_ms: i64,
) -> anyhow::Result<()> {
    let Choice {
        blocks,
        mut damaged,
    } = choose(places, &[Mark::Deletion]).await?;
    let cache = BlockCache::new(CACHE_BYTES);
    let count = blocks.len() + damaged.len();
    let blocks = blocks
        .into_iter()
        .map(|block| Arc::new(Block::new(block.meta, block.found.files(), &cache)));
    let stored = Stored::new(blocks.collect());
    let source = Source::Blocks(stored.clone());
    let now = now_ms;
    match command {
        BlocksQueryCommand::Profile(args) => profile::run(&source, &args.question, now).await,
        BlocksQueryCommand::GoPgo(args) => profile::go_pgo(&source, &args.question, now).await,
        BlocksQueryCommand::Series(args) => series::run(&source, &args.question, now).await,
        BlocksQueryCommand::Timeseries(args) => timeseries::run(&source, &args.question, now).await,
        BlocksQueryCommand::Top(args) => top::run(&source, &args.question, now).await,
        BlocksQueryCommand::LabelValuesCardinality(args) => {
            cardinality::run(&source, &args.question, now).await
        }
        BlocksQueryCommand::Types(args) => labels::types(&source, &args.question, now).await,
    }?;
    damaged.extend(stored.unreadable().map(|why| anyhow::anyhow!("{why}")));
    let bad = damaged.len();
    match damaged.into_iter().next() {
        Some(first) => Err(first.context(format!(
            "the answer lacks {bad} of {count} blocks; the first"
        ))),
        None => Ok(()),
    }
}
