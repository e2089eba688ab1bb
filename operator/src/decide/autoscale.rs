//! How many pods a load calls for: what a HorizontalPodAutoscaler does with a value for each pod, from its documentation.
//!
//! Load, target and tolerance are integers: at exactly the tolerance nothing is rounded to the wrong side. What is
//! remembered is in the resource's status and is changed only by what matters, so that a steady load writes nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use phlare_operator_api::{
    AutoscalingStatus, PolicyType, QuerierAutoscaling, Recommendation, ScaleEvent, ScalingPolicy,
    ScalingRules, SelectPolicy,
};

/// As many entries as the lists of the status have room for.
const ROOM: usize = 64;
/// One, in the unit of tolerances.
const WHOLE: i128 = 10_000;
const TOLERANCE: i128 = 1_000;

/// What decisions go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Fewest pods.
    pub min: i32,
    /// Most pods.
    pub max: i32,
    /// Load for each pod in thousandths.
    pub target_milli: u64,
    /// How far from the target the load may be, in ten-thousandths.
    pub tolerance: i128,
    /// How fast the number grows.
    pub up: Direction,
    /// How fast it shrinks.
    pub down: Direction,
}

/// How fast a number changes in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Seconds for which the number must have been called for.
    pub window: i64,
    /// Which policy counts.
    pub select: SelectPolicy,
    /// How much in what time.
    pub policies: Vec<ScalingPolicy>,
}

impl Rules {
    /// What a resource says, with the defaults of a HorizontalPodAutoscaler. `concurrent` is how many queries a pod
    /// answers at a time.
    #[must_use]
    pub fn of(said: &QuerierAutoscaling, concurrent: i32) -> Self {
        let target = said.queue_depth.target_per_replica.map(milli);
        let policy = |r#type, value| ScalingPolicy {
            r#type,
            value,
            period_seconds: 15,
        };
        let fast = policy(PolicyType::Percent, 100);
        let behavior = said.behavior.clone().unwrap_or_default();
        Self {
            min: said.min_replicas,
            max: said.max_replicas,
            target_milli: target.unwrap_or_else(|| milli(concurrent) / 4 * 3).max(1),
            tolerance: said.tolerance.as_deref().map_or(TOLERANCE, ten_thousandths),
            up: Direction::of(
                behavior.scale_up,
                0,
                vec![policy(PolicyType::Pods, 4), fast],
            ),
            down: Direction::of(behavior.scale_down, 300, vec![fast]),
        }
    }
}

impl Direction {
    fn of(said: Option<ScalingRules>, window: i32, policies: Vec<ScalingPolicy>) -> Self {
        let said = said.unwrap_or_default();
        Self {
            window: i64::from(said.stabilization_window_seconds.unwrap_or(window)),
            select: said.select_policy.unwrap_or_default(),
            policies: match said.policies.is_empty() {
                true => policies,
                false => said.policies,
            },
        }
    }
}

fn milli(whole: i32) -> u64 {
    u64::try_from(whole)
        .unwrap_or_default()
        .saturating_mul(1_000)
}

/// `0.1` is 1000. The definition lets nothing else through than a zero and up to four digits.
fn ten_thousandths(text: &str) -> i128 {
    let digits = text.split_once('.').map_or("", |(_, digits)| digits);
    let digits = digits.bytes().filter(u8::is_ascii_digit);
    let digits = digits.chain(std::iter::repeat(b'0')).take(4);
    digits.fold(0, |sum, digit| sum * 10 + i128::from(digit - b'0'))
}

/// The load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// All of it.
    Whole(u64),
    /// What is known of it: it may be more.
    AtLeast(u64),
    /// Nobody said.
    Unknown,
}

/// How it is when something is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// When something was decided by a known load before; None if nobody knows.
    pub before: Option<Timestamp>,
    /// Pods that the workload is told to have.
    pub told: i32,
    /// Pods that there are.
    pub there: i32,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Pods that the workload is to have.
    pub replicas: i32,
    /// What it was decided by.
    pub by: By,
    /// What to remember.
    pub state: AutoscalingStatus,
}

/// What a number was decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The load, which calls for no more than there may be.
    Load,
    /// The load calls for more than there may be.
    Most,
    /// Somebody has set the number to 0, which means: leave it alone.
    Nobody,
    /// The load is not known, or not all of it.
    Guess,
    /// The number was not in its range.
    Range,
}

/// How many pods there should be now.
#[must_use]
pub fn decide(
    rules: &Rules,
    state: &AutoscalingStatus,
    moment: Moment,
    demand: Demand,
) -> Decision {
    let now = moment.at.as_second();
    let told = moment.told;
    let mut state = state.clone();
    let (replicas, by) = if told == 0 {
        (0, By::Nobody)
    } else if told > rules.max || told < rules.min {
        (told.max(rules.min).min(rules.max), By::Range)
    } else {
        match called_for(rules, moment, demand) {
            None => (told, By::Guess),
            Some(raw) => {
                let within = raw.max(rules.min).min(rules.max);
                remember(rules, &mut state, moment, within);
                let by = match demand {
                    Demand::AtLeast(_) => By::Guess,
                    _ if raw > rules.max => By::Most,
                    _ => By::Load,
                };
                (limited(rules, &state, now, told, within), by)
            }
        }
    };
    if replicas != told {
        changed(rules, &mut state, now, replicas - told);
    }
    state.desired = replicas;
    Decision {
        replicas,
        by,
        state,
    }
}

/// What the load calls for; None if it is not known, or could be more than what would make the number smaller.
fn called_for(rules: &Rules, moment: Moment, demand: Demand) -> Option<i32> {
    let (Demand::Whole(load) | Demand::AtLeast(load)) = demand else {
        return None;
    };
    let load = i128::from(load) * 1_000;
    let target = i128::from(rules.target_milli.max(1));
    let planned = target * i128::from(moment.there);
    let distance = (load - planned).abs() * WHOLE;
    let raw = if moment.there > 0 && distance <= rules.tolerance * planned {
        moment.there
    } else {
        i32::try_from(div_up(load, target)).unwrap_or(i32::MAX)
    };
    let is_partial = matches!(demand, Demand::AtLeast(_));
    (!is_partial || raw > moment.told).then_some(raw)
}

/// Remembers what the load calls for. The last entry is what it has called for since then; an earlier one says until when
/// it did.
fn remember(rules: &Rules, state: &mut AutoscalingStatus, moment: Moment, replicas: i32) {
    let all = &mut state.recommendations;
    let at = second(moment.at.as_second());
    if all.is_empty() {
        // Who knows nothing yet does not begin by taking pods away.
        all.push(Recommendation {
            at: at.clone(),
            replicas: moment.told,
        });
    }
    if all.last().is_some_and(|last| last.replicas == replicas) {
        return;
    }
    if let Some(last) = all.last_mut() {
        let until = moment
            .before
            .map_or(at.clone(), |before| second(before.as_second()));
        last.at = until.max(last.at.clone()).min(at.clone());
    }
    all.push(Recommendation { at, replicas });
    forget(rules, all, moment.at.as_second());
}

/// Leaves out what can't matter: what is older than its window, and what something later outdoes.
fn forget(rules: &Rules, all: &mut Vec<Recommendation>, now: i64) {
    let mut kept: Vec<Recommendation> = Vec::with_capacity(all.len());
    let (mut most, mut least) = (i32::MIN, i32::MAX);
    for (index, entry) in all.drain(..).rev().enumerate() {
        let holds_down = entry.replicas > most && is_within(&entry.at, now, rules.down.window);
        let holds_up = entry.replicas < least && is_within(&entry.at, now, rules.up.window);
        most = most.max(entry.replicas);
        least = least.min(entry.replicas);
        if index == 0 || holds_down || holds_up {
            kept.push(entry);
        }
    }
    while kept.len() > ROOM {
        // The oldest two become one that holds as many pods for as long as either.
        let (Some(oldest), Some(next)) = (kept.pop(), kept.last_mut()) else {
            break;
        };
        next.replicas = next.replicas.max(oldest.replicas);
    }
    kept.reverse();
    *all = kept;
}

/// The number on its way to what the load calls for: not before that has held for its window, and not faster than the
/// policies allow.
fn limited(rules: &Rules, state: &AutoscalingStatus, now: i64, told: i32, replicas: i32) -> i32 {
    // The last entry is this one.
    let earlier = state.recommendations.iter().rev().skip(1);
    let within = |window: i64| {
        let earlier = earlier.clone();
        let recent = earlier.filter(move |entry| is_within(&entry.at, now, window));
        recent.map(|entry| entry.replicas)
    };
    let up = within(rules.up.window).fold(replicas, i32::min);
    let down = within(rules.down.window).fold(replicas, i32::max);
    let stable = told.max(up).min(down);
    if stable > told {
        stable.min(highest(rules, state, now, told)).min(rules.max)
    } else if stable < told {
        stable.max(lowest(rules, state, now, told)).max(rules.min)
    } else {
        told
    }
}

/// The most pods that there may be now.
fn highest(rules: &Rules, state: &AutoscalingStatus, now: i64, told: i32) -> i32 {
    let allowed = |policy: &ScalingPolicy| {
        let start = begun(state, now, told, policy);
        match policy.r#type {
            PolicyType::Pods => start + i64::from(policy.value),
            PolicyType::Percent => -(-start * (100 + i64::from(policy.value))).div_euclid(100),
        }
    };
    let allowed = rules.up.policies.iter().map(allowed);
    let limit = match rules.up.select {
        SelectPolicy::Disabled => None,
        SelectPolicy::Max => allowed.max(),
        SelectPolicy::Min => allowed.min(),
    };
    number(limit.unwrap_or(i64::from(told))).max(told)
}

/// The fewest pods that there may be now.
fn lowest(rules: &Rules, state: &AutoscalingStatus, now: i64, told: i32) -> i32 {
    let allowed = |policy: &ScalingPolicy| {
        let start = begun(state, now, told, policy);
        match policy.r#type {
            PolicyType::Pods => start - i64::from(policy.value),
            PolicyType::Percent => start * (100 - i64::from(policy.value)) / 100,
        }
    };
    let allowed = rules.down.policies.iter().map(allowed);
    let limit = match rules.down.select {
        SelectPolicy::Disabled => None,
        // The one that allows the most change is the one with the fewest pods.
        SelectPolicy::Max => allowed.min(),
        SelectPolicy::Min => allowed.max(),
    };
    number(limit.unwrap_or(i64::from(told))).min(told)
}

/// Pods at the beginning of a policy's period: without what came and with what went since.
fn begun(state: &AutoscalingStatus, now: i64, told: i32, policy: &ScalingPolicy) -> i64 {
    let period = i64::from(policy.period_seconds);
    let recent = state.events.iter();
    let recent = recent.filter(|event| is_within(&event.at, now, period));
    i64::from(told) - recent.map(|event| i64::from(event.delta)).sum::<i64>()
}

/// Remembers a change for as long as a policy asks for it.
fn changed(rules: &Rules, state: &mut AutoscalingStatus, now: i64, delta: i32) {
    let policies = rules.up.policies.iter().chain(&rules.down.policies);
    let longest = policies
        .map(|policy| i64::from(policy.period_seconds))
        .max();
    let longest = longest.unwrap_or_default();
    let events = &mut state.events;
    events.retain(|event| is_within(&event.at, now, longest));
    events.push(ScaleEvent {
        at: second(now),
        delta,
    });
    while events.len() > ROOM {
        // Two changes become one at the time of the later, which counts for longer.
        let oldest = events.remove(0);
        if let Some(next) = events.first_mut() {
            next.delta = next.delta.saturating_add(oldest.delta);
        }
    }
    state.last_scale_time = Some(second(now));
}

/// Whether something was less than so many seconds ago. What a clock that was wrong put into the future is new.
fn is_within(at: &Time, now: i64, seconds: i64) -> bool {
    at.0.as_second().min(now) > now.saturating_sub(seconds)
}

/// Whole seconds, which is what the status keeps.
fn second(seconds: i64) -> Time {
    Time(Timestamp::from_second(seconds).unwrap_or_default())
}

fn div_up(value: i128, by: i128) -> i128 {
    -((-value).div_euclid(by))
}

fn number(wide: i64) -> i32 {
    i32::try_from(wide.max(0)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
