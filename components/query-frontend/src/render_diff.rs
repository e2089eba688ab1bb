//! `GET /pyroscope/render-diff`: two queries laid over each other (api.md 5).
//!
//! The JSON of [`phlare_model::flamebearer`]. Our additions, with the parameter `output`: `collapsed`, lines of
//! `stack left right` as flame graph scripts read them, and `pprof`, the profile that
//! `go tool pprof -diff_base` makes of both sides.

use std::collections::BTreeMap;

use axum::response::Response;
use phlare_model::TenantId;
use phlare_model::flamebearer::{FlamebearerProfile, Meaning};
use phlare_model::profile_type::ProfileType;
use phlare_model::tree::Tree;
use phlare_server::Status;
use prost::Message as _;

use crate::diff::{Sides, flame_graph_diff};
use crate::error::Error;
use crate::frontend::QueryFrontend;
use crate::params::Params;
use crate::parse;
use crate::respond;
use crate::stacktraces::cut;
use crate::tree_pprof;
use crate::validate::{Checks, all_stacks};

/// A form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Json,
    Collapsed,
    Pprof,
}

/// A checked request.
#[derive(Debug)]
struct Plan {
    output: Output,
    /// As asked, 0 if not.
    asked_nodes: i64,
    max_nodes: i64,
    sides: Sides,
    kind: ProfileType,
    /// End of the right side.
    end_ms: i64,
}

impl QueryFrontend {
    pub(crate) async fn render_diff(
        &self,
        tenant: TenantId,
        params: &Params,
    ) -> Result<Response, Status> {
        let limits = self.limits(&tenant);
        let Plan {
            output,
            asked_nodes,
            max_nodes,
            sides,
            kind,
            end_ms,
        } = self.checked(plan(&self.checks(&limits), params))?;
        let (left, right) = self.both_trees(tenant, sides, max_nodes).await?;
        match output {
            Output::Json => {
                let json = self.compute(move || {
                    let graph = flame_graph_diff(&left, &right, max_nodes);
                    serde_json::to_vec(&FlamebearerProfile::double(graph, Meaning::from(&kind)))
                });
                respond::json(json.await?)
            }
            Output::Collapsed => {
                let text = self.compute(move || {
                    collapsed(&cut(&left, asked_nodes), &cut(&right, asked_nodes))
                });
                Ok(respond::text(text.await?))
            }
            Output::Pprof => {
                let bytes = self.compute(move || {
                    let (left, right) = (cut(&left, asked_nodes), cut(&right, asked_nodes));
                    tree_pprof::from_diff(&left, &right, &kind, end_ms).encode_to_vec()
                });
                Ok(respond::pprof(bytes.await?))
            }
        }
    }
}

fn plan(checks: &Checks<'_>, params: &Params) -> Result<Plan, Error> {
    let (left_kind, left) = parse::typed_query("leftQuery", params.required("leftQuery")?)?;
    let (kind, right) = parse::typed_query("rightQuery", params.required("rightQuery")?)?;
    if left_kind != kind {
        return Err(Error::DifferentTypes {
            left: left_kind.to_string(),
            right: kind.to_string(),
        });
    }
    let side = |from: &'static str, until: &'static str, selector| {
        let from = params.time(from, checks.now_ms)?;
        let until = params.time(until, checks.now_ms)?;
        let range = checks.known_range(from, until)?;
        Ok::<_, Error>(range.map(|range| all_stacks(kind.clone(), selector, range)))
    };
    let left = side("leftFrom", "leftUntil", left)?;
    let right = side("rightFrom", "rightUntil", right)?;
    let end_ms = params.time("rightUntil", checks.now_ms)?;
    let asked_nodes = params.max_nodes();
    let max_nodes = checks.max_nodes(asked_nodes)?;
    let output = output(params)?;
    Ok(Plan {
        output,
        asked_nodes,
        max_nodes,
        sides: Sides { left, right },
        kind,
        end_ms,
    })
}

fn output(params: &Params) -> Result<Output, Error> {
    match params.get("output") {
        None | Some("json") => Ok(Output::Json),
        Some("collapsed") => Ok(Output::Collapsed),
        Some("pprof") => Ok(Output::Pprof),
        Some(output) => Err(Error::Output {
            output: output.to_owned(),
            known: "`json`, `collapsed` or `pprof`",
        }),
    }
}

/// Lines of `stack left right`, sorted by stack.
fn collapsed(left: &Tree, right: &Tree) -> String {
    let mut stacks: BTreeMap<&str, [&str; 2]> = BTreeMap::new();
    let (left, right) = (left.collapsed(), right.collapsed());
    for (side, text) in [&left, &right].into_iter().enumerate() {
        for (stack, value) in text.lines().filter_map(|line| line.rsplit_once(' ')) {
            stacks.entry(stack).or_insert(["0", "0"])[side] = value;
        }
    }
    stacks
        .into_iter()
        .map(|(stack, [left, right])| format!("{stack} {left} {right}\n"))
        .collect()
}
