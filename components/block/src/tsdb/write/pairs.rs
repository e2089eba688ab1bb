//! Label names with values, and which series have which.

use hashbrown::HashMap;

use super::full_above;
use crate::error::Error;
use crate::tsdb::SeriesEntry;

/// All label names with values, each once, in order, and which of them each series has.
pub(super) struct Pairs<'a> {
    /// All names and values, each once, in order.
    pub(super) symbols: Vec<&'a str>,
    pub(super) pairs: Vec<Pair<'a>>,
    /// By pair: how many series have it.
    counts: Vec<u32>,
    series: Vec<OfSeries>,
    /// The pairs of all series, one series after the other.
    of_series: Vec<u32>,
}

/// A label name with a value.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// Of the name and of the value.
    pub(super) symbols: (u32, u32),
}

/// What is known of a series after its labels were read, which is done once.
#[derive(Clone, Copy)]
struct OfSeries {
    fingerprint: u64,
    /// Where its pairs end; they begin with the end of the series before.
    end: usize,
}

impl<'a> Pairs<'a> {
    /// `file` is for messages.
    pub(super) fn collect(series: &'a [SeriesEntry], file: &str) -> Result<Self, Error> {
        full_above(series.len(), u32::MAX as usize, "series")?;
        let mut ids: HashMap<(&str, &str), u32> = HashMap::new();
        let mut of_series = Vec::new();
        let mut ends = Vec::with_capacity(series.len());
        for (at, entry) in series.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &series[before]);
            if let Some(problem) = problem(entry, before) {
                return Err(Error::Unwritable {
                    file: file.to_owned(),
                    problem: format!("series {at} {problem}"),
                });
            }
            for pair in &entry.labels {
                let next = ids.len() as u32;
                of_series.push(*ids.entry(pair).or_insert(next));
            }
            ends.push(OfSeries {
                fingerprint: entry.labels.fingerprint().get(),
                end: of_series.len(),
            });
        }
        // One less, for the entry of all series.
        full_above(ids.len(), u32::MAX as usize - 1, "labels")?;
        let mut sorted: Vec<_> = ids.into_iter().collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()];
        for (rank, &(_, id)) in sorted.iter().enumerate() {
            ranks[id as usize] = rank as u32;
        }
        let mut counts = vec![0; sorted.len()];
        for id in &mut of_series {
            *id = ranks[*id as usize];
            counts[*id as usize] += 1;
        }
        let sorted: Vec<_> = sorted.into_iter().map(|(pair, _)| pair).collect();
        let symbols = symbols(&sorted);
        Ok(Self {
            pairs: pairs(&sorted, &symbols),
            symbols,
            counts,
            series: ends,
            of_series,
        })
    }

    /// The fingerprint of a series, and its pairs in stored order.
    pub(super) fn of(&self, series: usize) -> (u64, &[u32]) {
        let OfSeries { fingerprint, end } = self.series[series];
        let before = series.checked_sub(1);
        let start = before.map_or(0, |before| self.series[before].end);
        (fingerprint, &self.of_series[start..end])
    }
}

/// What is wrong with a series that comes after another.
fn problem(entry: &SeriesEntry, before: Option<&SeriesEntry>) -> Option<&'static str> {
    if before.is_some_and(|before| entry.labels <= before.labels) {
        return Some("does not come after the one before");
    }
    if entry.min_ns > entry.max_ns {
        return Some("ends before it begins");
    }
    let nameless = entry.labels.iter().any(|(name, _)| name.is_empty());
    nameless.then_some("has a label without a name")
}

fn symbols<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    let mut symbols: Vec<_> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
    symbols.sort_unstable();
    symbols.dedup();
    symbols
}

fn pairs<'a>(sorted: &[(&'a str, &'a str)], symbols: &[&str]) -> Vec<Pair<'a>> {
    let symbol = |text: &str| symbols.partition_point(|&symbol| symbol < text) as u32;
    let mut pairs = Vec::with_capacity(sorted.len());
    for values in sorted.chunk_by(|a, b| a.0 == b.0) {
        let name_symbol = symbol(values[0].0);
        pairs.extend(values.iter().map(|&(name, value)| Pair {
            name,
            value,
            symbols: (name_symbol, symbol(value)),
        }));
    }
    pairs
}

/// References to series: all, and those of each pair.
pub(super) struct Postings {
    pub(super) all: Vec<u32>,
    /// Those of the first pair, then those of the second …
    lists: Vec<u32>,
    /// By pair, where in `lists` its next one comes; in the end, where its list ends.
    ends: Vec<usize>,
}

impl Postings {
    pub(super) fn new(series: usize, pairs: &Pairs<'_>) -> Self {
        let starts = pairs.counts.iter().scan(0, |next, &count| {
            let start = *next;
            *next += count as usize;
            Some(start)
        });
        Self {
            all: Vec::with_capacity(series),
            lists: vec![0; pairs.of_series.len()],
            ends: starts.collect(),
        }
    }

    /// The last series of `all` has a pair.
    pub(super) fn add(&mut self, pair: u32) {
        let end = &mut self.ends[pair as usize];
        self.lists[*end] = self.all[self.all.len() - 1];
        *end += 1;
    }

    /// The lists of all pairs.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        ranges.map(|(start, &end)| &self.lists[start..end])
    }
}
