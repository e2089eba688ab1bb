//! A ring for people and programs: what the `/ring` page shows.

use serde::Serialize;

use crate::{Instance, InstanceId, Ring, RingKind, State};

/// A ring at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RingStatus {
    /// Its name.
    pub ring: &'static str,
    /// When this was, milliseconds since the epoch.
    pub now_ms: i64,
    /// How many members own a key.
    pub replication_factor: usize,
    /// No two owners of a key are in one zone.
    pub zone_awareness: bool,
    /// Its members, by name.
    pub instances: Vec<InstanceStatus>,
}

/// A member at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceStatus {
    /// Its name.
    pub id: String,
    /// Where it serves.
    pub address: String,
    /// Its availability zone; empty if there are none.
    pub zone: String,
    /// `PENDING`, `JOINING`, `ACTIVE` or `LEAVING`, as it says; see `healthy`.
    pub state: &'static str,
    /// Whether it was heard of in time.
    pub healthy: bool,
    /// It takes nothing new.
    pub read_only: bool,
    /// Milliseconds since it was heard of.
    pub heartbeat_age_ms: i64,
    /// When it first joined, milliseconds since the epoch.
    pub registered_ms: i64,
    /// How many tokens it has.
    pub tokens: usize,
    /// Part of all keys of which it is the first owner, 0 to 1.
    pub ownership: f64,
}

impl InstanceStatus {
    /// What to show in one word: the state, or `UNHEALTHY`.
    #[must_use]
    pub fn shown(&self) -> &'static str {
        if self.healthy {
            self.state
        } else {
            "UNHEALTHY"
        }
    }
}

impl RingStatus {
    /// Describes a ring.
    #[must_use]
    pub fn of(kind: RingKind, ring: &Ring, now_ms: i64) -> Self {
        let describe = |(instance, ownership): (&std::sync::Arc<Instance>, f64)| InstanceStatus {
            id: instance.id.to_string(),
            address: instance.addr.clone(),
            zone: instance.zone.to_string(),
            state: instance.state.as_str(),
            healthy: ring.is_alive(instance, now_ms),
            read_only: instance.read_only,
            heartbeat_age_ms: now_ms.saturating_sub(instance.heartbeat.ms()).max(0),
            registered_ms: instance.registered_ms,
            tokens: instance.tokens.len(),
            ownership,
        };
        Self {
            ring: kind.as_str(),
            now_ms,
            replication_factor: ring.settings().replication_factor,
            zone_awareness: ring.settings().zone_awareness,
            instances: ring
                .instances()
                .iter()
                .zip(ring.ownership())
                .map(describe)
                .collect(),
        }
    }
}

/// How many members are in each state, as metrics count them; unhealthy ones are in none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) by_state: [usize; State::ALL.len()],
    pub(crate) unhealthy: usize,
    pub(crate) tokens: usize,
    /// Oldest heartbeat in each state, seconds since the epoch; unhealthy last.
    pub(crate) oldest_s: [Option<i64>; State::ALL.len() + 1],
    pub(crate) zones: std::collections::BTreeMap<String, usize>,
}

impl Census {
    pub(crate) fn of(ring: &Ring, now_ms: i64) -> Self {
        let mut census = Self::default();
        for instance in ring.instances() {
            let place = match ring.is_alive(instance, now_ms) {
                true => {
                    census.by_state[instance.state as usize] += 1;
                    instance.state as usize
                }
                false => {
                    census.unhealthy += 1;
                    State::ALL.len()
                }
            };
            let seconds = instance.heartbeat.ms().div_euclid(1000);
            let oldest = &mut census.oldest_s[place];
            *oldest = Some(oldest.map_or(seconds, |known| known.min(seconds)));
            census.tokens += instance.tokens.len();
            *census.zones.entry(instance.zone.to_string()).or_default() += 1;
        }
        census
    }
}

/// Part of the ring and tokens of one member.
pub(crate) fn owned(ring: &Ring, id: &InstanceId) -> Option<(f64, usize)> {
    let place = ring
        .instances()
        .iter()
        .position(|instance| instance.id == *id)?;
    let share = ring.ownership().get(place).copied()?;
    Some((share, ring.instances().get(place)?.tokens.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Heartbeat;
    use crate::testing::{NOW, instances, ring, settings};

    #[test]
    fn a_ring_is_described() {
        let mut all = instances(3, 3);
        all[1].heartbeat = Heartbeat::at_ms(NOW - 61_000);
        all[2].state = State::Leaving;
        let ring = ring(settings(3, true), &all);
        let status = RingStatus::of(RingKind::Ingester, &ring, NOW);
        let shown: Vec<_> = status.instances.iter().map(InstanceStatus::shown).collect();
        assert_eq!(shown, ["ACTIVE", "UNHEALTHY", "LEAVING"]);
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["instances"][1]["heartbeat_age_ms"], 61_000);
        assert_eq!(json["instances"][1]["zone"], "zone-1");
        let census = Census::of(&ring, NOW);
        assert_eq!((census.by_state, census.unhealthy), ([0, 0, 1, 1], 1));
        assert_eq!(census.zones.len(), 3);
        assert_eq!(owned(&ring, &"i-0".into()).unwrap().1, 128);
    }
}
