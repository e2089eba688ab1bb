//! What a handler knows of its call, besides the request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use connectrpc::RequestContext;
use http::HeaderMap;
use phlare_model::TenantId;

/// The address of the client's end of the connection; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// One call.
#[derive(Clone, Debug)]
pub struct Context {
    /// Whose call it is; `anonymous` where the method needs no tenant.
    pub tenant: TenantId,
    /// When the client no longer waits.
    pub deadline: Option<Instant>,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// Who calls.
    pub peer: Option<SocketAddr>,
}

impl Context {
    /// A call of this tenant, without deadline: for calls within the process, and for tests.
    #[must_use]
    pub fn of(tenant: TenantId) -> Self {
        Self {
            tenant,
            deadline: None,
            headers: HeaderMap::new(),
            peer: None,
        }
    }

    /// How much time is left, if there is a deadline.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    pub(super) fn new(request: &mut RequestContext) -> Self {
        let extensions = request.extensions();
        Self {
            tenant: extensions
                .get::<TenantId>()
                .cloned()
                .unwrap_or_else(TenantId::anonymous),
            deadline: request.deadline(),
            peer: extensions.get::<Peer>().map(|peer| peer.0),
            headers: std::mem::take(request.headers_mut()),
        }
    }
}
