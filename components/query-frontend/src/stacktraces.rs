//! `SelectMergeStacktraces` and `SelectMergeSpanProfile`: profiles merged into one call tree.

use std::borrow::Cow;

use phlare_model::ask::Query;
use phlare_model::tree::Tree;
use phlare_model::{MergeQuery, TenantId};
use phlare_proto::querier::v1::{
    FlameGraph, PprofProfile, ProfileFormat, SelectMergeSpanProfileRequest,
    SelectMergeSpanProfileResponse, SelectMergeStacktracesRequest, SelectMergeStacktracesResponse,
};
use phlare_server::Status;

use crate::error::Error;
use crate::frontend::QueryFrontend;
use crate::parse;
use crate::tree_pprof;
use crate::validate::{Checks, Selection};

/// A form that a call tree is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    FlameGraph,
    Tree,
    Pprof,
}

impl QueryFrontend {
    pub(crate) async fn select_merge_stacktraces(
        &self,
        tenant: TenantId,
        request: SelectMergeStacktracesRequest,
    ) -> Result<SelectMergeStacktracesResponse, Status> {
        let limits = self.limits(&tenant);
        let checks = self.checks(&limits);
        let (form, max_nodes, query) = self.checked(plan(&checks, &request))?;
        let mut response = SelectMergeStacktracesResponse::default();
        match form {
            Form::FlameGraph => {
                response.flamegraph = Some(self.flame_graph(tenant, query, max_nodes).await?)
            }
            Form::Tree => response.tree = self.tree_bytes(tenant, query, max_nodes).await?,
            Form::Pprof => {
                let profile = match query {
                    Some(query) if query.spans.is_some() => {
                        self.span_pprof(tenant, query, max_nodes).await?
                    }
                    query => self.export(tenant, query).await?,
                };
                response.pprof = Some(PprofProfile {
                    profile: Some(profile),
                });
            }
        }
        Ok(response)
    }

    pub(crate) async fn select_merge_span_profile(
        &self,
        tenant: TenantId,
        request: SelectMergeSpanProfileRequest,
    ) -> Result<SelectMergeSpanProfileResponse, Status> {
        let limits = self.limits(&tenant);
        let checks = self.checks(&limits);
        let (form, max_nodes, query) = self.checked(span_plan(&checks, &request))?;
        let mut response = SelectMergeSpanProfileResponse::default();
        if form == Form::Tree {
            response.tree = self.tree_bytes(tenant, query, max_nodes).await?;
        } else {
            response.flamegraph = Some(self.flame_graph(tenant, query, max_nodes).await?);
        }
        Ok(response)
    }

    /// The call tree of a query, cut to the limit of nodes; empty if there is nothing to ask.
    pub(crate) async fn tree(
        &self,
        tenant: TenantId,
        query: Option<MergeQuery>,
        max_nodes: i64,
    ) -> Result<Tree, Status> {
        match query {
            Some(query) => {
                let query = MergeQuery { max_nodes, ..query };
                self.ask(tenant, Query::Tree(query)).await
            }
            None => Ok(Tree::new()),
        }
    }

    pub(crate) async fn flame_graph(
        &self,
        tenant: TenantId,
        query: Option<MergeQuery>,
        max_nodes: i64,
    ) -> Result<FlameGraph, Status> {
        let tree = self.tree(tenant, query, max_nodes).await?;
        self.compute(move || flame_graph(&tree, max_nodes)).await
    }

    async fn tree_bytes(
        &self,
        tenant: TenantId,
        query: Option<MergeQuery>,
        max_nodes: i64,
    ) -> Result<Vec<u8>, Status> {
        let tree = self.tree(tenant, query, max_nodes).await?;
        self.compute(move || cut(&tree, max_nodes).to_bytes()).await
    }

    async fn span_pprof(
        &self,
        tenant: TenantId,
        query: MergeQuery,
        max_nodes: i64,
    ) -> Result<phlare_proto::google::v1::Profile, Status> {
        let (kind, end_ms) = (query.profile_type.clone(), query.range.end_ms);
        let tree = self.tree(tenant, Some(query), max_nodes).await?;
        self.compute(move || tree_pprof::from_tree(&cut(&tree, max_nodes), &kind, end_ms))
            .await
    }
}

/// Cut once more where trees of several stores are merged and once where they are drawn, as clients have always seen it.
/// The `other` nodes of the first cut count as nodes in the second, which matters for very small limits.
pub(crate) fn flame_graph(tree: &Tree, max_nodes: i64) -> FlameGraph {
    cut(tree, max_nodes).flame_graph(max_nodes)
}

/// The tree with about `max_nodes` nodes, copied only if it has more; 0 keeps all.
pub(crate) fn cut(tree: &Tree, max_nodes: i64) -> Cow<'_, Tree> {
    let fits =
        max_nodes <= 0 || usize::try_from(max_nodes).is_ok_and(|max_nodes| tree.len() <= max_nodes);
    if fits {
        Cow::Borrowed(tree)
    } else {
        Cow::Owned(tree.truncate(max_nodes))
    }
}

/// The query behind a request for stacks; `None` if it is older than the lookback.
pub(crate) fn stacktraces_query(
    checks: &Checks<'_>,
    request: &SelectMergeStacktracesRequest,
) -> Result<Option<MergeQuery>, Error> {
    let query = checks.merge(Selection {
        profile_type: &request.profile_type_id,
        label_selector: &request.label_selector,
        start: request.start,
        end: request.end,
    })?;
    let spans = parse::spans(&request.span_selector)?;
    let (call_site, go_pgo) = parse::stack_trace_selector(request.stack_trace_selector.as_ref());
    if !request.trace_id_selector.is_empty() {
        return Err(Error::Unsupported {
            what: "`trace_id_selector`",
        });
    }
    if !request.profile_id_selector.is_empty() {
        return Err(Error::Unsupported {
            what: "`profile_id_selector`",
        });
    }
    if !spans.is_empty() && (!call_site.is_empty() || go_pgo.is_some()) {
        return Err(Error::Unsupported {
            what: "`span_selector` together with `stack_trace_selector`",
        });
    }
    Ok(query.map(|query| MergeQuery {
        spans: (!spans.is_empty()).then_some(spans),
        call_site,
        go_pgo,
        ..query
    }))
}

fn plan(
    checks: &Checks<'_>,
    request: &SelectMergeStacktracesRequest,
) -> Result<(Form, i64, Option<MergeQuery>), Error> {
    let asked = request.max_nodes.unwrap_or_default();
    let query = stacktraces_query(checks, request)?;
    let max_nodes = checks.max_nodes(asked)?;
    let form = form(request.format)?;
    let go_pgo = request
        .stack_trace_selector
        .as_ref()
        .is_some_and(|selector| selector.go_pgo.is_some());
    if go_pgo && form != Form::Pprof {
        return Err(Error::GoPgoWithoutPprof);
    }
    // An export without a limit is whole: the default is for drawing.
    Ok((
        form,
        max_nodes,
        query.map(|query| MergeQuery {
            max_nodes: asked.max(0),
            ..query
        }),
    ))
}

fn span_plan(
    checks: &Checks<'_>,
    request: &SelectMergeSpanProfileRequest,
) -> Result<(Form, i64, Option<MergeQuery>), Error> {
    let query = checks.merge(Selection {
        profile_type: &request.profile_type_id,
        label_selector: &request.label_selector,
        start: request.start,
        end: request.end,
    })?;
    let spans = parse::spans(&request.span_selector)?;
    let max_nodes = checks.max_nodes(request.max_nodes.unwrap_or_default())?;
    let form = form(request.format)?;
    if form == Form::Pprof {
        return Err(Error::Unsupported {
            what: "`format` PROFILE_FORMAT_PPROF in SelectMergeSpanProfile",
        });
    }
    // No span selects nothing here; only SelectMergeStacktraces reads it as "all".
    let query = query.filter(|_| !spans.is_empty());
    Ok((
        form,
        max_nodes,
        query.map(|query| MergeQuery {
            spans: Some(spans),
            ..query
        }),
    ))
}

fn form(value: i32) -> Result<Form, Error> {
    match ProfileFormat::try_from(value) {
        Ok(ProfileFormat::Unspecified | ProfileFormat::Flamegraph) => Ok(Form::FlameGraph),
        Ok(ProfileFormat::Tree) => Ok(Form::Tree),
        Ok(ProfileFormat::Pprof) => Ok(Form::Pprof),
        Ok(ProfileFormat::Dot) => Err(Error::Unsupported {
            what: "`format` PROFILE_FORMAT_DOT",
        }),
        Err(_) => Err(Error::UnknownValue {
            field: "format",
            value,
        }),
    }
}

#[cfg(test)]
mod tests;
