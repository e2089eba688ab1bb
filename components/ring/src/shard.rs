//! The instances that serve one tenant: its shuffle shard.
//!
//! Each tenant ranks all instances by a hash of both names and takes the first ones (rendezvous hashing), in each
//! zone alike where zones count. So tenants rarely share all of their instances; an instance that comes or goes
//! changes a shard by at most one member, as does a size that changes by one (per zone).

use std::cmp::Reverse;
use std::sync::Arc;

use phlare_model::TenantId;
use quick_cache::sync::Cache;
use xxhash_rust::xxh64::xxh64;

use crate::{Instance, Ring};

/// Shards that a ring remembers, of different tenants or sizes.
const REMEMBERED: usize = 1024;

/// Shards already worked out.
#[derive(Debug)]
pub(crate) struct Shards(Cache<(TenantId, usize), Ring>);

impl Default for Shards {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Ring {
    /// The part of the ring that `tenant` writes to: `size` instances, in each zone equally many where zones count.
    /// 0: all. Read-only instances and those without tokens are left out. O(tokens) at first, then O(1).
    #[must_use]
    pub fn shuffle_shard(&self, tenant: &TenantId, size: usize) -> Self {
        if size == 0 {
            return self.clone();
        }
        let key = (tenant.clone(), size);
        if let Some(known) = self.shards().0.get(&key) {
            return known;
        }
        let shard = self.select(tenant, size, |instance| match instance {
            instance if instance.read_only || instance.tokens.is_empty() => Choice::Skip,
            _ => Choice::Take,
        });
        self.shards().0.insert(key, shard.clone());
        shard
    }

    /// The part of the ring that may hold what `tenant` wrote since `since_ms`: the shard, and whatever was in it
    /// then. Instances that registered or changed read-only since do not count towards the size. O(tokens).
    #[must_use]
    pub fn shuffle_shard_since(&self, tenant: &TenantId, size: usize, since_ms: i64) -> Self {
        if size == 0 {
            return self.clone();
        }
        self.select(tenant, size, |instance| {
            if instance.tokens.is_empty() {
                Choice::Skip
            } else if instance.read_only
                || instance.read_only_changed_ms >= since_ms
                || instance.registered_ms >= since_ms
            {
                Choice::TakeAsWell
            } else {
                Choice::Take
            }
        })
    }

    fn select(&self, tenant: &TenantId, size: usize, choose: impl Fn(&Instance) -> Choice) -> Self {
        let zoned = self.settings().zone_awareness;
        let mut ranked: Vec<(usize, &Arc<Instance>)> =
            self.instances().iter().enumerate().collect();
        ranked.sort_by_cached_key(|(_, instance)| {
            let zone = zoned.then(|| Arc::clone(&instance.zone));
            (zone, Reverse(score(tenant, instance)))
        });
        let mut zones = 1;
        if zoned {
            let pairs = ranked.iter().zip(ranked.iter().skip(1));
            zones += pairs
                .filter(|((_, one), (_, next))| one.zone != next.zone)
                .count();
        }
        let wanted = size.div_ceil(zones);
        let mut keep = vec![false; self.instances().len()];
        let (mut zone, mut taken) = (None, 0);
        for (place, instance) in ranked {
            if zoned && zone != Some(&instance.zone) {
                (zone, taken) = (Some(&instance.zone), 0);
            }
            let choice = choose(instance);
            if taken >= wanted || choice == Choice::Skip {
                continue;
            }
            taken += usize::from(choice == Choice::Take);
            if let Some(keep) = keep.get_mut(place) {
                *keep = true;
            }
        }
        self.part(&keep)
    }
}

#[derive(PartialEq)]
enum Choice {
    Skip,
    Take,
    /// Does not count towards the size.
    TakeAsWell,
}

fn score(tenant: &TenantId, instance: &Instance) -> u64 {
    let seed = xxh64(tenant.as_str().as_bytes(), 0);
    xxh64(instance.id.as_str().as_bytes(), seed)
}

#[cfg(test)]
mod tests;
