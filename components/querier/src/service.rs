//! Serves a store to the queriers of other processes.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use phlare_model::TenantId;
use phlare_peer::queries;
use phlare_proto::phlare::store::v1 as proto;
use phlare_server::{BodyLimit, Context, MethodOptions, Rpc, Status};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Share, Store};
use crate::wire::{self, OwnedShare};

/// What a request takes besides keys.
const QUERY_BYTES: usize = 1 << 20;

/// Serves `store` under `phlare.store.v1.StoreService`. Requests may have `max_keys` keys, as
/// [`crate::Config::max_profile_keys`] of the queriers says.
///
/// # Panics
/// If it is served already: a mistake in the wiring.
pub fn serve(rpc: &mut Rpc, store: Arc<dyn Store>, max_keys: usize) {
    let mut methods = Methods {
        rpc,
        store,
        limit: BodyLimit {
            bytes: max_keys.saturating_mul(8).saturating_add(QUERY_BYTES),
            name: "querier.max-profile-keys",
        },
    };
    methods.serve("Keys", |request: proto::KeysRequest, call| {
        async move {
            let query = queries::read_profiles(request.query)?;
            let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
            let found = call.store.keys(call.share(), &query, limit).await?;
            Ok(wire::found_keys(&found))
        }
        .boxed()
    });
    methods.serve("SelectTree", |request: proto::SelectTreeRequest, call| {
        async move {
            let query = queries::read_merge(request.query)?;
            let found = call.store.select_tree(call.share(), &query).await?;
            Ok(wire::trees(found))
        }
        .boxed()
    });
    methods.serve("SelectPprof", |request: proto::SelectPprofRequest, call| {
        async move {
            let query = queries::read_merge(request.query)?;
            let found = call.store.select_pprof(call.share(), &query).await?;
            Ok(wire::pprofs(found))
        }
        .boxed()
    });
    methods.serve(
        "SelectSeries",
        |request: proto::SelectSeriesRequest, call| {
            async move {
                let query = queries::read_series(request.query)?;
                let found = call.store.select_series(call.share(), &query).await?;
                Ok(wire::sums(found))
            }
            .boxed()
        },
    );
    methods.serve("Analyze", |request: proto::AnalyzeRequest, call| {
        async move {
            let query = queries::read_profiles(request.query)?;
            let found = call.store.analyze(call.share(), &query).await?;
            Ok(wire::analysis(&found))
        }
        .boxed()
    });
    serve_metadata(&mut methods);
}

fn serve_metadata(methods: &mut Methods<'_>) {
    methods.serve("LabelNames", |request: proto::LabelNamesRequest, call| {
        async move {
            let query = queries::read_metadata(request.query)?;
            let names = call.store.label_names(call.share(), &query).await?;
            Ok(proto::LabelNamesResponse { names })
        }
        .boxed()
    });
    methods.serve("LabelValues", |request: proto::LabelValuesRequest, call| {
        async move {
            let query = queries::read_metadata(request.query)?;
            let found = call.store.label_values(call.share(), &request.name, &query);
            Ok(proto::LabelValuesResponse {
                values: found.await?,
            })
        }
        .boxed()
    });
    methods.serve("Series", |request: proto::SeriesRequest, call| {
        async move {
            let query = queries::read_metadata(request.query)?;
            let found = call.store.series(call.share(), &request.names, &query);
            Ok(queries::label_sets(&found.await?))
        }
        .boxed()
    });
    methods.serve("Stats", |_: proto::StatsRequest, call| {
        async move { Ok(queries::stats(call.store.stats(call.share()).await?)) }.boxed()
    });
    methods.serve("Blocks", |request: proto::BlocksRequest, call| {
        async move {
            let range = request.range.map(queries::read_range);
            let found = call.store.blocks(&call.tenant, range).await?;
            Ok(wire::blocks(found))
        }
        .boxed()
    });
}

/// A request: who asks for what, and who answers.
struct Call {
    store: Arc<dyn Store>,
    tenant: TenantId,
    share: OwnedShare,
}

impl Call {
    fn share(&self) -> Share<'_> {
        Share {
            tenant: &self.tenant,
            blocks: self.share.blocks.as_deref(),
            keys: self.share.keys.as_ref(),
        }
    }
}

/// A request that says what it is about.
trait Request: Message + Default + DeserializeOwned + 'static {
    fn take_share(&mut self) -> Option<proto::Share>;
}

macro_rules! requests {
    ($($name:ident),*) => {
        $(impl Request for proto::$name {
            fn take_share(&mut self) -> Option<proto::Share> {
                self.share.take()
            }
        })*
    };
}

requests!(
    KeysRequest,
    SelectTreeRequest,
    SelectPprofRequest,
    SelectSeriesRequest,
    AnalyzeRequest,
    LabelNamesRequest,
    LabelValuesRequest,
    SeriesRequest,
    StatsRequest,
    BlocksRequest
);

struct Methods<'a> {
    rpc: &'a mut Rpc,
    store: Arc<dyn Store>,
    limit: BodyLimit,
}

impl Methods<'_> {
    fn serve<Req, Resp>(
        &mut self,
        method: &str,
        answer: fn(Req, Call) -> BoxFuture<'static, Result<Resp, Status>>,
    ) where
        Req: Request,
        Resp: Message + Serialize + 'static,
    {
        let options = MethodOptions {
            limit: Some(self.limit),
            ..MethodOptions::default()
        };
        let store = Arc::clone(&self.store);
        let path = format!("phlare.store.v1.StoreService/{method}");
        let handle = move |context: Context, mut request: Req| {
            let store = Arc::clone(&store);
            async move {
                let share = wire::read_share(request.take_share())?;
                phlare_peer::meant(store.instance(), &share.instance)?;
                let call = Call {
                    store,
                    tenant: context.tenant,
                    share,
                };
                answer(request, call).await
            }
        };
        self.rpc.unary_with(&path, options, handle);
    }
}
