//! A query over a long time as several over parts of it, which queriers answer side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use phlare_model::ask::{Answer, OtherKind, Query};
use phlare_model::labels::Labels;
use phlare_model::tree::Tree;
use phlare_model::{SeriesQuery, TimeRange, TimeSeries};

/// Most parts of a query: with more, the interval is too short for its time.
pub(crate) const MOST_PARTS: usize = 1024;

/// Makes one answer of those to the parts.
pub(crate) type Merge = fn(Vec<Answer>) -> Result<Answer, OtherKind>;

/// The parts of a query, in the order of their times, and how their answers become one; one part and nothing to merge if
/// it stays whole. Call trees and time series are split; a pprof is not, since merging pprofs costs more than it saves, and
/// questions about labels have no parts that are cheaper.
pub(crate) fn split(query: Query, interval: Duration) -> (Vec<Query>, Option<Merge>) {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    match query {
        Query::Tree(query) => {
            let ranges = ranges(query.range, interval_ms);
            if ranges.len() == 1 {
                return (vec![Query::Tree(query)], None);
            }
            let part = |range| {
                let mut part = query.clone();
                part.range = range;
                Query::Tree(part)
            };
            (ranges.into_iter().map(part).collect(), Some(merge_trees))
        }
        Query::TimeSeries(query) => {
            let ranges = step_ranges(&query, interval_ms);
            if ranges.len() == 1 {
                return (vec![Query::TimeSeries(query)], None);
            }
            let part = |range| {
                let mut part = query.clone();
                part.range = range;
                Query::TimeSeries(part)
            };
            (ranges.into_iter().map(part).collect(), Some(merge_series))
        }
        whole => (vec![whole], None),
    }
}

/// A range cut at multiples of `interval_ms`; whole if that is 0, or if it made too many parts.
fn ranges(range: TimeRange, interval_ms: i64) -> Vec<TimeRange> {
    let TimeRange { start_ms, end_ms } = range;
    if interval_ms <= 0 || parts_between(start_ms, end_ms, interval_ms) > MOST_PARTS as i128 {
        return vec![range];
    }
    let mut parts = Vec::new();
    let mut start_ms = start_ms;
    loop {
        let next = start_ms.div_euclid(interval_ms).checked_add(1);
        let next = next.and_then(|multiple| multiple.checked_mul(interval_ms));
        match next {
            Some(next) if next <= end_ms => {
                parts.push(TimeRange {
                    start_ms,
                    end_ms: next - 1,
                });
                start_ms = next;
            }
            _ => {
                parts.push(TimeRange { start_ms, end_ms });
                return parts;
            }
        }
    }
}

fn parts_between(start_ms: i64, end_ms: i64, interval_ms: i64) -> i128 {
    let first = i128::from(start_ms.div_euclid(interval_ms));
    i128::from(end_ms.div_euclid(interval_ms)) - first + 1
}

/// The steps of a query in parts of about `interval_ms`: each step is in one part, whatever it covers.
fn step_ranges(query: &SeriesQuery, interval_ms: i64) -> Vec<TimeRange> {
    let SeriesQuery { range, step_ms, .. } = query;
    let step_ms = (*step_ms).max(1);
    if interval_ms <= 0 {
        return vec![*range];
    }
    let steps_of_part = (interval_ms / step_ms).max(1);
    let part_ms = steps_of_part.saturating_mul(step_ms);
    let TimeRange { start_ms, end_ms } = *range;
    let length = i128::from(end_ms) - i128::from(start_ms);
    if length / i128::from(part_ms) >= MOST_PARTS as i128 {
        return vec![*range];
    }
    let mut parts = Vec::new();
    let mut start_ms = start_ms;
    loop {
        match start_ms.checked_add(part_ms) {
            Some(next) if next <= end_ms => {
                parts.push(TimeRange {
                    start_ms,
                    end_ms: next - step_ms,
                });
                start_ms = next;
            }
            _ => {
                parts.push(TimeRange { start_ms, end_ms });
                return parts;
            }
        }
    }
}

fn merge_trees(answers: Vec<Answer>) -> Result<Answer, OtherKind> {
    let mut merged = Tree::new();
    for answer in answers {
        merged.merge(&Tree::try_from(answer)?);
    }
    Ok(Answer::Tree(merged))
}

fn merge_series(answers: Vec<Answer>) -> Result<Answer, OtherKind> {
    let mut merged: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
    for answer in answers {
        for TimeSeries { labels, points } in Vec::<TimeSeries>::try_from(answer)? {
            merged.entry(labels).or_default().extend(points);
        }
    }
    let series = merged
        .into_iter()
        .map(|(labels, points)| TimeSeries { labels, points });
    Ok(Answer::TimeSeries(series.collect()))
}

#[cfg(test)]
mod tests {
    use phlare_model::selector::Selector;
    use phlare_model::{Aggregation, MergeQuery};

    use super::*;

    fn range(start_ms: i64, end_ms: i64) -> TimeRange {
        TimeRange { start_ms, end_ms }
    }

    fn series(start_ms: i64, end_ms: i64, step_ms: i64) -> SeriesQuery {
        SeriesQuery {
            profile_type: "a:b:c:d:e".parse().unwrap(),
            selector: Selector::all(),
            range: range(start_ms, end_ms),
            step_ms,
            group_by: Vec::new(),
            aggregation: Aggregation::Sum,
            call_site: Vec::new(),
        }
    }

    #[test]
    fn ranges_are_cut_at_multiples_and_leave_no_gap() {
        assert_eq!(
            ranges(range(250, 720), 300),
            [range(250, 299), range(300, 599), range(600, 720)]
        );
        assert_eq!(ranges(range(300, 599), 300), [range(300, 599)]);
        assert_eq!(ranges(range(-10, 10), 300), [range(-10, -1), range(0, 10)]);
        assert_eq!(ranges(range(5, 5), 300), [range(5, 5)]);
        assert_eq!(ranges(range(0, 10_000), 0), [range(0, 10_000)]);
        // Cut into milliseconds it were no help.
        let all = range(i64::MIN, i64::MAX);
        assert_eq!(ranges(all, 1), [all]);
        assert_eq!(ranges(all, i64::MAX).len(), 4);
    }

    #[test]
    fn every_step_is_in_one_part() {
        for (start, end, step, interval) in [
            (100, 1000, 70, 200),
            (0, 1000, 300, 100),
            (0, 899, 100, 300),
            (7, 7, 1, 5),
            (0, 1000, 10, 0),
        ] {
            let query = series(start, end, step);
            let steps = |range: TimeRange| (range.start_ms..=range.end_ms).step_by(step as usize);
            let parts = step_ranges(&query, interval);
            let of_parts: Vec<i64> = parts.iter().copied().flat_map(steps).collect();
            let whole: Vec<i64> = steps(query.range).collect();
            assert_eq!(
                of_parts, whole,
                "{start} {end} {step} {interval}: {parts:?}"
            );
        }
        assert_eq!(step_ranges(&series(0, 1000, 10), 500).len(), 3);
        assert_eq!(step_ranges(&series(0, i64::MAX, 1), 1).len(), 1);
    }

    #[test]
    fn answers_to_parts_become_one() {
        let query = MergeQuery {
            profile_type: "a:b:c:d:e".parse().unwrap(),
            selector: Selector::all(),
            range: range(0, 599),
            spans: None,
            call_site: Vec::new(),
            max_nodes: 0,
            go_pgo: None,
        };
        let (parts, merge) = split(Query::Tree(query), Duration::from_millis(300));
        assert_eq!(parts.len(), 2);
        let tree = |value| {
            let mut tree = Tree::new();
            tree.insert(["main", "work"], value);
            Answer::Tree(tree)
        };
        let merged = merge.unwrap()(vec![tree(1), tree(2)]).unwrap();
        assert_eq!(Tree::try_from(merged).unwrap().total(), 3);
        let (_, merge) = split(
            Query::TimeSeries(series(0, 599, 1)),
            Duration::from_millis(300),
        );
        let points = |name, points: &[(i64, f64)]| TimeSeries {
            labels: Labels::from_pairs([("s", name)]),
            points: points.to_vec(),
        };
        let first = vec![points("a", &[(1, 1.0)]), points("b", &[(2, 2.0)])];
        let second = vec![points("a", &[(300, 3.0)])];
        let merge = merge.unwrap();
        let merged = merge(vec![Answer::TimeSeries(first), Answer::TimeSeries(second)]);
        assert_eq!(
            Vec::<TimeSeries>::try_from(merged.unwrap()).unwrap(),
            [
                points("a", &[(1, 1.0), (300, 3.0)]),
                points("b", &[(2, 2.0)])
            ]
        );
        let other = merge(vec![Answer::Names(Vec::new())]).unwrap_err();
        assert!(other.to_string().contains("time series"), "{other}");
    }
}
