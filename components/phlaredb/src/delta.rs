//! Cumulative profiles turned into differences (api.md 8.5).
//!
//! Go's allocation profiles count from the start of the process. What is stored is what happened since
//! the previous profile of the series.

use rustc_hash::FxHashMap;

use crate::chunk::Sample;
use crate::symbols::StacktraceId;

/// The highest value seen for every stack trace of one series; 12 bytes and overhead each.
#[derive(Debug, Default)]
pub(crate) struct Cumulative {
    highest: Option<FxHashMap<StacktraceId, u64>>,
    /// Grows with every profile.
    version: u64,
    /// Time of the latest profile.
    latest_ns: i64,
}

impl Cumulative {
    /// Replaces cumulative samples by what was added since the previous profile. Nothing is left of a
    /// series' first profile, nor of one in which a value fell or no stack trace is known: the process has
    /// restarted, or is another program.
    pub(crate) fn difference(&mut self, time_ns: i64, samples: &mut Vec<Sample>) {
        self.version += 1;
        self.latest_ns = self.latest_ns.max(time_ns);
        let Some(highest) = &mut self.highest else {
            self.restart(samples);
            return;
        };
        let before = |sample: &Sample| highest.get(&sample.stacktrace).copied().unwrap_or_default();
        let fell = samples.iter().any(|sample| sample.value < before(sample));
        let is_known = |sample: &Sample| highest.contains_key(&sample.stacktrace);
        if fell || !(samples.is_empty() || samples.iter().any(is_known)) {
            self.restart(samples);
            return;
        }
        samples.retain_mut(|sample| {
            let previous = highest
                .insert(sample.stacktrace, sample.value)
                .unwrap_or_default();
            sample.value -= previous;
            sample.value > 0
        });
    }

    /// Goes on where another head has stopped.
    pub(crate) fn resume(&mut self, time_ns: i64, mut samples: Vec<Sample>) {
        self.version += 1;
        self.latest_ns = time_ns;
        self.restart(&mut samples);
    }

    /// How often it has changed.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Time of the latest profile in ns.
    pub(crate) fn latest_ns(&self) -> i64 {
        self.latest_ns
    }

    /// What [`Self::resume`] takes, sorted by stack trace; `None` before the first profile.
    pub(crate) fn samples(&self) -> Option<Vec<Sample>> {
        let mut samples: Vec<_> = self
            .highest
            .as_ref()?
            .iter()
            .map(|(&stacktrace, &value)| Sample {
                stacktrace,
                value,
                span_id: 0,
                trace_id: [0; 16],
            })
            .collect();
        samples.sort_unstable_by_key(|sample| sample.stacktrace);
        Some(samples)
    }

    fn restart(&mut self, samples: &mut Vec<Sample>) {
        self.highest = Some(
            samples
                .drain(..)
                .map(|sample| (sample.stacktrace, sample.value))
                .collect(),
        );
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.highest
            .as_ref()
            .map_or(0, |highest| highest.capacity() * 17)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_of_cumulative_profiles() {
        let mut state = Cumulative::default();
        let mut check = |cumulative: &[(u32, u64)], expected: &[(u32, u64)]| {
            let sample = |&(stacktrace, value): &(u32, u64)| Sample {
                stacktrace,
                value,
                span_id: 0,
                trace_id: [0; 16],
            };
            let mut samples: Vec<_> = cumulative.iter().map(sample).collect();
            state.difference(0, &mut samples);
            assert_eq!(samples, expected.iter().map(sample).collect::<Vec<_>>());
        };
        check(&[(1, 10), (2, 5)], &[]);
        check(&[(1, 15), (2, 5), (3, 7)], &[(1, 5), (3, 7)]);
        check(&[(1, 15), (3, 8)], &[(3, 1)]);
        check(&[(1, 2)], &[]);
        check(&[(1, 3), (2, 1)], &[(1, 1), (2, 1)]);
        check(&[], &[]);
        check(&[(1, 4), (2, 1)], &[(1, 1)]);
        check(&[(8, 100), (9, 1)], &[]);
        check(&[(8, 101), (9, 1)], &[(8, 1)]);
    }
}
