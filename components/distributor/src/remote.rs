//! Ingesters behind the network.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use phlare_model::TenantId;
use phlare_peer::{CallError, Peers, call};
use phlare_proto::phlare::ingest::v1::ingest_service_client::IngestServiceClient;
use phlare_proto::phlare::ingest::v1::{AppendRequest, AppendResponse};
use phlare_ring::Instance;

use crate::replicas::Ingesters;

/// Reaches ingesters over gRPC.
#[derive(Clone, Debug)]
pub struct RemoteIngesters(Peers);

impl RemoteIngesters {
    /// Over these connections.
    #[must_use]
    pub fn new(peers: Peers) -> Self {
        Self(peers)
    }
}

impl Ingesters for RemoteIngesters {
    fn append(
        &self,
        to: Arc<Instance>,
        tenant: TenantId,
        request: AppendRequest,
        within: Duration,
    ) -> BoxFuture<'static, Result<AppendResponse, CallError>> {
        let channel = self.0.channel(&to);
        Box::pin(async move {
            let mut client = IngestServiceClient::new(channel?);
            let send = async move |request| client.append(request).await;
            call(&to, &tenant, within, request, send).await
        })
    }
}
