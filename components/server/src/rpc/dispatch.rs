//! From `connectrpc` to the handlers.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use connectrpc::dispatcher::{
    Dispatcher, MethodDescriptor, RequestStream, StreamingResult, UnaryResult,
};
use connectrpc::{CodecFormat, ConnectError, Limits, Payload, RequestContext, Response};
use futures_util::FutureExt;
use phlare_model::ErrorKind;
use phlare_proto::Method;
use tracing::error;

use super::{Context, Rpc, method};
use crate::access::Outcome;
use crate::metrics::Metrics;
use crate::offload::{Offload, panic_message};
use crate::status::Status;

/// The methods with what calling them needs.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) rpc: Rpc,
    pub(super) offload: Offload,
    pub(super) metrics: Metrics,
}

fn not_served(path: &str) -> Status {
    Status::unimplemented(format!(
        "`{path}` is a part of the API that this server does not serve"
    ))
}

fn failed(outcome: Option<&Outcome>, status: Status) -> ConnectError {
    if let Some(outcome) = outcome {
        outcome.failed(&status);
    }
    status.concealed().into_connect()
}

impl Calls {
    fn refuse_stream(path: &str, context: &RequestContext) -> ConnectError {
        failed(context.extensions().get::<Outcome>(), not_served(path))
    }
}

impl Dispatcher for Calls {
    fn lookup(&self, path: &str) -> Option<MethodDescriptor> {
        // The gate has measured the request already.
        let unary = || MethodDescriptor::unary(false).with_limits(Limits::unlimited());
        if self.rpc.is_foreign(path) {
            return Some(unary());
        }
        let Method {
            client_streaming,
            server_streaming,
            ..
        } = method(path)?;
        let descriptor = match (client_streaming, server_streaming) {
            (false, false) => unary(),
            (false, true) => MethodDescriptor::server_streaming(),
            (true, false) => MethodDescriptor::client_streaming(),
            (true, true) => MethodDescriptor::bidi_streaming(),
        };
        Some(descriptor)
    }

    fn call_unary(
        &self,
        path: &str,
        mut ctx: RequestContext,
        request: Payload,
        format: CodecFormat,
    ) -> UnaryResult {
        let outcome = ctx.extensions().get::<Outcome>().cloned();
        // What Connect sends is compressed by the layer around all routes.
        let compress = if ctx.protocol() == Some(connectrpc::Protocol::Connect) {
            Some(false)
        } else {
            None
        };
        let Some(served) = self.rpc.get(path) else {
            let error = failed(outcome.as_ref(), not_served(path));
            return Box::pin(async move { Err(error) });
        };
        let context = Context::new(&mut ctx);
        let body = match request.encoded() {
            Ok(body) => body,
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        let call = (served.handler)(context, body, format, self.offload.clone());
        let panics = self.metrics.panics.clone();
        let path = path.to_owned();
        Box::pin(async move {
            let result = AssertUnwindSafe(call)
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| {
                    panics.inc();
                    error!(
                        panic = panic_message(panic.as_ref()),
                        path, "a handler panicked"
                    );
                    Err(Status::new(ErrorKind::Internal, "the handler panicked"))
                });
            match result {
                Ok(bytes) => Ok(Response::new(bytes.into()).compress(compress)),
                Err(status) => Err(failed(outcome.as_ref(), status)),
            }
        })
    }

    fn call_server_streaming(
        &self,
        path: &str,
        ctx: RequestContext,
        _: Bytes,
        _: CodecFormat,
    ) -> StreamingResult {
        let error = Self::refuse_stream(path, &ctx);
        Box::pin(async move { Err(error) })
    }

    fn call_client_streaming(
        &self,
        path: &str,
        ctx: RequestContext,
        _: RequestStream,
        _: CodecFormat,
    ) -> UnaryResult {
        let error = Self::refuse_stream(path, &ctx);
        Box::pin(async move { Err(error) })
    }

    fn call_bidi_streaming(
        &self,
        path: &str,
        ctx: RequestContext,
        _: RequestStream,
        _: CodecFormat,
    ) -> StreamingResult {
        let error = Self::refuse_stream(path, &ctx);
        Box::pin(async move { Err(error) })
    }
}
