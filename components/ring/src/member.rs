//! One instance in one ring: its life cycle, carried out.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info};

use crate::lifecycle::{End, Lifecycle, Wish};
use crate::{InstanceId, Membership, RingKind, State};

/// What others see of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Where it is in its life.
    pub state: State,
    /// It takes nothing new.
    pub read_only: bool,
    /// It has served long enough to be called ready.
    pub ready: bool,
    /// It is out of the ring.
    pub gone: bool,
}

/// Says what a member is to do, and sees what it does. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Member {
    id: InstanceId,
    kind: RingKind,
    wish: watch::Sender<Wish>,
    state: watch::Receiver<MemberState>,
}

/// Runs a member.
#[derive(Debug)]
pub struct MemberTask {
    membership: Membership,
    kind: RingKind,
    lifecycle: Lifecycle,
    tokens_file: Option<PathBuf>,
    wish: watch::Receiver<Wish>,
    state: watch::Sender<MemberState>,
}

impl Member {
    /// A member, and the task that it needs. Tokens go into `tokens_file` when they change.
    #[must_use]
    pub fn new(
        membership: Membership,
        kind: RingKind,
        lifecycle: Lifecycle,
        tokens_file: Option<PathBuf>,
    ) -> (Self, MemberTask) {
        let (wish, wishes) = watch::channel(Wish::default());
        let (state, states) = watch::channel(MemberState {
            state: lifecycle.state(),
            read_only: false,
            ready: false,
            gone: false,
        });
        let member = Self {
            id: lifecycle.id().clone(),
            kind,
            wish,
            state: states,
        };
        let task = MemberTask {
            membership,
            kind,
            lifecycle,
            tokens_file,
            wish: wishes,
            state,
        };
        (member, task)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Its ring.
    #[must_use]
    pub fn kind(&self) -> RingKind {
        self.kind
    }

    /// It can serve: it may become active.
    pub fn ready(&self) {
        self.wish.send_modify(|wish| wish.ready = true);
    }

    /// It is to take nothing new, or to take it again.
    pub fn set_read_only(&self, read_only: bool) {
        self.wish
            .send_modify(|wish| wish.read_only = Some(read_only));
    }

    /// It is to leave: it gets nothing new and still answers.
    pub fn leave(&self) {
        self.wish.send_modify(|wish| wish.leave = true);
    }

    /// All that it held is elsewhere: its entry may go. Counts after [`Member::leave`].
    pub fn drained(&self) {
        self.wish.send_modify(|wish| wish.drained = true);
    }

    /// What it does, and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<MemberState> {
        self.state.clone()
    }
}

impl MemberTask {
    /// Lives until the member is drained and gone, or every [`Member`] handle was dropped (then the entry stays and
    /// goes stale, as after a crash). A tokens file that cannot be written is logged and tried again at the next
    /// heartbeat.
    pub async fn run(mut self) {
        let mut ring = self.membership.subscribe(self.kind);
        let mut unsaved = None;
        loop {
            let now_ms = self.membership.clock().now_ms();
            let wish = *self.wish.borrow_and_update();
            let known = ring.borrow_and_update().clone();
            let before = self.lifecycle.state();
            let step = self.lifecycle.step(&known, &wish, now_ms);
            unsaved = step.save.or(unsaved);
            if step.publish.is_some() || step.beat {
                unsaved = self.save(unsaved).await;
            }
            let id = self.lifecycle.id().clone();
            match &step.publish {
                Some(instance) => self.membership.publish(self.kind, instance).await,
                None if step.beat => self.membership.beat(self.kind, &id, now_ms).await,
                None => {}
            }
            let state = self.lifecycle.state();
            if state != before {
                info!(ring = %self.kind, instance = %id, from = %before, to = %state, "state changed");
            }
            if step.end == Some(End::Remove) {
                self.membership.remove(self.kind, &id).await;
            }
            self.tell(now_ms, step.end.is_some());
            if step.end.is_some() {
                return;
            }
            let wait = u64::try_from(step.wake_ms.saturating_sub(now_ms)).unwrap_or_default();
            tokio::select! {
                () = sleep(Duration::from_millis(wait.max(1))) => {}
                // Our own publication makes a new ring, too: one idle step.
                changed = ring.changed() => if changed.is_err() { return },
                changed = self.wish.changed() => if changed.is_err() { return },
            }
        }
    }

    fn tell(&self, now_ms: i64, gone: bool) {
        let now = MemberState {
            state: self.lifecycle.state(),
            read_only: self.lifecycle.is_read_only(),
            ready: self.lifecycle.is_ready(now_ms),
            gone,
        };
        self.state
            .send_if_modified(|known| std::mem::replace(known, now) != now);
    }

    /// Writes the file; returns the tokens if that failed.
    async fn save(&self, tokens: Option<crate::Tokens>) -> Option<crate::Tokens> {
        let (Some(path), Some(tokens)) = (self.tokens_file.clone(), tokens) else {
            return None;
        };
        let copy = tokens.clone();
        let written = tokio::task::spawn_blocking(move || copy.store(&path)).await;
        match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                error!(error = phlare_model::chain(&error), "tokens are not kept");
                Some(tokens)
            }
            Err(error) => {
                error!(%error, "tokens are not kept");
                Some(tokens)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use phlare_model::ManualClock;

    use super::*;
    use crate::testing::NOW;
    use crate::{Identity, MemberSettings, Origin, Rings, Tokens};

    fn member(file: PathBuf) -> (Membership, Member, MemberTask) {
        let clock = Arc::new(ManualClock::at_ns(NOW * 1_000_000));
        let membership = Membership::alone(Rings::default(), clock);
        let settings = MemberSettings {
            tokens: 4,
            heartbeat_period: Duration::from_secs(5),
            join_after: Duration::ZERO,
            observe_period: Duration::ZERO,
            min_ready_duration: Duration::ZERO,
            unregister_on_shutdown: true,
        };
        let identity = Identity {
            ring: "ingester".to_owned(),
            id: "me".into(),
            addr: "me:1".to_owned(),
            zone: "".into(),
        };
        let lifecycle = Lifecycle::new(settings, identity, Origin::default());
        let (member, task) = Member::new(
            membership.clone(),
            RingKind::Ingester,
            lifecycle,
            Some(file),
        );
        (membership, member, task)
    }

    #[tokio::test]
    async fn a_member_lives_and_keeps_its_tokens() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        let (membership, member, task) = member(file.clone());
        let mut state = member.state();
        let life = async {
            state
                .wait_for(|state| state.state == State::Joining)
                .await
                .unwrap();
            member.ready();
            state.wait_for(|state| state.ready).await.unwrap();
            let ring = membership.ring(RingKind::Ingester);
            let mine = &ring.instances()[0];
            assert_eq!(mine.state, State::Active);
            assert_eq!(Tokens::load(&file).unwrap().as_ref(), Some(&mine.tokens));
            member.set_read_only(true);
            state.wait_for(|state| state.read_only).await.unwrap();
            member.leave();
            state
                .wait_for(|state| state.state == State::Leaving)
                .await
                .unwrap();
            member.drained();
        };
        tokio::join!(task.run(), life);
        assert!(member.state().borrow().gone);
        assert!(membership.ring(RingKind::Ingester).instances().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_stops_nobody() {
        let (membership, member, task) = member("/no/such/directory/tokens".into());
        member.ready();
        let mut state = member.state();
        let life = async {
            state.wait_for(|state| state.ready).await.unwrap();
            assert_eq!(membership.ring(RingKind::Ingester).instances().len(), 1);
            member.leave();
            member.drained();
        };
        tokio::join!(task.run(), life);
    }
}
