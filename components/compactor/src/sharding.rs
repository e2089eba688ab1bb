//! Who does what, if there are several compactors: each job has one owner in the ring.
//!
//! Two that take themselves for the owner for a while, because they know different rings, waste work and nothing else.

use phlare_model::TenantId;
use phlare_ring::{InstanceId, Operation, Ring, Token};
use tokio::sync::watch;

use crate::compactor::Compactor;

/// The place of this compactor among others.
#[derive(Clone, Debug)]
pub struct Sharding {
    /// The ring of compactors.
    pub ring: watch::Receiver<Ring>,
    /// The name of this one there.
    pub me: InstanceId,
}

impl Sharding {
    /// Whether this compactor works for a tenant, of whom `size` do; 0 is all.
    pub(crate) fn serves(&self, tenant: &TenantId, size: usize) -> bool {
        let shard = self.ring.borrow().shuffle_shard(tenant, size);
        shard.instance(&self.me).is_some()
    }

    /// Whether this compactor is the one of the tenant's that does what `key` names.
    pub(crate) fn owns(&self, tenant: &TenantId, size: usize, key: &str, now_ms: i64) -> bool {
        let shard = self.ring.borrow().shuffle_shard(tenant, size);
        let owner = shard.owner(Token::of_job(key), Operation::WRITE, now_ms);
        owner.is_some_and(|owner| owner.id == self.me)
    }
}

impl Compactor {
    /// Whether the tenant is one of those that this compactor works for.
    pub(crate) fn serves(&self, tenant: &TenantId) -> bool {
        let size = self.shard_size(tenant);
        let sharding = self.dependencies.sharding.as_ref();
        sharding.is_none_or(|sharding| sharding.serves(tenant, size))
    }

    /// Whether what `key` names is this compactor's to do.
    pub(crate) fn owns(&self, tenant: &TenantId, key: &str) -> bool {
        let size = self.shard_size(tenant);
        let now_ms = self.dependencies.clock.now_ms();
        let sharding = self.dependencies.sharding.as_ref();
        sharding.is_none_or(|sharding| sharding.owns(tenant, size, key, now_ms))
    }

    fn shard_size(&self, tenant: &TenantId) -> usize {
        let limits = self.dependencies.overrides.limits(tenant);
        limits.compactor_tenant_shard_size
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use phlare_ring::{Heartbeat, Instance, RingSettings, State, Tokens};

    use super::*;

    fn ring(members: u32, alive: impl Fn(u32) -> bool) -> Ring {
        let member = |number: u32| {
            let id = format!("compactor-{number}");
            Arc::new(Instance {
                tokens: Tokens::spread("compactor", "", &id, 64),
                id: id.as_str().into(),
                addr: String::new(),
                zone: "".into(),
                state: State::Active,
                registered_ms: 0,
                fresh: false,
                read_only: false,
                read_only_changed_ms: 0,
                heartbeat: Heartbeat::at_ms(if alive(number) { 1_000_000 } else { 0 }),
            })
        };
        Ring::new(Arc::new(RingSettings::default()), (0..members).map(member))
    }

    fn owners(ring: &Ring, size: usize, key: &str) -> Vec<u32> {
        let tenant = TenantId::parse("t").unwrap();
        let owns = |number: &u32| {
            let sharding = Sharding {
                ring: watch::channel(ring.clone()).1,
                me: format!("compactor-{number}").as_str().into(),
            };
            let owns = sharding.owns(&tenant, size, key, 1_000_000);
            assert!(!owns || sharding.serves(&tenant, size));
            owns
        };
        (0..ring.instances().len() as u32).filter(owns).collect()
    }

    #[test]
    fn every_job_has_one_owner_and_all_have_some() {
        let ring = ring(5, |_| true);
        let mut of = [0; 5];
        for job in 0..200 {
            let owners = owners(&ring, 0, &job.to_string());
            assert_eq!(owners.len(), 1, "job {job}");
            of[owners[0] as usize] += 1;
        }
        assert!(of.iter().all(|jobs| *jobs > 10), "{of:?}");
    }

    #[test]
    fn jobs_of_a_dead_compactor_are_done_by_others() {
        let ring = ring(3, |number| number != 1);
        for job in 0..50 {
            let owners = owners(&ring, 0, &job.to_string());
            assert!(owners == [0] || owners == [2], "{owners:?}");
        }
    }

    #[test]
    fn a_tenant_has_as_many_as_its_shard() {
        let ring = ring(6, |_| true);
        let jobs = 0..50;
        let mut all: Vec<_> = jobs
            .flat_map(|job| owners(&ring, 2, &job.to_string()))
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2);
    }
}
