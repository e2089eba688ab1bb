//! How a Phlare changes from one process to a fleet, or back, without losing what it holds.
//!
//! The new pods join the old ones in the same rings. When all of them are well, the Service that clients use is theirs;
//! then those of the old pods that hold profiles bring them into the object store, one after the other, and go; then the
//! others. How far it is shows in what is there: in whom the Service selects, and in which workloads are left.

use crate::part::Part;

/// A workload of the mode that is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// Its name.
    pub name: String,
    /// What its pods run.
    pub part: Part,
    /// Pods that it is told to have.
    pub replicas: i32,
    /// Pods that there are.
    pub pods: i32,
}

/// What becomes of a workload of the mode that is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It keeps its pods.
    Stays,
    /// It is to have no pods; those that hold profiles go as ingesters go, one at a time.
    Shrinks,
    /// It is deleted.
    Goes,
}

/// Who gets what clients send: whether it is the new pods. Once it is them it stays them, whatever becomes of them: the
/// old ones may be gone already.
#[must_use]
pub const fn serves_new(are_well: bool, is_served_by_new: bool) -> bool {
    are_well || is_served_by_new
}

/// What becomes of each of the old workloads, in their order.
#[must_use]
pub fn fates(all: &[Old], serves_new: bool) -> Vec<Fate> {
    let is_held = all
        .iter()
        .any(|old| old.part.holds_profiles() && (old.replicas > 0 || old.pods > 0));
    let fate = |old: &Old| {
        if !serves_new {
            Fate::Stays
        } else if old.part.holds_profiles() {
            match old.replicas == 0 && old.pods == 0 {
                true => Fate::Goes,
                false => Fate::Shrinks,
            }
        } else if is_held {
            // Whoever still calls them is answered, and what ingesters bring is seen there at once.
            Fate::Stays
        } else {
            Fate::Goes
        }
    };
    all.iter().map(fate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(part: Part, replicas: i32, pods: i32) -> Old {
        Old {
            name: part.to_string(),
            part,
            replicas,
            pods,
        }
    }

    #[test]
    fn old_pods_stay_until_clients_reach_the_new_ones() {
        let all = [old(Part::Monolithic, 1, 1)];
        assert_eq!(fates(&all, false), [Fate::Stays]);
        assert_eq!(fates(&all, true), [Fate::Shrinks]);
    }

    #[test]
    fn who_holds_profiles_goes_first_and_when_it_has_no_pods() {
        let rest = || [old(Part::Distributor, 2, 2), old(Part::StoreGateway, 2, 2)];
        let with = |replicas, pods| {
            let mut all = rest().to_vec();
            all.push(old(Part::Ingester, replicas, pods));
            fates(&all, true)
        };
        let table = [
            (3, 3, [Fate::Stays, Fate::Stays, Fate::Shrinks]),
            (1, 1, [Fate::Stays, Fate::Stays, Fate::Shrinks]),
            // The last one still ends.
            (0, 1, [Fate::Stays, Fate::Stays, Fate::Shrinks]),
            (0, 0, [Fate::Goes, Fate::Goes, Fate::Goes]),
        ];
        for (replicas, pods, expected) in table {
            assert_eq!(with(replicas, pods), expected, "{replicas} {pods}");
        }
        assert_eq!(fates(&rest(), true), [Fate::Goes, Fate::Goes]);
    }

    #[test]
    fn clients_are_given_to_the_new_ones_once() {
        let table = [
            (false, false, false),
            (true, false, true),
            (true, true, true),
            // They are ill, and the old ones may hold nothing any more.
            (false, true, true),
        ];
        for (are_well, is_served_by_new, expected) in table {
            assert_eq!(serves_new(are_well, is_served_by_new), expected);
        }
    }
}
