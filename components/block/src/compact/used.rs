//! Which stack traces rows use, by shard.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::Stage;
use super::error::CompactError;

/// Ids of stack traces, as the tables of the inputs have them, by partition, input and shard of the stage. What no row
/// uses has no entry. Compressed: an id costs 2 bytes at most, whatever the file says.
#[derive(Debug, Default)]
pub(super) struct Used {
    pub(super) partitions: BTreeMap<u64, BTreeMap<usize, Vec<Option<RoaringBitmap>>>>,
}

impl Stage<'_> {
    /// Reads all rows once.
    pub(super) fn used(&self) -> Result<Used, CompactError> {
        let mut used = Used::default();
        for (number, source) in self.sources.iter().enumerate() {
            let failed = CompactError::input(source.id());
            let rows = 0..source.profiles.rows();
            let mut scan = source.profiles.scan(rows, self.memory.window);
            let mut at = 0;
            while let Some(row) = scan.next().map_err(&failed)? {
                self.go_on()?;
                let Some(rank) = self.plan.rank(number, row.series) else {
                    return Err(source.bad_row(at, "has a series that the index lacks"));
                };
                if let Some(shard) = self.place(rank) {
                    let bitmap = used.bitmap(row.partition, number, shard, self.shards.len());
                    for &stacktrace in row.stacktraces {
                        let Ok(id) = u32::try_from(stacktrace) else {
                            let problem = "has a stack trace that no partition can have";
                            return Err(source.bad_row(at, problem));
                        };
                        bitmap.insert(id);
                    }
                }
                at += 1;
            }
        }
        Ok(used)
    }

    /// The place among the shards of this stage of the one that has a series.
    pub(super) fn place(&self, rank: u32) -> Option<usize> {
        let shard = self.plan.shard(rank);
        let place = shard.checked_sub(self.shards.start)?;
        self.shards.contains(&shard).then_some(place as usize)
    }
}

impl Used {
    fn bitmap(
        &mut self,
        partition: u64,
        input: usize,
        shard: usize,
        shards: usize,
    ) -> &mut RoaringBitmap {
        let inputs = self.partitions.entry(partition).or_default();
        let of_input = inputs.entry(input).or_insert_with(|| vec![None; shards]);
        of_input[shard].get_or_insert_default()
    }
}
