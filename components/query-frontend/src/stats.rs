//! `GetProfileStats` and `AnalyzeQuery`: how much there is.

use phlare_model::ask::Query;
use phlare_model::query::{Analysis, AnalyzeQuery, ProfileStats};
use phlare_model::{TenantId, TimeRange};
use phlare_proto::querier::v1::{
    AnalyzeQueryRequest, AnalyzeQueryResponse, QueryImpact, QueryScope,
};
use phlare_proto::types::v1::{GetProfileStatsRequest, GetProfileStatsResponse};
use phlare_server::Status;

use crate::error::Error;
use crate::frontend::QueryFrontend;
use crate::parse;
use crate::validate::Checks;

/// What ingesters hold.
const SHORT_TERM: &str = "Short term storage";
/// What store-gateways hold.
const LONG_TERM: &str = "Long term storage";

impl QueryFrontend {
    pub(crate) async fn get_profile_stats(
        &self,
        tenant: TenantId,
        _request: GetProfileStatsRequest,
    ) -> Result<GetProfileStatsResponse, Status> {
        let times = self.ask::<ProfileStats>(tenant, Query::Stats).await?.times;
        Ok(times.map_or_else(
            GetProfileStatsResponse::default,
            |TimeRange { start_ms, end_ms }| GetProfileStatsResponse {
                data_ingested: true,
                oldest_profile_time: start_ms,
                newest_profile_time: end_ms,
            },
        ))
    }

    pub(crate) async fn analyze_query(
        &self,
        tenant: TenantId,
        request: AnalyzeQueryRequest,
    ) -> Result<AnalyzeQueryResponse, Status> {
        let limits = self.limits(&tenant);
        if !limits.query_analysis_enabled {
            return Ok(AnalyzeQueryResponse::default());
        }
        let Some(query) = self.checked(plan(&self.checks(&limits), &request))? else {
            return Ok(AnalyzeQueryResponse::default());
        };
        let found: Analysis = self.ask(tenant, Query::Analyze(query)).await?;
        let short_term = QueryScope {
            component_type: SHORT_TERM.to_owned(),
            component_count: 1,
            series_count: found.series,
            profile_count: found.profiles,
            sample_count: found.samples,
            profile_bytes: found.bytes,
            ..QueryScope::default()
        };
        let long_term = QueryScope {
            component_type: LONG_TERM.to_owned(),
            ..QueryScope::default()
        };
        let total_queried_series = if limits.query_analysis_series_enabled {
            found.series
        } else {
            0
        };
        Ok(AnalyzeQueryResponse {
            query_scopes: vec![short_term, long_term],
            query_impact: Some(QueryImpact {
                total_bytes_in_time_range: found.bytes,
                total_queried_series,
                deduplication_needed: false,
            }),
        })
    }
}

/// `None` without a range, or if it is older than the lookback: nothing would be read.
fn plan(checks: &Checks<'_>, request: &AnalyzeQueryRequest) -> Result<Option<AnalyzeQuery>, Error> {
    let (profile_type, selector) = parse::optionally_typed_query("query", &request.query)?;
    if request.start == 0 || request.end == 0 {
        return Ok(None);
    }
    let range = checks.range(request.start, request.end)?;
    Ok(range.map(|range| AnalyzeQuery {
        profile_type,
        selector,
        range,
    }))
}
