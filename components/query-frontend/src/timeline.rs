//! Timelines of the plain HTTP answers: totals on a grid, holes filled with zeros (api.md 5.3).

use phlare_model::flamebearer::Timeline;
use phlare_model::{TimeRange, TimeSeries};

/// Points that a timeline aims at.
const POINTS: i64 = 1500;
/// The shortest step.
const MIN_STEP_SECONDS: i64 = 15;

/// The steps that people read easily, each up to the interval from which the next is nearer; in seconds.
const STEPS: [(i64, i64); 18] = [
    (18, 15),
    (25, 20),
    (45, 30),
    (90, 60),
    (210, 120),
    (450, 300),
    (750, 600),
    (1_050, 900),
    (1_500, 1_200),
    (2_700, 1_800),
    (5_400, 3_600),
    (9_000, 7_200),
    (16_200, 10_800),
    (32_400, 21_600),
    (86_400, 43_200),
    (604_800, 86_400),
    (1_814_400, 604_800),
    (3_628_800, 2_592_000),
];
const LONGEST_STEP_SECONDS: i64 = 31_536_000;

/// Where the samples of a timeline lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// From the last multiple of the step before the range to its end.
    pub(crate) range: TimeRange,
    pub(crate) step_ms: i64,
}

impl Grid {
    /// The grid for a range that somebody looks at.
    pub(crate) fn over(range: TimeRange) -> Self {
        let length_seconds = range.end_ms.saturating_sub(range.start_ms) / 1000;
        let interval = (length_seconds / POINTS).max(MIN_STEP_SECONDS);
        let step = STEPS
            .iter()
            .find(|(below, _)| interval < *below)
            .map_or(LONGEST_STEP_SECONDS, |(_, step)| *step);
        let step_ms = step.saturating_mul(1000);
        let start_ms = range.start_ms.div_euclid(step_ms).saturating_mul(step_ms);
        Self {
            range: TimeRange { start_ms, ..range },
            step_ms,
        }
    }

    /// One series on the grid, or zeros. Samples are rounded down and never negative.
    pub(crate) fn timeline(&self, series: Option<&TimeSeries>) -> Timeline {
        let length = self.range.end_ms.saturating_sub(self.range.start_ms) / self.step_ms;
        let mut samples = vec![0; usize::try_from(length).unwrap_or_default()];
        for &(time_ms, value) in series.map_or(&[][..], |series| &series.points) {
            let at = time_ms
                .saturating_sub(self.range.start_ms)
                .div_euclid(self.step_ms);
            if let Some(sample) = usize::try_from(at).ok().and_then(|at| samples.get_mut(at)) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "`as` saturates"
                )]
                let value = value as u64;
                *sample = value.saturating_add(*sample);
            }
        }
        Timeline {
            start_time: self.range.start_ms.div_euclid(1000),
            samples,
            duration_delta: self.step_ms / 1000,
            watermarks: (),
        }
    }
}

#[cfg(test)]
mod tests {
    use phlare_model::labels::Labels;

    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn steps_follow_the_length_of_the_range() {
        let check = |length_ms: i64, step_seconds: i64| {
            let range = TimeRange {
                start_ms: 0,
                end_ms: length_ms,
            };
            assert_eq!(
                Grid::over(range).step_ms,
                step_seconds * 1000,
                "{length_ms} ms"
            );
        };
        check(0, 15);
        check(HOUR, 15);
        check(7 * HOUR, 15);
        check(8 * HOUR, 20);
        check(24 * HOUR, 60);
        check(7 * 24 * HOUR, 300);
        check(30 * 24 * HOUR, 1_800);
        check(i64::MAX, 31_536_000);
    }

    #[test]
    fn points_lie_on_a_grid_of_whole_steps() {
        let check = |start_ms: i64, end_ms: i64, expected_start: i64, expected: &[u64]| {
            let grid = Grid::over(TimeRange { start_ms, end_ms });
            let points = vec![
                (grid.range.start_ms + 15_000, 3.9),
                (grid.range.start_ms + 900_000, 5.0),
            ];
            let series = TimeSeries {
                labels: Labels::empty(),
                points,
            };
            let timeline = grid.timeline(Some(&series));
            assert_eq!(
                (timeline.start_time, &timeline.samples[..]),
                (expected_start, expected)
            );
        };
        check(30_000, 90_000, 30, &[0, 3, 0, 0]);
        check(50_000, 100_000, 45, &[0, 3, 0]);
        check(-50_000, 0, -60, &[0, 3, 0, 0]);
        check(45_000, 45_000, 45, &[]);
        check(45_000, 59_999, 45, &[]);
    }

    #[test]
    fn absent_series_are_zeros() {
        let grid = Grid::over(TimeRange {
            start_ms: 0,
            end_ms: 31_000,
        });
        insta::assert_json_snapshot!(grid.timeline(None), @r#"
        {
          "startTime": 0,
          "samples": [
            0,
            0
          ],
          "durationDelta": 15,
          "watermarks": null
        }
        "#);
    }
}
