use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// 2026-11-25T12:00:00.5Z
const NOW: i64 = 1_795_608_000_500;

#[test]
fn times() {
    let check =
        |text: &str, expected: i64| assert_eq!(parse_time(text, NOW), Ok(expected), "{text:?}");
    check("", NOW);
    check("  ", NOW);
    check("now", NOW);
    check("NOW", NOW);
    check("now-1h", NOW - 3_600_000);
    check("now-30m", NOW - 1_800_000);
    check("now-30min", NOW - 1_800_000);
    check("now-90s", NOW - 90_000);
    check("now-1d12h", NOW - 36 * 3_600_000);
    check("now-2w", NOW - 14 * 86_400_000);
    check("now-1M", NOW - 30 * 86_400_000);
    check("now-1mon", NOW - 30 * 86_400_000);
    check("now-1y", NOW - 365 * 86_400_000);
    check("now-2hours", NOW - 7_200_000);
    check("now-250ms", NOW - 250);
    check("now+1h", NOW + 3_600_000);
    check("now 1h", NOW + 3_600_000);
    check("now - 1h", NOW - 3_600_000);
    check("-1h", NOW - 3_600_000);
    // Eight digits are a date if they look like one.
    check("20260101", 1_767_225_600_000);
    check("2026_01_01", 1_767_225_600_000);
    check("20240229", 1_709_164_800_000);
    check("18000101", 18_000_101_000);
    check("20261301", 20_261_301_000);
    check("20260100", 20_260_100_000);
    // A count in a unit that the number of digits tells.
    check("0", 0);
    check("1795608000", 1_795_608_000_000);
    check("1,795,608,000", 1_795_608_000_000);
    check("1795608000123", 1_795_608_000_123);
    check("1795608000123999", 1_795_608_000_123);
    check("1795608000123999999", 1_795_608_000_123);
    check("17956080001", 17_956_080_001_000);
    check("2026-11-25T12:00:00.5Z", NOW);
    check("2026-11-25T13:00:00.5+01:00", NOW);
}

#[test]
fn what_is_no_time_is_refused() {
    let check = |text: &str, problem: &str| {
        let error = parse_time(text, NOW).unwrap_err();
        assert!(error.problem.contains(problem), "{text:?}: {error}");
    };
    check("yesterday", "neither");
    check("nowish", "neither");
    check("now-", "missing");
    check("now-h", "without a number");
    check("now-1", "no known unit");
    check("now-1x", "no known unit");
    check("now-1h30", "no known unit");
    check("now--1h", "without a number");
    check("now-99999999999999999999h", "too large");
    check("now-9999999999999999y", "too large");
    check("99999999999999999999", "too large");
    check("999999999999999999", "too large");
    check("20260230", "no such date");
    check("1795608000.5", "neither");
    check("é", "neither");
    check("-é", "without a number");
}

#[test]
fn a_refusal_says_which_forms_are_read() {
    let error = parse_time("gestern", NOW).unwrap_err();
    assert_eq!(
        error.to_string(),
        "time \"gestern\": it is neither a number nor an offset from `now`; expected Unix seconds, milliseconds \
         (13 digits), microseconds (16) or nanoseconds (19), a date `YYYYMMDD`, an RFC 3339 time, or an offset such \
         as `now-1h` (units s, m, h, d, w, M, y)"
    );
    assert!(
        parse_time(&"x".repeat(10_000), NOW)
            .unwrap_err()
            .to_string()
            .len()
            < 400
    );
}

#[test]
fn durations() {
    let check = |text: &str, go: Option<u64>, prometheus: Option<u64>| {
        assert_eq!(
            parse_go_duration(text).ok(),
            go.map(Duration::from_nanos),
            "{text:?}"
        );
        assert_eq!(
            parse_prometheus_duration(text).ok(),
            prometheus.map(Duration::from_nanos),
            "{text:?}"
        );
    };
    let both = |text: &str, ns: u64| check(text, Some(ns), Some(ns));
    let neither = |text: &str| check(text, None, None);
    both("0", 0);
    both("0s", 0);
    both("+5s", 5_000_000_000);
    both("1h5m", 3_900_000_000_000);
    both("1h0m0s", 3_600_000_000_000);
    both("1.5s", 1_500_000_000);
    both(".5s", 500_000_000);
    both("1.s", 1_000_000_000);
    both("100ms", 100_000_000);
    both("1us", 1_000);
    both("1µs", 1_000);
    both("1μs", 1_000);
    both("7ns", 7);
    both("0.333333333333333333333h", 1_199_999_999_999);
    both("2562047h47m16.854775807s", 9_223_372_036_854_775_807);
    check("1d", None, Some(86_400_000_000_000));
    check("1d12h", None, Some(129_600_000_000_000));
    check("2w", None, Some(1_209_600_000_000_000));
    check("1y", None, Some(31_536_000_000_000_000));
    neither("");
    neither("1");
    neither("-1s");
    neither("1 s");
    neither("s");
    neither(".s");
    neither("1..5s");
    neither("1h5");
    neither("1x");
    neither("1D");
    neither("300y");
    neither("99999999999999999999999999999999999999999999h");
}

#[test]
fn durations_are_written_as_in_go() {
    let check =
        |ns: u64, expected: &str| assert_eq!(format_duration(Duration::from_nanos(ns)), expected);
    check(0, "0s");
    check(1, "1ns");
    check(1_100, "1.1µs");
    check(2_200_000, "2.2ms");
    check(999_999_999, "999.999999ms");
    check(1_000_000_000, "1s");
    check(3_300_000_000, "3.3s");
    check(60_000_000_000, "1m0s");
    check(245_000_000_000, "4m5s");
    check(245_001_000_000, "4m5.001s");
    check(3_600_000_000_000, "1h0m0s");
    check(18_367_001_000_000, "5h6m7.001s");
    check(86_400_000_000_000, "24h0m0s");
    check(i64::MAX.unsigned_abs(), "2562047h47m16.854775807s");
}

#[test]
fn a_refused_duration_says_why() {
    let error = parse_prometheus_duration("5").unwrap_err().to_string();
    assert_eq!(
        error,
        "duration \"5\": a number has no unit; expected numbers with units, such as `1h30m` or `7d`"
    );
}

proptest! {
    #[test]
    fn durations_round_trip(ns in 0..=i64::MAX.unsigned_abs()) {
        let duration = Duration::from_nanos(ns);
        prop_assert_eq!(parse_go_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn no_text_makes_times_or_durations_panic(text in "[-+0-9.nowhdmsyMTZ:é _,]{0,24}") {
        let _ = parse_time(&text, NOW);
        let _ = parse_prometheus_duration(&text);
    }
}
