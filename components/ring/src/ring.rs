//! A ring at one moment: who owns which part of 2³².
//!
//! An instance owns the keys from the token before each of its own (included) to its own (excluded). What changes
//! with time only, health, is asked with a time; everything else is fixed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::replication::Quorum;
use crate::shard::Shards;
use crate::{Error, Instance, InstanceId, Operation, ReplicationSet, State, Token};

/// What readers of a ring agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingSettings {
    /// How many instances own a key.
    pub replication_factor: usize,
    /// An instance that was not heard of for longer is unhealthy.
    pub heartbeat_timeout: Duration,
    /// No two owners of a key are in one zone.
    pub zone_awareness: bool,
    /// Zones whose instances are left out.
    pub excluded_zones: Vec<String>,
}

impl Default for RingSettings {
    fn default() -> Self {
        Self {
            replication_factor: 1,
            heartbeat_timeout: Duration::from_secs(60),
            zone_awareness: false,
            excluded_zones: Vec::new(),
        }
    }
}

/// A ring at one moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ring(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Arc<RingSettings>,
    timeout_ms: i64,
    /// By id.
    instances: Vec<Arc<Instance>>,
    /// Ascending, each once.
    tokens: Vec<u32>,
    /// For each token the place of its owner in `instances`.
    owners: Vec<u32>,
    /// For each instance the place of its zone in `zone_members`.
    zones: Vec<u32>,
    /// For each zone, how many instances with tokens it has.
    zone_members: Vec<u32>,
    shards: Shards,
}

/// Where a token goes if two instances have it: leaving ones lose, then the greater name does.
fn rank(instance: &Instance, place: usize) -> (bool, usize) {
    (instance.state == State::Leaving, place)
}

/// The members of a ring among these instances, by name: of several with one name the one heard of last.
fn members(
    settings: &RingSettings,
    instances: impl IntoIterator<Item = Arc<Instance>>,
) -> Vec<Arc<Instance>> {
    let mut by_id: BTreeMap<InstanceId, Arc<Instance>> = BTreeMap::new();
    for instance in instances {
        let excluded = &settings.excluded_zones;
        if excluded.iter().any(|zone| **zone == *instance.zone) {
            continue;
        }
        let known = by_id.get(&instance.id);
        if known.is_none_or(|known| known.heartbeat.ms() < instance.heartbeat.ms()) {
            by_id.insert(instance.id.clone(), instance);
        }
    }
    by_id.into_values().collect()
}

impl Ring {
    /// A ring of these instances; of several with one id, the one heard of last.
    /// O(n log n) in tokens; 8 B per token.
    #[must_use]
    pub fn new(
        settings: Arc<RingSettings>,
        instances: impl IntoIterator<Item = Arc<Instance>>,
    ) -> Self {
        let instances = members(&settings, instances);
        let mut table: Vec<(u32, (bool, usize))> = Vec::new();
        for (place, instance) in instances.iter().enumerate() {
            let rank = rank(instance, place);
            table.extend(instance.tokens.iter().map(|token| (token, rank)));
        }
        table.sort_unstable();
        table.dedup_by_key(|(token, _)| *token);
        let (tokens, owners) = table
            .into_iter()
            .map(|(token, (_, place))| (token, place as u32))
            .unzip();
        Self::of_table(settings, instances, tokens, owners)
    }

    /// The ring of these instances; `None` if they are the members of this one already. O(n) in instances if nothing changed.
    pub(crate) fn renewed(
        &self,
        instances: impl IntoIterator<Item = Arc<Instance>>,
    ) -> Option<Self> {
        let settings = &self.0.settings;
        let instances = members(settings, instances);
        let mut pairs = instances.iter().zip(&self.0.instances);
        let same = instances.len() == self.0.instances.len()
            && pairs.all(|(one, other)| Arc::ptr_eq(one, other));
        (!same).then(|| Self::new(Arc::clone(settings), instances))
    }

    fn of_table(
        settings: Arc<RingSettings>,
        instances: Vec<Arc<Instance>>,
        tokens: Vec<u32>,
        owners: Vec<u32>,
    ) -> Self {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut zone_members = Vec::new();
        let mut zones = Vec::with_capacity(instances.len());
        for instance in &instances {
            let known = names.iter().position(|name| *name == instance.zone);
            let zone = known.unwrap_or_else(|| {
                names.push(Arc::clone(&instance.zone));
                zone_members.push(0);
                names.len() - 1
            });
            zones.push(zone as u32);
            if !instance.tokens.is_empty() {
                zone_members[zone] += 1;
            }
        }
        Self(Arc::new(Inner {
            timeout_ms: i64::try_from(settings.heartbeat_timeout.as_millis()).unwrap_or(i64::MAX),
            settings,
            instances,
            tokens,
            owners,
            zones,
            zone_members,
            shards: Shards::default(),
        }))
    }

    /// The same ring with only the instances that `keep` names by their places; O(n) in tokens, not sorted anew.
    pub(crate) fn part(&self, keep: &[bool]) -> Self {
        let inner = &self.0;
        let mut moved = Vec::with_capacity(keep.len());
        let mut instances = Vec::new();
        for (instance, kept) in inner.instances.iter().zip(keep) {
            moved.push(kept.then(|| {
                instances.push(Arc::clone(instance));
                (instances.len() - 1) as u32
            }));
        }
        let pairs = inner.tokens.iter().zip(&inner.owners);
        let (tokens, owners) = pairs
            .filter_map(|(token, owner)| Some((*token, moved.get(*owner as usize).copied()??)))
            .unzip();
        Self::of_table(Arc::clone(&inner.settings), instances, tokens, owners)
    }

    /// What readers of this ring agree on.
    #[must_use]
    pub fn settings(&self) -> &RingSettings {
        &self.0.settings
    }

    /// Every instance, by name.
    #[must_use]
    pub fn instances(&self) -> &[Arc<Instance>] {
        &self.0.instances
    }

    /// The instance of this name.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&Arc<Instance>> {
        let place = self
            .0
            .instances
            .binary_search_by(|instance| instance.id.cmp(id));
        self.0.instances.get(place.ok()?)
    }

    /// Whether `instance` was heard of in time.
    #[must_use]
    pub fn is_alive(&self, instance: &Instance, now_ms: i64) -> bool {
        instance.is_alive(self.0.timeout_ms, now_ms)
    }

    /// How many instances can do `operation` now.
    #[must_use]
    pub fn healthy(&self, operation: Operation, now_ms: i64) -> usize {
        let instances = self.0.instances.iter();
        instances
            .filter(|instance| self.can(instance, operation, now_ms))
            .count()
    }

    pub(crate) fn shards(&self) -> &Shards {
        &self.0.shards
    }

    fn can(&self, instance: &Instance, operation: Operation, now_ms: i64) -> bool {
        operation.is_served_by(instance) && self.is_alive(instance, now_ms)
    }

    /// Places of owners from `token` on, clockwise, each as often as it has tokens.
    fn walk(&self, token: Token) -> impl Iterator<Item = u32> + '_ {
        let start = self.0.tokens.partition_point(|known| *known <= token.get());
        let (before, after) = self.0.owners.split_at(start);
        after.iter().chain(before).copied()
    }

    /// The instances that own `token`, those that are alive.
    ///
    /// An instance that `operation` extends past is replaced by the next one clockwise, in its zone where zones count.
    /// What is stored there counts as stored if a quorum of the replication factor took it: reads ask all but
    /// RF/2 of all instances, so they meet one that did.
    ///
    /// # Errors
    /// No instance has a token, or too few of the owners are alive.
    pub fn get(
        &self,
        token: Token,
        operation: Operation,
        now_ms: i64,
    ) -> Result<ReplicationSet, Error> {
        if self.0.tokens.is_empty() {
            return Err(Error::Empty);
        }
        let owners = self.owners(token, operation);
        let (live, dead): (Vec<_>, Vec<_>) = owners
            .into_iter()
            .partition(|instance| self.can(instance, operation, now_ms));
        let factor = self.0.settings.replication_factor.max(1);
        let needed = match operation.quorum() {
            Quorum::Majority => factor / 2 + 1,
            Quorum::One => 1,
        };
        if live.len() < needed {
            return Err(Error::TooFewReplicas {
                needed,
                found: live.len(),
                unhealthy: dead.iter().map(|instance| instance.addr.clone()).collect(),
            });
        }
        Ok(ReplicationSet {
            max_errors: live.len() - needed,
            instances: live,
            max_unavailable_zones: None,
        })
    }

    /// Owners of `token`, dead ones and those extended past included.
    fn owners(&self, token: Token, operation: Operation) -> Vec<Arc<Instance>> {
        let inner = &self.0;
        let members: u32 = inner.zone_members.iter().sum();
        let zoned = inner.settings.zone_awareness;
        let factor = inner.settings.replication_factor.max(1);
        // Without zones, each instance is a group; of a zone one instance is taken, or more if it extends.
        let groups = if zoned {
            inner
                .zone_members
                .iter()
                .filter(|members| **members > 0)
                .count()
        } else {
            members as usize
        };
        let wanted = factor.min(groups);
        let mut picked: Vec<u32> = Vec::with_capacity(wanted + 1);
        let mut done_zones: Vec<u32> = Vec::with_capacity(wanted);
        let mut done = 0;
        for place in self.walk(token) {
            if picked.contains(&place) {
                continue;
            }
            let Some((instance, zone)) = self.member(place) else {
                continue;
            };
            if zoned && done_zones.contains(&zone) {
                continue;
            }
            picked.push(place);
            let extended = operation.extends_past(instance);
            if zoned {
                let of_zone = picked
                    .iter()
                    .filter(|place| inner.zones.get(**place as usize) == Some(&zone));
                let exhausted = inner
                    .zone_members
                    .get(zone as usize)
                    .is_none_or(|all| of_zone.count() >= *all as usize);
                // Of a zone in which nobody is left another zone takes the place, if there is one.
                if !extended || exhausted {
                    done_zones.push(zone);
                    done += usize::from(!extended);
                }
            } else if !extended {
                done += 1;
            }
            let all_met = picked.len() >= members as usize || (zoned && done_zones.len() >= groups);
            if done >= wanted || all_met {
                break;
            }
        }
        let instances = picked.iter().filter_map(|place| self.member(*place));
        instances
            .map(|(instance, _)| Arc::clone(instance))
            .collect()
    }

    fn member(&self, place: u32) -> Option<(&Arc<Instance>, u32)> {
        let place = place as usize;
        Some((self.0.instances.get(place)?, *self.0.zones.get(place)?))
    }

    /// The one instance that does a job: the first from `token` on that is alive and can. None can: `None`.
    #[must_use]
    pub fn owner(&self, token: Token, operation: Operation, now_ms: i64) -> Option<&Arc<Instance>> {
        let mut known_bad: Vec<u32> = Vec::new();
        for place in self.walk(token) {
            if known_bad.contains(&place) {
                continue;
            }
            let (instance, _) = self.member(place)?;
            if self.can(instance, operation, now_ms) {
                return Some(instance);
            }
            known_bad.push(place);
            if known_bad.len() >= self.0.instances.len() {
                break;
            }
        }
        None
    }

    /// Who takes `token` in place of an owner that fails: the first from `token` on that is alive, can, and is none of
    /// `others`, whatever its zone.
    #[must_use]
    pub fn spare(
        &self,
        token: Token,
        operation: Operation,
        now_ms: i64,
        others: &[Arc<Instance>],
    ) -> Option<&Arc<Instance>> {
        let members = self.walk(token).filter_map(|place| self.member(place));
        let mut able = members.filter(|(instance, _)| {
            self.can(instance, operation, now_ms)
                && others.iter().all(|other| other.id != instance.id)
        });
        able.next().map(|(instance, _)| instance)
    }

    /// The instances to ask for everything that any holds.
    ///
    /// Instances that were never active hold nothing: they are neither asked nor missed. Without zones all others but
    /// RF/2 must answer. With zones, a zone counts only if all of it answers, and fewer than half of the zones
    /// (of at most RF) may be missing.
    ///
    /// # Errors
    /// Nothing is in the ring, or so much is away that the answer could have gaps.
    pub fn read_set(&self, operation: Operation, now_ms: i64) -> Result<ReplicationSet, Error> {
        let holding = self.0.instances.iter().filter(|instance| !instance.fresh);
        let (live, dead): (Vec<_>, Vec<_>) = holding
            .cloned()
            .partition(|instance| self.can(instance, operation, now_ms));
        let total = live.len() + dead.len();
        if total == 0 {
            return Err(Error::Empty);
        }
        let refused = || Error::TooManyUnhealthy {
            unhealthy: dead.iter().map(|instance| instance.addr.clone()).collect(),
        };
        let factor = self.0.settings.replication_factor.max(1);
        if !self.0.settings.zone_awareness {
            let needed = total.max(factor) - factor / 2;
            let max_errors = live.len().checked_sub(needed).ok_or_else(refused)?;
            return Ok(ReplicationSet {
                instances: live,
                max_errors,
                max_unavailable_zones: None,
            });
        }
        let zones_of = |instances: &[Arc<Instance>]| {
            let mut zones: Vec<_> = instances
                .iter()
                .map(|instance| Arc::clone(&instance.zone))
                .collect();
            zones.sort_unstable();
            zones.dedup();
            zones
        };
        let bad = zones_of(&dead);
        let mut zones = zones_of(&live);
        zones.retain(|zone| !bad.contains(zone));
        let may_miss = (zones.len() + bad.len()).min(factor).saturating_sub(1) / 2;
        let slack = may_miss.checked_sub(bad.len()).ok_or_else(refused)?;
        Ok(ReplicationSet {
            instances: live
                .into_iter()
                .filter(|instance| !bad.contains(&instance.zone))
                .collect(),
            max_errors: 0,
            max_unavailable_zones: Some(slack),
        })
    }

    /// The part of the ring that each instance owns as first owner, 0 to 1, in the order of [`Ring::instances`].
    #[must_use]
    pub fn ownership(&self) -> Vec<f64> {
        let mut owned = vec![0_u64; self.0.instances.len()];
        let mut before = self.0.tokens.last().copied().unwrap_or_default();
        let alone = self.0.tokens.len() == 1;
        for (token, owner) in self.0.tokens.iter().zip(&self.0.owners) {
            let range = if alone {
                1 << 32
            } else {
                u64::from(token.wrapping_sub(before))
            };
            if let Some(owned) = owned.get_mut(*owner as usize) {
                *owned += range;
            }
            before = *token;
        }
        owned
            .into_iter()
            .map(|owned| owned as f64 / (1_u64 << 32) as f64)
            .collect()
    }

    /// Tokens of `id` that the ring gives to another instance.
    #[must_use]
    pub fn lost_tokens(&self, id: &InstanceId) -> Vec<u32> {
        let Some(instance) = self.instance(id) else {
            return Vec::new();
        };
        let lost = |token: &u32| {
            let owner = self
                .0
                .tokens
                .binary_search(token)
                .ok()
                .and_then(|at| self.0.owners.get(at));
            owner
                .and_then(|owner| self.0.instances.get(*owner as usize))
                .is_some_and(|owner| owner.id != *id)
        };
        instance.tokens.iter().filter(lost).collect()
    }

    /// Whether an instance other than `id` owns the token.
    #[must_use]
    pub fn is_taken(&self, token: u32, id: &InstanceId) -> bool {
        let owner = self
            .0
            .tokens
            .binary_search(&token)
            .ok()
            .and_then(|at| self.0.owners.get(at));
        let owner = owner.and_then(|owner| self.0.instances.get(*owner as usize));
        owner.is_some_and(|owner| owner.id != *id)
    }
}

#[cfg(test)]
mod tests;
