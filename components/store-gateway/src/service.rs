//! What ingesters tell: `phlare.store.v1.UploadsService`.

use std::fmt;
use std::sync::Arc;

use phlare_block::Meta;
use phlare_block::meta::names;
use phlare_model::{TenantId, chain};
use phlare_proto::phlare::store::v1::{UploadedRequest, UploadedResponse};
use phlare_ring::InstanceId;
use phlare_server::{Rpc, Status};

use crate::gateway::StoreGateway;

/// Hears of uploads in other processes. Cheap to clone.
#[derive(Clone)]
pub struct UploadsService {
    gateway: Arc<StoreGateway>,
    me: InstanceId,
}

impl fmt::Debug for UploadsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadsService")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl UploadsService {
    /// `me`: the name under which the ring has this store-gateway; calls that mean another one are refused.
    #[must_use]
    pub fn new(gateway: Arc<StoreGateway>, me: InstanceId) -> Self {
        Self { gateway, me }
    }

    /// Serves Uploaded.
    ///
    /// # Panics
    /// If it is served already: a mistake in the wiring.
    pub fn register(&self, rpc: &mut Rpc) {
        let this = self.clone();
        rpc.unary(
            "phlare.store.v1.UploadsService/Uploaded",
            move |context, request| {
                let this = this.clone();
                async move { this.uploaded(&context.tenant, &request) }
            },
        );
    }

    /// Adds all blocks, or none if one makes no sense. Told again, it changes nothing.
    fn uploaded(
        &self,
        tenant: &TenantId,
        request: &UploadedRequest,
    ) -> Result<UploadedResponse, Status> {
        phlare_peer::meant(&self.me, &request.instance_id)?;
        let metas = request.blocks.iter();
        let metas = metas.map(|block| Meta::parse(&block.meta_json, names::META));
        let metas: Result<Vec<_>, _> = metas.collect();
        let metas = metas.map_err(|error| Status::invalid_argument(chain(&error)))?;
        for meta in metas {
            self.gateway.add(tenant, meta);
        }
        Ok(UploadedResponse {})
    }
}
