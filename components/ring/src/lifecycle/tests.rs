use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::testing::{NOW, instance, ring, settings};

fn member_settings() -> MemberSettings {
    MemberSettings {
        tokens: 16,
        heartbeat_period: Duration::from_secs(5),
        join_after: Duration::ZERO,
        observe_period: Duration::ZERO,
        min_ready_duration: Duration::from_secs(15),
        unregister_on_shutdown: true,
    }
}

fn identity(id: &str) -> Identity {
    Identity {
        ring: "ingester".to_owned(),
        id: id.into(),
        addr: format!("{id}:4040"),
        zone: "".into(),
    }
}

fn member(settings: MemberSettings, origin: Origin) -> Lifecycle {
    Lifecycle::new(settings, identity("me"), origin)
}

fn empty() -> Ring {
    ring(settings(1, false), &[])
}

const READY: Wish = Wish {
    ready: true,
    read_only: None,
    leave: false,
    drained: false,
};
const WAIT: Wish = Wish {
    ready: false,
    ..READY
};
const LEAVE: Wish = Wish {
    leave: true,
    ..READY
};
const DRAINED: Wish = Wish {
    drained: true,
    ..LEAVE
};

#[test]
fn a_member_that_is_ready_is_active_at_once() {
    let mut me = member(member_settings(), Origin::default());
    let step = me.step(&empty(), &READY, NOW);
    let entry = step.publish.unwrap();
    assert_eq!(
        (entry.state, entry.tokens.len(), entry.registered_ms),
        (State::Active, 16, NOW)
    );
    assert!(!entry.fresh && step.beat && step.end.is_none());
    assert_eq!(step.save, Some(entry.tokens));
    assert_eq!(step.wake_ms, NOW + 5_000);
    assert!(!me.is_ready(NOW + 14_999) && me.is_ready(NOW + 15_000));
}

#[test]
fn nothing_new_is_only_a_heartbeat() {
    let mut me = member(member_settings(), Origin::default());
    me.step(&empty(), &READY, NOW);
    let early = me.step(&empty(), &READY, NOW + 4_999);
    assert!(!early.beat && early.publish.is_none() && early.save.is_none());
    let due = me.step(&empty(), &READY, NOW + 5_000);
    assert!(due.beat && due.publish.is_none());
    assert_eq!(due.wake_ms, NOW + 10_000);
}

#[test]
fn it_joins_pending_then_observes_then_waits_until_it_is_ready() {
    let slow = MemberSettings {
        join_after: Duration::from_secs(2),
        observe_period: Duration::from_secs(3),
        ..member_settings()
    };
    let mut me = member(slow, Origin::default());
    let step = me.step(&empty(), &WAIT, NOW);
    assert_eq!((me.state(), step.wake_ms), (State::Pending, NOW + 2_000));
    assert!(step.publish.unwrap().tokens.is_empty());
    let step = me.step(&empty(), &READY, NOW + 2_000);
    assert_eq!((me.state(), step.wake_ms), (State::Joining, NOW + 5_000));
    assert!(step.publish.unwrap().fresh);
    me.step(&empty(), &WAIT, NOW + 5_000);
    assert_eq!(me.state(), State::Joining);
    me.step(&empty(), &READY, NOW + 5_001);
    assert_eq!(me.state(), State::Active);
    // Readiness counts once.
    me.step(&empty(), &WAIT, NOW + 6_000);
    assert_eq!(me.state(), State::Active);
}

#[test]
fn tokens_of_an_earlier_run_are_kept() {
    let file = Tokens::new((1..=16).collect());
    let mut me = member(
        MemberSettings {
            join_after: Duration::from_secs(60),
            ..member_settings()
        },
        Origin {
            tokens: Some(file.clone()),
            holds_data: true,
            seed: 1,
        },
    );
    let entry = me.step(&empty(), &WAIT, NOW).publish.unwrap();
    assert_eq!(
        (entry.tokens, entry.state, entry.fresh),
        (file, State::Joining, false)
    );
}

#[test]
fn the_number_of_tokens_follows_the_settings() {
    for kept in [4, 16, 40] {
        let file = Tokens::new((1..=kept).collect());
        let origin = Origin {
            tokens: Some(file),
            ..Origin::default()
        };
        let entry = member(member_settings(), origin)
            .step(&empty(), &READY, NOW)
            .publish
            .unwrap();
        assert_eq!(entry.tokens.len(), 16);
    }
}

#[test]
fn an_entry_of_an_earlier_run_is_taken_up() {
    let mut earlier = instance("me", "");
    earlier.state = State::Leaving;
    earlier.read_only = true;
    earlier.read_only_changed_ms = 7;
    earlier.tokens = Tokens::new((1..=16).collect());
    let known = ring(settings(1, false), &[earlier.clone()]);
    let mut me = member(member_settings(), Origin::default());
    let entry = me.step(&known, &WAIT, NOW).publish.unwrap();
    assert_eq!(entry.tokens, earlier.tokens);
    assert_eq!(entry.registered_ms, earlier.registered_ms);
    assert_eq!(
        (entry.state, entry.fresh),
        (State::Joining, false),
        "it holds data"
    );
    assert!(entry.read_only && me.is_read_only());
    let entry = me
        .step(
            &known,
            &Wish {
                read_only: Some(false),
                ..READY
            },
            NOW + 1,
        )
        .publish
        .unwrap();
    assert_eq!(
        (entry.read_only, entry.read_only_changed_ms),
        (false, NOW + 1)
    );
}

#[test]
fn contested_tokens_are_replaced_and_observed_anew() {
    let observing = MemberSettings {
        observe_period: Duration::from_secs(10),
        ..member_settings()
    };
    let mut me = member(observing, Origin::default());
    let mine = me.step(&empty(), &READY, NOW).publish.unwrap();
    // One with a smaller name has the same tokens.
    let rival = Instance {
        tokens: mine.tokens.clone(),
        ..instance("before-me", "")
    };
    let both = ring(settings(1, false), &[rival.clone(), mine.clone()]);
    let step = me.step(&both, &READY, NOW + 9_000);
    let changed = step.publish.unwrap().tokens;
    assert_eq!(changed.len(), 16);
    assert!(changed.iter().all(|token| !both.is_taken(token, me.id())));
    me.step(&both, &READY, NOW + 11_000);
    assert_eq!(me.state(), State::Joining, "observed from the change on");
    me.step(&both, &READY, NOW + 19_000);
    assert_eq!(me.state(), State::Active);
}

#[test]
fn leaving_beats_until_it_is_drained() {
    let mut me = member(member_settings(), Origin::default());
    me.step(&empty(), &READY, NOW);
    let step = me.step(&empty(), &LEAVE, NOW + 1);
    assert_eq!(step.publish.unwrap().state, State::Leaving);
    assert!(!me.is_ready(NOW + 100_000));
    assert!(me.step(&empty(), &LEAVE, NOW + 5_001).beat);
    let last = me.step(&empty(), &DRAINED, NOW + 5_002);
    assert_eq!(last.end, Some(End::Remove));
    let after = me.step(&empty(), &DRAINED, NOW + 50_000);
    assert!(!after.beat && after.publish.is_none() && after.end.is_none());
}

#[test]
fn an_entry_stays_if_told_so() {
    let keeping = MemberSettings {
        unregister_on_shutdown: false,
        ..member_settings()
    };
    let mut me = member(keeping, Origin::default());
    let step = me.step(&empty(), &DRAINED, NOW);
    assert_eq!(step.end, Some(End::Keep));
    assert_eq!(step.publish.unwrap().state, State::Leaving);
}

/// Members that see each other late, in any order, start and stop: what holds whatever happens.
fn run(seed: u64, schedule: &[(usize, u8, u16)]) -> Result<(), TestCaseError> {
    let observing = MemberSettings {
        observe_period: Duration::from_secs(2),
        ..member_settings()
    };
    let mut members: Vec<_> = (0..5_u64)
        .map(|number| {
            // Of one family of names, with the same file: all tokens collide.
            let origin = Origin {
                tokens: Some(Tokens::new((1..=16).collect())),
                holds_data: false,
                seed: seed + number,
            };
            Lifecycle::new(observing.clone(), identity(&format!("m-{number}")), origin)
        })
        .collect();
    let mut entries: BTreeMap<InstanceId, Instance> = BTreeMap::new();
    let mut wishes = [READY; 5];
    let mut states = [State::Pending; 5];
    let mut now = NOW;
    let rounds = (0..40).flat_map(|_| (0..5).map(|who| (who, 0, 500)));
    for (who, action, wait) in schedule.iter().copied().chain(rounds) {
        now += i64::from(wait);
        match action {
            1 => wishes[who].leave = true,
            2 => wishes[who].drained = true,
            3 => wishes[who].read_only = Some(now % 2 == 0),
            _ => {}
        }
        let all: Vec<_> = entries.values().cloned().collect();
        let seen = ring(settings(3, false), &all);
        let step = members[who].step(&seen, &wishes[who], now);
        let state = members[who].state();
        prop_assert!(state >= states[who], "{:?} after {:?}", state, states[who]);
        states[who] = state;
        if let Some(entry) = step.publish {
            prop_assert!(entry.tokens.len() == 16 || entry.tokens.is_empty());
            entries.insert(entry.id.clone(), entry);
        }
        prop_assert!(step.wake_ms > now);
        match step.end {
            Some(End::Remove) => {
                entries.remove(members[who].id());
            }
            Some(End::Keep) => prop_assert!(false, "not told so"),
            None => {}
        }
    }
    let mut owned = BTreeSet::new();
    for (member, wish) in members.iter().zip(&wishes) {
        let expected = match wish {
            Wish { leave: true, .. } => State::Leaving,
            _ => State::Active,
        };
        prop_assert_eq!(member.state(), expected);
        prop_assert_eq!(
            entries.contains_key(member.id()),
            !(wish.leave && wish.drained)
        );
        if expected == State::Active {
            for token in entries[member.id()].tokens.iter() {
                prop_assert!(owned.insert(token), "{} is owned twice", token);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lives_go_one_way_and_end_without_shared_tokens(
        seed in any::<u32>(), schedule in prop::collection::vec((0_usize..5, 0_u8..8, 1_u16..3000), 0..80),
    ) {
        run(u64::from(seed), &schedule)?;
    }
}
