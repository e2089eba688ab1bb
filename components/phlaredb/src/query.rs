//! Queries over what a tenant has stored: heads and blocks.
//!
//! Merging works on ids: values are added up by stack trace, and names are looked up once, at the end.

mod calls;
mod head;
mod pprof;
mod series;
mod symbols;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use phlare_model::labels::Labels;
use phlare_model::query::{
    Analysis, AnalyzeQuery, MergeQuery, MetadataQuery, SeriesQuery, TimeRange, TimeSeries,
};
use phlare_model::tree::Tree;
use phlare_proto::google::v1::Profile;

use crate::error::Error;
use crate::head::{Head, Stats};
use series::Totals;
use values::Common;

/// A text that outlives the tables it comes from.
type Text = Box<str>;

/// What a tenant had stored at one moment: every profile once, in a head or in a block. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(crate) heads: Vec<Arc<Head>>,
}

impl View {
    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Whether answers need files.
    #[must_use]
    pub fn has_blocks(&self) -> bool {
        false
    }

    /// The call tree of all matching profiles; with a limit of nodes, the tree of each symbol partition is cut before
    /// they are merged. O(samples + stack traces + nodes).
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn select_tree(&self, query: &MergeQuery) -> Result<Tree, Error> {
        let mut whole = Tree::new();
        for head in &self.heads {
            merge(&mut whole, head::tree(head, query));
        }
        Ok(whole)
    }

    /// One pprof of all matching profiles; without any, the empty profile of api.md 8.4.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn select_pprof(&self, query: &MergeQuery) -> Result<Profile, Error> {
        let mut merge = pprof::Merge::default();
        let mut doc_url = Common::NoProfile;
        for head in &self.heads {
            doc_url = doc_url.and(head::pprof(head, query, &mut merge));
        }
        let doc_url = match &doc_url {
            Common::Same(text) => text,
            Common::NoProfile | Common::Different => "",
        };
        Ok(merge.finish(query, doc_url))
    }

    /// Totals of the matching profiles over time, sorted by labels.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn select_series(&self, query: &SeriesQuery) -> Result<Vec<TimeSeries>, Error> {
        let mut totals = Totals::new(query);
        for head in &self.heads {
            head::totals(head, &mut totals);
        }
        Ok(totals.finish())
    }

    /// How much a query would read.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn analyze(&self, query: &AnalyzeQuery) -> Result<Analysis, Error> {
        let mut analysis = Analysis::default();
        for head in &self.heads {
            let part = head::analyze(head, query);
            analysis.series += part.series;
            analysis.profiles += part.profiles;
            analysis.samples += part.samples;
            analysis.bytes += part.bytes;
        }
        Ok(analysis)
    }

    /// Names of the matching series' labels, sorted.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn label_names(&self, query: &MetadataQuery) -> Result<Vec<String>, Error> {
        let series = self.label_sets(query)?;
        let names: BTreeSet<_> = series
            .iter()
            .flat_map(|labels| labels.iter().map(|(name, _)| name))
            .collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Values of a label in the matching series, sorted.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn label_values(&self, name: &str, query: &MetadataQuery) -> Result<Vec<String>, Error> {
        let series = self.label_sets(query)?;
        let values: BTreeSet<_> = series
            .iter()
            .filter_map(|labels| labels.get(name))
            .collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// Label sets of the matching series, cut to `names` unless that is empty; sorted, each once.
    ///
    /// # Errors
    /// As [`Self::select_tree`].
    pub fn series(&self, names: &[String], query: &MetadataQuery) -> Result<Vec<Labels>, Error> {
        let series = self.label_sets(query)?;
        let sets: BTreeSet<_> = series
            .into_iter()
            .map(|labels| match names {
                [] => labels,
                names => labels.project(names),
            })
            .collect();
        Ok(sets.into_iter().collect())
    }

    /// Times in ms of the oldest and the newest profile; `None` if there is none. Reads no file.
    #[must_use]
    pub fn times_ms(&self) -> Option<(i64, i64)> {
        let heads = self.heads.iter().map(|head| head.stats());
        heads
            .filter_map(
                |Stats {
                     oldest_ms,
                     newest_ms,
                     ..
                 }| oldest_ms.zip(newest_ms),
            )
            .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    fn label_sets(&self, query: &MetadataQuery) -> Result<Vec<Labels>, Error> {
        let heads = self.heads.iter();
        Ok(heads.flat_map(|head| head::labels(head, query)).collect())
    }
}

fn merge(whole: &mut Tree, part: Tree) {
    if whole.is_empty() {
        *whole = part;
    } else {
        whole.merge(&part);
    }
}

/// Inclusive bounds of a time range in ns.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    first_ns: i64,
    last_ns: i64,
}

impl Bounds {
    fn new(range: TimeRange) -> Self {
        Self {
            first_ns: range.start_ms.saturating_mul(1_000_000),
            last_ns: range
                .end_ms
                .saturating_mul(1_000_000)
                .saturating_add(999_999),
        }
    }

    fn contain(self, time_ns: i64) -> bool {
        self.first_ns <= time_ns && time_ns <= self.last_ns
    }

    /// Whether a series with these first and last times may have a profile inside.
    fn overlap(self, times: (i64, i64)) -> bool {
        times.0 <= self.last_ns && self.first_ns <= times.1
    }
}
