//! Which series count against the limit: those with a profile in the last ten minutes.

use std::time::Duration;

use crate::series::SeriesIndex;

const IDLE_AFTER: Duration = Duration::from_secs(600);
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// When each series received its last profile.
#[derive(Debug, Default)]
pub(crate) struct ActiveSeries {
    /// By series; 0 is idle.
    seen_ns: Vec<i64>,
    active: usize,
    swept_ns: i64,
}

impl ActiveSeries {
    /// The active series, and when each received its last profile.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SeriesIndex, i64)> {
        let seen = (0..).zip(self.seen_ns.iter().copied());
        seen.filter(|&(_, seen_ns)| seen_ns != 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.active
    }

    /// How many of `series` are not active now; `None` is a series that does not exist yet.
    pub(crate) fn idle_among(&self, series: impl Iterator<Item = Option<SeriesIndex>>) -> usize {
        series
            .filter(|series| series.is_none_or(|index| !self.is_active(index)))
            .count()
    }

    fn is_active(&self, series: SeriesIndex) -> bool {
        self.seen_ns
            .get(series as usize)
            .is_some_and(|&seen| seen != 0)
    }

    /// Forgets series that became idle, at most once a minute.
    pub(crate) fn sweep(&mut self, now_ns: i64) {
        if now_ns.saturating_sub(self.swept_ns) < nanos(SWEEP_EVERY) {
            return;
        }
        self.swept_ns = now_ns;
        let idle_before = now_ns.saturating_sub(nanos(IDLE_AFTER));
        for seen in &mut self.seen_ns {
            if *seen != 0 && *seen < idle_before {
                *seen = 0;
                self.active -= 1;
            }
        }
    }

    pub(crate) fn touch(&mut self, series: SeriesIndex, now_ns: i64) {
        let index = series as usize;
        if index >= self.seen_ns.len() {
            self.seen_ns.resize(index + 1, 0);
        }
        if std::mem::replace(&mut self.seen_ns[index], now_ns.max(1)) == 0 {
            self.active += 1;
        }
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    #[test]
    fn a_series_counts_for_ten_minutes_after_its_last_profile() {
        let mut active = ActiveSeries::default();
        active.touch(0, MINUTE);
        active.touch(1, 5 * MINUTE);
        active.touch(1, 6 * MINUTE);
        assert_eq!(active.len(), 2);
        assert_eq!(
            active.idle_among([Some(0), Some(1), Some(2), None].into_iter()),
            2
        );
        active.sweep(12 * MINUTE);
        assert_eq!(active.len(), 1);
        assert_eq!(active.idle_among([Some(0), Some(1)].into_iter()), 1);
        active.touch(0, 12 * MINUTE);
        assert_eq!(active.len(), 2);
    }

    #[test]
    fn sweeps_are_a_minute_apart() {
        let mut active = ActiveSeries::default();
        active.touch(0, MINUTE);
        active.sweep(11 * MINUTE);
        active.sweep(11 * MINUTE + 1);
        assert_eq!(active.len(), 1, "not older than ten minutes at the sweep");
        active.sweep(12 * MINUTE);
        assert_eq!(active.len(), 0);
    }
}
