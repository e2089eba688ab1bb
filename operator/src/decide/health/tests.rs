use super::*;
use crate::health::Check;

fn sees(pod: &str, members: &[(&str, &str)]) -> Answer<Vec<Member>> {
    let members = members.iter().map(|(id, state)| Member {
        id: (*id).to_owned(),
        healthy: *state != "UNHEALTHY",
        state: match *state {
            "UNHEALTHY" => "ACTIVE".to_owned(),
            state => state.to_owned(),
        },
    });
    (pod.to_owned(), Ok(members.collect()))
}

fn silent(pod: &str) -> Answer<Vec<Member>> {
    (pod.to_owned(), Err("status 502".to_owned()))
}

#[test]
fn a_member_is_active_if_all_who_answer_see_it_so() {
    let all = [("a", "ACTIVE"), ("b", "ACTIVE")];
    // What is seen, how many are active, and who is not.
    type Row<'a> = (Vec<Answer<Vec<Member>>>, i32, &'a [(&'a str, &'a str)]);
    let table: [Row<'_>; 5] = [
        (vec![sees("x", &all)], 2, &[]),
        (vec![sees("x", &all), silent("y")], 2, &[]),
        (
            vec![
                sees("x", &all),
                sees("y", &[("a", "UNHEALTHY"), ("b", "ACTIVE")]),
            ],
            1,
            &[("a", "UNHEALTHY")],
        ),
        (
            vec![sees("x", &all), sees("y", &[("a", "ACTIVE")])],
            1,
            &[("b", "UNKNOWN")],
        ),
        (
            vec![sees("x", &[("a", "JOINING"), ("b", "LEAVING")])],
            0,
            &[("a", "JOINING"), ("b", "LEAVING")],
        ),
    ];
    for (rings, active, inactive) in table {
        let state = ring(&rings).unwrap();
        let named = state.inactive.iter();
        let named: Vec<_> = named.map(|one| (&*one.name, &*one.state)).collect();
        assert_eq!((state.active, named.as_slice()), (active, inactive));
        assert_eq!(state.members, 2);
    }
    assert_eq!(ring(&[]), None);
    assert_eq!(ring(&[silent("x")]), None);
}

#[test]
fn what_a_hostile_pod_shows_fits_the_definition() {
    let long = "é".repeat(1_000);
    let ids: Vec<_> = (0..40).map(|number| format!("{long}{number}")).collect();
    let members: Vec<_> = ids.iter().map(|id| (id.as_str(), long.as_str())).collect();
    let state = ring(&[sees("x", &members)]).unwrap();
    assert_eq!((state.members, state.active), (40, 0));
    assert_eq!(state.inactive.len(), 1);
    assert_eq!(state.inactive[0].name.chars().count(), NAME);
    assert_eq!(state.inactive[0].state.chars().count(), STATE);
}

#[test]
fn ingesters_are_done_when_the_ring_shows_all_of_them_active() {
    let all = [("a", "ACTIVE"), ("b", "JOINING")];
    let rings = [silent("x"), sees("y", &all)];
    let held = |pods: &[&str]| ring_gate(pods.iter().copied(), &rings);
    assert_eq!(held(&["a"]), None);
    let inactive = |pod: &str, state: &str| Some(Held::Inactive(pod.to_owned(), state.to_owned()));
    assert_eq!(held(&["a", "b"]), inactive("b", "JOINING"));
    assert_eq!(held(&["c"]), inactive("c", "no member"));
    // Nobody shows it: that is no proof, and it says what to do.
    let unseen = ring_gate(["a"], &[silent("x")]).unwrap();
    let text = unseen.to_string();
    assert!(
        text.contains("(x: status 502)") && text.contains("ringActive to false"),
        "{text}"
    );
    assert!(matches!(ring_gate(["a"], &[]), Some(Held::Unseen(why)) if why == "none is ready"));
    assert_eq!(ring_gate([], &[]), None);
}

fn of(requests: u64, failures: u64) -> Traffic {
    Traffic { requests, failures }
}

#[test]
fn errors_hold_a_release_if_there_are_enough_requests_and_too_many_of_them_fail() {
    let rules = ErrorRatio::default();
    let table = [
        (of(0, 0), false),
        (of(99, 99), false),
        (of(100, 5), false),
        (of(100, 6), true),
        (of(1_000_000, 50_000), false),
        (of(1_000_000, 50_001), true),
        (of(u64::MAX, u64::MAX), true),
    ];
    for (traffic, holds) in table {
        let held = error_gate("querier", traffic, &rules);
        assert_eq!(held.is_some(), holds, "{traffic:?}");
    }
    let off = ErrorRatio {
        enabled: false,
        ..rules.clone()
    };
    assert_eq!(error_gate("querier", of(100, 100), &off), None);
    let any = ErrorRatio {
        max_percent: 0,
        min_requests: 1,
        ..rules.clone()
    };
    assert!(error_gate("querier", of(1, 1), &any).is_some());
    let none = ErrorRatio {
        max_percent: 100,
        ..rules
    };
    assert_eq!(error_gate("querier", of(100, 100), &none), None);
}

#[test]
fn a_release_is_not_to_blame_if_pods_without_it_fail_too() {
    let rules = ErrorRatio::default();
    let at = |old: Traffic| BTreeMap::from([("old".to_owned(), old)]);
    let fail = |now, before: Option<&BTreeMap<_, _>>| others_fail(&at(now), before, &rules);
    // What they did before the release says nothing.
    let before = at(of(10_000, 9_000));
    assert_eq!(fail(of(10_000, 9_000), None), None);
    assert_eq!(fail(of(10_000, 9_000), Some(&before)), Some(false));
    assert_eq!(fail(of(10_200, 9_001), Some(&before)), Some(false));
    assert_eq!(fail(of(10_200, 9_100), Some(&before)), Some(true));
    // A pod that was not there before is looked at from now on.
    assert_eq!(fail(of(10_200, 9_100), Some(&BTreeMap::new())), Some(false));
}

fn says(checks: &[(&str, bool)], warnings: &[(&str, &str)]) -> Answer<Readiness> {
    let check = |name: &str, ready, reason: &str| Check {
        name: name.to_owned(),
        ready,
        reason: reason.to_owned(),
    };
    let checks = checks.iter().map(|(name, ready)| check(name, *ready, ""));
    let warnings = warnings.iter().map(|(name, why)| check(name, false, why));
    let readiness = Readiness {
        checks: checks.collect(),
        warnings: warnings.collect(),
    };
    ("p-0".to_owned(), Ok(readiness))
}

#[test]
fn the_object_store_is_what_its_users_say_of_it() {
    let listed = says(&[("server", true), ("store-gateway", true)], &[]);
    let starts = says(&[("store-gateway", false)], &[]);
    let ingester = says(&[("ingester", true)], &[]);
    let denied = says(&[("ingester", true)], &[("ingester", "AccessDenied")]);
    let merging = says(&[], &[("compactor", "a block is damaged")]);
    let none = || ("p-1".to_owned(), Err("status 502".to_owned()));
    let table = [
        (vec![], None),
        (vec![none()], None),
        (vec![starts, none()], None),
        (vec![ingester.clone()], None),
        (vec![none(), listed.clone()], Some(true)),
        (vec![listed.clone(), merging], Some(true)),
        (vec![listed, denied], Some(false)),
    ];
    for (said, status) in table {
        assert_eq!(storage(&said, None).status, status, "{said:?}");
    }
}

#[test]
fn words_stay_while_only_numbers_in_them_change() {
    let failing = |why: &str| [says(&[], &[("store-gateway", why)])];
    let first = storage(&failing("no answer after 3 tries, request 4f1c"), None);
    let said = Condition {
        type_: "StorageReachable".to_owned(),
        status: "False".to_owned(),
        reason: first.reason.to_owned(),
        message: first.message.clone(),
        observed_generation: None,
        last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
        ),
    };
    let again = storage(
        &failing("no answer after 4 tries, request 77aa"),
        Some(&said),
    );
    assert_eq!(again, first);
    let other = storage(&failing("AccessDenied after 4 tries"), Some(&said));
    assert!(other.message.contains("AccessDenied"), "{}", other.message);
}
