//! A store in another process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::{MergeQuery, SeriesQuery, TenantId, TimeRange};
use phlare_peer::{Channel, Peers, queries};
use phlare_phlaredb::{AnalysisPart, Counted, FoundKeys, PprofParts, SeriesPart};
use phlare_proto::phlare::store::v1 as proto;
use phlare_proto::phlare::store::v1::store_service_client::StoreServiceClient;
use phlare_ring::{Instance, InstanceId};
use phlare_server::Status;
use tonic::{Request, Response};

use crate::config::Config;
use crate::store::{EncodedTree, ListedBlock, Reply, Share, Store};
use crate::wire;

/// A store in another process.
pub struct RemoteStore {
    instance: Arc<Instance>,
    client: StoreServiceClient<Channel>,
    timeout: Duration,
}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStore")
            .field("instance", &self.instance.id)
            .finish_non_exhaustive()
    }
}

impl RemoteStore {
    /// An instance, over the connection that `peers` has to it. Needs a runtime.
    ///
    /// # Errors
    /// `Unavailable` if its address is none.
    pub fn new(instance: &Arc<Instance>, peers: &Peers, config: &Config) -> Result<Self, Status> {
        let channel = peers.channel(instance).map_err(|error| error.status)?;
        Ok(Self {
            instance: Arc::clone(instance),
            client: StoreServiceClient::new(channel)
                .max_decoding_message_size(config.store_max_message_bytes),
            timeout: config.store_timeout,
        })
    }

    fn client(&self) -> StoreServiceClient<Channel> {
        self.client.clone()
    }

    fn share(&self, share: Share<'_>) -> Option<proto::Share> {
        Some(wire::share(self.instance.id.as_str(), share))
    }

    async fn call<Req, Resp>(
        &self,
        tenant: &TenantId,
        message: Req,
        send: impl AsyncFnOnce(Request<Req>) -> Result<Response<Resp>, tonic::Status>,
    ) -> Result<Resp, Status> {
        let answer = phlare_peer::call(&self.instance, tenant, self.timeout, message, send);
        answer.await.map_err(|error| error.status)
    }
}

impl Store for RemoteStore {
    fn instance(&self) -> &InstanceId {
        &self.instance.id
    }

    fn keys<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a AnalyzeQuery,
        limit: usize,
    ) -> Reply<'a, FoundKeys> {
        async move {
            let message = proto::KeysRequest {
                share: self.share(share),
                query: Some(queries::profiles(query)),
                limit: limit as u64,
            };
            let call = async |request| self.client().keys(request).await;
            let found = self.call(share.tenant, message, call).await?;
            wire::read_found_keys(&found)
        }
        .boxed()
    }

    fn select_tree<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MergeQuery,
    ) -> Reply<'a, Counted<Vec<EncodedTree>>> {
        async move {
            let message = proto::SelectTreeRequest {
                share: self.share(share),
                query: Some(queries::merge(query)),
            };
            let call = async |request| self.client().select_tree(request).await;
            let found = self.call(share.tenant, message, call).await?;
            Ok(wire::read_trees(found))
        }
        .boxed()
    }

    fn select_pprof<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MergeQuery,
    ) -> Reply<'a, Counted<PprofParts>> {
        async move {
            let message = proto::SelectPprofRequest {
                share: self.share(share),
                query: Some(queries::merge(query)),
            };
            let call = async |request| self.client().select_pprof(request).await;
            let found = self.call(share.tenant, message, call).await?;
            Ok(wire::read_pprofs(found))
        }
        .boxed()
    }

    fn select_series<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a SeriesQuery,
    ) -> Reply<'a, Counted<Vec<SeriesPart>>> {
        async move {
            let message = proto::SelectSeriesRequest {
                share: self.share(share),
                query: Some(queries::series(query)),
            };
            let call = async |request| self.client().select_series(request).await;
            let found = self.call(share.tenant, message, call).await?;
            Ok(wire::read_sums(&found))
        }
        .boxed()
    }

    fn analyze<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a AnalyzeQuery,
    ) -> Reply<'a, Counted<AnalysisPart>> {
        async move {
            let message = proto::AnalyzeRequest {
                share: self.share(share),
                query: Some(queries::profiles(query)),
            };
            let call = async |request| self.client().analyze(request).await;
            let found = self.call(share.tenant, message, call).await?;
            wire::read_analysis(&found)
        }
        .boxed()
    }

    fn label_names<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<String>> {
        async move {
            let message = proto::LabelNamesRequest {
                share: self.share(share),
                query: Some(queries::metadata(query)),
            };
            let call = async |request| self.client().label_names(request).await;
            Ok(self.call(share.tenant, message, call).await?.names)
        }
        .boxed()
    }

    fn label_values<'a>(
        &'a self,
        share: Share<'a>,
        name: &'a str,
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<String>> {
        async move {
            let message = proto::LabelValuesRequest {
                share: self.share(share),
                query: Some(queries::metadata(query)),
                name: name.to_owned(),
            };
            let call = async |request| self.client().label_values(request).await;
            Ok(self.call(share.tenant, message, call).await?.values)
        }
        .boxed()
    }

    fn series<'a>(
        &'a self,
        share: Share<'a>,
        names: &'a [String],
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<Labels>> {
        async move {
            let message = proto::SeriesRequest {
                share: self.share(share),
                query: Some(queries::metadata(query)),
                names: names.to_vec(),
            };
            let call = async |request| self.client().series(request).await;
            let found = self.call(share.tenant, message, call).await?;
            Ok(queries::read_label_sets(&found))
        }
        .boxed()
    }

    fn stats<'a>(&'a self, share: Share<'a>) -> Reply<'a, ProfileStats> {
        async move {
            let message = proto::StatsRequest {
                share: self.share(share),
            };
            let call = async |request| self.client().stats(request).await;
            let found = self.call(share.tenant, message, call).await?;
            Ok(queries::read_stats(found))
        }
        .boxed()
    }

    fn blocks<'a>(
        &'a self,
        tenant: &'a TenantId,
        range: Option<TimeRange>,
    ) -> Reply<'a, Vec<ListedBlock>> {
        async move {
            let message = proto::BlocksRequest {
                share: self.share(Share::all(tenant)),
                range: range.map(queries::range),
            };
            let call = async |request| self.client().blocks(request).await;
            wire::read_blocks(self.call(tenant, message, call).await?)
        }
        .boxed()
    }
}
