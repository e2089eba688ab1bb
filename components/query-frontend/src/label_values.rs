//! `GET /pyroscope/label-values`: the values of one label as a JSON array (api.md 5.1).
//!
//! `label=__name__` lists profile types. Optional, as in the Connect method: `query` with a selector,
//! `from` and `until`.

use axum::response::Response;
use phlare_model::TenantId;
use phlare_model::labels::names;
use phlare_model::query::MetadataQuery;
use phlare_server::Status;

use crate::error::Error;
use crate::frontend::QueryFrontend;
use crate::params::Params;
use crate::parse;
use crate::respond;
use crate::validate::Checks;

impl QueryFrontend {
    pub(crate) async fn plain_label_values(
        &self,
        tenant: TenantId,
        params: &Params,
    ) -> Result<Response, Status> {
        let limits = self.limits(&tenant);
        let (label, query) = self.checked(plan(&self.checks(&limits), params))?;
        let values = self.values(tenant, label, query).await?;
        respond::json(serde_json::to_vec(&values))
    }
}

/// `None` if the range is older than the lookback.
fn plan<'a>(
    checks: &Checks<'_>,
    params: &'a Params,
) -> Result<(&'a str, Option<MetadataQuery>), Error> {
    let label = match params.required("label")? {
        names::NAME => names::PROFILE_TYPE,
        label => label,
    };
    let selectors = match params.get("query") {
        Some(query) => vec![parse::selector("query", query)?],
        None => Vec::new(),
    };
    if params.get("from").is_none() && params.get("until").is_none() {
        return Ok((
            label,
            Some(MetadataQuery {
                selectors,
                range: None,
            }),
        ));
    }
    let from = params.time("from", checks.now_ms)?;
    let until = params.time("until", checks.now_ms)?;
    let range = checks.known_range(from, until)?;
    Ok((
        label,
        range.map(|range| MetadataQuery {
            selectors,
            range: Some(range),
        }),
    ))
}
