//! Before `connectrpc`: what it would answer otherwise than upstream, or not at all.
//!
//! Methods other than POST, content types with parameters, malformed deadlines, the tenant, and the body,
//! which is read and unpacked here, so that one budget bounds all of them. Facts: api.md 2, golden `errors`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use connectrpc::compression::{CompressionRegistry, GzipProvider};
use connectrpc::{ConnectRpcBody, ConnectRpcService, DeadlinePolicy, Protocol};
use http::header::{ACCEPT, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use phlare_proto::METHODS;
use tower::ServiceExt;

use super::dispatch::Calls;
use super::{Foreign, MethodOptions, Rpc, accept, frame};
use crate::access::Outcome;
use crate::config::{Config, unless_zero};
use crate::http::text;
use crate::inbound::{BodyLimit, Inbound};
use crate::metrics::Metrics;
use crate::offload::Offload;
use crate::status::Status;
use crate::tenant::TenantMode;

/// A refused request's body is read up to here, so that the client gets to read the answer.
const DRAIN_BYTES: usize = 256 << 10;
const DRAIN_TIME: Duration = Duration::from_millis(500);

const ACCEPT_POST: &str = "application/connect+json, application/connect+proto, application/grpc, \
    application/grpc+json, application/grpc+proto, application/grpc-web, application/grpc-web+json, \
    application/grpc-web+proto, application/json, application/proto";

/// What the gate needs to know.
pub(crate) struct Parts {
    pub(crate) rpc: Rpc,
    pub(crate) offload: Offload,
    pub(crate) inbound: Inbound,
    pub(crate) metrics: Metrics,
    pub(crate) tenants: TenantMode,
}

#[derive(Clone)]
struct Gate {
    service: ConnectRpcService<Calls>,
    inbound: Inbound,
    tenants: TenantMode,
    default_limit: BodyLimit,
    grpc_limit: BodyLimit,
}

/// How a request is framed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Unary Connect: the body is the message.
    Plain,
    /// gRPC, gRPC-web: frames.
    Grpc,
    /// Connect streaming, or something that `connectrpc` refuses.
    Other,
}

/// Routes for every method of the API.
pub(crate) fn routes(config: &Config, parts: Parts) -> Router {
    let Parts {
        rpc,
        offload,
        inbound,
        metrics,
        tenants,
    } = parts;
    let foreign = rpc.foreign.clone();
    let longest = unless_zero(config.http_server_write_timeout);
    let deadlines = longest.map(|longest| {
        DeadlinePolicy::new()
            .with_max(longest)
            .with_default_timeout(longest)
    });
    let service = ConnectRpcService::new(Calls {
        rpc,
        offload,
        metrics,
    })
    .with_compression(CompressionRegistry::new().register(GzipProvider::default()))
    .with_deadline_policy(deadlines.unwrap_or_default());
    let gate = Gate {
        service,
        inbound,
        tenants,
        default_limit: BodyLimit {
            bytes: config.max_message_bytes,
            name: "-server.max-message-bytes",
        },
        grpc_limit: BodyLimit {
            bytes: config.grpc_server_max_recv_msg_size,
            name: "-server.grpc-max-recv-msg-size-bytes",
        },
    };
    let mut router = Router::new();
    for method in METHODS {
        router = router.route(&format!("/{}", method.path), any(serve));
    }
    for Foreign { path, plain } in foreign {
        let serve = |gate, request| serve_foreign(gate, plain, request);
        router = router.route(&format!("/{path}"), any(serve));
    }
    router.with_state(Arc::new(gate))
}

async fn serve_foreign(gate: State<Arc<Gate>>, plain: Router, request: Request) -> Response {
    if is_rpc(request.headers()) {
        return serve(gate, request).await;
    }
    match plain.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Whether no plain HTTP has this content type. `application/json` may be both.
pub(crate) fn is_rpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    content_type == b"application/proto"
        || content_type.starts_with(b"application/grpc")
        || content_type.starts_with(b"application/connect+")
}

async fn serve(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    match gate.check(&mut parts) {
        Ok((framing, options)) => {
            gate.call(Request::from_parts(parts, body), framing, options)
                .await
        }
        Err(refusal) => {
            drain(body).await;
            refusal
        }
    }
}

impl Gate {
    /// What can be said from the head of the request.
    #[expect(
        clippy::result_large_err,
        reason = "a refusal is the answer, made once"
    )]
    fn check(
        &self,
        parts: &mut http::request::Parts,
    ) -> Result<(Framing, MethodOptions), Response> {
        if parts.method != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")]).into_response());
        }
        let framing = framing(&mut parts.headers).ok_or_else(|| {
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                [("accept-post", ACCEPT_POST)],
            )
                .into_response()
        })?;
        if framing != Framing::Grpc {
            let accept = parts.headers.get_all(ACCEPT).iter();
            for value in accept {
                accept::check(&String::from_utf8_lossy(value.as_bytes()))
                    .map_err(|problem| text(StatusCode::BAD_REQUEST, problem + "\n"))?;
            }
        }
        let path = parts.uri.path().strip_prefix('/').unwrap_or_default();
        let options = self
            .service
            .dispatcher()
            .rpc
            .get(path)
            .map(|served| served.options)
            .unwrap_or_default();
        let checked = check_timeout(&parts.headers, framing).and_then(|()| {
            if options.tenant {
                parts
                    .extensions
                    .insert(self.tenants.tenant(&parts.headers)?);
            }
            Ok(())
        });
        match checked {
            Ok(()) => Ok((framing, options)),
            Err(status) => Err(refuse(status, parts)),
        }
    }

    async fn call(&self, request: Request, framing: Framing, options: MethodOptions) -> Response {
        let (mut parts, body) = request.into_parts();
        let limit = options.limit.unwrap_or(self.default_limit);
        let received = match framing {
            Framing::Plain => self.inbound.read(&parts.headers, body, limit).await,
            Framing::Grpc => self.read_frame(&parts.headers, body, limit).await,
            // No method of this kind is served: what the body holds does not matter.
            Framing::Other => return self.forward(Request::from_parts(parts, body)).await,
        };
        let (bytes, _reservation) = match received {
            Ok(received) => received.into_parts(),
            Err(status) => return refuse(status, &parts),
        };
        parts.headers.remove(CONTENT_LENGTH);
        if framing == Framing::Plain {
            parts.headers.remove(CONTENT_ENCODING);
        }
        self.forward(Request::from_parts(parts, Body::from(bytes)))
            .await
    }

    async fn read_frame(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: BodyLimit,
    ) -> Result<crate::inbound::Received, Status> {
        let limit = if limit.bytes <= self.grpc_limit.bytes {
            limit
        } else {
            self.grpc_limit
        };
        let framed = BodyLimit {
            bytes: limit.bytes.saturating_add(frame::HEADER_BYTES),
            ..limit
        };
        let received = self.inbound.read_raw(headers, body, framed).await?;
        frame::inflate(&self.inbound, headers, received, limit).await
    }

    async fn forward(&self, request: Request) -> Response {
        match self.service.clone().oneshot(request).await {
            Ok(response) => response.map(into_body),
            Err(never) => match never {},
        }
    }
}

/// Keeps the length of a body that has one: the enum around it forgets it.
fn into_body(body: ConnectRpcBody) -> Body {
    match body {
        ConnectRpcBody::Full(full) => Body::new(full),
        framed => Body::new(framed),
    }
}

pub(crate) fn refuse(status: Status, parts: &http::request::Parts) -> Response {
    if let Some(outcome) = parts.extensions.get::<Outcome>() {
        outcome.failed(&status);
    }
    status
        .concealed()
        .into_connect()
        .into_http_response(&parts.headers)
        .map(Body::new)
}

/// How the body is framed; `None` if nothing here reads such a content type. Rewrites the content type to
/// the spelling that `connectrpc` knows.
fn framing(headers: &mut HeaderMap) -> Option<Framing> {
    let given = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let lower = given.to_ascii_lowercase();
    let (media_type, parameters) = match lower.split_once(';') {
        Some((media_type, parameters)) => (media_type.trim(), parameters.trim()),
        None => (lower.trim(), ""),
    };
    let framing = match media_type {
        "application/proto" if parameters.is_empty() => Framing::Plain,
        "application/json" if parameters.is_empty() || parameters == "charset=utf-8" => {
            Framing::Plain
        }
        "application/proto" | "application/json" => return None,
        _ => match Protocol::detect_from_content_type(media_type) {
            Some(found) if found.protocol != Protocol::Connect && !found.is_text_mode => {
                Framing::Grpc
            }
            Some(_) => Framing::Other,
            None if media_type.starts_with("application/grpc") => Framing::Other,
            None => return None,
        },
    };
    if media_type != given
        && let Ok(value) = HeaderValue::from_str(media_type)
    {
        headers.insert(CONTENT_TYPE, value);
    }
    Some(framing)
}

/// `connectrpc` ignores a deadline that it cannot read; the client should hear of it.
fn check_timeout(headers: &HeaderMap, framing: Framing) -> Result<(), Status> {
    let Some(value) = headers
        .get("connect-timeout-ms")
        .filter(|_| framing != Framing::Grpc)
    else {
        return Ok(());
    };
    let text = value.as_bytes();
    if !text.is_empty() && text.len() <= 10 && text.iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    let message = format!("Connect-Timeout-Ms is {:?}: must be 1 to 10 digits", value);
    Err(Status::invalid_argument(message))
}

/// Takes a small body off the connection; a large one costs the connection.
pub(crate) async fn drain(mut body: Body) {
    let read = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            let Some(rest) = left.checked_sub(length) else {
                return;
            };
            left = rest;
        }
    };
    // Late or not, the answer is the same.
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}
