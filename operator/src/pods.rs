//! Asking pods by plain HTTP, at their own address and nowhere else.

use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::desired::PORT;

/// How long an answer may take, to its last byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer. The metrics of a query-scheduler with a thousand tenants have a tenth of it.
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// Asks pods.
#[derive(Clone, Debug)]
pub struct Pods {
    client: Client,
}

impl Pods {
    /// No connections yet.
    ///
    /// # Errors
    /// There is no TLS provider.
    pub fn new() -> Result<Self, reqwest::Error> {
        // Whom the system trusts does not matter for plain HTTP, and an image has no such list.
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(Policy::none())
            .no_proxy()
            .tls_certs_only([]);
        let client = client.build()?;
        Ok(Self { client })
    }

    /// The body of the answer of the pod at an address of [`authority`].
    ///
    /// # Errors
    /// There is none, it is no success, or it is too large: what happened, without who was asked.
    pub async fn ask(
        &self,
        method: Method,
        authority: &str,
        path: &str,
    ) -> Result<Vec<u8>, String> {
        self.ask_within(PATIENCE, method, authority, path).await
    }

    /// The same of a pod that has much to do before it answers.
    ///
    /// # Errors
    /// As of [`Pods::ask`].
    pub async fn ask_within(
        &self,
        patience: Duration,
        method: Method,
        authority: &str,
        path: &str,
    ) -> Result<Vec<u8>, String> {
        let request = self
            .client
            .request(method, format!("http://{authority}{path}"));
        let response = request.timeout(patience).send().await;
        let response = response.map_err(|error| innermost(&error, patience))?;
        read(response, &[], patience).await
    }

    /// A page of the pod at an address of [`authority`], as JSON. One that says that the pod is not ready is a page, too.
    ///
    /// # Errors
    /// As of [`Pods::ask`], or it is not what it should be.
    pub async fn page<T: DeserializeOwned>(
        &self,
        authority: &str,
        path: &str,
    ) -> Result<T, String> {
        let request = self.client.get(format!("http://{authority}{path}"));
        let request = request.header(ACCEPT, "application/json");
        let response = request.send().await;
        let response = response.map_err(|error| innermost(&error, PATIENCE))?;
        let also = [StatusCode::SERVICE_UNAVAILABLE];
        let body = read(response, &also, PATIENCE).await?;
        serde_json::from_slice(&body).map_err(|problem| format!("its answer: {problem}"))
    }
}

/// The body of an answer that is a success, or has a status that is as good as that.
async fn read(
    response: Response,
    also: &[StatusCode],
    patience: Duration,
) -> Result<Vec<u8>, String> {
    let status = response.status();
    if !status.is_success() && !also.contains(&status) {
        return Err(format!("status {}", status.as_u16()));
    }
    body(response, patience).await
}

/// Address and port of a pod, as URLs have them.
#[must_use]
pub fn authority(address: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]:{PORT}"),
        false => format!("{address}:{PORT}"),
    }
}

/// The body, if it is not too large.
async fn body(mut response: Response, patience: Duration) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let failed = |error| innermost(&error, patience);
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len().saturating_add(chunk.len()) > MOST_BYTES {
            return Err(format!("more than {MOST_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What happened, without who was asked: `Connection refused (os error 111)`.
fn innermost(error: &reqwest::Error, patience: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", patience.as_secs());
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
