//! What a member of a ring does next: a state machine that is told the time, the ring and what is wished for.
//!
//! ```text
//! PENDING ─ join_after ▶ JOINING ─ observe_period without a contested token, and ready ▶ ACTIVE ─ leave ▶ LEAVING ─ drained ▶ gone
//! ```
//!
//! Does no I/O and reads no clock: [`crate::Member`] carries out what it says.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{Heartbeat, Instance, InstanceId, Ring, State, Tokens};

/// How a member lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    /// How many tokens it has.
    pub tokens: usize,
    /// How often it says that it is alive.
    pub heartbeat_period: Duration,
    /// How long it is pending, to learn of the others.
    pub join_after: Duration,
    /// How long nobody may contest its tokens before they count.
    pub observe_period: Duration,
    /// How long it is active before it calls itself ready.
    pub min_ready_duration: Duration,
    /// Whether its entry goes with it. Otherwise it stays as LEAVING, and a restart takes it up.
    pub unregister_on_shutdown: bool,
}

/// Who a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the ring; tokens depend on it.
    pub ring: String,
    /// Name of the member.
    pub id: InstanceId,
    /// Where it serves: `host:port`.
    pub addr: String,
    /// Its availability zone; empty if there are none.
    pub zone: Arc<str>,
}

/// What an earlier run left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Tokens from the tokens file.
    pub tokens: Option<Tokens>,
    /// There is data from an earlier run, so reads miss it until it is active.
    pub holds_data: bool,
    /// For the tokens that are drawn.
    pub seed: u64,
}

/// What the process wants of its member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// It can serve. Counts once; who is active stays so.
    pub ready: bool,
    /// It takes nothing new; `None` leaves that as an earlier run left it.
    pub read_only: Option<bool>,
    /// It is to go.
    pub leave: bool,
    /// All that it held is elsewhere. Counts with `leave`.
    pub drained: bool,
}

/// What becomes of the entry of a member that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is removed.
    Remove,
    /// It stays, as LEAVING.
    Keep,
}

/// What to do now.
#[derive(Clone, Debug)]
pub struct Step {
    /// The entry changed: the ring has to know.
    pub publish: Option<Instance>,
    /// A heartbeat is due.
    pub beat: bool,
    /// Tokens changed: the file has to be written.
    pub save: Option<Tokens>,
    /// It is over, after what is above.
    pub end: Option<End>,
    /// When to ask again, if nothing happens before; milliseconds since the epoch.
    pub wake_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    Waiting { since_ms: i64 },
    Observing { since_ms: i64 },
    Joined,
    Active { since_ms: i64 },
    Leaving,
    Gone,
}

/// A member's life.
#[derive(Debug)]
pub struct Lifecycle {
    settings: MemberSettings,
    ring: String,
    instance: Instance,
    known_tokens: Option<Tokens>,
    rng: StdRng,
    phase: Phase,
    beaten_ms: i64,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Lifecycle {
    /// A member that has not begun.
    #[must_use]
    pub fn new(settings: MemberSettings, identity: Identity, origin: Origin) -> Self {
        let instance = Instance {
            id: identity.id,
            addr: identity.addr,
            zone: identity.zone,
            state: State::Pending,
            tokens: Tokens::default(),
            registered_ms: 0,
            fresh: !origin.holds_data,
            read_only: false,
            read_only_changed_ms: 0,
            heartbeat: Heartbeat::default(),
        };
        Self {
            settings,
            ring: identity.ring,
            instance,
            known_tokens: origin.tokens,
            rng: StdRng::seed_from_u64(origin.seed),
            phase: Phase::New,
            beaten_ms: i64::MIN,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        &self.instance.id
    }

    /// Where others reach it: `host:port`.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.instance.addr
    }

    /// Its state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.instance.state
    }

    /// Whether it takes nothing new.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.instance.read_only
    }

    /// Whether it has served long enough to be called ready. Waits for no other member: a dead one does not keep
    /// others from starting.
    #[must_use]
    pub fn is_ready(&self, now_ms: i64) -> bool {
        match self.phase {
            Phase::Active { since_ms } => {
                now_ms >= since_ms.saturating_add(millis(self.settings.min_ready_duration))
            }
            _ => false,
        }
    }

    /// Advances as far as time, ring and wish allow.
    pub fn step(&mut self, ring: &Ring, wish: &Wish, now_ms: i64) -> Step {
        let before = (self.instance.clone(), self.phase);
        self.advance(ring, wish, now_ms);
        if let Some(read_only) = wish.read_only
            && read_only != self.instance.read_only
        {
            self.instance.read_only = read_only;
            self.instance.read_only_changed_ms = now_ms;
        }
        let changed = before.1 == Phase::New || !before.0.same_as(&self.instance);
        let period = millis(self.settings.heartbeat_period);
        let due = now_ms >= self.beaten_ms.saturating_add(period);
        let beat = before.1 != Phase::Gone && (changed || due || self.phase == Phase::Gone);
        if beat {
            self.beaten_ms = now_ms;
            self.instance.heartbeat.beat(now_ms);
        }
        let end = match (before.1, self.phase) {
            (Phase::Gone, _) => None,
            (_, Phase::Gone) if self.settings.unregister_on_shutdown => Some(End::Remove),
            (_, Phase::Gone) => Some(End::Keep),
            _ => None,
        };
        Step {
            publish: (changed && before.1 != Phase::Gone).then(|| self.instance.clone()),
            beat,
            save: (before.0.tokens != self.instance.tokens).then(|| self.instance.tokens.clone()),
            end,
            wake_ms: self.wake_ms(period, now_ms),
        }
    }

    fn wake_ms(&self, period: i64, now_ms: i64) -> i64 {
        let settings = &self.settings;
        let deadline = match self.phase {
            Phase::Waiting { since_ms } => since_ms.saturating_add(millis(settings.join_after)),
            Phase::Observing { since_ms } => {
                since_ms.saturating_add(millis(settings.observe_period))
            }
            Phase::Active { since_ms } => {
                let ready = since_ms.saturating_add(millis(settings.min_ready_duration));
                if ready > now_ms { ready } else { i64::MAX }
            }
            Phase::Gone => return i64::MAX,
            Phase::New | Phase::Joined | Phase::Leaving => i64::MAX,
        };
        deadline.min(self.beaten_ms.saturating_add(period))
    }

    /// Goes from phase to phase until one lasts.
    fn advance(&mut self, ring: &Ring, wish: &Wish, now_ms: i64) {
        loop {
            let next = self.next(ring, wish, now_ms);
            if next == self.phase {
                return;
            }
            self.phase = next;
        }
    }

    fn next(&mut self, ring: &Ring, wish: &Wish, now_ms: i64) -> Phase {
        let over = |since_ms: i64, length| now_ms >= since_ms.saturating_add(millis(length));
        match self.phase {
            Phase::New => {
                self.take_up(ring, now_ms);
                Phase::Waiting { since_ms: now_ms }
            }
            Phase::Gone => Phase::Gone,
            Phase::Leaving if wish.leave && wish.drained => Phase::Gone,
            Phase::Leaving => Phase::Leaving,
            _ if wish.leave => {
                self.instance.state = State::Leaving;
                Phase::Leaving
            }
            // Who knows its tokens needs not learn of others first.
            Phase::Waiting { since_ms }
                if self.known_tokens.is_some() || over(since_ms, self.settings.join_after) =>
            {
                self.join(ring);
                Phase::Observing { since_ms: now_ms }
            }
            Phase::Observing { since_ms } => {
                if self.yield_contested(ring) {
                    Phase::Observing { since_ms: now_ms }
                } else if over(since_ms, self.settings.observe_period) {
                    Phase::Joined
                } else {
                    self.phase
                }
            }
            Phase::Joined if wish.ready => {
                self.instance.state = State::Active;
                self.instance.fresh = false;
                Phase::Active { since_ms: now_ms }
            }
            Phase::Waiting { .. } | Phase::Joined | Phase::Active { .. } => self.phase,
        }
    }

    /// Goes on from the entry of an earlier run, if others still know it.
    fn take_up(&mut self, ring: &Ring, now_ms: i64) {
        self.instance.registered_ms = now_ms;
        let Some(earlier) = ring.instance(&self.instance.id) else {
            return;
        };
        let known = self.known_tokens.take().filter(|tokens| !tokens.is_empty());
        let earlier_tokens = Some(earlier.tokens.clone()).filter(|tokens| !tokens.is_empty());
        self.known_tokens = known.or(earlier_tokens);
        self.instance.registered_ms = earlier.registered_ms;
        self.instance.fresh &= earlier.fresh;
        self.instance.read_only = earlier.read_only;
        self.instance.read_only_changed_ms = earlier.read_only_changed_ms;
    }

    fn join(&mut self, ring: &Ring) {
        let Instance { id, zone, .. } = &self.instance;
        let count = self.settings.tokens;
        let wanted = match &self.known_tokens {
            Some(known) if !known.is_empty() => known.clone(),
            _ => Tokens::spread(&self.ring, zone, id.as_str(), count),
        };
        let tokens = wanted.completed(count, |token| ring.is_taken(token, id), &mut self.rng);
        self.instance.tokens = tokens;
        self.instance.state = State::Joining;
    }

    /// Replaces tokens that belong to others. True if there were any.
    fn yield_contested(&mut self, ring: &Ring) -> bool {
        let Instance { id, tokens, .. } = &self.instance;
        if !tokens.iter().any(|token| ring.is_taken(token, id)) {
            return false;
        }
        let count = self.settings.tokens;
        self.instance.tokens =
            tokens.completed(count, |token| ring.is_taken(token, id), &mut self.rng);
        true
    }
}

#[cfg(test)]
mod tests;
