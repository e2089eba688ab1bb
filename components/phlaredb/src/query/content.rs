//! What a profile is, whatever ids its symbols have and whatever process asks.

use std::hash::Hasher as _;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use phlare_block::Error as BlockError;
use phlare_block::profiles::Columns;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh64::Xxh64;

use super::block::{GroupPlan, Plan};
use super::symbols::SymbolTables;
use crate::block::Partition;
use crate::chunk::Samples;
use crate::symbols::{StacktraceId, Symbols};

/// Ends a text in the input of a hash; occurs in no UTF-8 text.
const END: u8 = 0xFF;

/// Sum of the hashes of samples: blocks and heads differ in their order.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn add<S: SymbolTables>(&mut self, symbols: &S, stacktrace: Option<StacktraceId>, value: u64) {
        let mut hasher = Xxh64::new(0);
        for location in stacktrace.into_iter().flat_map(|id| symbols.frames(id)) {
            let row = symbols.location(location);
            hasher.write_u64(row.address);
            text(symbols, symbols.mapping(row.mapping).filename, &mut hasher);
            for line in symbols.lines(location) {
                let function = symbols.function(line.function);
                hasher.write_i64(line.line);
                text(symbols, function.name, &mut hasher);
                text(symbols, function.filename, &mut hasher);
            }
        }
        hasher.write_u64(value);
        self.0 = self.0.wrapping_add(hasher.finish());
    }
}

fn text<S: SymbolTables>(symbols: &S, id: u32, hasher: &mut Xxh64) {
    hasher.write(symbols.text(id).as_bytes());
    hasher.write_u8(END);
}

/// Hashes of stack traces and values of some rows of a block, by row. Reads their samples and symbols.
pub(super) fn of_rows(
    plan: &Plan,
    group: &GroupPlan,
    rows: &[Range<u32>],
) -> Result<FxHashMap<u32, u64>, BlockError> {
    let mut partitions: FxHashMap<u64, Arc<Partition>> = FxHashMap::default();
    for row in rows.iter().cloned().flatten() {
        let id = group.partition(row);
        if let std::collections::hash_map::Entry::Vacant(entry) = partitions.entry(id) {
            entry.insert(plan.block.partition(id)?);
        }
    }
    let mut sums = FxHashMap::default();
    let profiles = plan.block.profiles()?;
    profiles.samples(group.row_group, rows, Columns::default(), &mut |row| {
        let mut sum = Sum::default();
        if let Some(partition) = partitions.get(&group.partition(row.row)) {
            for (&stacktrace, &value) in row.stacktraces.iter().zip(row.values) {
                let node = partition.tables().node(stacktrace);
                sum.add(&**partition, node, u64::try_from(value).unwrap_or_default());
            }
        }
        sums.insert(row.row, sum.0);
        ControlFlow::Continue(())
    })?;
    Ok(sums)
}

/// The same for a profile of a head.
pub(super) fn of_samples(symbols: &Symbols, encoded: &[u8]) -> u64 {
    let mut sum = Sum::default();
    if let Some(samples) = Samples::decode(encoded) {
        samples.for_each(|stacktrace, value| sum.add(symbols, Some(stacktrace), value));
    }
    sum.0
}
