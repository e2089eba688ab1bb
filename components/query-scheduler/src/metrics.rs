//! Figures of queues, for people and for whoever scales queriers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use phlare_model::TenantId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

const WAIT_BUCKETS: [f64; 13] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Which quantiles of the queries in flight are shown.
const QUANTILES: [f64; 6] = [0.5, 0.75, 0.8, 0.9, 0.95, 0.99];

/// How often queries in flight are counted, and for how long a count matters.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_millis(250);
const SAMPLES: usize = 240;

/// After so long without a query a tenant has no figures any more (field report B59).
const IDLE: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabel {
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabel {
    quantile: String,
}

/// The figures of a queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    length: Family<TenantLabel, Gauge>,
    wait: Histogram,
    discarded: Family<TenantLabel, Counter>,
    cancelled: Family<TenantLabel, Counter>,
    queriers: Gauge,
    inflight: Gauge,
    inflight_lately: Family<QuantileLabel, Gauge>,
    lost: Counter,
    lately: Arc<Mutex<Lately>>,
}

#[derive(Debug, Default)]
struct Lately {
    /// Queries in flight, the newest last.
    counts: VecDeque<u32>,
    /// When tenants asked last.
    asked: HashMap<TenantId, Instant>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            length: Family::default(),
            wait: Histogram::new(WAIT_BUCKETS),
            discarded: Family::default(),
            cancelled: Family::default(),
            queriers: Gauge::default(),
            inflight: Gauge::default(),
            inflight_lately: Family::default(),
            lost: Counter::default(),
            lately: Arc::default(),
        }
    }
}

impl Metrics {
    /// Makes them visible.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = metrics.clone();
        registry.register(
            "pyroscope_query_scheduler_queue_length",
            "Queries that wait, by tenant",
            m.length,
        );
        registry.register(
            "pyroscope_query_scheduler_queue_duration_seconds",
            "How long queries waited until a querier took them",
            m.wait,
        );
        registry.register(
            "pyroscope_query_scheduler_discarded_requests",
            "Queries refused because too many of the tenant waited",
            m.discarded,
        );
        registry.register(
            "pyroscope_query_scheduler_cancelled_requests",
            "Queries given up by whoever asked before they had an answer",
            m.cancelled,
        );
        registry.register(
            "pyroscope_query_scheduler_connected_querier_clients",
            "Queriers that take queries here",
            m.queriers,
        );
        registry.register(
            "pyroscope_query_scheduler_inflight_requests",
            "Queries that wait or are being answered: quantiles of the last minute",
            m.inflight_lately,
        );
        registry.register(
            "phlare_query_scheduler_inflight_requests",
            "Queries that wait or are being answered now",
            m.inflight,
        );
        registry.register(
            "phlare_query_scheduler_lost_requests",
            "Queries whose querier went away before it had the answer",
            m.lost,
        );
        metrics
    }

    pub(crate) fn waiting(&self, tenant: &TenantId, count: usize) {
        let label = label(tenant);
        match i64::try_from(count) {
            Ok(0) => {
                self.length.remove(&label);
            }
            Ok(count) => {
                self.length.get_or_create(&label).set(count);
            }
            Err(_) => {}
        }
    }

    pub(crate) fn asked(&self, tenant: &TenantId, now: Instant) {
        self.lately.lock().asked.insert(tenant.clone(), now);
    }

    pub(crate) fn taken(&self, waited: Duration) {
        self.wait.observe(waited.as_secs_f64());
    }

    pub(crate) fn discarded(&self, tenant: &TenantId) {
        self.discarded.get_or_create(&label(tenant)).inc();
    }

    pub(crate) fn cancelled(&self, tenant: &TenantId) {
        self.cancelled.get_or_create(&label(tenant)).inc();
    }

    pub(crate) fn lost(&self) {
        self.lost.inc();
    }

    /// Counts what is in flight; called every [`SAMPLE_EVERY`].
    pub(crate) fn sample(&self, inflight: usize, queriers: usize, now: Instant) {
        let inflight = u32::try_from(inflight).unwrap_or(u32::MAX);
        self.inflight.set(i64::from(inflight));
        self.queriers
            .set(i64::try_from(queriers).unwrap_or(i64::MAX));
        let mut lately = self.lately.lock();
        lately.counts.push_back(inflight);
        if lately.counts.len() > SAMPLES {
            lately.counts.pop_front();
        }
        let mut sorted: Vec<u32> = lately.counts.iter().copied().collect();
        sorted.sort_unstable();
        for quantile in QUANTILES {
            let label = QuantileLabel {
                quantile: quantile.to_string(),
            };
            let value = i64::from(value_at(&sorted, quantile));
            self.inflight_lately.get_or_create(&label).set(value);
        }
        lately.asked.retain(|tenant, last| {
            let kept = now.saturating_duration_since(*last) < IDLE;
            if !kept {
                self.discarded.remove(&label(tenant));
                self.cancelled.remove(&label(tenant));
            }
            kept
        });
    }

    #[cfg(test)]
    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> (i64, u64, u64) {
        let label = label(tenant);
        let length = self.length.get_or_create(&label).get();
        let discarded = self.discarded.get_or_create(&label).get();
        (
            length,
            discarded,
            self.cancelled.get_or_create(&label).get(),
        )
    }
}

fn label(tenant: &TenantId) -> TenantLabel {
    TenantLabel {
        tenant: tenant.to_string(),
    }
}

/// The smallest value that so large a part of `sorted` does not exceed; 0 of none.
fn value_at(sorted: &[u32], quantile: f64) -> u32 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    let place = rank.saturating_sub(1).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let sorted: Vec<u32> = (1..=100).collect();
        assert_eq!(value_at(&sorted, 0.5), 50);
        assert_eq!(value_at(&sorted, 0.99), 99);
        assert_eq!(value_at(&[7], 0.5), 7);
        assert_eq!(value_at(&[], 0.5), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_minute_counts_and_idle_tenants_are_forgotten() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let tenant = TenantId::anonymous();
        metrics.asked(&tenant, Instant::now());
        metrics.discarded(&tenant);
        let shown = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text
        };
        for _ in 0..SAMPLES {
            metrics.sample(9, 2, Instant::now());
        }
        let text = shown(&registry);
        assert!(
            text.contains("inflight_requests{quantile=\"0.75\"} 9"),
            "{text}"
        );
        assert!(text.contains("discarded_requests_total{tenant=\"anonymous\"} 1"));
        assert!(text.contains("connected_querier_clients 2"));
        for _ in 0..SAMPLES {
            tokio::time::advance(IDLE).await;
            metrics.sample(0, 2, Instant::now());
        }
        let text = shown(&registry);
        assert!(
            text.contains("inflight_requests{quantile=\"0.99\"} 0"),
            "{text}"
        );
        assert!(!text.contains("anonymous"), "{text}");
    }
}
