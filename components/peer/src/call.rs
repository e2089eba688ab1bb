//! One call of another process: tenant, trace, deadline, and what its failure means.

use std::time::Duration;

use phlare_model::{ErrorKind, SPANS, TenantId};
use phlare_ring::{Instance, InstanceId};
use phlare_server::{Status, TraceHeaders};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

/// Header that carries the tenant.
const TENANT: &str = "x-scope-orgid";

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// What it means to the caller's own client; names the instance.
    pub status: Status,
    /// The instance could not be reached, did not answer in time, or said that it cannot serve now: another one may.
    pub unavailable: bool,
}

impl CallError {
    pub(crate) fn address(instance: &Instance, error: &dyn std::error::Error) -> Self {
        let message = format!(
            "instance `{}` has the address {:?}, which is none: {error}",
            instance.id, instance.addr
        );
        Self {
            status: Status::new(ErrorKind::Unavailable, message),
            unavailable: true,
        }
    }

    fn new(instance: &Instance, failed: &tonic::Status, within: Duration) -> Self {
        let name = format!("instance `{}` at {}", instance.id, instance.addr);
        let kind = kind(failed);
        let message = match kind {
            ErrorKind::DeadlineExceeded => format!("{name} did not answer within {within:?}"),
            _ => format!("{name}: {}", failed.message()),
        };
        Self {
            status: Status::new(kind, message),
            unavailable: matches!(kind, ErrorKind::Unavailable | ErrorKind::DeadlineExceeded),
        }
    }
}

/// Calls `instance` on behalf of a tenant, and waits for `within` at most, as the other end does. Dropping the future
/// gives the call up. The other end goes on with the trace of the request at hand.
///
/// # Errors
/// [`CallError`], with the kind that the other process gave it.
pub async fn call<Req, Resp>(
    instance: &Instance,
    tenant: &TenantId,
    within: Duration,
    message: Req,
    send: impl AsyncFnOnce(Request<Req>) -> Result<Response<Resp>, tonic::Status>,
) -> Result<Resp, CallError> {
    let span = span::<Req>(instance);
    let calling = async {
        let called = called(instance, tenant, within, message, send).await;
        if let Err(error) = &called {
            Span::current().record("otel.status_code", "ERROR");
            Span::current().record("otel.status_description", &error.status.message);
        }
        called
    };
    calling.instrument(span).await
}

async fn called<Req, Resp>(
    instance: &Instance,
    tenant: &TenantId,
    within: Duration,
    message: Req,
    send: impl AsyncFnOnce(Request<Req>) -> Result<Response<Resp>, tonic::Status>,
) -> Result<Resp, CallError> {
    let mut request = Request::new(message);
    request.set_timeout(within);
    let name = MetadataValue::try_from(tenant.as_str());
    let name = name.map_err(|error| {
        let failed = tonic::Status::internal(format!("tenant {tenant}: {error}"));
        CallError::new(instance, &failed, within)
    })?;
    request.metadata_mut().insert(TENANT, name);
    if let Some(trace) = TraceHeaders::current() {
        put_trace(request.metadata_mut(), &trace);
    }
    let answer = tokio::time::timeout(within, send(request)).await;
    let answer = answer.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("")));
    match answer {
        Ok(answer) => Ok(answer.into_inner()),
        Err(failed) => Err(CallError::new(instance, &failed, within)),
    }
}

/// The span of a call, if it is made for a request whose spans are collected.
fn span<Req>(instance: &Instance) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    info_span!(
        target: SPANS,
        "call",
        otel.name = %method::<Req>(),
        otel.kind = "client",
        peer.instance = %instance.id,
        peer.address = instance.addr,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// The method that takes such a request, as the name of its message has it.
fn method<Req>() -> &'static str {
    let name = std::any::type_name::<Req>().rsplit("::").next();
    let name = name.unwrap_or_default();
    name.strip_suffix("Request").unwrap_or(name)
}

fn put_trace(metadata: &mut MetadataMap, trace: &TraceHeaders) {
    for (name, text) in [
        ("traceparent", &trace.traceparent),
        ("tracestate", &trace.tracestate),
    ] {
        if !text.is_empty()
            && let Ok(value) = MetadataValue::try_from(text)
        {
            metadata.insert(name, value);
        }
    }
}

/// Whether a call that means `asked` came to the right one, which is `me`.
///
/// # Errors
/// `Unavailable`: the address has changed hands, and whoever calls will learn of it.
pub fn meant(me: &InstanceId, asked: &str) -> Result<(), Status> {
    if me.as_str() == asked {
        return Ok(());
    }
    let message = format!("this is `{me}`, and the call is for `{asked}`");
    Err(Status::new(ErrorKind::Unavailable, message))
}

/// As [`meant`], for calls that may mean whoever is at the address: those say nobody.
///
/// # Errors
/// As [`meant`].
pub fn meant_if_named(me: &InstanceId, asked: &str) -> Result<(), Status> {
    match asked {
        "" => Ok(()),
        asked => meant(me, asked),
    }
}

/// How calls name an instance: not at all, if nothing but its address is known.
#[must_use]
pub fn name_of(instance: &Instance) -> String {
    match instance.is_named() {
        true => instance.id.to_string(),
        false => String::new(),
    }
}

/// The kind that a gRPC code stands for. The client's own time-out has a code of its own.
fn kind(failed: &tonic::Status) -> ErrorKind {
    match failed.code() {
        Code::Ok | Code::Unknown => ErrorKind::Unavailable,
        Code::Cancelled if failed.message().contains("Timeout expired") => {
            ErrorKind::DeadlineExceeded
        }
        Code::Cancelled => ErrorKind::Unavailable,
        Code::InvalidArgument => ErrorKind::InvalidArgument,
        Code::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::ResourceExhausted => ErrorKind::ResourceExhausted,
        Code::FailedPrecondition => ErrorKind::FailedPrecondition,
        Code::Aborted => ErrorKind::Aborted,
        Code::OutOfRange => ErrorKind::OutOfRange,
        Code::Unimplemented => ErrorKind::Unimplemented,
        Code::Internal => ErrorKind::Internal,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::DataLoss => ErrorKind::DataLoss,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
    }
}

#[cfg(test)]
mod tests {
    use phlare_proto::phlare::query::v1::AskRequest;
    use phlare_ring::State;

    use super::*;

    #[test]
    fn who_is_known_by_its_address_is_whoever_is_there() {
        let there = Instance::at(([10, 0, 0, 1], 4040).into(), State::Active);
        let me = InstanceId::from("scheduler-0");
        assert_eq!(meant_if_named(&me, &name_of(&there)), Ok(()));
        assert!(meant_if_named(&me, "scheduler-1").is_err());
        assert_eq!(meant_if_named(&me, "scheduler-0"), Ok(()));
    }

    #[test]
    fn a_call_is_named_after_its_message() {
        assert_eq!(method::<AskRequest>(), "Ask");
        assert_eq!(method::<String>(), "String");
    }

    #[test]
    fn a_trace_goes_into_the_metadata() {
        let mut metadata = MetadataMap::new();
        let mut trace = TraceHeaders {
            traceparent: "00-a-b-01".to_owned(),
            tracestate: String::new(),
        };
        put_trace(&mut metadata, &trace);
        assert_eq!(metadata.get("traceparent").unwrap(), "00-a-b-01");
        assert!(metadata.get("tracestate").is_none());
        trace.tracestate = "a=b".to_owned();
        put_trace(&mut metadata, &trace);
        assert_eq!(metadata.get("tracestate").unwrap(), "a=b");
    }
}
