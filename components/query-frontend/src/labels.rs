//! `ProfileTypes`, `LabelNames`, `LabelValues`, `Series`: what there is to ask for.

use phlare_model::ask::Query;
use phlare_model::labels::{Labels, names};
use phlare_model::profile_type::ProfileType;
use phlare_model::query::MetadataQuery;
use phlare_model::tenant::TenantId;
use phlare_proto::querier::v1::{
    ProfileTypesRequest, ProfileTypesResponse, SeriesRequest, SeriesResponse,
};
use phlare_proto::types::v1::{
    self as proto, LabelNamesRequest, LabelNamesResponse, LabelValuesRequest, LabelValuesResponse,
};
use phlare_server::Status;
use tracing::warn;

use crate::accept::LabelNames;
use crate::error::Error;
use crate::frontend::QueryFrontend;

impl QueryFrontend {
    pub(crate) async fn profile_types(
        &self,
        tenant: TenantId,
        request: ProfileTypesRequest,
    ) -> Result<ProfileTypesResponse, Status> {
        let limits = self.limits(&tenant);
        let query = self.checked(
            self.checks(&limits)
                .metadata(request.start, request.end, &[]),
        )?;
        let ids = self.values(tenant, names::PROFILE_TYPE, query).await?;
        let profile_types = ids
            .iter()
            .filter_map(|id| readable(id))
            .map(|kind| kind.to_proto())
            .collect();
        Ok(ProfileTypesResponse { profile_types })
    }

    pub(crate) async fn label_values(
        &self,
        tenant: TenantId,
        request: LabelValuesRequest,
    ) -> Result<LabelValuesResponse, Status> {
        if request.name.is_empty() {
            return self.checked(Err(Error::EmptyLabelName { field: "name" }));
        }
        let limits = self.limits(&tenant);
        let query = self.checked(self.checks(&limits).metadata(
            request.start,
            request.end,
            &request.matchers,
        ))?;
        Ok(LabelValuesResponse {
            names: self.values(tenant, &request.name, query).await?,
        })
    }

    pub(crate) async fn label_names(
        &self,
        tenant: TenantId,
        request: LabelNamesRequest,
        shown: LabelNames,
    ) -> Result<LabelNamesResponse, Status> {
        let limits = self.limits(&tenant);
        let query = self.checked(self.checks(&limits).metadata(
            request.start,
            request.end,
            &request.matchers,
        ))?;
        let Some(query) = query else {
            return Ok(LabelNamesResponse::default());
        };
        let mut names: Vec<String> = self.ask(tenant, Query::LabelNames(query)).await?;
        names.retain(|name| shown.shows(name));
        Ok(LabelNamesResponse {
            names: sorted(names),
        })
    }

    pub(crate) async fn series(
        &self,
        tenant: TenantId,
        request: SeriesRequest,
        shown: LabelNames,
    ) -> Result<SeriesResponse, Status> {
        let limits = self.limits(&tenant);
        let query = self.checked(self.checks(&limits).metadata(
            request.start,
            request.end,
            &request.matchers,
        ))?;
        let Some(query) = query else {
            return Ok(SeriesResponse::default());
        };
        let names = request.label_names;
        let query = Query::LabelSets { names, query };
        let found: Vec<Labels> = self.ask(tenant, query).await?;
        let visible = found
            .into_iter()
            .map(|labels| shown.shown(labels))
            .collect();
        let labels_set = sorted(visible)
            .iter()
            .map(|labels| proto::Labels {
                labels: labels.to_proto(),
            })
            .collect();
        Ok(SeriesResponse { labels_set })
    }

    /// Values of a label, each once, in order; none if there is nothing to ask.
    pub(crate) async fn values(
        &self,
        tenant: TenantId,
        name: &str,
        query: Option<MetadataQuery>,
    ) -> Result<Vec<String>, Status> {
        match query {
            Some(query) => {
                let name = name.to_owned();
                let values = self.ask(tenant, Query::LabelValues { name, query });
                Ok(sorted(values.await?))
            }
            None => Ok(Vec::new()),
        }
    }
}

/// A stored profile type; every writer checks it, so another text is worth a look.
fn readable(id: &str) -> Option<ProfileType> {
    id.parse()
        .inspect_err(|error| warn!(id, %error, "left out of ProfileTypes"))
        .ok()
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

#[cfg(test)]
mod tests;
