//! The ingestion rate: one token bucket for each tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use phlare_model::{Clock, TenantId};
use phlare_tenancy::Limits;

use crate::error::{ByteSize, Error};

/// More buckets than this are looked through for full ones, which say nothing.
const MANY: usize = 10_000;

/// The buckets of all tenants. 100 B for each tenant that sent something lately.
#[derive(Debug)]
pub(crate) struct Rates {
    clock: Arc<dyn Clock>,
    buckets: Mutex<HashMap<TenantId, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at_ns: i64,
    rate: f64,
    burst: f64,
}

impl Bucket {
    fn refill(&mut self, now_ns: i64, rate: f64, burst: f64) {
        let seconds = now_ns.saturating_sub(self.at_ns).max(0) as f64 / 1e9;
        *self = Self {
            tokens: (self.tokens + seconds * self.rate).min(burst),
            at_ns: now_ns.max(self.at_ns),
            rate,
            burst,
        };
    }
}

impl Rates {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            buckets: Mutex::default(),
        }
    }

    /// Takes `size` bytes out of the tenant's bucket, if they are in it. The rate is divided among `distributors`; the
    /// burst is not, or large profiles would never pass.
    pub(crate) fn take(
        &self,
        tenant: &TenantId,
        size: usize,
        limits: &Limits,
        distributors: usize,
    ) -> Result<(), Error> {
        let Some(rate) = limits.ingestion_rate_bytes() else {
            return Ok(());
        };
        let rate = rate / distributors.max(1) as f64;
        let burst = limits.ingestion_burst_bytes();
        let (size, shown) = (size as f64, ByteSize(size as u64));
        if size > burst {
            return Err(Error::AboveBurst {
                size: shown,
                burst: ByteSize(burst as u64),
            });
        }
        let now_ns = self.clock.now_ns();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= MANY && !buckets.contains_key(tenant) {
            buckets.retain(|_, bucket| {
                bucket.refill(now_ns, bucket.rate, bucket.burst);
                bucket.tokens < bucket.burst
            });
        }
        let full = Bucket {
            tokens: burst,
            at_ns: now_ns,
            rate,
            burst,
        };
        let bucket = buckets.entry(tenant.clone()).or_insert(full);
        bucket.refill(now_ns, rate, burst);
        if bucket.tokens < size {
            let retry_after =
                Duration::try_from_secs_f64((size - bucket.tokens) / rate).unwrap_or(Duration::MAX);
            let rate = format!("{}/s", ByteSize(rate as u64));
            return Err(Error::RateLimited {
                size: shown,
                rate,
                burst: ByteSize(burst as u64),
                retry_after,
            });
        }
        bucket.tokens -= size;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use phlare_model::ManualClock;

    use super::*;

    const MIB: usize = 1 << 20;

    fn tenant(id: &str) -> TenantId {
        TenantId::parse(id).unwrap()
    }

    #[test]
    fn what_the_profile_limit_allows_passes_on_an_idle_server() {
        let clock = Arc::new(ManualClock::at_ns(0));
        let rates = Rates::new(Arc::<ManualClock>::clone(&clock));
        let limits = Limits {
            ingestion_burst_size_mb: 0.0,
            ..Limits::default()
        };
        for _ in 0..5 {
            rates
                .take(&tenant("a"), limits.max_profile_size_bytes, &limits, 1)
                .unwrap();
            clock.advance(Duration::from_secs(10));
        }
    }

    #[test]
    fn push_over_the_rate_is_refused_with_advice_that_holds() {
        let clock = Arc::new(ManualClock::at_ns(0));
        let rates = Rates::new(Arc::<ManualClock>::clone(&clock));
        let limits = Limits::default();
        rates.take(&tenant("a"), 4 * MIB, &limits, 1).unwrap();
        let refusal = rates.take(&tenant("a"), 3 * MIB, &limits, 1).unwrap_err();
        let text = refusal.to_string();
        assert!(
            text.contains("4.0 MiB/s") && text.contains("`ingestion_rate_mb`"),
            "{text}"
        );
        assert!(
            text.contains("3.0 MiB") && text.contains("`ingestion_burst_size_mb`"),
            "{text}"
        );
        let Error::RateLimited { retry_after, .. } = refusal else {
            panic!("{refusal:?}")
        };
        rates.take(&tenant("b"), 3 * MIB, &limits, 1).unwrap();
        clock.advance(retry_after + Duration::from_millis(1));
        rates.take(&tenant("a"), 3 * MIB, &limits, 1).unwrap();
    }

    #[test]
    fn distributors_share_the_rate() {
        let clock = Arc::new(ManualClock::at_ns(0));
        let rates = Rates::new(Arc::<ManualClock>::clone(&clock));
        let limits = Limits::default();
        rates.take(&tenant("a"), 4 * MIB, &limits, 4).unwrap();
        clock.advance(Duration::from_secs(1));
        // A quarter of 4 MiB/s.
        assert!(rates.take(&tenant("a"), 2 * MIB, &limits, 4).is_err());
        rates.take(&tenant("a"), MIB, &limits, 4).unwrap();
    }

    #[test]
    fn what_can_never_pass_is_not_told_to_try_again() {
        let rates = Rates::new(Arc::new(ManualClock::at_ns(0)));
        let limits = Limits {
            max_profile_size_bytes: 0,
            ..Limits::default()
        };
        let refusal = rates.take(&tenant("a"), 3 * MIB, &limits, 1).unwrap_err();
        assert!(matches!(refusal, Error::AboveBurst { .. }), "{refusal}");
        assert!(refusal.to_string().contains("3.0 MiB"), "{refusal}");
    }

    #[test]
    fn without_a_rate_everything_passes() {
        let rates = Rates::new(Arc::new(ManualClock::at_ns(0)));
        let limits = Limits {
            ingestion_rate_mb: 0.0,
            ..Limits::default()
        };
        for _ in 0..10 {
            rates.take(&tenant("a"), 100 * MIB, &limits, 1).unwrap();
        }
    }

    #[test]
    fn tenants_that_have_gone_are_forgotten() {
        let clock = Arc::new(ManualClock::at_ns(0));
        let rates = Rates::new(Arc::<ManualClock>::clone(&clock));
        for i in 0..MANY {
            rates
                .take(&tenant(&i.to_string()), 1, &Limits::default(), 1)
                .unwrap();
        }
        clock.advance(Duration::from_secs(60));
        rates
            .take(&tenant("new"), 1, &Limits::default(), 1)
            .unwrap();
        assert_eq!(rates.buckets.lock().len(), 1);
    }
}
