//! Asking query-schedulers how many queries wait and run.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use futures_util::future::join_all;
use reqwest::Method;

use crate::figures::series;
use crate::pods::{Pods, authority};

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
    pods: Pods,
}

impl Demand {
    /// Asks by this client.
    #[must_use]
    pub const fn new(pods: Pods) -> Self {
        Self { pods }
    }

    /// Asks all query-schedulers, given by name and address, at the same time. Takes five seconds at most.
    pub async fn read(&self, pods: &[(String, String)]) -> Reading {
        let asked = pods.iter().map(async |(pod, address)| {
            let address = authority(address);
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
        let body = self.pods.ask(Method::GET, address, "/metrics").await?;
        let text = str::from_utf8(&body).map_err(|_| "no text".to_owned())?;
        queries(text).ok_or_else(|| format!("no number of queries in {QUERIES}"))
    }
}

/// The number of queries in a text of metrics: the sum of the gauge's series. None if it has none, or one that is no number
/// of queries.
fn queries(text: &str) -> Option<u64> {
    let mut sum = None::<u64>;
    for series in series(text, QUERIES) {
        let (_, value) = series?;
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

#[cfg(test)]
mod tests;
