//! Profiles that lie in several blocks count once.
//!
//! Rows of one series and time are the same profile if they have one id, as the replicas of ingesters do, or the same
//! samples, as a push that a client repeated has. Otherwise they are several hosts that push one series.

use std::ops::Range;

use phlare_block::Error as BlockError;
use rustc_hash::FxHashMap;

use super::block::{GroupPlan, Plan};
use super::{content, readable};
use crate::error::Error;

/// Fingerprint of the series, and time in ns.
type Key = (u64, i64);

/// A row of a plan.
#[derive(Clone, Copy, Debug)]
struct Place {
    plan: u32,
    group: u32,
    row: u32,
}

/// Takes rows out of plans that are in an earlier one, too. Compares only what overlaps in time; reads ids and samples
/// only of rows that share series and time.
pub(super) fn remove(plans: &mut Vec<Plan>) -> Result<(), Error> {
    let mut seen: FxHashMap<Key, Vec<Place>> = FxHashMap::default();
    let mut again: Vec<(Key, Place)> = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        if !may_repeat(plans, number) {
            continue;
        }
        let Some(keys) = readable(&plan.block, keys(plan, number as u32))? else {
            continue;
        };
        for (key, place) in keys {
            let places = seen.entry(key).or_default();
            // Rows of one block are profiles of their own: whoever wrote it has compared them.
            if places.iter().any(|known| known.plan != place.plan) {
                again.push((key, place));
            } else {
                places.push(place);
            }
        }
    }
    let mut dropped: Vec<Place> = Vec::new();
    for (key, place) in again {
        let Some(places) = seen.get_mut(&key) else {
            continue;
        };
        let mut same = false;
        for &known in places.iter().filter(|known| known.plan != place.plan) {
            same = same || is_same(plans, known, place)?;
        }
        if same {
            dropped.push(place);
        } else {
            places.push(place);
        }
    }
    for place in dropped {
        let group = &mut plans[place.plan as usize].groups[place.group as usize];
        group.rows = without(&group.rows, place.row);
    }
    plans.retain(|plan| !plan.is_empty());
    Ok(())
}

/// Whether another block overlaps in time.
fn may_repeat(plans: &[Plan], number: usize) -> bool {
    let meta = plans[number].block.meta();
    plans.iter().enumerate().any(|(other, plan)| {
        other != number && plan.block.meta().overlaps(meta.min_ms, meta.max_ms)
    })
}

fn keys(plan: &Plan, number: u32) -> Result<Vec<(Key, Place)>, BlockError> {
    let mut keys = Vec::new();
    let mut fingerprint = None;
    for (at, group) in plan.groups.iter().enumerate() {
        for row in group.rows.iter().cloned().flatten() {
            let Some((series, time_ns)) = group.series_and_time(row) else {
                continue;
            };
            let known = match fingerprint {
                Some((known, fingerprint)) if known == series => fingerprint,
                _ => plan.index.fingerprint(series)?.get(),
            };
            fingerprint = Some((series, known));
            let place = Place {
                plan: number,
                group: at as u32,
                row,
            };
            keys.push(((known, time_ns), place));
        }
    }
    Ok(keys)
}

fn is_same(plans: &[Plan], one: Place, other: Place) -> Result<bool, Error> {
    if let (Some(one), Some(other)) = (id(plans, one)?, id(plans, other)?)
        && one == other
    {
        return Ok(true);
    }
    let (one, other) = (content(plans, one)?, content(plans, other)?);
    Ok(one.is_some() && one == other)
}

fn find(plans: &[Plan], place: Place) -> (&Plan, &GroupPlan) {
    let plan = &plans[place.plan as usize];
    (plan, &plan.groups[place.group as usize])
}

fn one_row(row: u32) -> Range<u32> {
    row..row + 1
}

fn id(plans: &[Plan], place: Place) -> Result<Option<[u8; 16]>, Error> {
    let (plan, group) = find(plans, place);
    let read = || {
        let profiles = plan.block.profiles()?;
        profiles.ids(group.row_group, std::slice::from_ref(&one_row(place.row)))
    };
    let ids = readable(&plan.block, read())?;
    Ok(ids.and_then(|ids| ids.first().copied()))
}

/// A hash of a profile's stack traces and values, whatever ids they have.
fn content(plans: &[Plan], place: Place) -> Result<Option<u64>, Error> {
    let (plan, group) = find(plans, place);
    let rows = one_row(place.row);
    let sums = content::of_rows(plan, group, std::slice::from_ref(&rows));
    let sums = readable(&plan.block, sums)?;
    Ok(sums.and_then(|sums| sums.get(&place.row).copied()))
}

/// Ranges without one row.
fn without(rows: &[Range<u32>], row: u32) -> Vec<Range<u32>> {
    let split = |range: &Range<u32>| match range.contains(&row) {
        true => [range.start..row, row + 1..range.end],
        false => [range.clone(), 0..0],
    };
    let parts = rows.iter().flat_map(split);
    parts.filter(|range| !range.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_leaves_its_range() {
        let (first, second) = (0..3, 5..6);
        let both = [first.clone(), second.clone()];
        assert_eq!(without(&both, 1), [0..1, 2..3, 5..6]);
        assert_eq!(without(&both, 5), std::slice::from_ref(&first));
        assert_eq!(without(&both, 0), [1..3, 5..6]);
        assert_eq!(without(std::slice::from_ref(&second), 7), [second]);
    }
}
