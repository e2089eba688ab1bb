//! Counts of one phase: latencies, bytes, errors by code.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::target::Failure;

/// Different messages kept of each code.
const SAMPLES: usize = 3;

/// Failures with one code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorGroup {
    pub(crate) count: u64,
    pub(crate) samples: Vec<String>,
}

/// What one connection measured; those of a phase are merged.
#[derive(Debug)]
pub(crate) struct Recorder {
    latency_us: Histogram<u64>,
    pub(crate) ok: u64,
    pub(crate) retries: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) errors: BTreeMap<String, ErrorGroup>,
}

/// Latencies of the requests that succeeded, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Recorder {
    /// Nothing measured yet.
    pub(crate) fn new() -> Self {
        let mut latency_us = Histogram::new_with_bounds(1, 60_000_000, 3)
            .expect("the bounds are in order and 3 digits are allowed");
        latency_us.auto(true);
        Self {
            latency_us,
            ok: 0,
            retries: 0,
            bytes_sent: 0,
            bytes_received: 0,
            errors: BTreeMap::new(),
        }
    }

    /// A request that succeeded.
    pub(crate) fn succeeded(&mut self, latency: Duration, sent: usize, received: usize) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.saturating_record(us);
        self.ok += 1;
        self.bytes_sent += sent as u64;
        self.bytes_received += received as u64;
    }

    /// A request that failed.
    pub(crate) fn failed(&mut self, failure: Failure, sent: usize) {
        self.bytes_sent += sent as u64;
        let group = self.errors.entry(failure.code).or_default();
        group.count += 1;
        keep_sample(&mut group.samples, failure.message);
    }

    /// Adds what another connection measured.
    pub(crate) fn merge(&mut self, other: Self) {
        // Cannot fail: this histogram resizes itself.
        let _ = self.latency_us.add(&other.latency_us);
        self.ok += other.ok;
        self.retries += other.retries;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        for (code, theirs) in other.errors {
            let ours = self.errors.entry(code).or_default();
            ours.count += theirs.count;
            for sample in theirs.samples {
                keep_sample(&mut ours.samples, sample);
            }
        }
    }

    /// The latencies, if any request succeeded.
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of a request are far below 2^53"
    )]
    pub(crate) fn latency(&self) -> Option<Latency> {
        if self.latency_us.is_empty() {
            return None;
        }
        let at = |quantile| self.latency_us.value_at_quantile(quantile) as f64 / 1e3;
        Some(Latency {
            mean: self.latency_us.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: self.latency_us.max() as f64 / 1e3,
        })
    }

    /// Requests that failed.
    pub(crate) fn failures(&self) -> u64 {
        self.errors.values().map(|group| group.count).sum()
    }
}

fn keep_sample(samples: &mut Vec<String>, message: String) {
    if samples.len() < SAMPLES && !samples.contains(&message) {
        samples.push(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str, message: &str) -> Failure {
        Failure {
            code: code.into(),
            message: message.into(),
            retry_after: None,
        }
    }

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let mut all = Recorder::new();
        for part in 0..4_u64 {
            let mut recorder = Recorder::new();
            for i in 1..=250_u64 {
                recorder.succeeded(Duration::from_millis(part * 250 + i), 10, 1);
            }
            all.merge(recorder);
        }
        let latency = all.latency().unwrap();
        for (got, expected) in [
            (latency.p50, 500.0),
            (latency.p90, 900.0),
            (latency.p99, 990.0),
            (latency.max, 1000.0),
        ] {
            assert!(
                (got - expected).abs() <= expected / 1000.0,
                "{got} {expected}"
            );
        }
        assert_eq!(
            (all.ok, all.bytes_sent, all.bytes_received),
            (1000, 10_000, 1000)
        );
    }

    #[test]
    fn nothing_measured_has_no_latency() {
        assert_eq!(Recorder::new().latency(), None);
    }

    #[test]
    fn failures_are_grouped_by_code_with_few_samples() {
        let mut all = Recorder::new();
        for i in 0..10 {
            let mut recorder = Recorder::new();
            recorder.failed(
                failure("resource_exhausted", &format!("limit {}", i % 5)),
                1,
            );
            recorder.failed(failure("unavailable", "starting"), 1);
            all.merge(recorder);
        }
        assert_eq!(all.failures(), 20);
        assert_eq!(all.errors["resource_exhausted"].count, 10);
        assert_eq!(
            all.errors["resource_exhausted"].samples,
            ["limit 0", "limit 1", "limit 2"]
        );
        assert_eq!(all.errors["unavailable"].samples, ["starting"]);
    }
}
