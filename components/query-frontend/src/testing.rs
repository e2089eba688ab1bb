//! A query-frontend over a made-up store, for tests.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::tree::Tree;
use phlare_model::{ManualClock, MergeQuery, SeriesQuery, TenantId, TimeSeries};
use phlare_proto::google::v1 as pprof;
use phlare_server::{Offload, Registry};
use phlare_tenancy::{Limits, Overrides};

use crate::frontend::{Deps, QueryFrontend};
use crate::metrics::Metrics;
use crate::querier::{Answer, Querier};

/// The time of all tests: 2026-01-01.
pub(crate) const NOW_MS: i64 = 1_767_225_600_000;
pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
pub(crate) const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// What a made-up store answers, and what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) names: Vec<String>,
    pub(crate) values: Vec<String>,
    pub(crate) label_sets: Vec<Labels>,
    pub(crate) tree: Tree,
    pub(crate) profile: pprof::Profile,
    pub(crate) series: Vec<TimeSeries>,
    pub(crate) stats: ProfileStats,
    pub(crate) analysis: Analysis,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Store {
    fn answer<T: Clone + Send + 'static>(&self, question: String, answer: &T) -> Answer<'_, T> {
        self.asked.lock().unwrap().push(question);
        let answer = answer.clone();
        async move { Ok(answer) }.boxed()
    }

    /// Everything asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn times(query: &MetadataQuery) -> String {
    let range = query.range.map_or("ever".to_owned(), |range| {
        format!("{}..{}", range.start_ms - NOW_MS, range.end_ms - NOW_MS)
    });
    let selectors: Vec<String> = query.selectors.iter().map(ToString::to_string).collect();
    format!("[{}] {range}", selectors.join(" or "))
}

fn merge(query: &MergeQuery) -> String {
    let MergeQuery {
        selector,
        range,
        spans,
        call_site,
        max_nodes,
        go_pgo,
        ..
    } = query;
    let mut text = format!(
        "{selector} {}..{}",
        range.start_ms - NOW_MS,
        range.end_ms - NOW_MS
    );
    if let Some(spans) = spans {
        text += &format!(" spans {spans:x?}");
    }
    if !call_site.is_empty() {
        text += &format!(" call site {}", call_site.join(";"));
    }
    if *max_nodes != 0 {
        text += &format!(" max nodes {max_nodes}");
    }
    if let Some(pgo) = go_pgo {
        text += &format!(" pgo {} {}", pgo.keep_locations, pgo.aggregate_callees);
    }
    text
}

impl Querier for Store {
    fn label_names(&self, tenant: TenantId, query: MetadataQuery) -> Answer<'_, Vec<String>> {
        self.answer(format!("{tenant}: names {}", times(&query)), &self.names)
    }

    fn label_values(
        &self,
        tenant: TenantId,
        name: String,
        query: MetadataQuery,
    ) -> Answer<'_, Vec<String>> {
        self.answer(
            format!("{tenant}: values of {name} {}", times(&query)),
            &self.values,
        )
    }

    fn series(
        &self,
        tenant: TenantId,
        names: Vec<String>,
        query: MetadataQuery,
    ) -> Answer<'_, Vec<Labels>> {
        self.answer(
            format!("{tenant}: series {names:?} {}", times(&query)),
            &self.label_sets,
        )
    }

    fn select_tree(&self, tenant: TenantId, query: MergeQuery) -> Answer<'_, Tree> {
        // The limit of nodes is that of the drawing, which tests of the answer see.
        let query = MergeQuery {
            max_nodes: 0,
            ..query
        };
        self.answer(format!("{tenant}: tree {}", merge(&query)), &self.tree)
    }

    fn select_pprof(&self, tenant: TenantId, query: MergeQuery) -> Answer<'_, pprof::Profile> {
        self.answer(format!("{tenant}: pprof {}", merge(&query)), &self.profile)
    }

    fn select_series(&self, tenant: TenantId, query: SeriesQuery) -> Answer<'_, Vec<TimeSeries>> {
        let SeriesQuery {
            selector,
            range,
            step_ms,
            group_by,
            aggregation,
            call_site,
            ..
        } = query;
        let range = format!("{}..{}", range.start_ms - NOW_MS, range.end_ms - NOW_MS);
        let question = format!(
            "{tenant}: series {selector} {range} step {step_ms} by {group_by:?} {aggregation:?} call site {call_site:?}"
        );
        self.answer(question, &self.series)
    }

    fn stats(&self, tenant: TenantId) -> Answer<'_, ProfileStats> {
        self.answer(format!("{tenant}: stats"), &self.stats)
    }

    fn analyze(&self, tenant: TenantId, query: AnalyzeQuery) -> Answer<'_, Analysis> {
        let kind = query
            .profile_type
            .map_or("any type".to_owned(), |kind| kind.to_string());
        self.answer(
            format!("{tenant}: analyze {kind} {}", query.selector),
            &self.analysis,
        )
    }
}

/// Several stacks of 6 in total.
pub(crate) fn small_tree() -> Tree {
    let mut tree = Tree::new();
    tree.insert(["main", "a"], 1);
    tree.insert(["main", "b"], 2);
    tree.insert(["idle"], 3);
    tree
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("team").unwrap()
}

pub(crate) fn with_limits(store: &Arc<Store>, limits: Limits) -> QueryFrontend {
    let server = phlare_server::Metrics::register(&mut Registry::default());
    QueryFrontend::new(Deps {
        querier: Arc::<Store>::clone(store),
        overrides: Overrides::fixed(limits),
        clock: Arc::new(ManualClock::at_ns(NOW_MS * 1_000_000)),
        offload: Offload::new("test", 1, 16, &server).unwrap(),
        metrics: Metrics::default(),
    })
}

/// Under default limits.
pub(crate) fn over(store: &Arc<Store>) -> QueryFrontend {
    with_limits(store, Limits::default())
}
