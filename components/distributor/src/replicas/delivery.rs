//! One profile on its way to its ingesters.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use phlare_model::{ErrorKind, TenantId};
use phlare_proto::phlare::ingest::v1::{self as wire, AppendRequest};
use phlare_ring::{Instance, Operation, Ring, Tally, Verdict};
use phlare_server::{Status, Trace};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::warn;

use super::Shared;
use super::plan::{Plan, Target};
use crate::replica::Refused;

/// A profile, and where it goes.
pub(super) struct Delivery {
    pub(super) shared: Arc<Shared>,
    pub(super) tenant: TenantId,
    /// The whole ring: whoever stands in need not be of the tenant's shard.
    pub(super) ring: Ring,
    pub(super) plan: Plan,
    pub(super) profile: Bytes,
    pub(super) rows: Vec<wire::Row>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Why a replica does not have it.
#[derive(Clone, Debug)]
struct Failure {
    refused: Refused,
    /// Another instance may take it.
    unavailable: bool,
}

impl Delivery {
    /// Sends to all ingesters at once, and returns when for each part enough have it, or too many have not.
    pub(super) async fn run(self: Arc<Self>) -> Result<(), Refused> {
        let targets = self.plan.targets.len();
        let (tell, mut outcomes) = mpsc::channel(targets.max(1));
        for number in 0..targets {
            let (this, tell) = (Arc::clone(&self), tell.clone());
            let delivering = async move {
                let outcome = this.deliver(number).await;
                // Nobody listens any more if the push was answered.
                let _ = tell.send((number, outcome)).await;
            };
            self.shared.tasks.spawn(Trace::current().scope(delivering));
        }
        drop(tell);
        let parts = self.plan.parts.iter();
        let mut tallies: Vec<Tally> = parts.map(|part| part.replicas.tally()).collect();
        let mut why: Option<Failure> = None;
        while let Some((number, outcome)) = outcomes.recv().await {
            self.count(number, outcome, &mut tallies, &mut why);
            if tallies
                .iter()
                .any(|tally| tally.verdict() == Verdict::Failed)
            {
                break;
            }
            if tallies
                .iter()
                .all(|tally| tally.verdict() == Verdict::Enough)
            {
                return Ok(());
            }
        }
        Err(why.map_or_else(unexplained, |failure| failure.refused))
    }

    fn count(
        &self,
        number: usize,
        outcome: Vec<Result<(), Failure>>,
        tallies: &mut [Tally],
        why: &mut Option<Failure>,
    ) {
        let parts = self.plan.targets.get(number).map(|target| &target.parts);
        for (&(part, place), outcome) in parts.into_iter().flatten().zip(outcome) {
            let Some(tally) = tallies.get_mut(part) else {
                continue;
            };
            match outcome {
                Ok(()) => drop(tally.succeeded(place)),
                Err(failure) => {
                    tally.failed(place);
                    // What an ingester has against the profile says more than that one is away.
                    let says_more = why.as_ref().is_none_or(|known| known.unavailable);
                    if says_more {
                        *why = Some(failure);
                    }
                }
            }
        }
    }

    /// What became of each part that a target gets.
    async fn deliver(&self, number: usize) -> Vec<Result<(), Failure>> {
        let Some(target) = self.plan.targets.get(number) else {
            return Vec::new();
        };
        let parts: Vec<usize> = target.parts.iter().map(|(part, _)| *part).collect();
        let failure = match self.send(&target.instance, &parts).await {
            Ok(()) => return vec![Ok(()); parts.len()],
            Err(failure) => failure,
        };
        let metrics = &self.shared.dependencies.metrics;
        if !failure.unavailable {
            metrics.refused.inc();
            return vec![Err(failure); parts.len()];
        }
        metrics.unavailable.inc();
        warn!(
            instance = %target.instance.id, error = failure.refused.status.message,
            "an ingester does not take a profile"
        );
        join_all(
            parts
                .iter()
                .map(|&part| self.stand_in(part, target, &failure)),
        )
        .await
    }

    /// Has another instance take a part.
    async fn stand_in(
        &self,
        part: usize,
        target: &Target,
        failure: &Failure,
    ) -> Result<(), Failure> {
        let Some(of) = self.plan.parts.get(part) else {
            return Err(failure.clone());
        };
        let now_ms = self.shared.dependencies.clock.now_ms();
        let others = &of.replicas.instances;
        // With several targets that fail, each has a spare of its own: the spares of those before it are taken.
        let mut taken = others.clone();
        for other in others {
            let spare = self.ring.spare(of.token, Operation::WRITE, now_ms, &taken);
            let Some(spare) = spare.map(Arc::clone) else {
                break;
            };
            if other.id == target.instance.id {
                self.shared.dependencies.metrics.stood_in.inc();
                return self.send(&spare, &[part]).await;
            }
            taken.push(spare);
        }
        Err(failure.clone())
    }

    async fn send(&self, to: &Arc<Instance>, parts: &[usize]) -> Result<(), Failure> {
        let rows = parts
            .iter()
            .filter_map(|&part| self.plan.parts.get(part))
            .flat_map(|part| &part.rows)
            .filter_map(|&row| self.rows.get(row));
        let request = AppendRequest {
            instance_id: to.id.to_string(),
            profile: self.profile.clone(),
            rows: rows.cloned().collect(),
        };
        let shared = &self.shared;
        let answer = shared.dependencies.ingesters.append(
            Arc::clone(to),
            self.tenant.clone(),
            request,
            shared.timeout,
        );
        match answer.await {
            Ok(wire::AppendResponse { refusal: None }) => {
                shared.dependencies.metrics.stored.inc();
                Ok(())
            }
            Ok(wire::AppendResponse {
                refusal: Some(refusal),
            }) => Err(refused(refusal)),
            Err(error) => Err(Failure {
                refused: Refused {
                    status: error.status,
                    reason: "unknown",
                },
                unavailable: error.unavailable,
            }),
        }
    }
}

fn refused(refusal: wire::Refusal) -> Failure {
    let kind = ErrorKind::parse(&refusal.kind).unwrap_or(ErrorKind::Unknown);
    let retry_after = (refusal.retry_after_ms > 0).then_some(refusal.retry_after_ms);
    Failure {
        unavailable: kind == ErrorKind::Unavailable,
        refused: Refused {
            status: Status {
                kind,
                message: refusal.message,
                retry_after: retry_after.map(Duration::from_millis),
            },
            reason: crate::error::known_reason(&refusal.reason),
        },
    }
}

/// Tasks end without a word only when the runtime does.
fn unexplained() -> Refused {
    Refused {
        status: Status::new(ErrorKind::Unavailable, "the process is shutting down"),
        reason: "unknown",
    }
}
