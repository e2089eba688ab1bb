//! Serves queues to query-frontends and queriers of other processes.

use std::time::Duration;

use phlare_peer::ask::{outcome, read_outcome};
use phlare_peer::queries::malformed;
use phlare_proto::phlare::query::v1 as proto;
use phlare_ring::InstanceId;
use phlare_server::{BodyLimit, Context, MethodOptions, Rpc, Status};
use tokio::time::Instant;

use crate::scheduler::{Pulled, QueryId, Scheduler};

/// Longest wait that a caller gets: calls have a limit of their own.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Serves `scheduler`, which is `me` in the ring, under `phlare.query.v1.SchedulerService`. `answer` bounds what queriers
/// bring.
///
/// # Panics
/// If it is served already: a mistake in the wiring.
pub fn serve(rpc: &mut Rpc, scheduler: &Scheduler, me: &InstanceId, answer: BodyLimit) {
    let service = Service {
        scheduler: scheduler.clone(),
        me: me.clone(),
    };
    let open = MethodOptions {
        tenant: false,
        ..MethodOptions::default()
    };
    let served = service.clone();
    rpc.unary(&path("Ask"), move |call, request| {
        served.clone().ask(call, request)
    });
    let served = service.clone();
    rpc.unary_with(&path("Pull"), open, move |_, request| {
        served.clone().pull(request)
    });
    let served = service.clone();
    rpc.unary_with(&path("Hold"), open, move |_, request| {
        served.clone().hold(request)
    });
    let served = service.clone();
    let large = MethodOptions {
        limit: Some(answer),
        ..open
    };
    rpc.unary_with(&path("Finish"), large, move |_, request| {
        std::future::ready(served.finish(request))
    });
    rpc.unary_with(&path("Leave"), open, move |_, request| {
        std::future::ready(service.leave(&request))
    });
}

fn path(method: &str) -> String {
    format!("phlare.query.v1.SchedulerService/{method}")
}

#[derive(Clone)]
struct Service {
    scheduler: Scheduler,
    me: InstanceId,
}

impl Service {
    async fn ask(
        self,
        call: Context,
        request: proto::AskRequest,
    ) -> Result<proto::AskResponse, Status> {
        phlare_peer::meant_if_named(&self.me, &request.instance_id)?;
        let deadline = call.deadline.map(Instant::from_std);
        let ended = self.scheduler.ask(&call.tenant, request.query, deadline);
        Ok(proto::AskResponse {
            outcome: Some(outcome(ended.await)),
        })
    }

    async fn pull(self, request: proto::PullRequest) -> Result<proto::PullResponse, Status> {
        phlare_peer::meant_if_named(&self.me, &request.instance_id)?;
        let pulled = self
            .scheduler
            .pull(named(&request.querier)?, wait(request.wait_ms))
            .await;
        let stopping = pulled == Pulled::Stopping;
        let task = match pulled {
            Pulled::Task(task) => {
                let left = task.deadline.saturating_duration_since(Instant::now());
                let trace = task.trace.unwrap_or_default();
                Some(proto::Task {
                    id: task.id.to_le_bytes().to_vec(),
                    tenant: task.tenant.to_string(),
                    query: task.query,
                    timeout_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                    traceparent: trace.traceparent,
                    tracestate: trace.tracestate,
                })
            }
            Pulled::Nothing | Pulled::Stopping => None,
        };
        Ok(proto::PullResponse { task, stopping })
    }

    async fn hold(self, request: proto::HoldRequest) -> Result<proto::HoldResponse, Status> {
        phlare_peer::meant_if_named(&self.me, &request.instance_id)?;
        let id = id(&request.id)?;
        let over = self
            .scheduler
            .hold(named(&request.querier)?, id, wait(request.wait_ms))
            .await;
        Ok(proto::HoldResponse { over })
    }

    fn finish(&self, request: proto::FinishRequest) -> Result<proto::FinishResponse, Status> {
        phlare_peer::meant_if_named(&self.me, &request.instance_id)?;
        let (querier, id) = (named(&request.querier)?, id(&request.id)?);
        let ended = read_outcome(request.outcome);
        self.scheduler.finish(querier, id, ended);
        Ok(proto::FinishResponse {})
    }

    fn leave(&self, request: &proto::LeaveRequest) -> Result<proto::LeaveResponse, Status> {
        phlare_peer::meant_if_named(&self.me, &request.instance_id)?;
        self.scheduler.leave(named(&request.querier)?);
        Ok(proto::LeaveResponse {})
    }
}

fn named(querier: &str) -> Result<&str, Status> {
    if querier.is_empty() {
        return Err(malformed("a querier without a name"));
    }
    Ok(querier)
}

fn id(bytes: &[u8]) -> Result<QueryId, Status> {
    let bytes = bytes.try_into();
    bytes
        .map(QueryId::from_le_bytes)
        .map_err(|_| malformed("a query's id that has not 16 bytes"))
}

fn wait(ms: u64) -> Duration {
    Duration::from_millis(ms).min(LONGEST_WAIT)
}
