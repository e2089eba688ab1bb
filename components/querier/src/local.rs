//! The store of this process: what [`Querier`] answers from, part by part.

use std::sync::Arc;

use futures_util::FutureExt;
use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::{MergeQuery, SeriesQuery, TenantId, TimeRange};
use phlare_phlaredb::{AnalysisPart, Counted, FoundKeys, PprofParts, SeriesPart};
use phlare_ring::InstanceId;

use crate::querier::{Querier, Which, times_of};
use crate::store::{EncodedTree, ListedBlock, Reply, Share, Store};

/// What this process holds, under the name of its instance.
#[derive(Clone, Debug)]
pub struct LocalStore {
    instance: InstanceId,
    querier: Querier,
}

impl LocalStore {
    /// Answers as `instance` from what `querier` sees.
    #[must_use]
    pub fn new(instance: InstanceId, querier: Querier) -> Self {
        Self { instance, querier }
    }
}

impl Store for LocalStore {
    fn instance(&self) -> &InstanceId {
        &self.instance
    }

    fn keys<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a AnalyzeQuery,
        limit: usize,
    ) -> Reply<'a, FoundKeys> {
        let (which, query) = (Which::of(share, Some(query.range)), query.clone());
        let work = move |view: &_| phlare_phlaredb::View::keys(view, &query, limit);
        self.querier.ask("keys", share.tenant, which, work).boxed()
    }

    fn select_tree<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MergeQuery,
    ) -> Reply<'a, Counted<Vec<EncodedTree>>> {
        let which = Which::of(share, Some(query.range));
        let (query, keys) = (query.clone(), share.keys.map(Arc::clone));
        let work = move |view: &phlare_phlaredb::View| {
            let found = view.tree_parts(&query, keys.as_deref())?;
            let trees = found.answer.iter();
            Ok(Counted {
                answer: trees
                    .map(|(partition, tree)| (*partition, tree.to_bytes()))
                    .collect(),
                profiles: found.profiles,
            })
        };
        self.querier
            .ask("tree_parts", share.tenant, which, work)
            .boxed()
    }

    fn select_pprof<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MergeQuery,
    ) -> Reply<'a, Counted<PprofParts>> {
        let which = Which::of(share, Some(query.range));
        let (query, keys) = (query.clone(), share.keys.map(Arc::clone));
        let work = move |view: &phlare_phlaredb::View| view.pprof_parts(&query, keys.as_deref());
        self.querier
            .ask("pprof_parts", share.tenant, which, work)
            .boxed()
    }

    fn select_series<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a SeriesQuery,
    ) -> Reply<'a, Counted<Vec<SeriesPart>>> {
        let which = Which::of(share, Some(query.times()));
        let (query, keys) = (query.clone(), share.keys.map(Arc::clone));
        let work = move |view: &phlare_phlaredb::View| view.series_parts(&query, keys.as_deref());
        self.querier
            .ask("series_parts", share.tenant, which, work)
            .boxed()
    }

    fn analyze<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a AnalyzeQuery,
    ) -> Reply<'a, Counted<AnalysisPart>> {
        let which = Which::of(share, Some(query.range));
        let (query, keys) = (query.clone(), share.keys.map(Arc::clone));
        let work = move |view: &phlare_phlaredb::View| view.analyze_parts(&query, keys.as_deref());
        self.querier
            .ask("analyze_parts", share.tenant, which, work)
            .boxed()
    }

    fn label_names<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<String>> {
        let (which, query) = (Which::of(share, query.range), query.clone());
        let work = move |view: &phlare_phlaredb::View| view.label_names(&query);
        self.querier
            .ask("label_names", share.tenant, which, work)
            .boxed()
    }

    fn label_values<'a>(
        &'a self,
        share: Share<'a>,
        name: &'a str,
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<String>> {
        let which = Which::of(share, query.range);
        let (query, name) = (query.clone(), name.to_owned());
        let work = move |view: &phlare_phlaredb::View| view.label_values(&name, &query);
        self.querier
            .ask("label_values", share.tenant, which, work)
            .boxed()
    }

    fn series<'a>(
        &'a self,
        share: Share<'a>,
        names: &'a [String],
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<Labels>> {
        let which = Which::of(share, query.range);
        let (query, names) = (query.clone(), names.to_vec());
        let work = move |view: &phlare_phlaredb::View| view.series(&names, &query);
        self.querier
            .ask("series", share.tenant, which, work)
            .boxed()
    }

    fn stats<'a>(&'a self, share: Share<'a>) -> Reply<'a, ProfileStats> {
        let view = self.querier.view(share.tenant, &Which::of(share, None));
        std::future::ready(view.map(|view| times_of(&view))).boxed()
    }

    fn blocks<'a>(
        &'a self,
        tenant: &'a TenantId,
        range: Option<TimeRange>,
    ) -> Reply<'a, Vec<ListedBlock>> {
        self.querier.listed(tenant, range).boxed()
    }
}
