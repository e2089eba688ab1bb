//! OTLP profiles (api.md 4.6): over HTTP at [`PATH`], over gRPC as [`EXPORT`].
//!
//! A request is one batch. If a part of it cannot be stored, the rest is, and the answer is a partial success:
//! collectors send a request that failed again, and what was stored would be stored twice.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use phlare_formats::otlp::{
    self, Converted, Encoding, Export, ExportProfilesPartialSuccess, ExportProfilesServiceResponse,
    Place, Profile, Refused,
};
use phlare_model::TenantId;
use phlare_proto::types::v1::LabelPair;
use phlare_server::{Context, MethodOptions, Rpc, Status, Tenant, text_error};
use prost::Message;
use tracing::debug;

use crate::batch::{Failures, SPELLED_OUT, Sample, Series};
use crate::distributor::Distributor;
use crate::pipeline::Hints;

const PATH: &str = "/v1development/profiles";

const EXPORT: &str = "opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

const PROTOBUF: &str = "application/x-protobuf";

impl Distributor {
    pub(crate) fn otlp_routes(&self) -> Router {
        Router::new()
            .route(PATH, post(export))
            .with_state(self.clone())
    }

    /// The RPC; plain HTTP is served at its path as well.
    pub(crate) fn register_otlp(&self, rpc: &mut Rpc) {
        let options = MethodOptions {
            limit: Some(self.body_limit(&TenantId::anonymous())),
            ..MethodOptions::default()
        };
        let plain = Router::new()
            .route(&format!("/{EXPORT}"), post(export))
            .with_state(self.clone());
        let this = self.clone();
        let export = move |context: Context, body: Bytes| {
            let this = this.clone();
            async move {
                let answer = this.export(&context.tenant, body, Encoding::Protobuf);
                Ok(answer.await?.encode_to_vec().into())
            }
        };
        rpc.foreign(EXPORT, options, plain, export);
    }

    /// Stores the profiles of a request that can be stored.
    ///
    /// # Errors
    /// If it is none, or none of its profiles was stored.
    pub(crate) async fn export(
        &self,
        tenant: &TenantId,
        body: Bytes,
        encoding: Encoding,
    ) -> Result<ExportProfilesServiceResponse, Status> {
        let limits = self.limits(tenant);
        let unlimited = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        let limits = otlp::Limits {
            profile_bytes: unlimited(limits.max_profile_size_bytes),
            total_bytes: limits.ingestion_body_limit_bytes().unwrap_or(usize::MAX),
        };
        let (now_ns, length) = (self.now_ns(), body.len());
        let convert = move || {
            let export = match encoding {
                Encoding::Protobuf => Export::from_protobuf(&body)?,
                Encoding::Json => Export::from_json(&body)?,
            };
            let converted = export.convert(&limits, now_ns)?;
            Ok((converted, export.repaired_strings))
        };
        let done: Result<_, otlp::Error> = self.offload().run(convert).await?;
        let (converted, repaired_strings) = done.inspect_err(|error| {
            self.metrics().discarded(tenant, error.reason(), length);
        })?;
        let metrics = self.metrics();
        metrics.repaired("repaired_string", repaired_strings);
        metrics.repaired("negative_value", converted.negative_values);
        for Refused { error, bytes, .. } in &converted.refused {
            metrics.discarded(tenant, error.reason(), *bytes);
        }
        debug!(
            bytes = length,
            profiles = converted.received,
            refused = converted.refused.len(),
            "export"
        );
        self.store(tenant, converted).await
    }

    async fn store(
        &self,
        tenant: &TenantId,
        converted: Converted,
    ) -> Result<ExportProfilesServiceResponse, Status> {
        let mut rejected = Rejected::new(&converted);
        let (places, series): (Vec<Place>, Vec<Series>) =
            converted.profiles.into_iter().map(of_profile).unzip();
        if !series.is_empty()
            && let Err(failures) = self.push_all(tenant, series).await
        {
            rejected.add(&places, failures);
        }
        rejected.into_answer(&places)
    }
}

fn of_profile(profile: Profile) -> (Place, Series) {
    let Profile {
        place,
        labels,
        pprof,
    } = profile;
    let pair = |(name, value)| LabelPair { name, value };
    let series = Series {
        labels: labels.into_iter().map(pair).collect(),
        samples: vec![Sample {
            raw: pprof.into(),
            id: String::new(),
        }],
        hints: Hints::default(),
    };
    (place, series)
}

/// The profiles that were not stored, or not completely.
struct Rejected {
    received: usize,
    places: BTreeSet<Place>,
    reasons: Vec<(Place, String)>,
    /// If nothing is stored: what kind of failure that is. Its text is made of the reasons.
    status: Status,
}

impl Rejected {
    fn new(converted: &Converted) -> Self {
        let reason = |refused: &Refused| (refused.place, refused.error.to_string());
        Self {
            received: converted.received,
            places: converted
                .refused
                .iter()
                .map(|refused| refused.place)
                .collect(),
            reasons: converted.refused.iter().map(reason).collect(),
            status: Status::invalid_argument(""),
        }
    }

    /// `places` are those of the series that failed or did not.
    fn add(&mut self, places: &[Place], failures: Failures) {
        for (series, reason) in failures.by_series() {
            let Some(&place) = places.get(series) else {
                continue;
            };
            self.places.insert(place);
            self.reasons.push((place, reason));
        }
        if failures.is_of_request() {
            self.places.extend(places);
        }
        self.status = failures.into_status();
    }

    /// `places` are those of all profiles that were to be stored.
    fn into_answer(mut self, places: &[Place]) -> Result<ExportProfilesServiceResponse, Status> {
        if self.places.is_empty() {
            return Ok(ExportProfilesServiceResponse::default());
        }
        let message = self.text();
        if places.iter().all(|place| self.places.contains(place)) {
            return Err(Status {
                message,
                ..self.status
            });
        }
        let partial_success = ExportProfilesPartialSuccess {
            rejected_profiles: i64::try_from(self.places.len()).unwrap_or(i64::MAX),
            error_message: message,
        };
        Ok(ExportProfilesServiceResponse {
            partial_success: Some(partial_success),
        })
    }

    fn text(&mut self) -> String {
        self.reasons.sort_by_key(|(place, _)| *place);
        let (rejected, received) = (self.places.len(), self.received);
        let mut text = format!("{rejected} of {received} profiles were not stored completely");
        for (i, (place, reason)) in self.reasons.iter().take(SPELLED_OUT).enumerate() {
            let separator = if i == 0 { ": " } else { "; " };
            text += &format!("{separator}{place}: {reason}");
        }
        match self.reasons.len().saturating_sub(SPELLED_OUT) {
            0 => text,
            more => text + &format!("; and {more} more"),
        }
    }
}

async fn export(
    State(distributor): State<Distributor>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    match distributor.export_by_http(&tenant, request).await {
        Ok(answer) => {
            let headers = [(CONTENT_TYPE, PROTOBUF)];
            (headers, answer.encode_to_vec()).into_response()
        }
        Err(refusal) => refusal,
    }
}

impl Distributor {
    async fn export_by_http(
        &self,
        tenant: &TenantId,
        request: Request,
    ) -> Result<ExportProfilesServiceResponse, Response> {
        let (parts, body) = request.into_parts();
        let content_type = parts
            .headers
            .get(CONTENT_TYPE)
            .map(|value| value.as_bytes());
        let encoding = match content_type {
            Some(b"application/x-protobuf" | b"application/protobuf") => Encoding::Protobuf,
            Some(b"application/json") => Encoding::Json,
            other => return Err(unsupported(other.unwrap_or_default())),
        };
        let received = self
            .inbound()
            .read(&parts.headers, body, self.body_limit(tenant))
            .await
            .map_err(text_error)?;
        let (body, _reservation) = received.into_parts();
        self.export(tenant, body, encoding)
            .await
            .map_err(text_error)
    }
}

fn unsupported(content_type: &[u8]) -> Response {
    let text = format!(
        "the content type is \"{}\", expected is application/x-protobuf or application/json\n",
        content_type.escape_ascii()
    );
    let headers = [(X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, headers, text).into_response()
}

#[cfg(test)]
mod tests;
