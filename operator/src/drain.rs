//! Asking an ingester to bring all it holds into the object store.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;

use crate::pods::{Pods, authority};

/// Where it is asked to prepare for its end.
const PREPARE: &str = "/ingester/prepare-shutdown";
/// How long it may take to upload what it holds.
const FLUSHED: Duration = Duration::from_secs(90);
/// Where it is asked to upload what it has so far.
const FLUSH: &str = "/ingester/flush";

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
#[error("{method} http://{authority}{path}: {problem}")]
pub struct Error {
    method: Method,
    path: &'static str,
    authority: String,
    problem: String,
}

/// Talks with ingesters.
#[derive(Clone, Debug)]
pub struct Drain {
    pods: Pods,
}

impl Drain {
    /// Asks by this client.
    #[must_use]
    pub const fn new(pods: Pods) -> Self {
        Self { pods }
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

    /// Has the ingester at an address bring what it holds into the object store, and go on.
    ///
    /// # Errors
    /// It does not answer, or not in time. It goes on with it; asked again, it has less to do.
    pub async fn flush(&self, address: &str) -> Result<(), Error> {
        let authority = authority(address);
        let pods = &self.pods;
        let flushed = pods.ask_within(FLUSHED, Method::POST, &authority, FLUSH);
        let flushed = flushed.await;
        flushed.map(|_| ()).map_err(|problem| Error {
            method: Method::POST,
            path: FLUSH,
            authority,
            problem,
        })
    }

    async fn call(&self, method: Method, address: &str) -> Result<Preparation, Error> {
        let authority = authority(address);
        let answer = self.pods.ask(method.clone(), &authority, PREPARE).await;
        let said = answer.and_then(|body| {
            serde_json::from_slice(&body).map_err(|problem| format!("its answer: {problem}"))
        });
        said.map_err(|problem| Error {
            method,
            path: PREPARE,
            authority,
            problem,
        })
    }
}
