//! One operator of several leads: the one that holds the Lease.
//!
//! Two that lead at once would do no harm, as every write is repeatable and decided on what is there; they would only do
//! everything twice. So a leader that can't renew its Lease ends before another one may take it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

/// Name of the Lease.
pub const LEASE: &str = "phlare-operator";
/// How long a Lease holds.
pub const HOLDS: Duration = Duration::from_secs(15);
/// How often it is renewed, or asked for.
const EVERY: Duration = Duration::from_secs(4);
/// How long after its last renewal a leader gives up: before others may begin.
const GIVES_UP: Duration = Duration::from_secs(11);

/// What to do with a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It is ours, or nobody's.
    Take,
    /// Another one holds it.
    Wait,
}

/// Whether a Lease may be taken.
#[must_use]
pub fn judge(spec: Option<&LeaseSpec>, identity: &str, now: Timestamp) -> Move {
    let Some(spec) = spec else {
        return Move::Take;
    };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder.is_empty() || holder == identity {
        return Move::Take;
    }
    let renewed = spec.renew_time.as_ref().map(|time| time.0);
    let holds = i64::from(spec.lease_duration_seconds.unwrap_or_default());
    match renewed {
        Some(renewed) if renewed + SignedDuration::from_secs(holds) > now => Move::Wait,
        _ => Move::Take,
    }
}

/// The Lease, as one operator sees it.
#[derive(Clone)]
pub struct Election {
    api: Api<Lease>,
    identity: String,
}

impl std::fmt::Debug for Election {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Election")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Election {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            identity,
        }
    }

    /// Returns when this operator leads, with the time from which on its Lease counts.
    pub async fn win(&self) -> Instant {
        loop {
            let begun = Instant::now();
            match self.attempt(Timestamp::now()).await {
                Ok(true) => {
                    info!(identity = self.identity, "leads");
                    return begun;
                }
                Ok(false) => debug!("another operator leads"),
                Err(error) => warn!(%error, "lease not read"),
            }
            sleep(EVERY).await;
        }
    }

    /// Returns when this operator does not lead any more, before another one may. `renewed`: what [`Self::win`] said.
    pub async fn keep(&self, mut renewed: Instant) {
        loop {
            sleep(EVERY).await;
            let begun = Instant::now();
            match timeout_at(renewed + GIVES_UP, self.attempt(Timestamp::now())).await {
                Ok(Ok(true)) => renewed = begun,
                Ok(Ok(false)) | Err(_) => break,
                Ok(Err(error)) => warn!(%error, "lease not renewed"),
            }
        }
        warn!("leads no more");
    }

    /// Lets another one lead at once.
    pub async fn release(&self) {
        let released = async {
            let Some(mut lease) = self.api.get_opt(LEASE).await? else {
                return Ok(());
            };
            if let Some(spec) = &mut lease.spec
                && spec.holder_identity.as_deref() == Some(&self.identity)
            {
                spec.holder_identity = None;
                self.api
                    .replace(LEASE, &PostParams::default(), &lease)
                    .await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Err(error) = released.await {
            debug!(%error, "lease not released");
        }
    }

    async fn attempt(&self, now: Timestamp) -> kube::Result<bool> {
        let found = self.api.get_opt(LEASE).await?;
        let old = found.as_ref().and_then(|lease| lease.spec.as_ref());
        if judge(old, &self.identity, now) == Move::Wait {
            return Ok(false);
        }
        let is_ours =
            old.is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let acquired = old
            .and_then(|spec| spec.acquire_time.clone())
            .filter(|_| is_ours);
        let transitions = old
            .and_then(|spec| spec.lease_transitions)
            .unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(HOLDS.as_secs()).ok(),
            acquire_time: acquired.or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if is_ours {
                transitions
            } else {
                transitions + 1
            }),
            ..LeaseSpec::default()
        };
        let params = PostParams::default();
        let written = match found {
            Some(mut lease) => {
                lease.spec = Some(spec);
                // The version that was read goes along: of two that take it at once, one is refused.
                self.api.replace(LEASE, &params, &lease).await
            }
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(LEASE.to_owned()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(spec),
                };
                self.api.create(&params, &lease).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(by.to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_ours_or_over() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(judge(None, "a", at(0)), Move::Take);
        assert_eq!(judge(Some(&held("", 100)), "a", at(101)), Move::Take);
        assert_eq!(judge(Some(&held("a", 100)), "a", at(101)), Move::Take);
        assert_eq!(judge(Some(&held("b", 100)), "a", at(114)), Move::Wait);
        assert_eq!(judge(Some(&held("b", 100)), "a", at(115)), Move::Take);
        assert_eq!(judge(Some(&LeaseSpec::default()), "a", at(0)), Move::Take);
    }

    #[test]
    fn a_leader_gives_up_before_another_one_may_begin() {
        assert!(GIVES_UP + EVERY <= HOLDS);
    }
}
