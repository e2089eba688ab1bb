//! `push.v1.PusherService/Push`.

use phlare_model::TenantId;
use phlare_proto::push::v1::{PushRequest, PushResponse, RawProfileSeries, RawSample};
use phlare_server::{BodyLimit, Context, MethodOptions, Rpc, Status};

use crate::batch::{Sample, Series};
use crate::distributor::Distributor;
use crate::pipeline::Hints;

impl Distributor {
    /// Serves Push, and OTLP's Export.
    pub fn register(&self, rpc: &mut Rpc) {
        // The tenant is not known before the body is read; all have the same limit for now.
        let limit = self.body_limit(&TenantId::anonymous());
        let options = MethodOptions {
            limit: Some(limit),
            ..MethodOptions::default()
        };
        let this = self.clone();
        rpc.unary_with(
            "push.v1.PusherService/Push",
            options,
            move |context: Context, request: PushRequest| {
                let this = this.clone();
                async move { this.push(&context.tenant, request).await }
            },
        );
        self.register_otlp(rpc);
    }

    /// Stores the profiles of a request. Annotations of clients are dropped: they are the server's to make.
    ///
    /// # Errors
    /// Says which profiles were refused, and why; the others are stored all the same.
    pub async fn push(
        &self,
        tenant: &TenantId,
        request: PushRequest,
    ) -> Result<PushResponse, Status> {
        let series = request.series.into_iter().map(Series::from).collect();
        match self.push_all(tenant, series).await {
            Ok(()) => Ok(PushResponse {}),
            Err(failures) => Err(failures.into_status()),
        }
    }

    /// The largest body of a request of this tenant.
    pub(crate) fn body_limit(&self, tenant: &TenantId) -> BodyLimit {
        let bytes = self
            .limits(tenant)
            .ingestion_body_limit_bytes()
            .unwrap_or(usize::MAX);
        BodyLimit {
            bytes,
            name: "ingestion_body_limit_mb",
        }
    }
}

impl From<RawProfileSeries> for Series {
    fn from(series: RawProfileSeries) -> Self {
        let sample = |RawSample { raw_profile, id }| Sample {
            raw: raw_profile,
            id,
        };
        Self {
            labels: series.labels,
            samples: series.samples.into_iter().map(sample).collect(),
            hints: Hints::default(),
        }
    }
}

#[cfg(test)]
mod tests;
