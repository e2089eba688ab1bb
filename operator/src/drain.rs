//! Asking an ingester to bring all it holds into the object store.

use std::time::Duration;

use reqwest::{Client, Method};
use serde::Deserialize;

use crate::desired::PORT;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an ingester says of its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Preparation {
    /// It was asked to, and takes nothing new.
    pub prepared: bool,
    /// All that it held is in the object store.
    pub finished: bool,
    /// Tenants with profiles that are in no block yet.
    #[serde(default)]
    pub heads: usize,
    /// Blocks that are not in the object store yet.
    #[serde(default)]
    pub blocks: usize,
    /// What went wrong the last time.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// An ingester does not say.
#[derive(Debug, thiserror::Error)]
#[error("{method} http://{address}:{PORT}/ingester/prepare-shutdown: {problem}")]
pub struct Error {
    method: Method,
    address: String,
    problem: String,
}

/// Talks with ingesters.
#[derive(Clone, Debug)]
pub struct Drain {
    client: Client,
}

impl Drain {
    /// No connections yet.
    ///
    /// # Errors
    /// There is no TLS provider.
    pub fn new() -> Result<Self, reqwest::Error> {
        // Ingesters are asked by plain HTTP: whom the system trusts does not matter, and an image has no such list.
        let client = Client::builder().timeout(PATIENCE).tls_certs_only([]);
        let client = client.build()?;
        Ok(Self { client })
    }

    /// Asks the ingester at an address to prepare for its end, and how far it is.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn prepare(&self, address: &str) -> Result<Preparation, Error> {
        self.call(Method::POST, address).await
    }

    /// Lets the ingester at an address go on.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn undo(&self, address: &str) -> Result<Preparation, Error> {
        self.call(Method::DELETE, address).await
    }

    async fn call(&self, method: Method, address: &str) -> Result<Preparation, Error> {
        let host = match address.contains(':') {
            true => format!("[{address}]"),
            false => address.to_owned(),
        };
        let url = format!("http://{host}:{PORT}/ingester/prepare-shutdown");
        let answer = async {
            let request = self.client.request(method.clone(), url);
            let response = request.send().await?.error_for_status()?;
            response.bytes().await
        };
        let error = |problem: String| Error {
            method: method.clone(),
            address: address.to_owned(),
            problem,
        };
        let body = answer.await.map_err(|problem| error(problem.to_string()))?;
        serde_json::from_slice(&body).map_err(|problem| error(format!("its answer: {problem}")))
    }
}
