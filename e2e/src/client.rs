//! A plain client of the public API: bytes over HTTP, the answer as it came.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use phlare_proto::push::v1::{PushRequest, RawProfileSeries, RawSample};
use phlare_proto::querier::v1::{
    FlameGraph, SelectMergeStacktracesRequest, SelectMergeStacktracesResponse, SelectSeriesRequest,
    SelectSeriesResponse,
};
use phlare_proto::types::v1::{LabelPair, Series};
use prost::Message;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, ClientBuilder};
use serde_json::Value;

use crate::certificates::PROCESSES;
use crate::now_ms;

/// The type of CPU profiles.
pub const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/// Longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Path of the method that takes profiles.
pub const PUSH: &str = "push.v1.PusherService/Push";

/// Talks to one server as one tenant.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    tenant: Option<String>,
    token: Option<String>,
}

/// An answer of whatever status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
}

impl Client {
    /// A client of the server at this URL, which sends no tenant.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        Self::with(url, builder())
    }

    /// A client of the process at this address, which has the name of all processes in a certificate that this authority
    /// (PEM) has signed.
    ///
    /// # Errors
    /// As [`Self::new`]; the URL has no address, the authority no certificate.
    pub fn secured(url: &str, authority: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("https://").context("https://")?;
        let address: SocketAddr = address.parse().context("an address")?;
        let authority = Certificate::from_pem(authority.as_bytes())?;
        let builder = builder()
            .tls_certs_only([authority])
            .resolve(PROCESSES, address);
        let url = format!("https://{PROCESSES}:{}", address.port());
        Self::with(&url, builder)
    }

    fn with(url: &str, builder: ClientBuilder) -> anyhow::Result<Self> {
        Ok(Self {
            http: builder.build().context("make an HTTP client")?,
            url: url.to_owned(),
            tenant: None,
            token: None,
        })
    }

    /// A client of a server that is reached through an HTTP proxy.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn through(proxy: &str, url: &str) -> anyhow::Result<Self> {
        Self::with(url, builder().proxy(reqwest::Proxy::all(proxy)?))
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same without one.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self {
            token: None,
            ..self.clone()
        }
    }

    /// The same as another tenant.
    #[must_use]
    pub fn tenant(&self, tenant: &str) -> Self {
        Self {
            tenant: Some(tenant.to_owned()),
            ..self.clone()
        }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.send(self.http.get(format!("{}{path}", self.url)))
            .await
    }

    /// A page as programs get it.
    ///
    /// # Errors
    /// If there is no answer, or one that is no JSON.
    pub async fn get_json(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        let request = self.http.get(&url).header("accept", "application/json");
        let answer = self.send(request).await?.body;
        serde_json::from_slice(&answer).with_context(|| format!("JSON of {url}"))
    }

    /// `POST path` with headers.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Reply> {
        let mut request = self
            .http
            .post(format!("{}{path}", self.url))
            .body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Reply> {
        self.send(self.http.delete(format!("{}{path}", self.url)))
            .await
    }

    /// A Connect call in protobuf, whatever comes back.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn try_call(&self, method: &str, request: &impl Message) -> anyhow::Result<Reply> {
        self.post(
            &format!("/{method}"),
            &[("content-type", "application/proto")],
            request.encode_to_vec(),
        )
        .await
    }

    /// A Connect call in protobuf that must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub async fn call<R: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
    ) -> anyhow::Result<R> {
        let reply = self.try_call(method, request).await?.ok()?;
        R::decode(reply.body).with_context(|| format!("decode the answer of {method}"))
    }

    /// A Connect call in JSON, whatever comes back.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn json(&self, method: &str, request: &Value) -> anyhow::Result<Reply> {
        self.post(
            &format!("/{method}"),
            &[("content-type", "application/json")],
            request.to_string(),
        )
        .await
    }

    /// Pushes profiles of one series, whatever comes back.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn try_push(
        &self,
        labels: &[(&str, &str)],
        profiles: Vec<Vec<u8>>,
    ) -> anyhow::Result<Reply> {
        self.try_call(
            PUSH,
            &PushRequest {
                series: vec![series(labels, profiles)],
            },
        )
        .await
    }

    /// Pushes one profile, which must be taken.
    ///
    /// # Errors
    /// If it is not.
    pub async fn push(&self, labels: &[(&str, &str)], profile: Vec<u8>) -> anyhow::Result<()> {
        self.try_push(labels, vec![profile]).await?.ok()?;
        Ok(())
    }

    /// The flame graph of the last hour.
    ///
    /// # Errors
    /// If there is none.
    pub async fn flame(&self, profile_type: &str, selector: &str) -> anyhow::Result<FlameGraph> {
        let request = stacktraces(profile_type, selector);
        let response: SelectMergeStacktracesResponse = self
            .call("querier.v1.QuerierService/SelectMergeStacktraces", &request)
            .await?;
        response.flamegraph.context("the answer has a flame graph")
    }

    /// The flame graph's total of the last hour.
    ///
    /// # Errors
    /// If there is none.
    pub async fn total(&self, profile_type: &str, selector: &str) -> anyhow::Result<i64> {
        Ok(self.flame(profile_type, selector).await?.total)
    }

    /// Series of the last two hours, in one step.
    ///
    /// # Errors
    /// If there are none.
    pub async fn series(
        &self,
        profile_type: &str,
        selector: &str,
        by: &[&str],
    ) -> anyhow::Result<Vec<Series>> {
        let (_, end) = last_hour();
        // The one step there is ends at `start` and holds everything before it.
        let request = SelectSeriesRequest {
            profile_type_id: profile_type.to_owned(),
            label_selector: selector.to_owned(),
            start: end - 1,
            end,
            step: 7200.0,
            group_by: by.iter().map(|&name| name.to_owned()).collect(),
            ..SelectSeriesRequest::default()
        };
        let response: SelectSeriesResponse = self
            .call("querier.v1.QuerierService/SelectSeries", &request)
            .await?;
        Ok(response.series)
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> anyhow::Result<Reply> {
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply {
            status,
            headers,
            body: response.bytes().await?,
        })
    }
}

impl Reply {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn value(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("read {:?} as JSON", self.text()))
    }

    /// Demands status 200.
    ///
    /// # Errors
    /// If it is another; with the body.
    pub fn ok(self) -> anyhow::Result<Self> {
        ensure!(
            self.status == 200,
            "status {}: {}",
            self.status,
            self.text()
        );
        Ok(self)
    }

    /// Demands this status and a body that holds all these texts, in whatever case.
    ///
    /// # Errors
    /// If it is otherwise; with the body.
    pub fn refused(&self, status: u16, texts: &[&str]) -> anyhow::Result<()> {
        let body = self.text();
        ensure!(
            self.status == status,
            "expected status {status}, got {}: {body}",
            self.status
        );
        let lower = body.to_lowercase();
        for text in texts {
            ensure!(
                lower.contains(&text.to_lowercase()),
                "the answer does not mention {text:?}: {body}"
            );
        }
        Ok(())
    }
}

fn builder() -> ClientBuilder {
    // A second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE)
}

/// A series of a push.
#[must_use]
pub fn series(labels: &[(&str, &str)], profiles: Vec<Vec<u8>>) -> RawProfileSeries {
    let pair = |&(name, value): &(&str, &str)| LabelPair {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let sample = |profile| RawSample {
        raw_profile: Bytes::from(profile),
        ..RawSample::default()
    };
    RawProfileSeries {
        labels: labels.iter().map(pair).collect(),
        samples: profiles.into_iter().map(sample).collect(),
        ..RawProfileSeries::default()
    }
}

/// A query for the flame graph of the last hour.
#[must_use]
pub fn stacktraces(profile_type: &str, selector: &str) -> SelectMergeStacktracesRequest {
    let (start, end) = last_hour();
    SelectMergeStacktracesRequest {
        profile_type_id: profile_type.to_owned(),
        label_selector: selector.to_owned(),
        start,
        end,
        ..SelectMergeStacktracesRequest::default()
    }
}

/// An hour back, and a bit ahead.
#[must_use]
pub fn last_hour() -> (i64, i64) {
    let now = now_ms();
    (now - 3_600_000, now + 60_000)
}
