//! Values added up by stack trace.

use rustc_hash::FxHashMap;

use crate::symbols::StacktraceId;

/// A sum for each stack trace. Large zeroed allocations are lazy, so untouched parts cost no memory.
#[derive(Debug)]
pub(crate) struct Values {
    dense: Vec<u64>,
    /// Stack traces that appeared after the query began.
    late: FxHashMap<StacktraceId, u64>,
}

impl Values {
    /// For a head with `stacktraces` stack traces.
    pub(crate) fn new(stacktraces: usize) -> Self {
        Self {
            dense: vec![0; stacktraces],
            late: FxHashMap::default(),
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, stacktrace: StacktraceId, value: u64) {
        match self.dense.get_mut(stacktrace as usize) {
            Some(sum) => *sum = sum.saturating_add(value),
            None => self.add_late(stacktrace, value),
        }
    }

    #[cold]
    fn add_late(&mut self, stacktrace: StacktraceId, value: u64) {
        let sum = self.late.entry(stacktrace).or_default();
        *sum = sum.saturating_add(value);
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        for (sum, value) in self.dense.iter_mut().zip(&other.dense) {
            *sum = sum.saturating_add(*value);
        }
        for (stacktrace, value) in other.late {
            self.add_late(stacktrace, value);
        }
        self
    }

    /// The stack traces with a value, those of the start of the query in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (StacktraceId, u64)> {
        let dense = self
            .dense
            .iter()
            .enumerate()
            .map(|(id, &sum)| (id as StacktraceId, sum));
        dense
            .chain(self.late.iter().map(|(&id, &sum)| (id, sum)))
            .filter(|&(_, sum)| sum > 0)
    }
}
