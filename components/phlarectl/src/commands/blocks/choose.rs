//! Which blocks count if the command line names none.

use std::collections::BTreeSet;

use anyhow::bail;
use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_block::compact::superseded;
use phlare_block::marks::Mark;
use phlare_block::{Meta, meta};

use super::find::{Found, Places};
use crate::ui;

/// Blocks whose `meta.json` are read at the same time.
const AT_ONCE: usize = 16;

/// A block and what its `meta.json` says.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) found: Found,
    pub(super) meta: Meta,
}

/// The blocks to work on, each id once, and why others of them cannot be used.
#[derive(Debug)]
pub(super) struct Choice {
    /// The oldest first.
    pub(super) blocks: Vec<Chosen>,
    /// Of blocks whose `meta.json` is damaged, or missing though the block is named.
    pub(super) damaged: Vec<anyhow::Error>,
}

/// What becomes of a block.
enum Verdict {
    Chosen(Box<Chosen>),
    LeftOut(&'static str),
    Damaged(anyhow::Error),
}

/// Finds the blocks. Of those that are not named by the command line, these are left out, and said so: what is not
/// complete, has one of these marks, or is contained in others.
pub(super) async fn choose(places: &Places, marks: &[Mark]) -> anyhow::Result<Choice> {
    let found = places.find().await?;
    if found.is_empty() {
        bail!("there are no blocks in {}", places.text());
    }
    let verdicts = stream::iter(found)
        .map(|found| async move { judge(found, marks).await })
        .buffered(AT_ONCE);
    let (mut blocks, mut damaged, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for verdict in verdicts.try_collect::<Vec<_>>().await? {
        match verdict {
            Verdict::Chosen(block) => blocks.push(*block),
            Verdict::LeftOut(why) => left_out.push(why),
            Verdict::Damaged(error) => damaged.push(error),
        }
    }
    let replaced = superseded(blocks.iter().map(|block| &block.meta));
    let mut seen = BTreeSet::new();
    blocks.retain(|block| {
        let is_replaced = !block.found.named && replaced.contains(&block.meta.id);
        if is_replaced {
            left_out.push("contained in others");
        }
        !is_replaced && seen.insert(block.meta.id)
    });
    blocks.sort_by_key(|block| (block.meta.min_ms, block.meta.id));
    say(left_out);
    if blocks.is_empty() && damaged.is_empty() {
        bail!(
            "no block is left in {}; name those that are meant",
            places.text()
        );
    }
    Ok(Choice { blocks, damaged })
}

/// A block is judged by its files; a bucket that fails is an error.
async fn judge(found: Found, marks: &[Mark]) -> anyhow::Result<Verdict> {
    if !found.named {
        if !found.has(meta::names::META) {
            return Ok(Verdict::LeftOut("not complete"));
        }
        if let Some(mark) = marks.iter().find(|mark| found.is_marked(**mark)) {
            return Ok(Verdict::LeftOut(match mark {
                Mark::Deletion => "marked for deletion",
                Mark::NoCompact => "marked as not to be compacted",
            }));
        }
    }
    match found.meta().await {
        Ok(meta) => Ok(Verdict::Chosen(Box::new(Chosen { found, meta }))),
        Err(error) if error.is::<phlare_block::Error>() => Ok(Verdict::Damaged(error)),
        Err(error) => Err(error),
    }
}

fn say(mut left_out: Vec<&str>) {
    left_out.sort_unstable();
    for group in left_out.chunk_by(|a, b| a == b) {
        if let Some(why) = group.first() {
            ui::note(&format!("left out: {} blocks {why}", group.len()));
        }
    }
}
