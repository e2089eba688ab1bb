//! What distributors ask of an ingester: `phlare.ingest.v1.IngestService`.

use std::sync::Arc;

use phlare_model::{Classify, SPANS, TenantId, chain};
use phlare_phlaredb::{Append, CarriedRowError, Commit, Row};
use phlare_pprof::Seed;
use phlare_pprof::carried::{Carried, CarriedError};
use phlare_proto::phlare::ingest::v1::{AppendRequest, AppendResponse, Refusal};
use phlare_ring::InstanceId;
use phlare_server::{MethodOptions, Offload, Rpc, Status};
use tracing::{Instrument, info_span};

use crate::error::Error;
use crate::ingester::Ingester;

/// Largest profile after decompression. A distributor's own limits are far below.
const MAX_PROFILE: u64 = 256 << 20;

/// Serves an ingester to other processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IngestService {
    ingester: Arc<Ingester>,
    /// Where profiles are decoded.
    offload: Offload,
    /// Key of content hashes: that of the databases.
    seed: Seed,
    me: InstanceId,
}

/// A request that a distributor of this version does not make.
#[derive(Debug, thiserror::Error)]
enum BadRequest {
    #[error("carried profile: zstd: {0}")]
    Zstd(&'static str),
    #[error("carried profile: {claimed} bytes uncompressed, {MAX_PROFILE} are allowed")]
    TooLarge { claimed: u64 },
    #[error(transparent)]
    Profile(#[from] CarriedError),
    #[error(transparent)]
    Row(#[from] CarriedRowError),
}

impl IngestService {
    /// `me`: the name under which the ring has this ingester; calls that mean another one are refused.
    #[must_use]
    pub fn new(ingester: Arc<Ingester>, offload: Offload, seed: Seed, me: InstanceId) -> Self {
        Self {
            ingester,
            offload,
            seed,
            me,
        }
    }

    /// Serves Append.
    ///
    /// # Panics
    /// If it is served already: a mistake in the wiring.
    pub fn register(&self, rpc: &mut Rpc) {
        let this = self.clone();
        rpc.unary_with(
            "phlare.ingest.v1.IngestService/Append",
            MethodOptions::default(),
            move |context, request| {
                let this = this.clone();
                async move { this.append(context.tenant, request).await }
            },
        );
    }

    async fn append(
        &self,
        tenant: TenantId,
        request: AppendRequest,
    ) -> Result<AppendResponse, Status> {
        phlare_peer::meant(&self.me, &request.instance_id)?;
        let this = self.clone();
        let stored = self
            .offload
            .run(move || this.store(&tenant, &request))
            .await?;
        let outcome = match stored? {
            Ok(commit) => {
                let durable = info_span!(target: SPANS, "Wal.Commit");
                commit.wait().instrument(durable).await.map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        Ok(AppendResponse {
            refusal: outcome.err().map(|error| refusal(&error)),
        })
    }

    /// The part that computes.
    fn store(
        &self,
        tenant: &TenantId,
        request: &AppendRequest,
    ) -> Result<Result<Commit, Error>, Status> {
        let bad = |error: BadRequest| Status::invalid_argument(chain(&error));
        let bytes = uncompressed(&request.profile).map_err(bad)?;
        let carried = Carried::decode(&bytes, self.seed).map_err(|error| bad(error.into()))?;
        let profile = carried.normalized();
        let rows = Row::from_wire(&request.rows, &profile).map_err(|error| bad(error.into()))?;
        let append = Append {
            profile: &profile,
            rows: &rows,
        };
        Ok(self.ingester.append(tenant, &append))
    }
}

fn uncompressed(profile: &[u8]) -> Result<Vec<u8>, BadRequest> {
    let claimed = zstd::zstd_safe::get_frame_content_size(profile);
    let claimed = claimed
        .ok()
        .flatten()
        .ok_or(BadRequest::Zstd("no frame that says its size"))?;
    if claimed > MAX_PROFILE {
        return Err(BadRequest::TooLarge { claimed });
    }
    let bytes = zstd::bulk::decompress(profile, claimed as usize);
    bytes.map_err(|_| BadRequest::Zstd("damaged"))
}

fn refusal(error: &Error) -> Refusal {
    let retry_after = error.retry_after().unwrap_or_default();
    Refusal {
        kind: error.kind().as_str().to_owned(),
        message: chain(error),
        reason: error.reason().to_owned(),
        retry_after_ms: u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX),
    }
}
