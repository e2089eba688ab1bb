//! Sample rates: how much time one sample stands for.

/// Samples per second, exact to a thousandth. Zero means unknown: counts stay counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRate {
    millihertz: u64,
}

const NS_PER_S: u64 = 1_000_000_000;
const MAX_HERTZ: u64 = NS_PER_S;

impl SampleRate {
    /// What is assumed where a client says nothing usable.
    pub const DEFAULT: Self = Self {
        millihertz: 100_000,
    };
    /// Unknown.
    pub const UNKNOWN: Self = Self { millihertz: 0 };

    /// A whole number of samples per second.
    #[must_use]
    pub fn hertz(hertz: u64) -> Self {
        Self {
            millihertz: hertz.saturating_mul(1000),
        }
    }

    /// Reads the query parameter `sampleRate`: a number from 0 to 10⁹, fractions and exponents allowed.
    /// `None` for anything else; then [`Self::DEFAULT`] is meant.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hertz: f64 = text.trim().parse().ok()?;
        if !(0.0..=MAX_HERTZ as f64).contains(&hertz) {
            return None;
        }
        let millihertz = (hertz * 1000.0).round() as u64;
        // A rate that rounds to nothing is no rate; zero itself says "unknown".
        (millihertz > 0 || hertz == 0.0).then_some(Self { millihertz })
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(self) -> bool {
        self.millihertz == 0
    }

    /// Nanoseconds between two samples, at least 1; 0 if unknown.
    #[must_use]
    pub fn period_ns(self) -> i64 {
        let period = (NS_PER_S * 1000)
            .checked_div(self.millihertz)
            .map_or(0, |ns| ns.max(1));
        i64::try_from(period).unwrap_or(i64::MAX)
    }

    /// The time that `samples` stand for, in nanoseconds; the number itself if the rate is unknown.
    #[must_use]
    pub fn nanoseconds(self, samples: i64) -> i64 {
        if self.is_unknown() {
            return samples;
        }
        let ns = i128::from(samples) * i128::from(NS_PER_S * 1000) / i128::from(self.millihertz);
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_useless_rate_is_no_rate() {
        for text in [
            "-1", "abc", "", "NaN", "inf", "-0.5", "1e10", "1e-9", "0x10",
        ] {
            assert_eq!(SampleRate::parse(text), None, "{text:?}");
        }
        assert_eq!(SampleRate::parse("0"), Some(SampleRate::UNKNOWN));
        assert_eq!(SampleRate::parse(" 100 "), Some(SampleRate::DEFAULT));
    }

    #[test]
    fn values_are_positive_and_finite_at_every_rate() {
        let check = |text: &str, period: i64, ns: i64| {
            let rate = SampleRate::parse(text).unwrap();
            assert_eq!(
                (rate.period_ns(), rate.nanoseconds(7)),
                (period, ns),
                "{text}"
            );
        };
        check("100", 10_000_000, 70_000_000);
        check("0", 0, 7);
        check("0.5", 2_000_000_000, 14_000_000_000);
        check("1e9", 1, 7);
        check("0.001", 1_000_000_000_000, 7_000_000_000_000);
        check("3", 333_333_333, 2_333_333_333);
        assert_eq!(SampleRate::DEFAULT.nanoseconds(i64::MAX), i64::MAX);
    }
}
