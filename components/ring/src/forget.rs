//! Who may be forgotten: members that are dead for so long that nobody waits for them.

use std::time::Duration;

use crate::{InstanceId, Ring};

/// When a ring forgets by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForgetRule {
    /// Age of the last heartbeat from which on a member is forgotten.
    pub after: Duration,
    /// Members hold data that only their replicas have besides, so no more may be away than replication covers: RF/2
    /// members, or members of (RF−1)/2 zones. If more are, forgetting would hide that answers have gaps, and a person
    /// decides.
    pub only_replicated: bool,
}

impl ForgetRule {
    /// Members that `ring` may forget at `now_ms`.
    ///
    /// None if half of the members or more are dead: then it is likelier that the caller is cut off than that they
    /// died, and the others are not thrown out by it.
    #[must_use]
    pub fn forgettable(&self, ring: &Ring, now_ms: i64) -> Vec<InstanceId> {
        let after_ms = i64::try_from(self.after.as_millis()).unwrap_or(i64::MAX);
        let dead = |instance: &crate::Instance| !ring.is_alive(instance, now_ms);
        let away: Vec<_> = ring
            .instances()
            .iter()
            .filter(|instance| dead(instance))
            .collect();
        if away.len() * 2 >= ring.instances().len() {
            return Vec::new();
        }
        if self.only_replicated && !covered(ring, &away) {
            return Vec::new();
        }
        let long = away
            .into_iter()
            .filter(|instance| !instance.is_alive(after_ms, now_ms));
        long.map(|instance| instance.id.clone()).collect()
    }
}

/// Whether what these members hold is also held by others.
fn covered(ring: &Ring, away: &[&std::sync::Arc<crate::Instance>]) -> bool {
    let holding: Vec<_> = away.iter().filter(|instance| !instance.fresh).collect();
    let factor = ring.settings().replication_factor;
    if holding.len() <= factor / 2 {
        return true;
    }
    if !ring.settings().zone_awareness {
        return false;
    }
    let count = |mut zones: Vec<&str>| {
        zones.sort_unstable();
        zones.dedup();
        zones.len()
    };
    let zones = count(
        ring.instances()
            .iter()
            .map(|instance| &*instance.zone)
            .collect(),
    );
    let bad = count(holding.iter().map(|instance| &*instance.zone).collect());
    bad <= zones.min(factor).saturating_sub(1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, instances, ring, settings};
    use crate::{Heartbeat, Instance};

    const RULE: ForgetRule = ForgetRule {
        after: Duration::from_secs(600),
        only_replicated: false,
    };
    const DATA: ForgetRule = ForgetRule {
        only_replicated: true,
        ..RULE
    };

    #[track_caller]
    fn check(rule: ForgetRule, factor: usize, zoned: bool, all: &[Instance], expected: usize) {
        let ring = ring(settings(factor, zoned), all);
        assert_eq!(rule.forgettable(&ring, NOW).len(), expected);
    }

    fn dead(mut all: Vec<Instance>, which: &[usize], age_s: i64) -> Vec<Instance> {
        for member in which {
            all[*member].heartbeat = Heartbeat::at_ms(NOW - age_s * 1000);
        }
        all
    }

    #[test]
    fn the_dead_are_forgotten_after_their_time() {
        check(RULE, 1, false, &dead(instances(5, 1), &[1, 2], 601), 2);
        check(RULE, 1, false, &dead(instances(5, 1), &[1, 2], 599), 0);
        check(RULE, 1, false, &instances(5, 1), 0);
    }

    #[test]
    fn who_cannot_see_the_majority_forgets_nobody() {
        check(RULE, 1, false, &dead(instances(5, 1), &[0, 1, 2], 601), 0);
        check(RULE, 1, false, &dead(instances(4, 1), &[0, 1], 601), 0);
        check(RULE, 1, false, &dead(instances(2, 1), &[0], 601), 0);
        // Those dead for a short time count as unseen, too.
        let all = dead(dead(instances(5, 1), &[0], 601), &[1, 2], 61);
        check(RULE, 1, false, &all, 0);
    }

    #[test]
    fn data_is_forgotten_only_if_replicas_have_it() {
        check(DATA, 3, false, &dead(instances(7, 1), &[1], 601), 1);
        check(DATA, 3, false, &dead(instances(7, 1), &[1, 2], 601), 0);
        check(DATA, 1, false, &dead(instances(7, 1), &[1], 601), 0);
        // A whole zone of three.
        check(DATA, 3, true, &dead(instances(9, 3), &[0, 3, 6], 601), 3);
        check(DATA, 3, true, &dead(instances(9, 3), &[0, 1], 601), 0);
        // One that never held anything does not count.
        let mut all = dead(instances(7, 1), &[1], 601);
        all[1].fresh = true;
        check(DATA, 1, false, &all, 1);
    }
}
