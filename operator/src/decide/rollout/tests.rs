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
        canary_soak: Duration::ZERO,
        held: None,
        live: live.map(|(release, ready, updated)| Live {
            release: release.to_owned(),
            observed: true,
            replicas: 3,
            pods: 3,
            ready,
            updated,
            partition: 0,
            stable: ready.min(2),
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
fn a_zone_that_is_sick_is_the_first_to_get_what_may_cure_it() {
    let sick = Some(("old", 2, 3));
    assert_eq!(zones([OLD, sick, OLD]), [turn("b"), ALL, turn("b")]);
    assert_eq!(zones([OLD, OLD, sick]), [turn("c"), turn("c"), ALL]);
    // The sickest of several; the others wait until it is well.
    let sicker = Some(("old", 1, 3));
    assert_eq!(zones([sick, OLD, sicker]), [turn("c"), turn("c"), ALL]);
    let cured = Some(("new", 2, 1));
    assert_eq!(
        zones([sick, OLD, cured]),
        [incomplete("c"), incomplete("c"), ALL]
    );
}

#[test]
fn a_zone_that_is_between_two_of_its_pods_is_disturbed_although_all_are_ready() {
    let between = Some(("bad", 3, 1));
    assert_eq!(zones([OLD, between, OLD]), [turn("b"), ALL, turn("b")]);
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
fn never_are_two_zones_disturbed_and_never_do_all_wait() {
    // Every state of three zones: whatever is there, at most one zone gets a template that it does not have, and none does
    // while pods are away in another one, unless they are away in this one as well. While one lacks the release and those
    // that have it are well, somebody gets it.
    let states = [
        None,
        OLD,
        NEW,
        Some(("old", 2, 3)),
        Some(("new", 2, 2)),
        Some(("bad", 2, 1)),
        Some(("bad", 3, 1)),
        Some(("bad", 3, 3)),
        Some(("bad", 0, 3)),
    ];
    let is_away = |state: Option<(&str, i32, i32)>| {
        state.is_some_and(|(_, ready, updated)| ready < 3 || updated < 3)
    };
    let lacks =
        |state: Option<(&str, i32, i32)>| state.is_some_and(|(release, ..)| release != "new");
    for a in states {
        for b in states {
            for c in states {
                let given = [a, b, c];
                let verdicts = zones(given);
                let disturbed: Vec<_> = (0..3)
                    .filter(|&zone| verdicts[zone] == ALL && lacks(given[zone]))
                    .collect();
                assert!(disturbed.len() <= 1, "{given:?}: {verdicts:?}");
                for &zone in &disturbed {
                    let mut others = (0..3).filter(|&other| other != zone);
                    let two = !is_away(given[zone]) && others.any(|other| is_away(given[other]));
                    assert!(!two, "{given:?}: {verdicts:?}");
                }
                let is_open = given.iter().any(|&state| lacks(state));
                let are_well = given.iter().all(|&state| lacks(state) || !is_away(state));
                assert!(
                    !(is_open && are_well && disturbed.is_empty()),
                    "{given:?}: {verdicts:?}"
                );
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
    zone_a.canary_soak = Duration::from_secs(300);
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
        let reason = match live.1 {
            2 => Reason::Incomplete("a".to_owned()),
            _ => Reason::Soaks("a".to_owned()),
        };
        assert_eq!(waits_for(&begun, &verdicts), Some(reason.clone()));
        assert_eq!(verdicts[0], Verdict::Wait(reason.clone()));
        assert_eq!(verdicts[2], Verdict::Wait(reason));
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
fn where_pods_are_sick_that_are_no_canaries_the_release_takes_its_usual_way() {
    let mut views = with_canary(OLD, 0, 0);
    views[2] = view("b", Part::Ingester, Some(("old", 2, 3)));
    assert_eq!(
        verdicts(&views, at(1_000)),
        [ALL, turn("scheduler"), turn("scheduler")]
    );
    // A canary that is sick itself may be cured by the next one.
    let mut cure = with_canary(Some(("bad", 2, 1)), 2, 0);
    assert_eq!(
        verdicts(&cure, at(1_000))[1],
        Verdict::Apply { partition: 2 }
    );
    cure[1].live.as_mut().unwrap().stable = 1;
    assert_eq!(
        verdicts(&cure, at(1_000)),
        [ALL, turn("scheduler"), turn("scheduler")]
    );
}

#[test]
fn a_zone_whose_pods_are_all_canaries_proves_the_release_as_well() {
    let mut views = with_canary(NEW, 0, 900);
    views[1].canaries = 3;
    let soaks = Verdict::Wait(Reason::Soaks("a".to_owned()));
    assert_eq!(verdicts(&views, at(1_000)), [soaks.clone(), ALL, soaks]);
    assert_eq!(verdicts(&views, at(1_200)), [ALL, ALL, turn("scheduler")]);
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
fn the_way_back_begins_with_the_zone_where_the_release_came_last() {
    let bad = Some(("bad", 3, 3));
    let mut views = vec![
        view("scheduler", Part::QueryScheduler, bad),
        view("a", Part::Ingester, bad),
        view("b", Part::Ingester, bad),
        view("c", Part::Ingester, NEW),
        // Nobody waits for what never had the release, and is sick for another reason.
        view("compactor", Part::Compactor, Some(("new", 0, 3))),
    ];
    assert_eq!(
        verdicts_back(&views, at(1_000)),
        [ALL, turn("b"), ALL, ALL, ALL],
        "`new` is what all are to have again"
    );
    // All of them crash: they go back one after the other all the same.
    let crashes = Some(("bad", 0, 3));
    for zone in &mut views[1..4] {
        *zone = view(&zone.name.clone(), Part::Ingester, crashes);
    }
    assert_eq!(
        verdicts_back(&views, at(1_000))[1..4],
        [turn("c"), turn("c"), ALL]
    );
}
