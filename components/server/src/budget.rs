//! The bytes that the bodies of all requests in progress may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phlare_model::ErrorKind;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::metrics::gauge_value;
use crate::status::Status;

/// A request that has not taken more than this may use the last quarter of the budget:
/// a few huge bodies must not shut out the many small ones.
const SMALL: usize = 1 << 20;

/// A number of bytes, shared by all requests.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    gauge: Gauge,
    refused: Counter,
}

/// What one request has taken; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize, gauge: Gauge, refused: Counter) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            gauge,
            refused,
        })
    }

    pub(crate) fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }

    fn add(&self, bytes: usize, limit: usize) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit)
            });
        match taken {
            Ok(before) => {
                self.gauge.set(gauge_value(before.saturating_add(bytes)));
                true
            }
            Err(_) => {
                self.refused.inc();
                false
            }
        }
    }
}

impl Reservation {
    /// Takes `bytes` more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        let small = self.bytes.saturating_add(bytes) <= SMALL;
        let limit = if small {
            self.budget.limit
        } else {
            self.budget.limit / 4 * 3
        };
        if self.budget.add(bytes, limit) {
            self.bytes += bytes;
            return Ok(());
        }
        let message = format!(
            "the server is busy: the bodies of the requests in progress would take more than {limit} bytes \
             (`-server.max-inflight-bytes`)"
        );
        Err(Status::new(ErrorKind::Unavailable, message).with_retry_after(Duration::from_secs(1)))
    }

    /// Gives `bytes` back.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let before = self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
        self.budget
            .gauge
            .set(gauge_value(before.saturating_sub(bytes)));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn huge_bodies_leave_room_for_small_ones() {
        let budget = Budget::new(8 * MIB, Gauge::default(), Counter::default());
        let mut huge = budget.reserve();
        huge.grow(6 * MIB).unwrap();
        let refusal = huge.grow(1).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Unavailable);
        assert!(refusal.retry_after.is_some());
        let mut small = budget.reserve();
        small.grow(MIB).unwrap();
        small.grow(1).unwrap_err();
        assert_eq!(budget.refused.get(), 2);
        drop(huge);
        small.grow(1).unwrap();
        drop(small);
        assert_eq!(
            (budget.used.load(Ordering::Relaxed), budget.gauge.get()),
            (0, 0)
        );
    }
}
