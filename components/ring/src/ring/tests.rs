use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::testing::{NOW, instance, instances, names, ring, settings};
use crate::{Error, Heartbeat, Instance, Operation, Ring, State, Token, Tokens, Verdict};

fn with_tokens(id: &str, zone: &str, tokens: &[u32]) -> Instance {
    Instance {
        tokens: Tokens::new(tokens.to_vec()),
        ..instance(id, zone)
    }
}

/// Four instances, one token each: a 100, b 200, c 300, d 400.
fn four() -> Vec<Instance> {
    ["a", "b", "c", "d"]
        .iter()
        .zip(1..)
        .map(|(id, number)| with_tokens(id, "", &[number * 100]))
        .collect()
}

fn owners(ring: &Ring, token: u32) -> Result<(Vec<String>, usize), Error> {
    let set = ring.get(Token::from_u32(token), Operation::WRITE, NOW)?;
    Ok((
        names(&set.instances)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        set.max_errors,
    ))
}

#[track_caller]
fn check(ring: &Ring, token: u32, expected: &[&str], max_errors: usize) {
    let (found, errors) = owners(ring, token).unwrap();
    assert_eq!(
        (found, errors),
        (
            expected.iter().map(|id| (*id).to_owned()).collect(),
            max_errors
        )
    );
}

#[test]
fn a_key_belongs_to_the_first_token_greater_than_it() {
    let ring = ring(settings(1, false), &four());
    check(&ring, 99, &["a"], 0);
    check(&ring, 100, &["b"], 0);
    check(&ring, 399, &["d"], 0);
    check(&ring, 400, &["a"], 0);
    check(&ring, u32::MAX, &["a"], 0);
}

#[test]
fn replicas_follow_clockwise() {
    let ring = ring(settings(3, false), &four());
    check(&ring, 50, &["a", "b", "c"], 1);
    check(&ring, 350, &["d", "a", "b"], 1);
}

#[test]
fn an_instance_that_is_not_active_is_replaced_by_the_next() {
    for state in [State::Pending, State::Joining, State::Leaving] {
        let mut all = four();
        all[1].state = state;
        let ring = ring(settings(3, false), &all);
        check(&ring, 50, &["a", "c", "d"], 1);
    }
    let mut all = four();
    all[1].read_only = true;
    check(&ring(settings(3, false), &all), 50, &["a", "c", "d"], 1);
}

#[test]
fn a_dead_instance_is_not_replaced() {
    let mut all = four();
    all[1].heartbeat = Heartbeat::at_ms(NOW - 60_001);
    let ring = ring(settings(3, false), &all);
    check(&ring, 50, &["a", "c"], 0);
    all[2].heartbeat = Heartbeat::at_ms(NOW - 60_001);
    let ring = crate::testing::ring(settings(3, false), &all);
    let error = owners(&ring, 50).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at least 2 live replicas required, could only find 1 - unhealthy instances: b:4040,c:4040"
    );
}

#[test]
fn a_heartbeat_revives_without_a_new_ring() {
    let mut all = four();
    all[0].heartbeat = Heartbeat::at_ms(0);
    let heartbeat = all[0].heartbeat.clone();
    let ring = ring(settings(1, false), &all);
    assert!(owners(&ring, 50).is_err());
    heartbeat.beat(NOW);
    check(&ring, 50, &["a"], 0);
}

#[test]
fn an_empty_ring_says_so() {
    assert_eq!(
        owners(&ring(settings(3, false), &[]), 1).unwrap_err(),
        Error::Empty
    );
    let pending = Instance {
        tokens: Tokens::default(),
        state: State::Pending,
        ..instance("a", "")
    };
    assert_eq!(
        owners(&ring(settings(3, false), &[pending]), 1).unwrap_err(),
        Error::Empty
    );
}

#[test]
fn replicas_are_in_distinct_zones() {
    let all = [
        with_tokens("a", "x", &[100]),
        with_tokens("b", "x", &[200]),
        with_tokens("c", "y", &[300]),
        with_tokens("d", "z", &[400]),
    ];
    let ring = ring(settings(3, true), &all);
    check(&ring, 50, &["a", "c", "d"], 1);
    check(&ring, 150, &["b", "c", "d"], 1);
}

#[test]
fn a_leaving_instance_is_replaced_within_its_zone() {
    let mut all = [
        with_tokens("a", "x", &[100]),
        with_tokens("b", "y", &[200]),
        with_tokens("c", "z", &[300]),
        with_tokens("d", "x", &[400]),
    ];
    all[0].state = State::Leaving;
    check(&ring(settings(3, true), &all), 50, &["b", "c", "d"], 1);
    all[3].state = State::Leaving;
    // Nobody is left in zone x.
    check(&ring(settings(3, true), &all), 50, &["b", "c"], 0);
}

/// As when a zone is scaled down: its only ingester is read-only.
#[test]
fn a_zone_in_which_nobody_is_left_is_replaced_by_another_one() {
    let mut all = vec![
        with_tokens("a", "x", &[100]),
        with_tokens("b", "y", &[200]),
        with_tokens("c", "z", &[300]),
    ];
    all[0].read_only = true;
    check(&ring(settings(1, true), &all), 50, &["b"], 0);
    check(&ring(settings(1, true), &all), 150, &["b"], 0);
    check(&ring(settings(2, true), &all), 50, &["b", "c"], 0);
    // As many zones as replicas: the other two are enough.
    check(&ring(settings(3, true), &all), 50, &["b", "c"], 0);
}

#[test]
fn fewer_zones_than_replicas_give_fewer_replicas() {
    let all = [
        with_tokens("a", "x", &[100]),
        with_tokens("b", "y", &[200]),
        with_tokens("c", "y", &[300]),
    ];
    check(&ring(settings(3, true), &all), 50, &["a", "b"], 0);
}

#[test]
fn excluded_zones_are_left_out() {
    let all = [with_tokens("a", "x", &[100]), with_tokens("b", "y", &[200])];
    let mut excluding = (*settings(1, false)).clone();
    excluding.excluded_zones = vec!["x".to_owned()];
    check(&ring(excluding.into(), &all), 50, &["b"], 0);
}

#[test]
fn a_token_of_two_belongs_to_the_smaller_name_unless_that_one_leaves() {
    let mut all = [
        with_tokens("a", "", &[100]),
        with_tokens("b", "", &[100, 200]),
    ];
    let contested = ring(settings(1, false), &all);
    check(&contested, 50, &["a"], 0);
    assert_eq!(contested.lost_tokens(&"b".into()), [100]);
    assert!(contested.is_taken(100, &"b".into()) && !contested.is_taken(100, &"a".into()));
    all[0].state = State::Leaving;
    check(&ring(settings(1, false), &all), 50, &["b"], 0);
}

#[test]
fn of_two_entries_with_one_name_the_later_heartbeat_counts() {
    let old = Instance {
        heartbeat: Heartbeat::at_ms(NOW - 1),
        ..with_tokens("a", "", &[1])
    };
    let new = Instance {
        addr: "new:1".to_owned(),
        ..with_tokens("a", "", &[2])
    };
    for all in [[old.clone(), new.clone()], [new, old]] {
        let ring = ring(settings(1, false), &all);
        assert_eq!(ring.instances().len(), 1);
        assert_eq!(ring.instance(&"a".into()).unwrap().addr, "new:1");
    }
}

#[test]
fn a_job_has_the_first_owner_that_is_well() {
    let mut all = four();
    let who = |all: &[Instance], token| {
        let ring = ring(settings(1, false), all);
        ring.owner(Token::from_u32(token), Operation::WRITE, NOW)
            .map(|owner| owner.id.to_string())
    };
    assert_eq!(who(&all, 150).as_deref(), Some("b"));
    all[1].heartbeat = Heartbeat::at_ms(0);
    all[2].state = State::Leaving;
    assert_eq!(who(&all, 150).as_deref(), Some("d"));
    all[0].state = State::Joining;
    all[3].state = State::Leaving;
    assert_eq!(who(&all, 150), None);
}

#[test]
fn block_owners_include_those_on_their_way() {
    let mut all = four();
    all[0].state = State::Joining;
    all[1].state = State::Leaving;
    let ring = ring(settings(3, false), &all);
    let owners = ring.get(Token::from_u32(50), Operation::OWN, NOW).unwrap();
    assert_eq!(names(&owners.instances), ["a", "b", "c"]);
    assert_eq!(owners.needed(), 1);
}

#[test]
fn reads_miss_as_many_as_writes_can_spare() {
    let mut all = instances(5, 1);
    for dead in 0..2 {
        let set = ring(settings(3, false), &all)
            .read_set(Operation::READ, NOW)
            .unwrap();
        assert_eq!((set.instances.len(), set.max_errors), (5 - dead, 1 - dead));
        all[dead].heartbeat = Heartbeat::at_ms(0);
    }
    let error = ring(settings(3, false), &all)
        .read_set(Operation::READ, NOW)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "too many unhealthy instances in the ring: i-0:4040,i-1:4040"
    );
    assert!(
        ring(settings(1, false), &all[1..])
            .read_set(Operation::READ, NOW)
            .is_err()
    );
}

#[test]
fn reads_ask_leaving_instances_and_do_not_miss_fresh_ones() {
    let mut all = instances(3, 1);
    all[0].state = State::Leaving;
    all[1].read_only = true;
    let joining = Instance {
        state: State::Joining,
        fresh: true,
        ..instance("new", "zone-0")
    };
    all.push(joining);
    let set = ring(settings(1, false), &all)
        .read_set(Operation::READ, NOW)
        .unwrap();
    assert_eq!(set.instances.len(), 3);
    // The same instance, restarted with data, is missed while it is not ready.
    all[3].fresh = false;
    assert!(
        ring(settings(1, false), &all)
            .read_set(Operation::READ, NOW)
            .is_err()
    );
}

#[test]
fn a_zone_counts_only_as_a_whole() {
    let mut all = instances(6, 3);
    let set = ring(settings(3, true), &all)
        .read_set(Operation::READ, NOW)
        .unwrap();
    assert_eq!(
        (set.instances.len(), set.max_unavailable_zones),
        (6, Some(1))
    );
    all[0].heartbeat = Heartbeat::at_ms(0);
    let set = ring(settings(3, true), &all)
        .read_set(Operation::READ, NOW)
        .unwrap();
    assert_eq!(
        (set.instances.len(), set.max_unavailable_zones),
        (4, Some(0))
    );
    all[3].heartbeat = Heartbeat::at_ms(0);
    assert!(
        ring(settings(3, true), &all)
            .read_set(Operation::READ, NOW)
            .is_ok(),
        "all of one zone"
    );
    all[1].heartbeat = Heartbeat::at_ms(0);
    assert!(
        ring(settings(3, true), &all)
            .read_set(Operation::READ, NOW)
            .is_err(),
        "two zones"
    );
}

#[test]
fn outcomes_are_counted_by_instance_or_by_zone() {
    let ring_of = |zoned| ring(settings(3, zoned), &instances(6, 3));
    let set = ring_of(false)
        .get(Token::from_u32(1), Operation::WRITE, NOW)
        .unwrap();
    let mut tally = set.tally();
    assert_eq!(tally.succeeded(0), Verdict::Open);
    assert_eq!(tally.failed(1), Verdict::Open);
    assert_eq!(tally.clone().succeeded(2), Verdict::Enough);
    assert_eq!(tally.failed(2), Verdict::Failed);

    let set = ring_of(true).read_set(Operation::READ, NOW).unwrap();
    // i-0 and i-3 are zone-0, and so on.
    let mut tally = set.tally();
    for member in [0, 3, 1] {
        assert_eq!(tally.succeeded(member), Verdict::Open);
    }
    assert_eq!(tally.failed(2), Verdict::Open);
    assert_eq!(tally.failed(5), Verdict::Open, "the same zone");
    assert!(!tally.counts(5) && tally.counts(0));
    assert_eq!(tally.clone().succeeded(4), Verdict::Enough);
    assert_eq!(tally.failed(0), Verdict::Failed);
}

#[test]
fn ownership_is_the_whole_ring() {
    let ring = ring(settings(3, false), &instances(7, 1));
    let owned = ring.ownership();
    assert!((owned.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(
        owned.iter().all(|share| (0.12..0.17).contains(share)),
        "{owned:?}"
    );
    let alone = crate::testing::ring(settings(1, false), &[with_tokens("a", "", &[5])]);
    assert_eq!(alone.ownership(), [1.0]);
}

/// With spread tokens, replicas are as even as first owners.
#[test]
fn replicas_spread_over_instances() {
    let ring = ring(settings(3, false), &instances(10, 1));
    let mut load = std::collections::BTreeMap::<String, u32>::new();
    for step in 0..20_000_u32 {
        let token = Token::from_u32(step.wrapping_mul(0x9e37_79b9));
        for owner in ring.get(token, Operation::WRITE, NOW).unwrap().instances {
            *load.entry(owner.id.to_string()).or_default() += 1;
        }
    }
    assert!(
        load.values().all(|keys| (5_000..7_200).contains(keys)),
        "{load:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_key_has_rf_owners_in_distinct_zones(key in any::<u32>(), per_zone in 1_usize..8, zones in 3_usize..6) {
        let ring = ring(settings(3, true), &instances(per_zone * zones, zones));
        let set = ring.get(Token::from_u32(key), Operation::WRITE, NOW).unwrap();
        prop_assert_eq!(set.instances.len(), 3);
        let zones: BTreeSet<_> = set.instances.iter().map(|owner| &owner.zone).collect();
        prop_assert_eq!(zones.len(), 3);
    }

    #[test]
    fn whatever_the_states_writes_and_reads_meet(
        key in any::<u32>(), count in 1_usize..9, zones in 1_usize..4, zoned in any::<bool>(), rf in 1_usize..6,
        seeds in prop::collection::vec((0_usize..8, any::<bool>(), any::<bool>()), 9),
    ) {
        let mut all = instances(count, zones);
        for (member, (state, dead, read_only)) in all.iter_mut().zip(&seeds) {
            member.state = State::ALL.get(*state).copied().unwrap_or(State::Active);
            member.read_only = *read_only && *state > 5;
            if *dead && *state > 5 {
                member.heartbeat = Heartbeat::at_ms(0);
            }
        }
        let ring = ring(settings(rf, zoned), &all);
        let (Ok(write), Ok(read)) = (
            ring.get(Token::from_u32(key), Operation::WRITE, NOW),
            ring.read_set(Operation::READ, NOW),
        ) else {
            return Ok(());
        };
        // The worst case: the last ones of both fail.
        let stored: BTreeSet<_> = names(&write.instances[..write.needed()]).into_iter().collect();
        match read.max_unavailable_zones {
            None => {
                let unasked: BTreeSet<_> = names(&all.iter().cloned().map(Into::into).collect::<Vec<_>>()).iter().map(|s| (*s).to_owned()).collect();
                let asked: BTreeSet<_> = names(&read.instances).into_iter().collect();
                let missed = unasked.iter().filter(|id| !asked.contains(id.as_str())).filter(|id| stored.contains(id.as_str())).count();
                prop_assert!(stored.len() > missed + read.max_errors);
            }
            Some(slack) => {
                let asked: BTreeSet<_> = names(&read.instances).into_iter().collect();
                let zones: BTreeSet<_> = write.instances.iter().filter(|owner| stored.contains(owner.id.as_str()))
                    .filter(|owner| asked.contains(owner.id.as_str())).map(|owner| &owner.zone).collect();
                prop_assert!(zones.len() > slack);
            }
        }
    }

    #[test]
    fn a_new_instance_moves_only_its_own_share(key in any::<u32>(), count in 3_usize..20) {
        let all = instances(count + 1, 1);
        let before = ring(settings(1, false), &all[..count]);
        let after = ring(settings(1, false), &all);
        let newcomer = format!("i-{count}");
        let (old, new) = (owners(&before, key).unwrap().0, owners(&after, key).unwrap().0);
        prop_assert!(old == new || new == [newcomer]);
    }

    #[test]
    fn a_replacement_with_the_same_name_moves_nothing(key in any::<u32>(), which in 0_usize..10) {
        let mut all = instances(10, 1);
        let before = owners(&ring(settings(3, false), &all), key).unwrap();
        all[which] = Instance { addr: "elsewhere:4040".to_owned(), ..instance(&format!("i-{which}"), &all[which].zone) };
        prop_assert_eq!(owners(&ring(settings(3, false), &all), key).unwrap(), before);
    }
}
