use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn view(name: &str, part: Part, live: Option<(&str, i32, i32)>) -> View {
    View {
        name: name.to_owned(),
        part,
        release: "new".to_owned(),
        canaries: 0,
        soak: Duration::ZERO,
        live: live.map(|(release, ready, updated)| Live {
            release: release.to_owned(),
            observed: true,
            replicas: 3,
            pods: 3,
            ready,
            updated,
            partition: 0,
            since: Some(at(0)),
        }),
    }
}

fn zones(states: [Option<(&str, i32, i32)>; 3]) -> Vec<Verdict> {
    let names = ["a", "b", "c"].into_iter().zip(states);
    let views: Vec<_> = names
        .map(|(name, live)| view(name, Part::Ingester, live))
        .collect();
    verdicts(&views, at(1_000))
}

fn turn(name: &str) -> Verdict {
    Verdict::Wait(Reason::Turn(name.to_owned()))
}

fn incomplete(name: &str) -> Verdict {
    Verdict::Wait(Reason::Incomplete(name.to_owned()))
}

const OLD: Option<(&str, i32, i32)> = Some(("old", 3, 3));
const NEW: Option<(&str, i32, i32)> = Some(("new", 3, 3));

#[test]
fn everything_is_created_at_once() {
    assert_eq!(zones([None, None, None]), [ALL, ALL, ALL]);
}

#[test]
fn a_release_reaches_one_zone_after_the_other() {
    assert_eq!(zones([OLD, OLD, OLD]), [ALL, turn("a"), turn("a")]);
    let begun = Some(("new", 2, 1));
    assert_eq!(
        zones([begun, OLD, OLD]),
        [ALL, incomplete("a"), incomplete("a")]
    );
    assert_eq!(zones([NEW, OLD, OLD]), [ALL, ALL, turn("b")]);
    assert_eq!(zones([NEW, NEW, OLD]), [ALL, ALL, ALL]);
}

#[test]
fn a_release_that_does_not_work_stays_in_its_first_zone() {
    let broken = Some(("new", 2, 1));
    assert_eq!(
        zones([broken, OLD, OLD]),
        [ALL, incomplete("a"), incomplete("a")]
    );
}

#[test]
fn the_zone_that_a_bad_release_broke_is_the_first_to_get_a_better_one() {
    let broken = Some(("bad", 2, 1));
    assert_eq!(zones([broken, OLD, OLD]), [ALL, turn("a"), turn("a")]);
}

#[test]
fn a_zone_is_left_alone_while_another_one_is_sick() {
    let sick = Some(("old", 2, 3));
    assert_eq!(
        zones([OLD, sick, OLD]),
        [incomplete("b"), turn("a"), turn("a")]
    );
    assert_eq!(
        zones([OLD, OLD, sick]),
        [incomplete("c"), turn("a"), turn("a")]
    );
}

#[test]
fn a_status_of_an_older_template_says_nothing() {
    let mut views = vec![
        view("a", Part::Ingester, NEW),
        view("b", Part::Ingester, OLD),
    ];
    views[0].live.as_mut().unwrap().observed = false;
    assert_eq!(verdicts(&views, at(1_000)), [ALL, incomplete("a")]);
    assert!(!is_done(&views));
}

#[test]
fn no_pods_at_all_are_not_ready_pods() {
    assert_eq!(
        zones([Some(("new", 0, 0)), OLD, OLD]),
        [ALL, incomplete("a"), incomplete("a")]
    );
}

#[test]
fn never_are_two_zones_disturbed() {
    // Every state of three zones: whatever is there, at most one zone gets a template that it does not have, and
    // none does while pods are away in another one.
    let states = [
        None,
        OLD,
        NEW,
        Some(("old", 2, 3)),
        Some(("new", 2, 2)),
        Some(("bad", 2, 1)),
        Some(("bad", 3, 3)),
    ];
    for a in states {
        for b in states {
            for c in states {
                let given = [a, b, c];
                let verdicts = zones(given);
                let disturbed: Vec<_> = (0..3)
                    .filter(|&zone| {
                        verdicts[zone] == ALL
                            && given[zone].is_some_and(|(release, ..)| release != "new")
                    })
                    .collect();
                assert!(disturbed.len() <= 1, "{given:?}: {verdicts:?}");
                for zone in disturbed {
                    let away = (0..3).filter(|&other| other != zone);
                    let mut away =
                        away.filter(|&other| given[other].is_some_and(|(_, ready, _)| ready < 3));
                    assert_eq!(away.next(), None, "{given:?}: {verdicts:?}");
                }
            }
        }
    }
}

#[test]
fn pods_of_an_older_template_don_t_count_for_the_new_one() {
    // A Deployment whose last new pod is not ready yet: those that are ready are as many as it should have.
    let mut begun = view("querier", Part::Querier, NEW);
    begun.live.as_mut().unwrap().pods = 4;
    let views = vec![begun, view("a", Part::Ingester, OLD)];
    assert_eq!(verdicts(&views, at(1_000)), [ALL, incomplete("querier")]);
}

#[test]
fn the_next_zone_waits_until_this_one_has_been_well_for_a_while() {
    let mut views = vec![
        view("a", Part::Ingester, NEW),
        view("b", Part::Ingester, OLD),
    ];
    views[0].soak = Duration::from_secs(60);
    views[0].live.as_mut().unwrap().since = Some(at(100));
    let soaks = Verdict::Wait(Reason::Soaks("a".to_owned()));
    assert_eq!(verdicts(&views, at(159)), [ALL, soaks]);
    assert_eq!(verdicts(&views, at(160)), [ALL, ALL]);
}

/// Three zones of ingesters, one ingester a canary, after a component that has none.
fn with_canary(first: Option<(&str, i32, i32)>, partition: i32, since: i64) -> Vec<View> {
    let mut zone_a = view("a", Part::Ingester, first);
    zone_a.canaries = 1;
    zone_a.soak = Duration::from_secs(300);
    let live = zone_a.live.as_mut().unwrap();
    live.partition = partition;
    live.since = Some(at(since));
    vec![
        view("scheduler", Part::QueryScheduler, OLD),
        zone_a,
        view("b", Part::Ingester, OLD),
    ]
}

#[test]
fn a_canary_is_the_first_to_get_a_release() {
    let begin = with_canary(OLD, 0, 0);
    let one = Verdict::Apply { partition: 2 };
    assert_eq!(
        verdicts(&begin, at(1_000)),
        [turn("a"), one.clone(), turn("a")]
    );
    // It is not ready yet, or has not been for long.
    for (live, since) in [(("new", 2, 1), 900), (("new", 3, 1), 900)] {
        let begun = with_canary(Some(live), 2, since);
        let verdicts = verdicts(&begun, at(1_000));
        assert_eq!(verdicts[1], one);
        assert!(matches!(verdicts[0], Verdict::Wait(_)), "{verdicts:?}");
        assert!(matches!(verdicts[2], Verdict::Wait(_)), "{verdicts:?}");
    }
}

#[test]
fn a_canary_that_is_well_stays_until_the_turn_of_its_zone_comes() {
    let proved = with_canary(Some(("new", 3, 1)), 2, 100);
    assert_eq!(
        verdicts(&proved, at(1_000)),
        [ALL, Verdict::Apply { partition: 2 }, turn("scheduler")]
    );
    let mut due = proved;
    due[0] = view("scheduler", Part::QueryScheduler, NEW);
    assert_eq!(verdicts(&due, at(1_000)), [ALL, ALL, turn("a")]);
    assert!(!is_done(&due), "two pods of its zone are as they were");
}

#[test]
fn a_canary_is_not_begun_while_another_zone_is_sick() {
    let mut views = with_canary(OLD, 0, 0);
    views[2] = view("b", Part::Ingester, Some(("old", 2, 3)));
    assert_eq!(verdicts(&views, at(1_000))[1], incomplete("b"));
}

#[test]
fn canaries_among_the_queriers_come_before_all_others() {
    let mut views = with_canary(OLD, 0, 0);
    views.insert(0, view("querier-canary", Part::QuerierCanary, OLD));
    let verdicts = verdicts(&views, at(1_000));
    assert_eq!(verdicts[0], ALL);
    assert_eq!(verdicts[2], turn("querier-canary"));
}

#[test]
fn the_way_back_begins_where_the_release_came_last() {
    let broken = Some(("bad", 2, 1));
    let views = vec![
        view("scheduler", Part::QueryScheduler, Some(("bad", 3, 3))),
        view("a", Part::Ingester, broken),
        view("b", Part::Ingester, NEW),
    ];
    assert_eq!(
        verdicts_back(&views, at(1_000)),
        [turn("a"), ALL, ALL],
        "`new` is what all are to have again"
    );
}
