//! What can be asked of several stores.

use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::{MergeQuery, SeriesQuery, TimeRange};
use phlare_phlaredb::{AnalysisPart, Counted, PprofParts, SeriesPart};

use crate::store::{EncodedTree, Reply, Share, Store};

/// A question whose answer is put together from parts.
pub(super) trait Question: Sync {
    /// What one store answers.
    type Part: Send;

    /// As metrics name it.
    const OPERATION: &'static str;

    /// Which profiles are in the answer, if it depends on how often each is counted.
    fn profiles(&self) -> Option<AnalyzeQuery>;

    /// Times of profiles that are in the answer.
    fn range(&self) -> Option<TimeRange> {
        self.profiles().map(|profiles| profiles.range)
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>>;
}

pub(super) struct TreeOf<'q>(pub(super) &'q MergeQuery);

impl Question for TreeOf<'_> {
    type Part = Vec<EncodedTree>;
    const OPERATION: &'static str = "select_tree";

    fn profiles(&self) -> Option<AnalyzeQuery> {
        Some(merged(self.0))
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>> {
        store.select_tree(share, self.0)
    }
}

pub(super) struct PprofOf<'q>(pub(super) &'q MergeQuery);

impl Question for PprofOf<'_> {
    type Part = PprofParts;
    const OPERATION: &'static str = "select_pprof";

    fn profiles(&self) -> Option<AnalyzeQuery> {
        Some(merged(self.0))
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>> {
        store.select_pprof(share, self.0)
    }
}

fn merged(query: &MergeQuery) -> AnalyzeQuery {
    AnalyzeQuery {
        profile_type: Some(query.profile_type.clone()),
        selector: query.selector.clone(),
        range: query.range,
    }
}

pub(super) struct SeriesOf<'q>(pub(super) &'q SeriesQuery);

impl Question for SeriesOf<'_> {
    type Part = Vec<SeriesPart>;
    const OPERATION: &'static str = "select_series";

    fn profiles(&self) -> Option<AnalyzeQuery> {
        Some(AnalyzeQuery {
            profile_type: Some(self.0.profile_type.clone()),
            selector: self.0.selector.clone(),
            range: self.0.times(),
        })
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>> {
        store.select_series(share, self.0)
    }
}

pub(super) struct AnalysisOf<'q>(pub(super) &'q AnalyzeQuery);

impl Question for AnalysisOf<'_> {
    type Part = AnalysisPart;
    const OPERATION: &'static str = "analyze";

    fn profiles(&self) -> Option<AnalyzeQuery> {
        Some(self.0.clone())
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>> {
        store.analyze(share, self.0)
    }
}

pub(super) struct LabelNamesOf<'q>(pub(super) &'q MetadataQuery);

impl Question for LabelNamesOf<'_> {
    type Part = Vec<String>;
    const OPERATION: &'static str = "label_names";

    fn profiles(&self) -> Option<AnalyzeQuery> {
        None
    }

    fn range(&self) -> Option<TimeRange> {
        self.0.range
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>> {
        uncounted(store.label_names(share, self.0))
    }
}

pub(super) struct LabelValuesOf<'q>(pub(super) &'q str, pub(super) &'q MetadataQuery);

impl Question for LabelValuesOf<'_> {
    type Part = Vec<String>;
    const OPERATION: &'static str = "label_values";

    fn profiles(&self) -> Option<AnalyzeQuery> {
        None
    }

    fn range(&self) -> Option<TimeRange> {
        self.1.range
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>> {
        uncounted(store.label_values(share, self.0, self.1))
    }
}

pub(super) struct LabelSetsOf<'q>(pub(super) &'q [String], pub(super) &'q MetadataQuery);

impl Question for LabelSetsOf<'_> {
    type Part = Vec<Labels>;
    const OPERATION: &'static str = "series";

    fn profiles(&self) -> Option<AnalyzeQuery> {
        None
    }

    fn range(&self) -> Option<TimeRange> {
        self.1.range
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>> {
        uncounted(store.series(share, self.0, self.1))
    }
}

pub(super) struct StatsOf;

impl Question for StatsOf {
    type Part = ProfileStats;
    const OPERATION: &'static str = "stats";

    fn profiles(&self) -> Option<AnalyzeQuery> {
        None
    }

    fn ask<'a>(&'a self, store: &'a dyn Store, share: Share<'a>) -> Reply<'a, Counted<Self::Part>> {
        uncounted(store.stats(share))
    }
}

fn uncounted<'a, T: Send + 'a>(reply: Reply<'a, T>) -> Reply<'a, Counted<T>> {
    Box::pin(async move {
        Ok(Counted {
            answer: reply.await?,
            profiles: 0,
        })
    })
}
