//! The limit of samples: the heaviest stay, the rest becomes the one stack `other`; totals do not change.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::samples::{Row, SampleBuffers};
use super::symbols::Symbols;
use crate::normalized::{NO_TRACE, Sample, Stack};

/// Name of the function that stands for all folded stacks.
const OTHER: &str = "other";

/// Leaves at most `limit` samples, which is at least 1; returns how many were folded.
///
/// Each group keeps its own total as long as there are at most half as many groups as samples allowed;
/// with more groups the rest of all goes into the group without labels.
pub(crate) fn fold(
    limit: usize,
    types: usize,
    buffers: &mut SampleBuffers,
    symbols: &mut Symbols<'_>,
) -> u64 {
    let count = buffers.rows.rows.len();
    if count <= limit {
        return 0;
    }
    let groups = buffers.labels.group_count();
    let per_group = groups.saturating_mul(2) <= limit;
    let budget = limit.saturating_sub(if per_group { groups } else { 1 });
    let keep = heaviest(&buffers.rows.values, types, count, budget);

    let frame = symbols.add_location(OTHER);
    let first = buffers.stacks.frames_mut().len() as u32;
    buffers.stacks.frames_mut().push(frame);
    let Some(hash) = symbols.stack_hash(&[frame]) else {
        return 0;
    };
    let other = buffers.stacks.intern(
        Stack {
            hash,
            first,
            depth: 1,
        },
        symbols,
    );
    let common = if per_group {
        None
    } else {
        Some(buffers.labels.plain_group(symbols))
    };

    let rows = std::mem::take(&mut buffers.rows.rows);
    let values = std::mem::take(&mut buffers.rows.values);
    buffers.rows.clear();
    for ((row, values), keep) in rows.iter().zip(values.chunks(types.max(1))).zip(keep) {
        let row = if keep {
            *row
        } else {
            Row {
                group: common.unwrap_or(row.group),
                sample: Sample {
                    stack: other,
                    span_id: 0,
                    trace: NO_TRACE,
                },
            }
        };
        buffers.rows.add(row, values, symbols);
    }
    count.saturating_sub(budget) as u64
}

/// Marks the `budget` heaviest of `count` rows. A row weighs the sum of its shares in the total of each type.
fn heaviest(values: &[i64], types: usize, count: usize, budget: usize) -> Vec<bool> {
    let types = types.max(1);
    let mut totals = vec![0.0_f64; types];
    for row in values.chunks(types) {
        for (total, &value) in totals.iter_mut().zip(row) {
            *total += value as f64;
        }
    }
    let weight = |row: &[i64]| {
        row.iter()
            .zip(&totals)
            .map(|(&value, &total)| {
                if total > 0.0 {
                    value as f64 / total
                } else {
                    0.0
                }
            })
            .sum()
    };
    let mut order: Vec<(f64, usize)> = values.chunks(types).map(weight).zip(0..count).collect();
    let mut keep = vec![false; count];
    if budget > 0 {
        // Of equal weights the earlier one stays, so that the result does not depend on the sort.
        order.select_nth_unstable_by(budget.saturating_sub(1), |a, b| {
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
        });
        for &(_, row) in order.iter().take(budget) {
            if let Some(keep) = keep.get_mut(row) {
                *keep = true;
            }
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_rows_by_share_of_each_type_stay() {
        // totals 100 and 10: shares 0.5, 0.3 + 0.5, 0.1 + 0.1, 0.1 + 0.4
        let values = [50, 0, 30, 5, 10, 1, 10, 4];
        assert_eq!(
            heaviest(&values, 2, 4, 2),
            [true, true, false, false],
            "of the two of 0.5 the earlier stays"
        );
        assert_eq!(heaviest(&values, 2, 4, 3), [true, true, false, true]);
        assert_eq!(heaviest(&values, 2, 4, 0), [false; 4]);
        assert_eq!(
            heaviest(&[i64::MAX, i64::MAX, 1], 1, 3, 2),
            [true, true, false]
        );
    }
}
