//! When which request is due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A place in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Number of the request, from 0.
    pub(crate) index: u64,
    /// Open loop: when it is due, from the start of the phase.
    pub(crate) due: Option<Duration>,
}

/// Hands out requests to the connections of a phase.
///
/// Closed loop: each connection takes the next as soon as it is free. Open loop (`rate`): requests
/// are due at fixed times, and one that finds no free connection is late, not left out.
#[derive(Debug)]
pub(crate) struct Schedule {
    next: AtomicU64,
    count: Option<u64>,
    duration: Option<Duration>,
    rate: Option<f64>,
}

impl Schedule {
    /// Ends after `count` requests or `duration`, whichever is first.
    pub(crate) fn new(count: Option<u64>, duration: Option<Duration>, rate: Option<f64>) -> Self {
        Self {
            next: AtomicU64::new(0),
            count,
            duration,
            rate,
        }
    }

    /// The next request, or `None` at the end. `elapsed` is the time since the start.
    pub(crate) fn take(&self, elapsed: Duration) -> Option<Slot> {
        if self.rate.is_none() && self.duration.is_some_and(|limit| elapsed >= limit) {
            return None;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if self.count.is_some_and(|count| index >= count) {
            return None;
        }
        let due = self.rate.map(|rate| due(index, rate));
        let over = due
            .zip(self.duration)
            .is_some_and(|(due, limit)| due >= limit);
        (!over).then_some(Slot { index, due })
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 requests")]
fn due(index: u64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(index as f64 / rate).unwrap_or(Duration::MAX)
}

/// A number in [0, 1) for each index: ascending over a known count, else spread out evenly
/// however many there will be.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 requests")]
pub(crate) fn fraction(index: u64, count: Option<u64>) -> f64 {
    /// 1 over the golden ratio.
    const STRIDE: f64 = 0.618_033_988_749_894_9;
    match count {
        Some(count) if count > 0 => (index % count) as f64 / count as f64,
        _ => (index as f64 * STRIDE).fract(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_count_ends_the_schedule() {
        let schedule = Schedule::new(Some(2), None, None);
        assert_eq!(
            schedule.take(SECOND),
            Some(Slot {
                index: 0,
                due: None
            })
        );
        assert_eq!(
            schedule.take(SECOND),
            Some(Slot {
                index: 1,
                due: None
            })
        );
        assert_eq!(schedule.take(SECOND), None);
    }

    #[test]
    fn a_duration_ends_a_closed_loop_by_the_clock() {
        let schedule = Schedule::new(None, Some(SECOND), None);
        assert!(schedule.take(Duration::from_millis(999)).is_some());
        assert!(schedule.take(SECOND).is_none());
    }

    #[test]
    fn an_open_loop_is_due_by_its_rate_however_late_it_is() {
        let schedule = Schedule::new(None, Some(SECOND), Some(4.0));
        let late = Duration::from_secs(100);
        let due: Vec<u128> = std::iter::from_fn(|| schedule.take(late))
            .map(|slot| slot.due.unwrap().as_millis())
            .collect();
        assert_eq!(due, [0, 250, 500, 750]);
    }

    #[test]
    fn fractions_cover_the_range() {
        let known: Vec<f64> = (0..4).map(|i| fraction(i, Some(4))).collect();
        assert_eq!(known, [0.0, 0.25, 0.5, 0.75]);
        let mut unknown: Vec<f64> = (0..1000).map(|i| fraction(i, None)).collect();
        unknown.sort_by(f64::total_cmp);
        let widest = unknown
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .fold(0.0, f64::max);
        assert!(widest < 0.003, "{widest}");
    }
}
