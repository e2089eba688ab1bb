//! A connection as clients of services take it: with the token of this process, if it has one.

use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use phlare_credentials::TokenFile;
use tonic::body::Body;
use tonic::transport::{self, channel};
use tower::Service;

/// A connection to one process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Channel {
    inner: transport::Channel,
    token: Option<TokenFile>,
}

impl Channel {
    pub(crate) fn new(inner: transport::Channel, token: Option<TokenFile>) -> Self {
        Self { inner, token }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = transport::Error;
    type Future = channel::ResponseFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.current()));
            // The file was checked: any token in it is a header value.
            if let Ok(mut value) = value {
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
        }
        self.inner.call(request)
    }
}
