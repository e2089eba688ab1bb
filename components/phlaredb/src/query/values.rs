//! Values added up by stack trace.

use rustc_hash::FxHashMap;

use crate::symbols::{StacktraceId, StringId};

/// A sum for each stack trace. Large zeroed allocations are lazy, so untouched parts cost no memory.
#[derive(Debug)]
pub(crate) struct Values {
    dense: Vec<u64>,
    /// Stack traces that appeared after the query began.
    late: FxHashMap<StacktraceId, u64>,
    doc_url: DocUrl,
}

/// The link to documentation of all profiles together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DocUrl {
    NoProfile,
    Same(StringId),
    Different,
}

impl DocUrl {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NoProfile, known) | (known, Self::NoProfile) => known,
            (one, other) if one == other => one,
            _ => Self::Different,
        }
    }
}

impl Values {
    /// For a head with `stacktraces` stack traces.
    pub(crate) fn new(stacktraces: usize) -> Self {
        Self {
            dense: vec![0; stacktraces],
            late: FxHashMap::default(),
            doc_url: DocUrl::NoProfile,
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, stacktrace: StacktraceId, value: u64) {
        match self.dense.get_mut(stacktrace as usize) {
            Some(sum) => *sum = sum.saturating_add(value),
            None => self.add_late(stacktrace, value),
        }
    }

    /// Notes the link to documentation of one of the profiles.
    pub(crate) fn note_doc_url(&mut self, doc_url: StringId) {
        self.doc_url = self.doc_url.and(DocUrl::Same(doc_url));
    }

    /// The link to documentation, if all profiles have the same.
    pub(crate) fn doc_url(&self) -> Option<StringId> {
        match self.doc_url {
            DocUrl::Same(doc_url) => Some(doc_url),
            DocUrl::NoProfile | DocUrl::Different => None,
        }
    }

    #[cold]
    fn add_late(&mut self, stacktrace: StacktraceId, value: u64) {
        let sum = self.late.entry(stacktrace).or_default();
        *sum = sum.saturating_add(value);
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.doc_url = self.doc_url.and(other.doc_url);
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
