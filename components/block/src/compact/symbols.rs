//! Symbols of all inputs, merged partition by partition and written for each shard.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::Stage;
use super::error::CompactError;
use super::inputs::Source;
use super::maps::Maps;
use super::output::Draft;
use super::ranks::{self, Ranks};
use super::subset::{close, subset};
use super::used::Used;
use crate::meta::FileEntry;
use crate::symbols::Symbols;
use crate::symdb::Writer;
use crate::symdb::merge::{PartitionBuilder, UNUSED};

/// What was written for a shard.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) files: Vec<FileEntry>,
    /// By partition, the stack traces among the merged ones that the shard has; a rank is the shard's id. `None` if it
    /// has all, under the merged ids.
    pub(super) nodes: Option<HashMap<u64, Ranks>>,
}

impl Stage<'_> {
    /// Merges and writes; tells `maps` the merged id of each stack trace. With `used`, only what is used.
    pub(super) fn symbols(
        &self,
        used: Option<Used>,
        drafts: &[Draft],
        maps: &mut Maps,
    ) -> Result<Vec<Written>, CompactError> {
        let mut writers = Vec::with_capacity(drafts.len());
        for draft in drafts {
            writers.push(Writer::new(&draft.directory).map_err(CompactError::Output)?);
        }
        let mut written: Vec<Written> = Vec::new();
        written.resize_with(drafts.len(), Written::default);
        match used {
            Some(mut used) => {
                for shard in &mut written {
                    shard.nodes = Some(HashMap::new());
                }
                while let Some((partition, inputs)) = used.partitions.pop_first() {
                    let inputs: Vec<_> = inputs.into_iter().collect();
                    let merged = self.merge_used(partition, &inputs, maps)?;
                    let marked = marked(&merged, partition, &inputs, drafts.len(), maps)?;
                    let shards = marked.into_iter().zip(&mut writers).zip(&mut written);
                    for ((nodes, writer), written) in shards {
                        let Some(nodes) = nodes else { continue };
                        let part = subset(&merged, &nodes).map_err(CompactError::Output)?;
                        let done = writer.partition(partition, &part);
                        done.map_err(CompactError::Output)?;
                        written
                            .nodes
                            .get_or_insert_default()
                            .insert(partition, nodes);
                    }
                }
            }
            None => {
                for partition in self.partitions() {
                    let merged = self.merge(partition, maps)?;
                    for writer in &mut writers {
                        let done = writer.partition(partition, &merged);
                        done.map_err(CompactError::Output)?;
                    }
                }
            }
        }
        for (writer, written) in writers.into_iter().zip(&mut written) {
            written.files = writer.finish().map_err(CompactError::Output)?;
        }
        Ok(written)
    }

    /// Partitions of all inputs, ascending.
    fn partitions(&self) -> BTreeSet<u64> {
        let partitions = |source: &Source| source.symbols.partitions().to_vec();
        self.sources.iter().flat_map(partitions).collect()
    }

    fn merge(&self, partition: u64, maps: &mut Maps) -> Result<Symbols, CompactError> {
        let mut builder = PartitionBuilder::new();
        for (number, source) in self.sources.iter().enumerate() {
            if source
                .symbols
                .partitions()
                .binary_search(&partition)
                .is_ok()
            {
                self.go_on()?;
                let symbols = load(source, partition)?;
                let places = builder.add(&symbols).map_err(CompactError::Output)?;
                maps.insert(number, partition, by_stacktrace(&symbols, places))?;
            }
        }
        Ok(builder.finish())
    }

    fn merge_used(
        &self,
        partition: u64,
        inputs: &[(usize, Vec<Option<RoaringBitmap>>)],
        maps: &mut Maps,
    ) -> Result<Symbols, CompactError> {
        let mut builder = PartitionBuilder::new();
        for (number, shards) in inputs {
            self.go_on()?;
            let source = &self.sources[*number];
            let symbols = load(source, partition)?;
            let mut nodes = ranks::bits(symbols.stacks.len());
            for id in shards.iter().flatten().flatten() {
                match symbols.node(id.into()) {
                    Some(node) => ranks::set(&mut nodes, node),
                    None => return Err(no_stacktrace(source, partition, id)),
                }
            }
            let used = |node: u32| ranks::has(&nodes, node);
            let places = builder.add_used(&symbols, &used);
            let places = places.map_err(CompactError::Output)?;
            maps.insert(*number, partition, by_stacktrace(&symbols, places))?;
        }
        Ok(builder.finish())
    }
}

/// By shard, the nodes of merged symbols that it needs; `None` for one without rows of the partition.
fn marked(
    merged: &Symbols,
    partition: u64,
    inputs: &[(usize, Vec<Option<RoaringBitmap>>)],
    shards: usize,
    maps: &mut Maps,
) -> Result<Vec<Option<Ranks>>, CompactError> {
    let mut marked: Vec<Option<Vec<u64>>> = vec![None; shards];
    for (number, of_input) in inputs {
        let Some(map) = maps.get(*number, partition)? else {
            continue;
        };
        for (bits, used) in marked.iter_mut().zip(of_input) {
            let Some(used) = used else { continue };
            let bits = bits.get_or_insert_with(|| ranks::bits(merged.stacks.len()));
            for id in used {
                ranks::set(bits, map[id as usize]);
            }
        }
    }
    let ranks = marked.into_iter().map(|bits| {
        let mut bits = bits?;
        close(merged, &mut bits);
        Some(Ranks::new(bits))
    });
    Ok(ranks.collect())
}

fn load(source: &Source, partition: u64) -> Result<Symbols, CompactError> {
    let symbols = source.symbols.load(partition);
    symbols.map_err(CompactError::input(source.id()))
}

/// From places of nodes to places of stack traces as the table of profiles has them.
fn by_stacktrace(symbols: &Symbols, places: Vec<u32>) -> Vec<u32> {
    let place = |&node: &u32| places.get(node as usize).copied().unwrap_or(UNUSED);
    match &symbols.stack_nodes {
        Some(nodes) => nodes.iter().map(place).collect(),
        None => places,
    }
}

fn no_stacktrace(source: &Source, partition: u64, id: u32) -> CompactError {
    source.bad_rows(format!(
        "a row has stack trace {id} of partition {partition:016x}, which has no such"
    ))
}
