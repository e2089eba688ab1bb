//! Which instances an operation asks, and when it has succeeded.

use std::sync::Arc;

use crate::{Instance, State};

/// How many instances of a replica set must succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quorum {
    /// More than half of the replication factor.
    Majority,
    /// Any one: all have the same, as store-gateways do.
    One,
}

/// What an operation asks of instances.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    serving: u8,
    extending: u8,
    read_only_serves: bool,
    quorum: Quorum,
}

const fn states(states: &[State]) -> u8 {
    let mut bits = 0;
    let mut at = 0;
    while at < states.len() {
        bits |= 1 << states[at] as u8;
        at += 1;
    }
    bits
}

impl Operation {
    /// To store something: active instances; each other one on the way is replaced by the next.
    pub const WRITE: Self = Self {
        serving: states(&[State::Active]),
        extending: states(&[State::Pending, State::Joining, State::Leaving]),
        read_only_serves: false,
        quorum: Quorum::Majority,
    };

    /// To read what instances hold: active and leaving ones, read-only ones, too.
    pub const READ: Self = Self {
        serving: states(&[State::Active, State::Leaving]),
        extending: states(&[State::Pending, State::Joining]),
        read_only_serves: true,
        quorum: Quorum::Majority,
    };

    /// To read from instances that own the key and all have the same: any one serves.
    pub const READ_ANY: Self = Self {
        quorum: Quorum::One,
        ..Self::READ
    };

    /// To know what to load: instances on their way in and out own as well, so that a hand-over has no gap.
    pub const OWN: Self = Self {
        serving: states(&[State::Joining, State::Active, State::Leaving]),
        extending: 0,
        read_only_serves: true,
        quorum: Quorum::One,
    };

    /// Whether an instance in this state can do it, if it is alive.
    #[must_use]
    pub fn is_served_by(&self, instance: &Instance) -> bool {
        self.serving & (1 << instance.state as u8) != 0
            && (self.read_only_serves || !instance.read_only)
    }

    /// Whether another instance is asked instead of this one.
    #[must_use]
    pub fn extends_past(&self, instance: &Instance) -> bool {
        self.extending & (1 << instance.state as u8) != 0
            || (instance.read_only && !self.read_only_serves)
    }

    /// How many must succeed.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }
}

/// Instances to ask, and how many of them may fail.
#[derive(Clone, Debug)]
pub struct ReplicationSet {
    /// Whom to ask; all are alive.
    pub instances: Vec<Arc<Instance>>,
    /// How many may fail, if zones do not count.
    pub max_errors: usize,
    /// How many zones may fail, each with any number of instances. `None`: zones do not count.
    pub max_unavailable_zones: Option<usize>,
}

impl ReplicationSet {
    /// How many answers are enough, if zones do not count.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.instances.len().saturating_sub(self.max_errors)
    }

    /// Begins to count outcomes.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut zones: Vec<&Arc<str>> = Vec::new();
        let zone_of = self
            .instances
            .iter()
            .map(|instance| {
                let known = zones.iter().position(|zone| **zone == instance.zone);
                known.unwrap_or_else(|| {
                    zones.push(&instance.zone);
                    zones.len() - 1
                })
            })
            .collect();
        let (groups, may_fail) = match self.max_unavailable_zones {
            Some(may_fail) => (zone_of, may_fail),
            None => (
                (0..self.instances.len()).collect::<Vec<_>>(),
                self.max_errors,
            ),
        };
        let count = groups.iter().max().map_or(0, |last| last + 1);
        let mut open = vec![0; count];
        for group in &groups {
            if let Some(open) = open.get_mut(*group) {
                *open += 1;
            }
        }
        Tally {
            groups,
            open,
            failed: vec![false; count],
            may_fail,
        }
    }
}

/// What is known of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// More outcomes are needed.
    Open,
    /// Enough succeeded.
    Enough,
    /// Too many failed.
    Failed,
}

/// Outcomes of an operation. A group is a zone where zones count, else an instance: it succeeds when all of it does.
#[derive(Clone, Debug)]
pub struct Tally {
    groups: Vec<usize>,
    open: Vec<usize>,
    failed: Vec<bool>,
    may_fail: usize,
}

impl Tally {
    /// The instance at `index` of the set answered.
    pub fn succeeded(&mut self, index: usize) -> Verdict {
        if let Some(open) = self
            .groups
            .get(index)
            .and_then(|group| self.open.get_mut(*group))
        {
            *open = open.saturating_sub(1);
        }
        self.verdict()
    }

    /// The instance at `index` of the set did not.
    pub fn failed(&mut self, index: usize) -> Verdict {
        if let Some(failed) = self
            .groups
            .get(index)
            .and_then(|group| self.failed.get_mut(*group))
        {
            *failed = true;
        }
        self.verdict()
    }

    /// Whether the answer of the instance at `index` counts: no part of its group failed.
    #[must_use]
    pub fn counts(&self, index: usize) -> bool {
        let group = self.groups.get(index);
        group.is_some_and(|group| self.failed.get(*group) == Some(&false))
    }

    /// What is known.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let failed = self.failed.iter().filter(|failed| **failed).count();
        let done = self.open.iter().zip(&self.failed);
        let done = done
            .filter(|(open, failed)| **open == 0 && !**failed)
            .count();
        if failed > self.may_fail {
            Verdict::Failed
        } else if done + self.may_fail >= self.open.len() {
            Verdict::Enough
        } else {
            Verdict::Open
        }
    }
}
