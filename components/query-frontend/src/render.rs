//! `GET /pyroscope/render`: one query as a picture's data (api.md 5).
//!
//! Forms: the JSON of [`phlare_model::flamebearer`], or `format=dot`. Other values of `format` have always
//! been answered as JSON, so what we add has a parameter of its own: `output=json|dot|collapsed|pprof`.

use std::collections::BTreeMap;

use axum::response::Response;
use futures_util::future::try_join;
use phlare_model::flamebearer::{FlamebearerProfile, Meaning, Timeline};
use phlare_model::query::Aggregation;
use phlare_model::{MergeQuery, ProfileType, SeriesQuery, TenantId, TimeRange, TimeSeries, dot};
use phlare_server::Status;
use prost::Message as _;

use crate::error::Error;
use crate::frontend::QueryFrontend;
use crate::params::Params;
use crate::parse;
use crate::respond;
use crate::stacktraces::{cut, flame_graph};
use crate::timeline::Grid;
use crate::validate::{Checks, all_stacks};

/// Nodes of a dot graph when none are asked for.
const DOT_NODES: i64 = 100;
/// Nodes of the profile that a dot graph is drawn from, at least.
const DOT_SOURCE_NODES: i64 = 512;
/// The group of series without the label that groups.
const NO_VALUE: &str = "*";

/// A form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Json,
    Dot,
    Collapsed,
    Pprof,
}

impl Output {
    fn of(params: &Params) -> Result<Self, Error> {
        match params.get("output") {
            None if params.get("format") == Some("dot") => Ok(Self::Dot),
            None | Some("json") => Ok(Self::Json),
            Some("dot") => Ok(Self::Dot),
            Some("collapsed") => Ok(Self::Collapsed),
            Some("pprof") => Ok(Self::Pprof),
            Some(output) => Err(Error::Output {
                output: output.to_owned(),
                known: "`json`, `dot`, `collapsed` or `pprof`",
            }),
        }
    }
}

/// A checked request.
#[derive(Debug)]
struct Plan {
    output: Output,
    /// As asked, 0 if not.
    asked_nodes: i64,
    max_nodes: i64,
    merge: Option<MergeQuery>,
    /// `None` if it is older than the lookback.
    series: Option<SeriesQuery>,
    grid: Grid,
    kind: ProfileType,
}

impl QueryFrontend {
    pub(crate) async fn render(
        &self,
        tenant: TenantId,
        params: &Params,
    ) -> Result<Response, Status> {
        let limits = self.limits(&tenant);
        let plan = self.checked(plan(&self.checks(&limits), params))?;
        match plan.output {
            Output::Json => self.render_json(tenant, plan).await,
            Output::Dot => self.render_dot(tenant, plan).await,
            Output::Collapsed => self.render_collapsed(tenant, plan).await,
            Output::Pprof => self.render_pprof(tenant, plan).await,
        }
    }

    async fn render_json(&self, tenant: TenantId, plan: Plan) -> Result<Response, Status> {
        let Plan {
            max_nodes,
            merge,
            series,
            grid,
            kind,
            ..
        } = plan;
        let label = series
            .as_ref()
            .and_then(|query| query.group_by.first().cloned());
        let (tree, found) = try_join(
            self.tree(tenant.clone(), merge, max_nodes),
            self.time_series(tenant, series),
        )
        .await?;
        let json = self.compute(move || {
            let only = if let [series] = &found[..] {
                Some(series)
            } else {
                None
            };
            let groups = label.map(|label| groups(&found, &label, &grid));
            let graph = flame_graph(&tree, max_nodes);
            serde_json::to_vec(&FlamebearerProfile::single(
                graph,
                Meaning::from(&kind),
                Some(grid.timeline(only)),
                groups,
            ))
        });
        respond::json(json.await?)
    }

    async fn render_dot(&self, tenant: TenantId, plan: Plan) -> Result<Response, Status> {
        let nodes = if plan.asked_nodes > 0 {
            plan.max_nodes
        } else {
            DOT_NODES
        };
        let source = nodes.max(DOT_SOURCE_NODES);
        let query = plan.merge.map(|query| MergeQuery {
            max_nodes: source,
            ..query
        });
        let profile = self.export(tenant, query).await?;
        if profile.sample.is_empty() {
            return Ok(respond::text(String::new()));
        }
        Ok(respond::text(
            self.compute(move || dot::render(&profile, nodes)).await?,
        ))
    }

    async fn render_collapsed(&self, tenant: TenantId, plan: Plan) -> Result<Response, Status> {
        let tree = self.tree(tenant, plan.merge, plan.asked_nodes).await?;
        Ok(respond::text(
            self.compute(move || cut(&tree, plan.asked_nodes).collapsed())
                .await?,
        ))
    }

    async fn render_pprof(&self, tenant: TenantId, plan: Plan) -> Result<Response, Status> {
        let query = plan.merge.map(|query| MergeQuery {
            max_nodes: plan.asked_nodes,
            ..query
        });
        let profile = self.export(tenant, query).await?;
        Ok(respond::pprof(
            self.compute(move || profile.encode_to_vec()).await?,
        ))
    }
}

fn plan(checks: &Checks<'_>, params: &Params) -> Result<Plan, Error> {
    let (kind, selector) = parse::typed_query("query", params.required("query")?)?;
    let from = params.time("from", checks.now_ms)?;
    let until = params.time("until", checks.now_ms)?;
    let range = checks.known_range(from, until)?;
    let asked_nodes = params.max_nodes();
    let max_nodes = checks.max_nodes(asked_nodes)?;
    let output = Output::of(params)?;
    let grid = Grid::over(range.unwrap_or(TimeRange {
        start_ms: from,
        end_ms: until,
    }));
    checks.points(grid.range, grid.step_ms)?;
    let average = params.get("aggregation") == Some("avg");
    let series = range.map(|_| SeriesQuery {
        profile_type: kind.clone(),
        selector: selector.clone(),
        range: grid.range,
        step_ms: grid.step_ms,
        group_by: params
            .get("groupBy")
            .map(str::to_owned)
            .into_iter()
            .collect(),
        aggregation: if average {
            Aggregation::Average
        } else {
            Aggregation::Sum
        },
        call_site: Vec::new(),
    });
    let merge = range.map(|range| all_stacks(kind.clone(), selector, range));
    Ok(Plan {
        output,
        asked_nodes,
        max_nodes,
        merge,
        series,
        grid,
        kind,
    })
}

fn groups(found: &[TimeSeries], label: &str, grid: &Grid) -> BTreeMap<String, Timeline> {
    found
        .iter()
        .map(|series| {
            (
                series.labels.get(label).unwrap_or(NO_VALUE).to_owned(),
                grid.timeline(Some(series)),
            )
        })
        .collect()
}
