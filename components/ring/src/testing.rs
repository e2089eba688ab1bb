//! Rings for tests, in one line.

use std::sync::Arc;
use std::time::Duration;

use phlare_model::TenantId;

use crate::{Heartbeat, Instance, Ring, RingSettings, State, Tokens};

/// The time that tests begin at.
pub(crate) const NOW: i64 = 1_700_000_000_000;

pub(crate) fn settings(replication_factor: usize, zone_awareness: bool) -> Arc<RingSettings> {
    Arc::new(RingSettings {
        replication_factor,
        heartbeat_timeout: Duration::from_secs(60),
        zone_awareness,
        excluded_zones: Vec::new(),
    })
}

pub(crate) fn instance(id: &str, zone: &str) -> Instance {
    Instance {
        id: id.into(),
        addr: format!("{id}:4040"),
        zone: zone.into(),
        state: State::Active,
        tokens: Tokens::spread("test", zone, id, 128),
        registered_ms: NOW - 86_400_000,
        fresh: false,
        read_only: false,
        read_only_changed_ms: 0,
        heartbeat: Heartbeat::at_ms(NOW),
    }
}

/// `count` active instances `i-0`, `i-1`, …, in turn in each of `zones` zones.
pub(crate) fn instances(count: usize, zones: usize) -> Vec<Instance> {
    let zone = |number| format!("zone-{}", number % zones);
    (0..count)
        .map(|number| instance(&format!("i-{number}"), &zone(number)))
        .collect()
}

pub(crate) fn ring(settings: Arc<RingSettings>, instances: &[Instance]) -> Ring {
    Ring::new(settings, instances.iter().cloned().map(Arc::new))
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn names<'a>(instances: impl IntoIterator<Item = &'a Arc<Instance>>) -> Vec<&'a str> {
    instances
        .into_iter()
        .map(|instance| instance.id.as_str())
        .collect()
}
