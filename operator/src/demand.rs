//! Asking query-schedulers how many queries wait and run.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::desired::PORT;

/// How long an answer may take, to its last byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer. That of a query-scheduler with a thousand tenants has a tenth of it.
const MOST_BYTES: usize = 4 << 20;
/// Queries that wait or are being answered now.
const QUERIES: &str = "phlare_query_scheduler_inflight_requests";
/// More queries than this are no number of queries.
const MOST_QUERIES: f64 = 1e9;

/// A query-scheduler does not say.
#[derive(Debug, thiserror::Error)]
#[error("pod {pod}: GET http://{address}/metrics: {problem}")]
pub struct Error {
    pod: String,
    address: String,
    problem: String,
}

/// What query-schedulers said.
#[derive(Debug, Default)]
pub struct Reading {
    /// Queries of those that said.
    pub queries: u64,
    /// How many said.
    pub heard: usize,
    /// Those that did not.
    pub unheard: Vec<Error>,
}

/// Talks with query-schedulers.
#[derive(Clone, Debug)]
pub struct Demand {
    client: Client,
}

impl Demand {
    /// No connections yet.
    ///
    /// # Errors
    /// There is no TLS provider.
    pub fn new() -> Result<Self, reqwest::Error> {
        // Pods are asked by plain HTTP, at their own address and nowhere else.
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(Policy::none())
            .no_proxy()
            .tls_certs_only([]);
        let client = client.build()?;
        Ok(Self { client })
    }

    /// Asks all query-schedulers, given by name and address, at the same time. Takes five seconds at most.
    pub async fn read(&self, pods: &[(String, String)]) -> Reading {
        let asked = pods.iter().map(async |(pod, address)| {
            let address = match address.contains(':') {
                true => format!("[{address}]:{PORT}"),
                false => format!("{address}:{PORT}"),
            };
            self.ask(&address).await.map_err(|problem| Error {
                pod: pod.clone(),
                address,
                problem,
            })
        });
        let mut reading = Reading::default();
        for answer in join_all(asked).await {
            match answer {
                Ok(queries) => {
                    reading.queries = reading.queries.saturating_add(queries);
                    reading.heard = reading.heard.saturating_add(1);
                }
                Err(error) => reading.unheard.push(error),
            }
        }
        reading
    }

    async fn ask(&self, address: &str) -> Result<u64, String> {
        let request = self.client.get(format!("http://{address}/metrics"));
        let response = request.send().await.map_err(|error| innermost(&error))?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let text = body(response).await?;
        queries(&text).ok_or_else(|| format!("no number of queries in {QUERIES}"))
    }
}

/// The body, if it is not too large.
async fn body(mut response: Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| innermost(&error))? {
        if bytes.len().saturating_add(chunk.len()) > MOST_BYTES {
            return Err(format!("more than {MOST_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| "no text".to_owned())
}

/// What happened, without who was asked: `Connection refused (os error 111)`.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The number of queries in a text of metrics: the sum of the gauge's series. None if it has none, or one that is no number
/// of queries.
fn queries(text: &str) -> Option<u64> {
    let mut sum = None::<u64>;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(QUERIES) else {
            continue;
        };
        let value = match rest.strip_prefix('{') {
            None if rest.starts_with(' ') => rest,
            // The name is longer.
            None => continue,
            Some(labels) => after_labels(labels)?,
        };
        // After the value there may be a time, and an exemplar.
        let value = value.split_whitespace().next()?;
        let value: f64 = value.parse().ok()?;
        if !(0.0..=MOST_QUERIES).contains(&value) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is in the range"
        )]
        let value = value.ceil() as u64;
        sum = Some(sum.unwrap_or_default().saturating_add(value));
    }
    sum
}

/// What comes after the brace that ends labels, of which there may be more in quotes.
fn after_labels(text: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return text.get(at..)?.strip_prefix('}'),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
