//! Values for people.

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    Count,
}

impl Unit {
    /// The unit of a profile type's values: its third part.
    pub(crate) fn of_profile_type(id: &str) -> Self {
        match id.split(':').nth(2) {
            Some("nanoseconds") => Self::Nanoseconds,
            Some("bytes") => Self::Bytes,
            _ => Self::Count,
        }
    }

    /// Three significant digits or so.
    pub(crate) fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return "-".to_owned();
        }
        match self {
            Self::Nanoseconds => duration(value),
            Self::Bytes => scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"]),
            Self::Count => scaled(value, 1000.0, &["", "k", "M", "G", "T", "P"]),
        }
    }

    /// As [`Self::show`], of a sum of samples.
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    pub(crate) fn show_exact(self, value: i64) -> String {
        self.show(value as f64)
    }
}

fn duration(ns: f64) -> String {
    const HOUR: f64 = 3600e9;
    const DAY: f64 = 24.0 * HOUR;
    if ns < 1e3 {
        format!("{ns:.0} ns")
    } else if ns < 1e6 {
        format!("{:.2} µs", ns / 1e3)
    } else if ns < 1e9 {
        format!("{:.2} ms", ns / 1e6)
    } else if ns < 600e9 {
        format!("{:.2} s", ns / 1e9)
    } else if ns < 10.0 * HOUR {
        format!("{:.1} min", ns / 60e9)
    } else if ns < 10.0 * DAY {
        format!("{:.1} h", ns / HOUR)
    } else {
        format!("{:.1} d", ns / DAY)
    }
}

fn scaled(mut value: f64, base: f64, suffixes: &[&str]) -> String {
    let mut rank = 0;
    while value >= base && rank + 1 < suffixes.len() {
        value /= base;
        rank += 1;
    }
    let suffix = suffixes.get(rank).copied().unwrap_or_default();
    let number = if rank == 0 && value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    };
    if suffix.is_empty() {
        number
    } else {
        format!("{number} {suffix}")
    }
}

/// `12.3%`, or nothing of nothing.
pub(crate) fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 {
        format!("{:.1}%", part / whole * 100.0)
    } else {
        "-".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_scaled_by_their_unit() {
        let show =
            |unit: Unit, values: &[f64]| values.iter().map(|v| unit.show(*v)).collect::<Vec<_>>();
        assert_eq!(
            show(
                Unit::Nanoseconds,
                &[0.0, 1500.0, 2e6, 12.34e9, 3600e9, 86400e9, 8640e11]
            ),
            [
                "0 ns", "1.50 µs", "2.00 ms", "12.34 s", "60.0 min", "24.0 h", "10.0 d"
            ]
        );
        assert_eq!(
            show(Unit::Bytes, &[512.0, 1536.0, 1e30]),
            ["512 B", "1.50 KiB", "888178419700125.25 PiB"]
        );
        assert_eq!(
            show(Unit::Count, &[7.0, 0.5, 1234.0, f64::INFINITY]),
            ["7", "0.50", "1.23 k", "-"]
        );
    }

    #[test]
    fn the_unit_is_the_third_part() {
        assert_eq!(
            Unit::of_profile_type("memory:inuse_space:bytes:space:bytes"),
            Unit::Bytes
        );
        assert_eq!(Unit::of_profile_type("nonsense"), Unit::Count);
    }

    #[test]
    fn shares_of_nothing_are_not_shown() {
        assert_eq!(percent(1.0, 8.0), "12.5%");
        assert_eq!(percent(0.0, 0.0), "-");
    }
}
