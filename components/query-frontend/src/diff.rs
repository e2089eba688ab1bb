//! `Diff`: two queries on one flame graph.

use futures_util::future::try_join;
use phlare_model::tree::Tree;
use phlare_model::{MergeQuery, TenantId, diff};
use phlare_proto::querier::v1::{DiffRequest, DiffResponse, FlameGraphDiff};
use phlare_server::Status;

use crate::error::Error;
use crate::frontend::QueryFrontend;
use crate::stacktraces::{cut, stacktraces_query};
use crate::validate::Checks;

/// Two queries; a side that is older than the lookback is `None` and counts as empty.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) left: Option<MergeQuery>,
    pub(crate) right: Option<MergeQuery>,
}

impl QueryFrontend {
    pub(crate) async fn diff(
        &self,
        tenant: TenantId,
        request: DiffRequest,
    ) -> Result<DiffResponse, Status> {
        let limits = self.limits(&tenant);
        let checks = self.checks(&limits);
        let (sides, max_nodes) = self.checked(plan(&checks, request))?;
        let (left, right) = self.both_trees(tenant, sides, max_nodes).await?;
        let flamegraph = self
            .compute(move || flame_graph_diff(&left, &right, max_nodes))
            .await?;
        Ok(DiffResponse {
            flamegraph: Some(flamegraph),
        })
    }

    /// The trees of both sides, asked for at once.
    pub(crate) async fn both_trees(
        &self,
        tenant: TenantId,
        sides: Sides,
        max_nodes: i64,
    ) -> Result<(Tree, Tree), Status> {
        try_join(
            self.tree(tenant.clone(), sides.left, max_nodes),
            self.tree(tenant, sides.right, max_nodes),
        )
        .await
    }
}

/// Each side is cut before they are laid over each other, and the sum once more, as clients have always seen it.
pub(crate) fn flame_graph_diff(left: &Tree, right: &Tree, max_nodes: i64) -> FlameGraphDiff {
    diff::flame_graph_diff(&cut(left, max_nodes), &cut(right, max_nodes), max_nodes)
}

fn plan(checks: &Checks<'_>, request: DiffRequest) -> Result<(Sides, i64), Error> {
    let (left, right) = (
        request.left.unwrap_or_default(),
        request.right.unwrap_or_default(),
    );
    let asked = left
        .max_nodes
        .unwrap_or_default()
        .max(right.max_nodes.unwrap_or_default());
    let sides = Sides {
        left: stacktraces_query(checks, &left)?,
        right: stacktraces_query(checks, &right)?,
    };
    Ok((sides, checks.max_nodes(asked)?))
}
