//! Calls to the server: Connect unary, `/ingest`, `/ready`.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use phlare_credentials::{ClientTls, Figures, PeerConfig};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use crate::cli::{ServerArgs, TlsArgs, UsageError};

/// Most characters shown of an answer that is not ours.
const SHOWN: usize = 300;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Status 4xx.
    #[error("the server refused: {message} ({code})")]
    Refused { code: String, message: String },
    /// Any other status but success.
    #[error("the server failed: {message} ({code})")]
    Server { code: String, message: String },
    /// No answer.
    #[error("no answer from {url}")]
    Transport { url: Url, source: reqwest::Error },
    /// An answer that is not of this API.
    #[error("the answer of {url} cannot be read; is this the right server?")]
    Answer {
        url: Url,
        source: prost::DecodeError,
    },
}

/// The errors of Connect and of the plain routes.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: String,
}

impl ClientError {
    fn answered(status: StatusCode, body: &[u8]) -> Self {
        let (code, message) = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody {
                code: serde_json::Value::String(code),
                message,
            }) => (code, message),
            Ok(ErrorBody { message, .. }) => (status.to_string(), message),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                (
                    status.to_string(),
                    text.trim().chars().take(SHOWN).collect(),
                )
            }
        };
        let message = if message.is_empty() {
            "no reason given".to_owned()
        } else {
            message
        };
        if status.is_client_error() {
            Self::Refused { code, message }
        } else {
            Self::Server { code, message }
        }
    }
}

/// A client that believes those whom the arguments name.
fn tls(args: &TlsArgs) -> anyhow::Result<reqwest::ClientBuilder> {
    let builder = reqwest::Client::builder();
    let config = PeerConfig {
        tls_enabled: true,
        tls_cert_path: args.tls_cert_path.clone().unwrap_or_default(),
        tls_key_path: args.tls_key_path.clone().unwrap_or_default(),
        tls_ca_path: args.tls_ca_path.clone().unwrap_or_default(),
        tls_server_name: args.tls_server_name.clone().unwrap_or_default(),
        tls_insecure_skip_verify: args.tls_insecure_skip_verify,
        ..PeerConfig::default()
    };
    let only_enabled = PeerConfig {
        tls_enabled: true,
        ..PeerConfig::default()
    };
    if config == only_enabled {
        return Ok(builder);
    }
    // The names of its keys are those of the flags but for dashes.
    config.validate().map_err(|error| {
        let key = error.key.trim_start_matches("peer.").replace('_', "-");
        let problem = error.problem.replace("-peer.", "--");
        UsageError(format!("--{key}: {problem}"))
    })?;
    let opened = ClientTls::open(&config, &Figures::default())?;
    let tls = opened.context("TLS is on")?.config(&[b"h2", b"http/1.1"]);
    Ok(builder.tls_backend_preconfigured(tls))
}

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Option<(String, Option<String>)>,
    token: Option<String>,
}

impl Client {
    /// Opens nothing yet.
    pub(crate) fn new(args: &ServerArgs) -> anyhow::Result<Self> {
        let base: Url = args
            .url
            .parse()
            .map_err(|error| UsageError(format!("--url `{}`: {error}", args.url)))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(UsageError(format!(
                "--url `{}`: expected http:// or https://",
                args.url
            ))
            .into());
        }
        let mut headers = HeaderMap::new();
        headers.insert("connect-protocol-version", HeaderValue::from_static("1"));
        if let Some(tenant) = &args.tenant_id {
            let value = tenant
                .parse()
                .map_err(|_| UsageError("--tenant-id: not a header value".to_owned()))?;
            headers.insert("x-scope-orgid", value);
        }
        let http = tls(&args.tls)?
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(args.timeout))
            .default_headers(headers)
            .user_agent(concat!("phlarectl/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("set up the client")?;
        let credentials = args
            .username
            .clone()
            .map(|name| (name, args.password.clone()));
        Ok(Self {
            http,
            base,
            credentials,
            token: args.token.clone(),
        })
    }

    /// The URL of a path; a path of `--url` is kept.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/{path}"));
        url
    }

    /// A Connect unary call; `method` is `package.Service/Method`.
    pub(crate) async fn call<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<A, ClientError> {
        let url = self.url(method);
        let body = self
            .post(
                url.clone(),
                "application/proto",
                request.encode_to_vec().into(),
            )
            .await?;
        A::decode(body).map_err(|source| ClientError::Answer { url, source })
    }

    /// A method of the querier service.
    pub(crate) async fn query<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<A, ClientError> {
        self.call(&format!("querier.v1.QuerierService/{method}"), request)
            .await
    }

    /// A POST; returns the body of the answer.
    pub(crate) async fn post(
        &self,
        url: Url,
        content_type: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, content_type)
            .body(body);
        self.send(url, request).await
    }

    /// A GET; returns the body of the answer.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        let url = self.url(path);
        self.send(url.clone(), self.http.get(url)).await
    }

    async fn send(
        &self,
        url: Url,
        mut request: reqwest::RequestBuilder,
    ) -> Result<Bytes, ClientError> {
        if let Some((name, password)) = &self.credentials {
            request = request.basic_auth(name, password.as_deref());
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let broken = |error: reqwest::Error| ClientError::Transport {
            url: url.clone(),
            source: error.without_url(),
        };
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let body = response.bytes().await.map_err(broken)?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(ClientError::answered(status, &body))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> String {
        ClientError::answered(StatusCode::from_u16(status).unwrap(), body.as_bytes()).to_string()
    }

    #[test]
    fn errors_are_one_clear_line() {
        let connect = r#"{"code":"invalid_argument","message":"bad selector at 3","details":[]}"#;
        assert_eq!(
            answered(400, connect),
            "the server refused: bad selector at 3 (invalid_argument)"
        );
        assert_eq!(
            answered(503, "starting\n"),
            "the server failed: starting (503 Service Unavailable)"
        );
        assert_eq!(
            answered(404, r#"{"code":5,"message":"no"}"#),
            "the server refused: no (404 Not Found)"
        );
        assert_eq!(
            answered(500, ""),
            "the server failed: no reason given (500 Internal Server Error)"
        );
    }
}
