//! `POST /ingest`: what SDKs speak that are older than `push.v1` (api.md 4).

mod form;
mod jfr;
mod params;
mod pprof;
mod sample_types;
mod select;
mod text;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use phlare_model::{Classify, ErrorKind, TenantId};
use phlare_server::{Status, Tenant};
use tracing::debug;

use self::form::Form;
use self::select::{Format, Selection};
use crate::batch::{Failures, Series};
use crate::distributor::Distributor;
use crate::error::Error;

pub use self::params::Params;
pub(crate) use self::sample_types::SampleTypes;

impl Distributor {
    /// `/ingest` and `/pyroscope/ingest`, and OTLP over HTTP.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/ingest", post(ingest))
            .route("/pyroscope/ingest", post(ingest))
            .with_state(self.clone())
            .merge(self.otlp_routes())
    }

    async fn ingest(&self, tenant: &TenantId, request: Request) -> Result<StatusCode, Status> {
        let (parts, body) = request.into_parts();
        let params = Params::read(&parts.uri, self.now_ns())?;
        let received = self
            .inbound()
            .read(&parts.headers, body, self.body_limit(tenant))
            .await?;
        let (body, _reservation) = received.into_parts();
        let content_type = content_type(&parts.headers);
        let selection = Selection::of(&params.format, content_type);
        debug!(
            name = params.app.name,
            ?selection,
            bytes = body.len(),
            "ingest"
        );
        let series = self
            .read(tenant, params, &selection, content_type, body)
            .await?;
        let profiles = series.iter().any(|series| !series.samples.is_empty());
        // A client with nothing to report is a client that works.
        if profiles && let Err(failures) = self.push_all(tenant, series).await {
            return Err(failures.into_plain_status());
        }
        Ok(StatusCode::OK)
    }

    async fn read(
        &self,
        tenant: &TenantId,
        params: Params,
        selection: &Selection,
        content_type: &str,
        body: Bytes,
    ) -> Result<Vec<Series>, Status> {
        let is_form = select::is_form(content_type);
        match selection.format {
            Format::Pprof if is_form => {
                let form = Form::read(content_type, body).await?;
                Ok(pprof::series(params, form)?)
            }
            Format::Pprof => Ok(pprof::series(params, Form::of_profile(body))?),
            Format::Jfr => {
                let upload = match is_form {
                    true => jfr::Upload::of_form(Form::read(content_type, body).await?)?,
                    false => jfr::Upload::of_recording(body),
                };
                let (limits, metrics) = (self.limits(tenant), self.metrics().clone());
                let selection = selection.clone();
                let convert = move || jfr::series(&params, &upload, &selection, &limits, &metrics);
                self.offload().run(convert).await?
            }
            Format::Text(format) => {
                if selection.is_assumed() && body.is_empty() {
                    let error = phlare_formats::Error::Content("there is nothing in it".into());
                    return Err(selection.refusal(&error, &body));
                }
                let (limits, metrics) = (self.limits(tenant), self.metrics().clone());
                let (selection, shown) = (selection.clone(), body.clone());
                let convert = move || text::series(format, &params, &body, &limits, &metrics);
                let converted = self.offload().run(convert).await?;
                converted.map_err(|error| selection.refusal(&error, &shown))
            }
        }
    }
}

async fn ingest(
    State(distributor): State<Distributor>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Result<StatusCode, Status> {
    distributor.ingest(&tenant, request).await
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

impl Failures {
    /// The answer of this route: what the client did wrong is 422 here, for historical reasons.
    fn into_plain_status(self) -> Status {
        let too_large = |error: &Error| {
            matches!(
                error,
                Error::Pprof(phlare_pprof::Error::TooLarge { .. }) | Error::BodySize { .. }
            )
        };
        let too_large = self.errors().any(too_large);
        let duplicate = self
            .errors()
            .any(|error| error.reason() == "duplicate_label_names");
        let about_profile = self
            .errors()
            .all(|error| error.kind() == ErrorKind::InvalidArgument);
        let status = self.into_status();
        let kind = match status.kind {
            _ if !about_profile => status.kind,
            _ if too_large => ErrorKind::PayloadTooLarge,
            _ if duplicate => ErrorKind::InvalidArgument,
            _ => ErrorKind::Unprocessable,
        };
        Status { kind, ..status }
    }
}

#[cfg(test)]
mod tests;
