//! Series of all inputs in the order of the result.

use hashbrown::HashMap;
use phlare_model::Labels;

use super::error::CompactError;
use super::inputs::Source;

/// Ranks of series: places in the order of labels over all inputs.
#[derive(Debug)]
pub(super) struct Plan {
    shards: u32,
    /// By rank.
    labels: Vec<Labels>,
    /// By rank; empty if there is one shard.
    shard_of: Vec<u32>,
    /// By input and ordinal.
    ranks: Vec<Vec<u32>>,
}

impl Plan {
    /// Reads the indexes, one after the other.
    pub(super) fn new(sources: &[Source], shards: u32) -> Result<Self, CompactError> {
        let mut ids: HashMap<Labels, u32> = HashMap::new();
        let mut ranks = Vec::with_capacity(sources.len());
        for source in sources {
            let failed = CompactError::input(source.id());
            let index = source.index().map_err(&failed)?;
            let mut of_input = Vec::with_capacity(index.series_count() as usize);
            for ordinal in 0..index.series_count() {
                let labels = index.labels(ordinal).map_err(&failed)?;
                let next = ids.len() as u32;
                of_input.push(*ids.entry(labels).or_insert(next));
            }
            ranks.push(of_input);
        }
        let mut sorted: Vec<_> = ids.into_iter().collect();
        sorted.sort_unstable();
        let mut rank_of = vec![0; sorted.len()];
        for (rank, &(_, id)) in sorted.iter().enumerate() {
            rank_of[id as usize] = rank as u32;
        }
        for rank in ranks.iter_mut().flatten() {
            *rank = rank_of[*rank as usize];
        }
        let labels: Vec<_> = sorted.into_iter().map(|(labels, _)| labels).collect();
        let shard_of = match shards {
            0 | 1 => Vec::new(),
            shards => {
                let shard = |labels: &Labels| labels.fingerprint().get() % u64::from(shards);
                labels.iter().map(|labels| shard(labels) as u32).collect()
            }
        };
        Ok(Self {
            shards,
            labels,
            shard_of,
            ranks,
        })
    }

    pub(super) fn shard_count(&self) -> u32 {
        self.shards
    }

    pub(super) fn labels(&self, rank: u32) -> &Labels {
        &self.labels[rank as usize]
    }

    pub(super) fn shard(&self, rank: u32) -> u32 {
        self.shard_of.get(rank as usize).copied().unwrap_or(0)
    }

    /// The rank of a series of an input; `None` if the input has no such series.
    pub(super) fn rank(&self, input: usize, series: u32) -> Option<u32> {
        self.ranks[input].get(series as usize).copied()
    }
}
