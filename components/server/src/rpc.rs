//! The RPC methods of the process, over Connect, gRPC and gRPC-web.
//!
//! `connectrpc` speaks the protocols; its own message types are not used: requests and
//! answers are prost messages, their JSON is pbjson's. What it leaves to us, or would
//! answer otherwise than upstream, is done before it in [`gate`].

mod accept;
mod codec;
mod context;
mod dispatch;
mod frame;
pub(crate) mod gate;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use connectrpc::CodecFormat;
use futures_util::future::BoxFuture;
use phlare_proto::{METHODS, Method};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::inbound::BodyLimit;
use crate::offload::Offload;
use crate::status::Status;

pub use context::{Context, Peer};

/// Decodes, calls, encodes.
type Handler = Arc<
    dyn Fn(Context, Bytes, CodecFormat, Offload) -> BoxFuture<'static, Result<Bytes, Status>>
        + Send
        + Sync,
>;

/// How a method wants to be called.
#[derive(Clone, Copy, Debug)]
pub struct MethodOptions {
    /// Requests have to name their tenant (if the server has several).
    pub tenant: bool,
    /// Largest request after decompression; by default that of `-server.max-message-bytes`.
    pub limit: Option<BodyLimit>,
}

impl Default for MethodOptions {
    fn default() -> Self {
        Self {
            tenant: true,
            limit: None,
        }
    }
}

/// The methods that this process serves.
///
/// Every other method of the API answers `unimplemented` and says so.
#[derive(Default)]
pub struct Rpc {
    methods: HashMap<&'static str, Served>,
    foreign: Vec<Foreign>,
}

/// A method of somebody else's API.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    path: &'static str,
    /// Answers what is no RPC.
    plain: Router,
}

#[derive(Clone)]
pub(crate) struct Served {
    options: MethodOptions,
    handler: Handler,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.methods.keys()).finish()
    }
}

impl Rpc {
    /// Serves nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a unary method, for example `querier.v1.QuerierService/ProfileTypes`.
    ///
    /// The future that `handler` returns is dropped when the client leaves or the deadline passes.
    ///
    /// # Panics
    /// If the API has no such unary method, or if it is served already: a mistake in the wiring.
    pub fn unary<Req, Resp, F, Fut>(&mut self, path: &str, handler: F) -> &mut Self
    where
        Req: Message + Default + DeserializeOwned + 'static,
        Resp: Message + Serialize + 'static,
        F: Fn(Context, Req) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, Status>> + Send + 'static,
    {
        self.unary_with(path, MethodOptions::default(), handler)
    }

    /// As [`Rpc::unary`], for a method that has wishes.
    ///
    /// # Panics
    /// As [`Rpc::unary`].
    pub fn unary_with<Req, Resp, F, Fut>(
        &mut self,
        path: &str,
        options: MethodOptions,
        handler: F,
    ) -> &mut Self
    where
        Req: Message + Default + DeserializeOwned + 'static,
        Resp: Message + Serialize + 'static,
        F: Fn(Context, Req) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, Status>> + Send + 'static,
    {
        let method = METHODS.iter().find(|method| method.path == path);
        let method = method.unwrap_or_else(|| unreachable!("the API has no method {path}"));
        assert!(
            !method.client_streaming && !method.server_streaming,
            "{path} is not unary"
        );
        let handler = Arc::new(handler);
        let erased: Handler = Arc::new(move |context, body, format, offload| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let request = codec::decode::<Req>(body, format, &offload).await?;
                let response = handler(context, request).await?;
                codec::encode(response, format, &offload).await
            })
        });
        let before = self.methods.insert(
            method.path,
            Served {
                options,
                handler: erased,
            },
        );
        assert!(before.is_none(), "{path} is served twice");
        self
    }

    /// Serves a unary method of another API, which [`METHODS`] does not have, in protobuf only: `handler` gets the
    /// bytes of the message and returns those of the answer.
    ///
    /// The path may take plain HTTP as well: `plain` answers what is neither gRPC, gRPC-web nor Connect with
    /// `application/proto`.
    ///
    /// # Panics
    /// If the path is served already: a mistake in the wiring.
    pub fn foreign<F, Fut>(
        &mut self,
        path: &'static str,
        options: MethodOptions,
        plain: Router,
        handler: F,
    ) -> &mut Self
    where
        F: Fn(Context, Bytes) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes, Status>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |context, body, format, _| {
            if format == CodecFormat::Proto {
                return Box::pin(handler(context, body));
            }
            let status = codec::unsupported(format);
            Box::pin(async move { Err(status) })
        });
        let before = self.methods.insert(path, Served { options, handler });
        assert!(
            before.is_none() && method(path).is_none(),
            "{path} is served twice"
        );
        self.foreign.push(Foreign { path, plain });
        self
    }

    fn is_foreign(&self, path: &str) -> bool {
        self.foreign.iter().any(|foreign| foreign.path == path)
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Served> {
        self.methods.get(path)
    }
}

/// A method of the API by its path, without the leading slash.
fn method(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}
