//! A query-frontend over a made-up store, for tests.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::ready;
use phlare_model::ask::{Answer, Query};
use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, MetadataQuery, ProfileStats};
use phlare_model::tree::Tree;
use phlare_model::{ManualClock, MergeQuery, SeriesQuery, TenantId, TimeSeries};
use phlare_proto::google::v1 as pprof;
use phlare_server::{Offload, Registry};
use phlare_tenancy::{Limits, Overrides};

use crate::frontend::{Deps, QueryFrontend};
use crate::metrics::Metrics;
use crate::querier::{Querier, Reply};

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

fn series(query: &SeriesQuery) -> String {
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
    format!(
        "series {selector} {range} step {step_ms} by {group_by:?} {aggregation:?} call site {call_site:?}"
    )
}

impl Querier for Store {
    fn ask(&self, tenant: TenantId, query: Query) -> Reply<'_> {
        let (question, answer) = match &query {
            Query::LabelNames(query) => (
                format!("names {}", times(query)),
                Answer::Names(self.names.clone()),
            ),
            Query::LabelValues { name, query } => (
                format!("values of {name} {}", times(query)),
                Answer::Names(self.values.clone()),
            ),
            Query::LabelSets { names, query } => (
                format!("series {names:?} {}", times(query)),
                Answer::LabelSets(self.label_sets.clone()),
            ),
            // The limit of nodes is that of the drawing, which tests of the answer see.
            Query::Tree(query) => {
                let query = MergeQuery {
                    max_nodes: 0,
                    ..query.clone()
                };
                let tree = self.tree.clone();
                (format!("tree {}", merge(&query)), Answer::Tree(tree))
            }
            Query::Pprof(query) => {
                let profile = Box::new(self.profile.clone());
                (format!("pprof {}", merge(query)), Answer::Pprof(profile))
            }
            Query::TimeSeries(query) => (series(query), Answer::TimeSeries(self.series.clone())),
            Query::Stats => ("stats".to_owned(), Answer::Stats(self.stats)),
            Query::Analyze(query) => {
                let kind = query.profile_type.as_ref();
                let kind = kind.map_or("any type".to_owned(), ToString::to_string);
                let question = format!("analyze {kind} {}", query.selector);
                (question, Answer::Analysis(self.analysis))
            }
        };
        self.asked
            .lock()
            .unwrap()
            .push(format!("{tenant}: {question}"));
        ready(Ok(answer)).boxed()
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
