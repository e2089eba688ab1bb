//! Which workloads may get a new template now.
//!
//! A release reaches one workload after the other, and the next one only when everything before it is up to date and
//! ready. So a release that does not work stops at the first workload that it breaks, a pod that comes back in a zone
//! that is not yet due comes back as it was, and nothing has to be remembered: the hash that each workload carries says
//! how far it is.

use std::fmt;

use crate::part::Part;

/// A workload, as it is and as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: String,
    /// What its pods run.
    pub part: Part,
    /// Hash of the template that it should have.
    pub release: String,
    /// As it is; None if it is not there.
    pub live: Option<Live>,
}

/// A workload as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Hash of its template.
    pub release: String,
    /// Whether its status is about the template that it has.
    pub observed: bool,
    /// Pods that it should have.
    pub replicas: i32,
    /// Pods that are ready. Counted against `replicas`, never against the pods that happen to be there.
    pub ready: i32,
    /// Pods made from its template.
    pub updated: i32,
}

impl Live {
    /// Whether all pods are there, ready, and made from the template.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.observed && self.ready >= self.replicas && self.updated >= self.replicas
    }
}

/// What may be done with a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be made to what it should be.
    Apply,
    /// Its template stays for now.
    Wait(Reason),
}

/// Why a workload waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An earlier one has not got the release yet.
    Turn(String),
    /// An earlier one, or another zone, is not complete.
    Incomplete(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(name) => write!(f, "waits for {name}, which gets the release first"),
            Self::Incomplete(name) => write!(f, "waits until all pods of {name} are ready"),
        }
    }
}

/// A verdict for each workload; they are given in the order in which releases reach them.
#[must_use]
pub fn verdicts(views: &[View]) -> Vec<Verdict> {
    let mut before: Option<Reason> = None;
    let mut verdicts = Vec::with_capacity(views.len());
    for view in views {
        let Some(live) = &view.live else {
            // Nobody runs on it yet, so nobody is disturbed.
            verdicts.push(Verdict::Apply);
            continue;
        };
        if live.release == view.release {
            verdicts.push(Verdict::Apply);
            if !live.is_complete() && before.is_none() {
                before = Some(Reason::Incomplete(view.name.clone()));
            }
            continue;
        }
        let reason = before.clone().or_else(|| sick_sibling(view, views));
        verdicts.push(match reason {
            None => Verdict::Apply,
            Some(reason) => Verdict::Wait(reason),
        });
        before = before.or_else(|| Some(Reason::Turn(view.name.clone())));
    }
    verdicts
}

/// Another zone of the same component in which pods are away: with one more, two zones would be.
fn sick_sibling(view: &View, views: &[View]) -> Option<Reason> {
    let others = views.iter();
    let mut others = others.filter(|other| other.part == view.part && other.name != view.name);
    let sick = others.find(|other| match &other.live {
        Some(live) => live.ready < live.replicas,
        None => false,
    })?;
    Some(Reason::Incomplete(sick.name.clone()))
}

/// Whether every workload is what it should be, and complete.
#[must_use]
pub fn is_done(views: &[View]) -> bool {
    let done = |view: &View| match &view.live {
        Some(live) => live.release == view.release && live.is_complete(),
        None => false,
    };
    views.iter().all(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str, part: Part, live: Option<(&str, i32, i32)>) -> View {
        View {
            name: name.to_owned(),
            part,
            release: "new".to_owned(),
            live: live.map(|(release, ready, updated)| Live {
                release: release.to_owned(),
                observed: true,
                replicas: 3,
                ready,
                updated,
            }),
        }
    }

    fn zones(states: [Option<(&str, i32, i32)>; 3]) -> Vec<Verdict> {
        let names = ["a", "b", "c"].into_iter().zip(states);
        let views: Vec<_> = names
            .map(|(name, live)| view(name, Part::Ingester, live))
            .collect();
        verdicts(&views)
    }

    fn turn(name: &str) -> Verdict {
        Verdict::Wait(Reason::Turn(name.to_owned()))
    }

    fn incomplete(name: &str) -> Verdict {
        Verdict::Wait(Reason::Incomplete(name.to_owned()))
    }

    const OLD: Option<(&str, i32, i32)> = Some(("old", 3, 3));
    const NEW: Option<(&str, i32, i32)> = Some(("new", 3, 3));

    #[test]
    fn everything_is_created_at_once() {
        assert_eq!(
            zones([None, None, None]),
            [Verdict::Apply, Verdict::Apply, Verdict::Apply]
        );
    }

    #[test]
    fn a_release_reaches_one_zone_after_the_other() {
        assert_eq!(
            zones([OLD, OLD, OLD]),
            [Verdict::Apply, turn("a"), turn("a")]
        );
        let begun = Some(("new", 2, 1));
        assert_eq!(
            zones([begun, OLD, OLD]),
            [Verdict::Apply, incomplete("a"), incomplete("a")]
        );
        assert_eq!(
            zones([NEW, OLD, OLD]),
            [Verdict::Apply, Verdict::Apply, turn("b")]
        );
        assert_eq!(
            zones([NEW, NEW, OLD]),
            [Verdict::Apply, Verdict::Apply, Verdict::Apply]
        );
    }

    #[test]
    fn a_release_that_does_not_work_stays_in_its_first_zone() {
        let broken = Some(("new", 2, 1));
        assert_eq!(
            zones([broken, OLD, OLD]),
            [Verdict::Apply, incomplete("a"), incomplete("a")]
        );
    }

    #[test]
    fn the_zone_that_a_bad_release_broke_is_the_first_to_get_a_better_one() {
        let broken = Some(("bad", 2, 1));
        assert_eq!(
            zones([broken, OLD, OLD]),
            [Verdict::Apply, turn("a"), turn("a")]
        );
    }

    #[test]
    fn a_zone_is_left_alone_while_another_one_is_sick() {
        let sick = Some(("old", 2, 3));
        assert_eq!(
            zones([OLD, sick, OLD]),
            [incomplete("b"), turn("a"), turn("a")]
        );
        assert_eq!(
            zones([OLD, OLD, sick]),
            [incomplete("c"), turn("a"), turn("a")]
        );
    }

    #[test]
    fn a_status_of_an_older_template_says_nothing() {
        let mut views = vec![
            view("a", Part::Ingester, NEW),
            view("b", Part::Ingester, OLD),
        ];
        views[0].live.as_mut().unwrap().observed = false;
        assert_eq!(verdicts(&views), [Verdict::Apply, incomplete("a")]);
        assert!(!is_done(&views));
    }

    #[test]
    fn no_pods_at_all_are_not_ready_pods() {
        assert_eq!(
            zones([Some(("new", 0, 0)), OLD, OLD]),
            [Verdict::Apply, incomplete("a"), incomplete("a")]
        );
    }

    #[test]
    fn never_are_two_zones_disturbed() {
        // Every state of three zones: whatever is there, at most one zone gets a template that it does not have, and
        // none does while pods are away in another one.
        let states = [
            None,
            OLD,
            NEW,
            Some(("old", 2, 3)),
            Some(("new", 2, 2)),
            Some(("bad", 2, 1)),
            Some(("bad", 3, 3)),
        ];
        for a in states {
            for b in states {
                for c in states {
                    let given = [a, b, c];
                    let verdicts = zones(given);
                    let disturbed: Vec<_> = (0..3)
                        .filter(|&zone| {
                            verdicts[zone] == Verdict::Apply
                                && given[zone].is_some_and(|(release, ..)| release != "new")
                        })
                        .collect();
                    assert!(disturbed.len() <= 1, "{given:?}: {verdicts:?}");
                    for zone in disturbed {
                        let away = (0..3).filter(|&other| other != zone);
                        let mut away = away
                            .filter(|&other| given[other].is_some_and(|(_, ready, _)| ready < 3));
                        assert_eq!(away.next(), None, "{given:?}: {verdicts:?}");
                    }
                }
            }
        }
    }
}
