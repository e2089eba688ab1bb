use phlare_operator_api::{Behavior, QueueDepth};
use proptest::prelude::*;

use super::*;

/// A resource that says nothing of speed: 1 to 100 pods, 10 queries for each.
fn said() -> QuerierAutoscaling {
    QuerierAutoscaling {
        enabled: true,
        min_replicas: 1,
        max_replicas: 100,
        queue_depth: QueueDepth {
            target_per_replica: Some(10),
            ..QueueDepth::default()
        },
        ..QuerierAutoscaling::default()
    }
}

fn rules(up: ScalingRules, down: ScalingRules) -> Rules {
    let mut said = said();
    said.behavior = Some(Behavior {
        scale_up: Some(up),
        scale_down: Some(down),
    });
    Rules::of(&said, 4)
}

/// At once, and by any number.
fn free() -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: Some(0),
        select_policy: Some(SelectPolicy::Max),
        policies: vec![pods(10_000, 15)],
    }
}

fn window(seconds: i32) -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: Some(seconds),
        ..free()
    }
}

fn policies(select: SelectPolicy, policies: Vec<ScalingPolicy>) -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: Some(0),
        select_policy: Some(select),
        policies,
    }
}

const fn pods(value: i32, period_seconds: i32) -> ScalingPolicy {
    ScalingPolicy {
        r#type: PolicyType::Pods,
        value,
        period_seconds,
    }
}

const fn percent(value: i32, period_seconds: i32) -> ScalingPolicy {
    ScalingPolicy {
        r#type: PolicyType::Percent,
        value,
        period_seconds,
    }
}

/// A workload whose pods are there at once.
struct Trace {
    rules: Rules,
    state: AutoscalingStatus,
    second: i64,
    told: i32,
    decided: Option<Timestamp>,
    by: By,
}

impl Trace {
    fn new(rules: Rules, told: i32) -> Self {
        Self {
            rules,
            state: AutoscalingStatus::default(),
            second: 1_800_000_000,
            told,
            decided: None,
            by: By::Load,
        }
    }

    fn with(mut self, demand: Demand, after: i64) -> Self {
        self.step(demand, after);
        self
    }

    /// The next decision, so many seconds after the last one.
    fn step(&mut self, demand: Demand, after: i64) -> i32 {
        self.second += after;
        let at = Timestamp::from_second(self.second).unwrap();
        let moment = Moment {
            at,
            before: self.decided,
            told: self.told,
            there: self.told,
        };
        let decision = decide(&self.rules, &self.state, moment, demand);
        if matches!(decision.by, By::Load | By::Most) {
            self.decided = Some(at);
        }
        self.by = decision.by;
        self.state = decision.state;
        self.told = decision.replicas;
        self.told
    }

    fn load(&mut self, load: u64) -> i32 {
        self.step(Demand::Whole(load), 15)
    }

    fn loads(&mut self, loads: impl IntoIterator<Item = u64>) -> Vec<i32> {
        loads.into_iter().map(|load| self.load(load)).collect()
    }
}

fn once(rules: &Rules, told: i32, there: i32, demand: Demand) -> (i32, By) {
    let moment = Moment {
        at: Timestamp::from_second(1_800_000_000).unwrap(),
        before: None,
        told,
        there,
    };
    let decision = decide(rules, &AutoscalingStatus::default(), moment, demand);
    (decision.replicas, decision.by)
}

#[test]
fn the_number_is_the_load_by_the_target_rounded_up() {
    let rules = rules(free(), free());
    // From 10 pods, by the load.
    for (load, pods) in [
        (200, 20),
        (201, 21),
        (50, 5),
        (41, 5),
        (1, 1),
        (0, 1),
        (1000, 100),
    ] {
        let seeded = Trace::new(rules.clone(), 10).load(load);
        assert_eq!(seeded, pods, "{load}");
    }
}

#[test]
fn the_tolerance_is_inclusive_on_both_sides() {
    let rules = rules(free(), free());
    for (load, pods) in [(110, 10), (111, 12), (90, 10), (89, 9), (100, 10)] {
        assert_eq!(once(&rules, 10, 10, Demand::Whole(load)).0, pods, "{load}");
    }
    // Three pods of three: 9.9 and 8.1 are the borders.
    let mut said = said();
    said.queue_depth.target_per_replica = None;
    let rules = Rules::of(&said, 4);
    assert_eq!(rules.target_milli, 3_000);
    assert_eq!(once(&rules, 10, 10, Demand::Whole(33)).0, 10);
    assert_eq!(once(&rules, 10, 10, Demand::Whole(34)).0, 12);
    assert_eq!(once(&rules, 10, 10, Demand::Whole(27)).0, 10);
    said.tolerance = Some("0".to_owned());
    let exact = Rules::of(&said, 4);
    assert_eq!(once(&exact, 10, 10, Demand::Whole(31)).0, 11);
    said.tolerance = Some("0.0555".to_owned());
    assert_eq!(Rules::of(&said, 4).tolerance, 555);
}

#[test]
fn three_quarters_of_what_a_pod_answers_at_a_time_is_the_target() {
    let mut said = said();
    said.queue_depth.target_per_replica = None;
    for (concurrent, milli) in [(1, 750), (2, 1_500), (8, 6_000), (1000, 750_000)] {
        assert_eq!(Rules::of(&said, concurrent).target_milli, milli);
    }
}

#[test]
fn pods_that_are_not_there_yet_count_by_what_they_are() {
    let rules = rules(free(), free());
    // Of 10 there are 5, and 100 queries: the ratio is 2, and 10 are right.
    assert_eq!(once(&rules, 10, 5, Demand::Whole(100)).0, 10);
    // There are none: any load is infinitely much.
    assert_eq!(once(&rules, 3, 0, Demand::Whole(70)).0, 7);
    assert_eq!(once(&rules, 3, 0, Demand::Whole(0)).0, 1);
}

#[test]
fn a_number_that_was_set_to_0_is_left_alone() {
    let rules = rules(free(), free());
    assert_eq!(once(&rules, 0, 0, Demand::Whole(500)), (0, By::Nobody));
}

#[test]
fn a_number_out_of_its_range_comes_back_into_it_whatever_the_load_is() {
    let rules = rules(window(3600), window(3600));
    assert_eq!(once(&rules, 120, 120, Demand::Unknown), (100, By::Range));
    let mut said = said();
    said.min_replicas = 5;
    let rules = Rules::of(&said, 4);
    assert_eq!(once(&rules, 2, 2, Demand::Unknown), (5, By::Range));
}

#[test]
fn a_load_that_calls_for_more_than_there_may_be_is_said() {
    let rules = rules(free(), free());
    assert_eq!(
        once(&rules, 50, 50, Demand::Whole(100_000)),
        (100, By::Most)
    );
    assert_eq!(
        once(&rules, 100, 100, Demand::Whole(u64::MAX)),
        (100, By::Most)
    );
    assert_eq!(
        once(&rules, 100, 100, Demand::Whole(1_000)),
        (100, By::Load)
    );
}

#[test]
fn a_load_that_nobody_says_never_takes_pods_away() {
    let mut trace = Trace::new(rules(free(), free()), 10);
    assert_eq!(trace.load(100), 10);
    for _ in 0..100 {
        assert_eq!(trace.step(Demand::Unknown, 15), 10);
        assert_eq!(trace.by, By::Guess);
    }
    // A part of it may add pods, as there may be more of it, and never takes any away.
    assert_eq!(trace.step(Demand::AtLeast(20), 15), 10);
    assert_eq!(trace.step(Demand::AtLeast(150), 15), 15);
    assert_eq!(trace.by, By::Guess);
    assert_eq!(trace.step(Demand::AtLeast(20), 15), 15);
    assert_eq!(trace.load(20), 2);
}

#[test]
fn without_rules_it_doubles_or_grows_by_four_and_shrinks_after_five_minutes() {
    let mut trace = Trace::new(Rules::of(&said(), 4), 1);
    assert_eq!(trace.loads([1000; 6]), [5, 10, 20, 40, 80, 100]);
    // Twenty decisions later the last 1000 are 300 seconds old, which is not within 300 seconds.
    let after = trace.loads([10; 20]);
    assert_eq!(after[..19], [100; 19]);
    assert_eq!(after[19], 1);
}

#[test]
fn a_pause_of_the_load_shorter_than_the_window_takes_no_pods_away() {
    let mut trace = Trace::new(Rules::of(&said(), 4), 10);
    trace.load(100);
    assert_eq!(trace.loads([0; 19]), [10; 19]);
    assert_eq!(trace.load(100), 10);
    assert_eq!(trace.loads([0; 19]), [10; 19]);
    assert_eq!(trace.load(0), 1);
}

#[test]
fn it_shrinks_to_the_most_that_the_window_called_for() {
    let mut trace = Trace::new(rules(free(), window(60)), 10);
    assert_eq!(
        trace.loads([100, 80, 60, 40, 20, 20]),
        [10, 10, 10, 10, 8, 6]
    );
}

#[test]
fn it_grows_to_the_least_that_the_window_called_for() {
    let mut trace = Trace::new(rules(window(60), free()), 2);
    assert_eq!(trace.loads([20, 100, 80, 120, 90, 90]), [2, 2, 2, 2, 8, 8]);
}

#[test]
fn of_several_policies_that_counts_which_the_resource_says() {
    let both = || vec![pods(4, 60), percent(50, 60)];
    for (select, told, grown, shrunk) in [
        (SelectPolicy::Max, 20, 30, 10),
        (SelectPolicy::Min, 20, 24, 16),
        (SelectPolicy::Max, 4, 8, 1),
        (SelectPolicy::Min, 4, 6, 2),
        (SelectPolicy::Disabled, 20, 20, 20),
    ] {
        let grow = rules(policies(select, both()), free());
        assert_eq!(
            Trace::new(grow, told).load(1000),
            grown,
            "{select:?} {told}"
        );
        let shrink = rules(free(), policies(select, both()));
        assert_eq!(
            Trace::new(shrink, told).load(0),
            shrunk,
            "{select:?} {told}"
        );
    }
}

#[test]
fn percents_are_rounded_so_that_something_changes() {
    // Ten percent of three pods are one more; a third of two are one less.
    let grow = rules(policies(SelectPolicy::Max, vec![percent(10, 15)]), free());
    assert_eq!(Trace::new(grow, 3).load(1000), 4);
    let shrink = rules(free(), policies(SelectPolicy::Max, vec![percent(33, 15)]));
    assert_eq!(Trace::new(shrink, 2).load(0), 1);
    // More than all of them is all of them.
    let shrink = rules(free(), policies(SelectPolicy::Max, vec![percent(500, 15)]));
    assert_eq!(Trace::new(shrink, 50).load(0), 1);
}

#[test]
fn what_came_within_the_period_counts() {
    let slow = rules(policies(SelectPolicy::Max, vec![pods(2, 60)]), free());
    let mut trace = Trace::new(slow, 10);
    assert_eq!(trace.loads([1000; 9]), [12, 12, 12, 12, 14, 14, 14, 14, 16]);
    let slow = rules(free(), policies(SelectPolicy::Max, vec![percent(10, 60)]));
    let mut trace = Trace::new(slow, 100);
    assert_eq!(trace.loads([0; 5]), [90, 90, 90, 90, 81]);
}

#[test]
fn what_went_within_the_period_may_come_back() {
    let slow = || policies(SelectPolicy::Max, vec![pods(2, 60)]);
    let mut trace = Trace::new(rules(slow(), slow()), 10);
    // Two go; from the ten of the period's beginning it may be twelve.
    assert_eq!(trace.load(0), 8);
    assert_eq!(trace.load(1000), 12);
    assert_eq!(trace.load(1000), 12);
    // And the other way round: eight of ten, whatever came between.
    assert_eq!(trace.load(0), 8);
}

#[test]
fn who_knows_nothing_yet_does_not_begin_by_taking_pods_away() {
    let mut trace = Trace::new(Rules::of(&said(), 4), 40);
    assert_eq!(trace.loads([10; 20]), [40; 20]);
    assert_eq!(trace.load(10), 1);
}

#[test]
fn a_steady_load_changes_nothing_that_is_remembered() {
    let mut trace = Trace::new(Rules::of(&said(), 4), 5);
    trace.loads([150; 5]);
    let before = trace.state.clone();
    trace.loads([150; 1000]);
    trace.step(Demand::Unknown, 15);
    assert_eq!(trace.state, before);
}

#[test]
fn a_clock_that_was_wrong_blocks_nothing() {
    let ahead = Trace::new(Rules::of(&said(), 4), 5).with(Demand::Whole(1000), 1_000_000_000);
    let mut trace = ahead;
    assert_eq!(trace.told, 10);
    trace.step(Demand::Whole(1000), -1_000_000_000);
    let after = trace.loads([1000; 3]);
    assert!(
        after.iter().all(|&pods| (10..=100).contains(&pods)),
        "{after:?}"
    );
}

/// What a HorizontalPodAutoscaler keeps: everything.
#[derive(Default)]
struct Everything {
    recommendations: Vec<(i64, i32)>,
    events: Vec<(i64, i32)>,
}

impl Everything {
    fn step(&mut self, rules: &Rules, now: i64, told: i32, load: u64) -> i32 {
        if told > rules.max || told < rules.min {
            let replicas = told.clamp(rules.min, rules.max);
            self.events.push((now, replicas - told));
            return replicas;
        }
        let target = rules.target_milli as f64 / 1000.0;
        let ratio = load as f64 / (target * f64::from(told));
        let tolerance = rules.tolerance as f64 / 10_000.0;
        let raw = match (ratio - 1.0).abs() <= tolerance + 1e-12 {
            true => told,
            false => (load as f64 / target - 1e-9).ceil() as i32,
        };
        if self.recommendations.is_empty() {
            self.recommendations.push((now, told));
        }
        let within = |window: i64| {
            let recent = self.recommendations.iter();
            recent
                .filter(move |(at, _)| *at > now - window)
                .map(|(_, replicas)| *replicas)
        };
        let up = within(rules.up.window).fold(raw, i32::min);
        let down = within(rules.down.window).fold(raw, i32::max);
        self.recommendations.push((now, raw));
        let mut stable = told;
        if stable < up {
            stable = up;
        }
        if stable > down {
            stable = down;
        }
        let replicas = match stable.cmp(&told) {
            std::cmp::Ordering::Equal => told,
            std::cmp::Ordering::Greater => {
                let limit = self.limit(&rules.up, now, told, 1).max(told);
                stable.min(limit).min(rules.max)
            }
            std::cmp::Ordering::Less => {
                let limit = self.limit(&rules.down, now, told, -1).min(told);
                stable.max(limit).max(rules.min)
            }
        };
        if replicas != told {
            self.events.push((now, replicas - told));
        }
        replicas
    }

    fn limit(&self, direction: &Direction, now: i64, told: i32, sign: i32) -> i32 {
        let mut limits: Vec<i32> = Vec::new();
        for policy in &direction.policies {
            let recent = self.events.iter();
            let recent = recent.filter(|(at, _)| *at > now - i64::from(policy.period_seconds));
            let start = told - recent.map(|(_, delta)| *delta).sum::<i32>();
            limits.push(match policy.r#type {
                PolicyType::Pods => start + sign * policy.value,
                PolicyType::Percent => {
                    let exact = i64::from(start) * i64::from(100 + sign * policy.value);
                    let (whole, rest) = (exact.div_euclid(100), exact.rem_euclid(100));
                    let up = sign > 0 && rest > 0 || sign < 0 && exact < 0 && rest > 0;
                    i32::try_from(whole).unwrap() + i32::from(up)
                }
            });
        }
        let most = limits.iter().map(|limit| limit * sign).max();
        let least = limits.iter().map(|limit| limit * sign).min();
        match direction.select {
            SelectPolicy::Disabled => told,
            SelectPolicy::Max => most.unwrap() * sign,
            SelectPolicy::Min => least.unwrap() * sign,
        }
    }
}

fn any_direction() -> impl Strategy<Value = ScalingRules> {
    let kind = prop_oneof![Just(PolicyType::Pods), Just(PolicyType::Percent)];
    let policy = (kind, 1..150, prop_oneof![Just(15), Just(60), Just(240)]);
    let policy = policy.prop_map(|(r#type, value, period_seconds)| ScalingPolicy {
        r#type,
        value,
        period_seconds,
    });
    let select = prop_oneof![
        3 => Just(SelectPolicy::Max),
        2 => Just(SelectPolicy::Min),
        1 => Just(SelectPolicy::Disabled),
    ];
    let window = prop_oneof![Just(0), Just(15), Just(60), Just(300), Just(900)];
    let policies = prop::collection::vec(policy, 1..4);
    (window, select, policies).prop_map(|(window, select, policies)| ScalingRules {
        stabilization_window_seconds: Some(window),
        select_policy: Some(select),
        policies,
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let range = (1..20_i32, 0..40_i32);
    let rest = (any_direction(), any_direction(), 1..30_i32, 0..3_000_i128);
    (range, rest).prop_map(|((min, more), (up, down, target, tolerance))| {
        let mut said = said();
        said.min_replicas = min;
        said.max_replicas = min + more;
        said.queue_depth.target_per_replica = Some(target);
        said.behavior = Some(Behavior {
            scale_up: Some(up),
            scale_down: Some(down),
        });
        let mut rules = Rules::of(&said, 4);
        rules.tolerance = tolerance;
        rules
    })
}

fn any_demand() -> impl Strategy<Value = Demand> {
    prop_oneof![
        6 => (0..900_u64).prop_map(Demand::Whole),
        1 => (0..900_u64).prop_map(Demand::AtLeast),
        1 => Just(Demand::Unknown),
    ]
}

fn any_demands() -> impl Strategy<Value = Vec<Demand>> {
    prop::collection::vec(any_demand(), 1..80)
}

proptest! {
    #[test]
    fn what_is_left_out_would_have_changed_nothing(
        rules in any_rules(),
        told in 1..60_i32,
        loads in prop::collection::vec(0..900_u64, 1..120),
    ) {
        let mut all = Everything::default();
        let mut trace = Trace::new(rules.clone(), told);
        for load in loads {
            let before = trace.told;
            let here = trace.load(load);
            let there = all.step(&rules, trace.second, before, load);
            prop_assert_eq!(here, there);
        }
    }

    #[test]
    fn the_number_stays_in_its_range(rules in any_rules(), told in 0..80_i32, demands in any_demands()) {
        let mut trace = Trace::new(rules.clone(), told);
        for demand in demands {
            let pods = trace.step(demand, 15);
            prop_assert!(pods == 0 && told == 0 || (rules.min..=rules.max).contains(&pods));
            prop_assert!(trace.state.recommendations.len() <= ROOM);
            prop_assert!(trace.state.events.len() <= ROOM);
        }
    }

    #[test]
    fn more_load_never_means_fewer_pods(
        rules in any_rules(),
        told in 1..60_i32,
        demands in any_demands(),
        there in 0..60_i32,
        (less, more) in (0..900_u64, 0..900_u64),
    ) {
        let mut trace = Trace::new(rules, told);
        for demand in demands {
            trace.step(demand, 15);
        }
        let moment = Moment {
            at: Timestamp::from_second(trace.second + 15).unwrap(),
            before: trace.decided,
            told: trace.told,
            there,
        };
        let by = |load| decide(&trace.rules, &trace.state, moment, Demand::Whole(load)).replicas;
        let (less, more) = (less.min(more), less.max(more));
        prop_assert!(by(less) <= by(more));
    }

    #[test]
    fn a_constant_load_moves_the_number_one_way_only(
        rules in any_rules(),
        told in 1..60_i32,
        load in 0..900_u64,
    ) {
        let mut trace = Trace::new(rules.clone(), told.clamp(rules.min, rules.max));
        let mut ways = Vec::new();
        let mut before = trace.told;
        for _ in 0..100 {
            let now = trace.load(load);
            ways.push((now - before).signum());
            before = now;
        }
        prop_assert!(!(ways.contains(&1) && ways.contains(&-1)), "{:?}", ways);
    }

    #[test]
    fn nothing_is_lost_on_the_way_through_the_status(
        rules in any_rules(),
        told in 1..60_i32,
        demands in any_demands(),
    ) {
        let mut one = Trace::new(rules.clone(), told);
        let mut two = Trace::new(rules, told);
        for demand in demands {
            let text = serde_json::to_string(&two.state).unwrap();
            two.state = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(one.step(demand, 15), two.step(demand, 15));
            prop_assert_eq!(&one.state, &two.state);
        }
    }

    #[test]
    fn who_does_not_know_the_load_takes_no_pods_away(
        rules in any_rules(),
        told in 1..60_i32,
        demands in any_demands(),
        part in 0..900_u64,
    ) {
        let mut trace = Trace::new(rules, told);
        for demand in demands {
            trace.step(demand, 15);
        }
        let before = trace.told;
        prop_assert_eq!(trace.step(Demand::Unknown, 15), before);
        prop_assert!(trace.step(Demand::AtLeast(part), 15) >= before);
    }
}
