use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::testing::{NOW, instance, instances, names, ring, settings, tenant};
use crate::{Operation, Ring, Token};

fn members(ring: &Ring) -> BTreeSet<&str> {
    names(ring.instances()).into_iter().collect()
}

#[test]
fn size_zero_is_everything() {
    let all = ring(settings(3, false), &instances(7, 1));
    assert_eq!(all.shuffle_shard(&tenant("a"), 0).instances().len(), 7);
    assert_eq!(all.shuffle_shard(&tenant("a"), 99).instances().len(), 7);
}

#[test]
fn tenants_have_different_shards() {
    let all = ring(settings(1, false), &instances(20, 1));
    let shards: BTreeSet<Vec<String>> = (0..100)
        .map(|number| {
            let shard = all.shuffle_shard(&tenant(&format!("tenant-{number}")), 4);
            names(shard.instances())
                .iter()
                .map(|name| (*name).to_owned())
                .collect()
        })
        .collect();
    assert!(shards.len() > 95, "{} of 100 shards differ", shards.len());
}

#[test]
fn tenants_spread_over_instances() {
    let all = ring(settings(1, false), &instances(10, 1));
    let mut load = std::collections::BTreeMap::<String, usize>::new();
    for number in 0..1000 {
        let shard = all.shuffle_shard(&tenant(&format!("tenant-{number}")), 3);
        for name in names(shard.instances()) {
            *load.entry(name.to_owned()).or_default() += 1;
        }
    }
    assert!(
        load.values().all(|tenants| (240..360).contains(tenants)),
        "{load:?}"
    );
}

#[test]
fn a_shard_is_remembered() {
    let all = ring(settings(1, false), &instances(10, 1));
    let once = all.shuffle_shard(&tenant("a"), 3);
    let again = all.shuffle_shard(&tenant("a"), 3);
    assert_eq!(members(&once), members(&again));
}

#[test]
fn a_read_only_instance_gives_its_place_away_and_is_still_read() {
    let mut all = instances(6, 1);
    let before = ring(settings(1, false), &all).shuffle_shard(&tenant("a"), 2);
    let gone = names(before.instances())[0].to_owned();
    let member = all
        .iter_mut()
        .find(|member| member.id.as_str() == gone)
        .unwrap();
    member.read_only = true;
    member.read_only_changed_ms = NOW - 1000;
    let after = ring(settings(1, false), &all);
    let writes = after.shuffle_shard(&tenant("a"), 2);
    assert!(!members(&writes).contains(gone.as_str()));
    assert_eq!(writes.instances().len(), 2);
    let reads = after.shuffle_shard_since(&tenant("a"), 2, NOW - 3_600_000);
    assert!(members(&reads).contains(gone.as_str()));
    assert!(members(&reads).is_superset(&members(&writes)));
}

#[test]
fn reads_go_where_writes_went_before_an_instance_joined() {
    let all = instances(6, 1);
    let old = ring(settings(1, false), &all);
    for number in 6..40 {
        let mut more = all.clone();
        let mut newcomer = instance(&format!("i-{number}"), "zone-0");
        newcomer.registered_ms = NOW - 1000;
        more.push(newcomer);
        let new = ring(settings(1, false), &more);
        let before = old.shuffle_shard(&tenant("a"), 2);
        let reads = new.shuffle_shard_since(&tenant("a"), 2, NOW - 3_600_000);
        assert!(members(&reads).is_superset(&members(&before)));
        let much_later = new.shuffle_shard_since(&tenant("a"), 2, NOW + 3_600_000);
        assert_eq!(
            members(&much_later),
            members(&new.shuffle_shard(&tenant("a"), 2))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_change_of_members_changes_at_most_one(
        count in 2_usize..40, zones in 1_usize..4, size in 1_usize..12, leaves in any::<prop::sample::Index>(),
        name in "[a-z]{1,8}",
    ) {
        let all = instances(count, zones);
        let mut fewer = all.clone();
        fewer.remove(leaves.index(count));
        // A zone that vanishes changes how many are taken from each of the others.
        let zones_left: BTreeSet<_> = fewer.iter().map(|member| &member.zone).collect();
        let zones_before: BTreeSet<_> = all.iter().map(|member| &member.zone).collect();
        prop_assume!(zones_left == zones_before);
        let zoned = zones > 1;
        let more = ring(settings(1, zoned), &all).shuffle_shard(&tenant(&name), size);
        let less = ring(settings(1, zoned), &fewer).shuffle_shard(&tenant(&name), size);
        prop_assert!(members(&more).difference(&members(&less)).count() <= 1);
        prop_assert!(members(&less).difference(&members(&more)).count() <= 1);
    }

    #[test]
    fn a_bigger_shard_keeps_the_smaller_one(count in 1_usize..40, size in 1_usize..20, name in "[a-z]{1,8}") {
        let all = ring(settings(1, false), &instances(count, 1));
        let (small, big) = (all.shuffle_shard(&tenant(&name), size), all.shuffle_shard(&tenant(&name), size + 1));
        prop_assert!(members(&small).is_subset(&members(&big)));
        prop_assert_eq!(small.instances().len(), size.min(count));
        prop_assert!(big.instances().len() <= small.instances().len() + 1);
    }

    #[test]
    fn zones_are_equal_in_a_shard(per_zone in 2_usize..8, size in 1_usize..9, name in "[a-z]{1,8}") {
        let all = ring(settings(3, true), &instances(per_zone * 3, 3));
        let shard = all.shuffle_shard(&tenant(&name), size);
        for zone in ["zone-0", "zone-1", "zone-2"] {
            let of_zone = shard.instances().iter().filter(|member| &*member.zone == zone).count();
            prop_assert_eq!(of_zone, size.div_ceil(3).min(per_zone));
        }
    }

    #[test]
    fn keys_stay_in_the_shard(key in any::<u32>(), name in "[a-z]{1,8}") {
        let all = ring(settings(3, true), &instances(30, 3));
        let shard = all.shuffle_shard(&tenant(&name), 6);
        let set = shard.get(Token::from_u32(key), Operation::WRITE, NOW).unwrap();
        let owners: BTreeSet<_> = names(&set.instances).into_iter().collect();
        prop_assert!(owners.is_subset(&members(&shard)));
        prop_assert_eq!(owners.len(), 3);
    }
}
