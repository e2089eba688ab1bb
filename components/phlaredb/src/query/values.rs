//! Values added up by stack trace.

use rustc_hash::FxHashMap;

use crate::symbols::StacktraceId;

/// A sum for each stack trace. Large zeroed allocations are lazy, so untouched parts cost no memory.
#[derive(Debug, Default)]
pub(crate) struct Values {
    dense: Vec<u64>,
    /// Stack traces beyond the dense ones: those that appeared after the query began, or all of few.
    sparse: FxHashMap<StacktraceId, u64>,
}

impl Values {
    /// For tables with `stacktraces` stack traces, of which many are expected.
    pub(crate) fn dense(stacktraces: usize) -> Self {
        Self {
            dense: vec![0; stacktraces],
            sparse: FxHashMap::default(),
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, stacktrace: StacktraceId, value: u64) {
        match self.dense.get_mut(stacktrace as usize) {
            Some(sum) => *sum = sum.saturating_add(value),
            None => self.add_sparse(stacktrace, value),
        }
    }

    fn add_sparse(&mut self, stacktrace: StacktraceId, value: u64) {
        let sum = self.sparse.entry(stacktrace).or_default();
        *sum = sum.saturating_add(value);
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        for (sum, value) in self.dense.iter_mut().zip(&other.dense) {
            *sum = sum.saturating_add(*value);
        }
        for (stacktrace, value) in other.sparse {
            self.add(stacktrace, value);
        }
        self
    }

    /// The stack traces with a value, the dense ones in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (StacktraceId, u64)> {
        let dense = self
            .dense
            .iter()
            .enumerate()
            .map(|(id, &sum)| (id as StacktraceId, sum));
        dense
            .chain(self.sparse.iter().map(|(&id, &sum)| (id, sum)))
            .filter(|&(_, sum)| sum > 0)
    }
}

/// Something that all profiles of an answer have in common, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Common<T> {
    /// There is no profile yet.
    #[default]
    NoProfile,
    /// All have this one.
    Same(T),
    /// Profiles differ.
    Different,
}

impl<T: PartialEq> Common<T> {
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NoProfile, known) | (known, Self::NoProfile) => known,
            (one, other) if one == other => one,
            _ => Self::Different,
        }
    }

    pub(crate) fn note(&mut self, value: T) {
        *self = match std::mem::take(self) {
            Self::NoProfile => Self::Same(value),
            Self::Same(known) if known == value => Self::Same(known),
            Self::Same(_) | Self::Different => Self::Different,
        };
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Common<U> {
        match self {
            Self::NoProfile => Common::NoProfile,
            Self::Same(value) => Common::Same(change(value)),
            Self::Different => Common::Different,
        }
    }
}
