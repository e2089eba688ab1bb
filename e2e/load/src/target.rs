//! The server, seen from outside: Connect unary calls, `/ingest`, `/ready`.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;

use crate::cli::ServerSettings;
use crate::stamp;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A Connect code, `http_<status>`, or what the connection suffered.
    pub(crate) code: String,
    /// The server's text.
    pub(crate) message: String,
    /// When the server wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    fn transport(error: &reqwest::Error) -> Self {
        let code = if error.is_timeout() {
            "timeout"
        } else if error.is_connect() {
            "connect_failed"
        } else {
            "connection_broken"
        };
        Self {
            code: code.into(),
            message: chain(error),
            retry_after: None,
        }
    }

    fn answered(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        /// The JSON that Connect and the plain routes send.
        #[derive(Deserialize)]
        struct Answer {
            code: serde_json::Value,
            #[serde(default)]
            message: String,
        }
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let http = format!("http_{}", status.as_u16());
        match serde_json::from_slice::<Answer>(body) {
            Ok(Answer {
                code: serde_json::Value::String(code),
                message,
            }) => Self {
                code,
                message,
                retry_after,
            },
            Ok(Answer { message, .. }) => Self {
                code: http,
                message,
                retry_after,
            },
            Err(_) => {
                let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
                Self {
                    code: http,
                    message: text,
                    retry_after,
                }
            }
        }
    }

    /// Whether the server asks for patience.
    pub(crate) fn is_throttled(&self) -> bool {
        self.code == "resource_exhausted" || self.code == "http_429"
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// What a successful request brought.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    body: Bytes,
    gzip: bool,
}

impl Answer {
    /// Bytes on the wire.
    pub(crate) fn wire_bytes(&self) -> usize {
        self.body.len()
    }

    /// The message, decompressed.
    pub(crate) fn message(&self) -> anyhow::Result<Bytes> {
        if self.gzip {
            Ok(stamp::gunzip(self.body.to_vec())?.into())
        } else {
            Ok(self.body.clone())
        }
    }
}

/// One connection: HTTP/1.1, kept alive, one request at a time.
///
/// Answers are not decompressed while the clock runs.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    client: Client,
    base: Url,
}

impl Connection {
    /// Opens nothing yet: the first request does.
    pub(crate) fn new(settings: &ServerSettings) -> anyhow::Result<Self> {
        let mut headers = settings.headers.clone();
        headers.insert(ACCEPT_ENCODING, "gzip".parse()?);
        let client = Client::builder()
            .http1_only()
            .no_gzip()
            .no_proxy()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(1)
            .timeout(settings.timeout)
            .default_headers(headers)
            .build()?;
        Ok(Self {
            client,
            base: settings.url.clone(),
        })
    }

    /// The URL of a path at the server; a path of the base URL is kept.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/{path}"));
        url
    }

    /// A Connect unary call; `method` is `package.Service/Method`.
    pub(crate) async fn call(&self, method: &str, request: Bytes) -> Result<Answer, Failure> {
        self.post(self.url(method), "application/proto", request)
            .await
    }

    /// A POST.
    pub(crate) async fn post(
        &self,
        url: Url,
        content_type: &str,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let request = self
            .client
            .request(Method::POST, url)
            .header(CONTENT_TYPE, content_type)
            .header("connect-protocol-version", "1")
            .body(body);
        self.answer(request).await
    }

    /// Whether the server says that it is ready; else what it says.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        self.answer(self.client.get(self.url("ready")))
            .await
            .map(|_| ())
    }

    /// The server's figures, if it shows any.
    pub(crate) async fn metrics(&self) -> Option<String> {
        let answer = self.answer(self.client.get(self.url("metrics"))).await;
        let text = answer.ok()?.message().ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| Failure::transport(&error))?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = response
            .bytes()
            .await
            .map_err(|error| Failure::transport(&error))?;
        let gzip = headers
            .get(CONTENT_ENCODING)
            .is_some_and(|value| value == "gzip");
        let answer = Answer { body, gzip };
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.message().unwrap_or(answer.body);
        Err(Failure::answered(status, &headers, &body))
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Failure {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "2".parse().unwrap());
        Failure::answered(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            body.as_bytes(),
        )
    }

    #[test]
    fn failures_bear_the_code_of_the_answer() {
        let failure = answered(
            429,
            r#"{"code":"resource_exhausted","message":"limit","details":[]}"#,
        );
        assert_eq!(
            (failure.code.as_str(), failure.message.as_str()),
            ("resource_exhausted", "limit")
        );
        assert_eq!(failure.retry_after, Some(Duration::from_secs(2)));
        assert!(failure.is_throttled());
    }

    #[test]
    fn other_answers_bear_their_status() {
        assert_eq!(
            answered(404, r#"{"code":5,"message":"no"}"#).to_string(),
            "http_404: no"
        );
        assert_eq!(
            answered(502, "bad gateway").to_string(),
            "http_502: bad gateway"
        );
        assert!(answered(429, "").is_throttled());
    }
}
