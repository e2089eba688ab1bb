//! The ingestion window: which times a profile may have.

use std::time::Duration;

use jiff::Timestamp;
use phlare_model::time::format_duration;
use phlare_tenancy::Limits;

use crate::error::Error;

/// A year: a time below is a clock that was never set, or a number in the wrong unit.
const YEAR_NS: i64 = 365 * 24 * 3600 * 1_000_000_000;

/// Refuses a profile that is not strictly inside of the tenant's window around `now_ns`.
pub(crate) fn check(time_ns: i64, now_ns: i64, limits: &Limits) -> Result<(), Error> {
    let oldest = bound(limits.reject_older_than).map(|age| now_ns.saturating_sub(age));
    let newest = bound(limits.reject_newer_than).map(|ahead| now_ns.saturating_add(ahead));
    if oldest.is_none_or(|oldest| time_ns > oldest) && newest.is_none_or(|newest| time_ns < newest)
    {
        return Ok(());
    }
    let window = match (oldest, newest) {
        (Some(oldest), Some(newest)) => {
            format!("after {} and before {}", show(oldest), show(newest))
        }
        (Some(oldest), None) => format!("after {}", show(oldest)),
        (None, Some(newest)) => format!("before {}", show(newest)),
        (None, None) => "any time".to_owned(),
    };
    Err(Error::Window {
        time: show(time_ns),
        window,
        older_than: format_duration(limits.reject_older_than),
        newer_than: format_duration(limits.reject_newer_than),
        hint: if time_ns < YEAR_NS {
            "; the client's clock may count from its start, or in another unit"
        } else {
            ""
        },
    })
}

/// A limit of 0 is none.
fn bound(limit: Duration) -> Option<i64> {
    (!limit.is_zero()).then(|| i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX))
}

fn show(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| format!("{ns} ns"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_000_000_000_000_000;
    const S: i64 = 1_000_000_000;

    fn accepted(time_ns: i64) -> bool {
        check(time_ns, NOW, &Limits::default()).is_ok()
    }

    #[test]
    fn the_window_is_open_at_both_ends() {
        assert!(accepted(NOW) && accepted(NOW - 3599 * S) && accepted(NOW + 599 * S));
        assert!(!accepted(NOW - 3600 * S) && !accepted(NOW + 600 * S));
        assert!(!accepted(i64::MAX) && !accepted(1));
    }

    #[test]
    fn a_time_near_1970_is_named_with_the_window() {
        let text = check(2_300_000_000, NOW, &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(text.contains("1970-01-01T00:00:02.3Z"), "{text}");
        assert!(
            text.contains("after 2025-11-13T01:13:20Z and before 2025-11-13T02:23:20Z"),
            "{text}"
        );
        assert!(text.contains("`reject_older_than` 1h"), "{text}");
        assert!(text.contains("clock"), "{text}");
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let limits = Limits {
            reject_older_than: Duration::ZERO,
            reject_newer_than: Duration::ZERO,
            ..Limits::default()
        };
        assert!(check(1, NOW, &limits).is_ok() && check(i64::MAX, NOW, &limits).is_ok());
        let limits = Limits {
            reject_older_than: Duration::ZERO,
            ..Limits::default()
        };
        assert!(check(1, NOW, &limits).is_ok() && check(NOW + 3600 * S, NOW, &limits).is_err());
    }
}
