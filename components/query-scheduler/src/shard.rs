//! Which queriers answer the queries of a tenant.

use phlare_model::TenantId;
use xxhash_rust::xxh64::Xxh64;

/// Whether `querier` is one of the `size` queriers of a tenant, out of those that are there; 0 is all. When a querier comes
/// or goes, the queriers of a tenant change by one at most. O(queriers).
pub(crate) fn serves<'a>(
    querier: &str,
    tenant: &TenantId,
    size: usize,
    queriers: impl Iterator<Item = &'a str>,
) -> bool {
    if size == 0 {
        return true;
    }
    let mine = (weight(tenant, querier), querier);
    let before = queriers.filter(|other| (weight(tenant, other), *other) > mine);
    before.take(size).count() < size
}

fn weight(tenant: &TenantId, querier: &str) -> u64 {
    let mut hash = Xxh64::new(0);
    hash.update(tenant.as_str().as_bytes());
    hash.update(&[0]);
    hash.update(querier.as_bytes());
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard<'a>(tenant: &TenantId, size: usize, queriers: &[&'a str]) -> Vec<&'a str> {
        let all = queriers.iter().copied();
        all.clone()
            .filter(|querier| serves(querier, tenant, size, all.clone()))
            .collect()
    }

    #[test]
    fn a_tenant_has_so_many_queriers_and_loses_one_at_most() {
        let queriers = ["a", "b", "c", "d", "e", "f", "g"];
        let mut shards = std::collections::BTreeSet::new();
        for number in 0..50 {
            let tenant = TenantId::parse(&format!("t{number}")).unwrap();
            let before = shard(&tenant, 3, &queriers);
            assert_eq!(before.len(), 3);
            let after = shard(&tenant, 3, &queriers[1..]);
            assert_eq!(after.len(), 3);
            let lost = before.iter().filter(|name| !after.contains(name));
            assert!(lost.count() <= usize::from(before.contains(&"a")));
            shards.insert(before);
        }
        assert!(shards.len() > 10, "{shards:?}");
    }

    #[test]
    fn no_size_and_more_than_there_are_mean_all() {
        let tenant = TenantId::anonymous();
        assert_eq!(shard(&tenant, 0, &["a", "b"]), ["a", "b"]);
        assert_eq!(shard(&tenant, 9, &["a", "b"]), ["a", "b"]);
    }
}
