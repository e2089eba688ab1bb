//! Logins: a name and a secret are exchanged for a token and the URL of the account.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use object_store::Result;
use object_store::client::HttpClient;
use phlare_model::{Clock, SystemClock};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Strange, failed, send};
use crate::config::Secret;

/// A token is renewed so long before it ends.
const MARGIN: Duration = Duration::from_secs(60);

/// What a login gives.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) token: String,
    /// URL of the account.
    pub(crate) storage: String,
    /// How long the token is used.
    pub(crate) lasts: Option<Duration>,
}

/// Where to log in, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// With its version, for Keystone.
    pub(crate) url: String,
    pub(crate) identity: Identity,
    /// Of the store, if there are several; Keystone only.
    pub(crate) region: Option<String>,
}

/// Who logs in.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// Swift's own login: `account:user`.
    Plain { name: String, secret: Secret },
    /// Keystone: `auth` of its request, without the secret.
    Keystone { auth: Value, secret: Secret },
}

impl Login {
    pub(crate) async fn session(&self, client: &HttpClient) -> Result<Session> {
        match &self.identity {
            Identity::Plain { name, secret } => {
                let request = http::Request::builder()
                    .method(Method::GET)
                    .uri(&self.url)
                    .header("X-Auth-User", name)
                    .header("X-Auth-Key", secret.expose());
                let response = send(client, request, Bytes::new()).await?;
                plain(response.headers())
            }
            Identity::Keystone { auth, secret } => {
                let body = with_secret(auth.clone(), secret);
                let request = http::Request::builder()
                    .method(Method::POST)
                    .uri(format!("{}/auth/tokens", self.url))
                    .header(CONTENT_TYPE, "application/json");
                let response = send(client, request, body.to_string()).await?;
                let token = header(response.headers(), "x-subject-token")?;
                let body = response.into_body().bytes().await.map_err(failed)?;
                let body: Tokens = serde_json::from_slice(&body).map_err(failed)?;
                self.keystone(token, body.token)
            }
        }
    }

    fn keystone(&self, token: String, body: Token) -> Result<Session> {
        let wanted = |endpoint: &Endpoint| {
            let here =
                |region: &String| *region == endpoint.region_id || *region == endpoint.region;
            endpoint.interface == "public" && self.region.as_ref().is_none_or(here)
        };
        let store = |service: &&Service| service.kind == "object-store";
        let endpoints = || {
            body.catalog
                .iter()
                .filter(store)
                .flat_map(|service| &service.endpoints)
        };
        let found = endpoints()
            .find(|endpoint| wanted(endpoint))
            .ok_or_else(|| {
                let regions: Vec<&str> = endpoints()
                    .map(|endpoint| endpoint.region.as_str())
                    .collect();
                failed(NoStore {
                    wanted: self.region.clone(),
                    regions: regions.join(", "),
                })
            })?;
        let now_ms = SystemClock.now_ms();
        let ends = phlare_model::time::parse_time(&body.expires_at, now_ms);
        let left =
            u64::try_from(ends.unwrap_or(i64::MAX).saturating_sub(now_ms)).unwrap_or_default();
        Ok(Session {
            token,
            storage: found.url.trim_end_matches('/').to_owned(),
            lasts: Some(usable(Duration::from_millis(left))),
        })
    }
}

/// The part of a token's time in which it is used.
fn usable(left: Duration) -> Duration {
    left.saturating_sub(MARGIN.min(left / 2))
}

fn plain(headers: &HeaderMap) -> Result<Session> {
    let seconds = headers.get("x-auth-token-expires");
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(Session {
        token: header(headers, "x-auth-token")?,
        storage: header(headers, "x-storage-url")?
            .trim_end_matches('/')
            .to_owned(),
        lasts: seconds.map(|left| usable(Duration::from_secs(left))),
    })
}

fn header(headers: &HeaderMap, name: &'static str) -> Result<String> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value
        .map(str::to_owned)
        .ok_or_else(|| failed(Strange(name)))
}

/// Puts the secret where the method has it.
fn with_secret(mut auth: Value, secret: &Secret) -> Value {
    if let Some(identity) = auth.get_mut("identity") {
        if let Some(Value::Object(user)) = identity.pointer_mut("/password/user") {
            user.insert("password".to_owned(), secret.expose().into());
        }
        if let Some(Value::Object(credential)) = identity.get_mut("application_credential") {
            credential.insert("secret".to_owned(), secret.expose().into());
        }
    }
    json!({ "auth": auth })
}

/// The catalogue has no such store.
#[derive(Debug, thiserror::Error)]
#[error(
    "the login's catalogue has no public object store in region {wanted:?}; regions with one: {regions}"
)]
struct NoStore {
    wanted: Option<String>,
    regions: String,
}

#[derive(Debug, Deserialize)]
struct Tokens {
    token: Token,
}

#[derive(Debug, Deserialize)]
struct Token {
    expires_at: String,
    #[serde(default)]
    catalog: Vec<Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    interface: String,
    url: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    region_id: String,
}
