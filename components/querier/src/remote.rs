//! A store in another process.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::{ErrorKind, MergeQuery, SeriesQuery, TenantId, TimeRange};
use phlare_phlaredb::{AnalysisPart, Counted, FoundKeys, PprofParts, SeriesPart};
use phlare_proto::phlare::store::v1 as proto;
use phlare_proto::phlare::store::v1::store_service_client::StoreServiceClient;
use phlare_ring::{Instance, InstanceId, Ring};
use phlare_server::Status;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response};

use crate::config::Config;
use crate::store::{EncodedTree, ListedBlock, Reply, Share, Store};
use crate::wire;

/// The header that names the tenant.
const TENANT: &str = "x-scope-orgid";

/// A store in another process. Connects when it is first asked, and anew when the connection is lost.
pub struct RemoteStore {
    instance: InstanceId,
    client: StoreServiceClient<Channel>,
    timeout: Duration,
}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStore")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl RemoteStore {
    /// The instance of this name at `addr`, `host:port`. Needs a runtime; connects to nothing yet.
    ///
    /// # Errors
    /// `Internal` if that is no address.
    pub fn new(instance: InstanceId, addr: &str, config: &Config) -> Result<Self, Status> {
        let channel = phlare_peer::connect(addr).map_err(|error| {
            let text = format!("address {addr:?} of instance {instance}: {error}");
            Status::new(ErrorKind::Internal, text)
        })?;
        Ok(Self {
            instance,
            client: StoreServiceClient::new(channel)
                .max_decoding_message_size(config.store_max_message_bytes),
            timeout: config.store_timeout,
        })
    }

    fn client(&self) -> StoreServiceClient<Channel> {
        self.client.clone()
    }

    fn share(&self, share: Share<'_>) -> Option<proto::Share> {
        Some(wire::share(self.instance.as_str(), share))
    }

    async fn call<Req, Resp>(
        &self,
        tenant: &TenantId,
        message: Req,
        call: impl AsyncFnOnce(Request<Req>) -> Result<Response<Resp>, tonic::Status>,
    ) -> Result<Resp, Status> {
        let mut request = Request::new(message);
        let name = MetadataValue::try_from(tenant.as_str());
        let name = name.map_err(|error| self.named(ErrorKind::Internal, &error.to_string()))?;
        request.metadata_mut().insert(TENANT, name);
        // The other end gives up at the same time.
        request.set_timeout(self.timeout);
        match tokio::time::timeout(self.timeout, call(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.named(phlare_peer::kind(&status), status.message())),
            Err(_) => {
                let text = format!("no answer within {:?}", self.timeout);
                Err(self.named(ErrorKind::DeadlineExceeded, &text))
            }
        }
    }

    fn named(&self, kind: ErrorKind, message: &str) -> Status {
        Status::new(kind, format!("instance {}: {message}", self.instance))
    }
}

impl Store for RemoteStore {
    fn instance(&self) -> &InstanceId {
        &self.instance
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
                query: Some(wire::profiles(query)),
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
                query: Some(wire::merge(query)),
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
                query: Some(wire::merge(query)),
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
                query: Some(wire::series(query)),
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
                query: Some(wire::profiles(query)),
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
                query: Some(wire::metadata(query)),
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
                query: Some(wire::metadata(query)),
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
                query: Some(wire::metadata(query)),
                names: names.to_vec(),
            };
            let call = async |request| self.client().series(request).await;
            let found = self.call(share.tenant, message, call).await?;
            Ok(wire::read_label_sets(&found))
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
            Ok(wire::read_stats(found))
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
                range: range.map(wire::range),
            };
            let call = async |request| self.client().blocks(request).await;
            wire::read_blocks(self.call(tenant, message, call).await?)
        }
        .boxed()
    }
}

/// The stores of other processes, each with one connection.
#[derive(Debug)]
pub struct Remotes {
    config: Config,
    /// By name, with the address.
    known: Mutex<HashMap<InstanceId, (String, Arc<RemoteStore>)>>,
}

impl Remotes {
    /// None yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            known: Mutex::default(),
        }
    }

    /// The store of an instance, where it serves now.
    ///
    /// # Errors
    /// As [`RemoteStore::new`].
    pub fn of(&self, instance: &Instance) -> Result<Arc<dyn Store>, Status> {
        let mut known = self.known.lock();
        if let Some((addr, store)) = known.get(&instance.id)
            && *addr == instance.addr
        {
            return Ok(Arc::<RemoteStore>::clone(store));
        }
        let store = RemoteStore::new(instance.id.clone(), &instance.addr, &self.config)?;
        let store = Arc::new(store);
        let entry = (instance.addr.clone(), Arc::clone(&store));
        known.insert(instance.id.clone(), entry);
        Ok(store)
    }

    /// Drops the connections of instances that are not in a ring any more.
    pub fn retain(&self, ring: &Ring) {
        let mut known = self.known.lock();
        if known.len() > ring.instances().len() {
            known.retain(|id, _| ring.instance(id).is_some());
        }
    }
}
