//! One query: worked on, held, answered.

use std::time::Duration;

use bytes::Bytes;
use phlare_model::{ErrorKind, SPANS, TenantId};
use phlare_peer::ask::{decode_query, encode_answer, outcome};
use phlare_peer::{CallError, call, name_of};
use phlare_proto::phlare::query::v1 as proto;
use phlare_server::{Status, Trace, TraceHeaders};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info_span};

use super::{ON_THE_WAY, Source, WAIT, Worker};

/// A query that takes longer is held. Shorter ones are not worth a call.
const HOLD_AFTER: Duration = Duration::from_millis(100);
/// Pause after a call that holds a query failed.
const AGAIN: Duration = Duration::from_millis(200);
/// So many failures in a row, and nobody is left who wants the answer.
const FAILURES: usize = 5;
/// How long an answer may be on its way.
const BRING: Duration = Duration::from_secs(60);

impl Worker {
    /// Answers a query, unless nobody wants the answer any more.
    pub(super) async fn work(&self, source: &Source, task: proto::Task) {
        let _running = self.0.metrics.running();
        let held = self.held(source, task.id.clone());
        let mut held = std::pin::pin!(held);
        let id = task.id.clone();
        let ended = tokio::select! {
            ended = self.answer(task) => ended,
            () = &mut held => {
                debug!("a query that nobody waits for any more");
                return;
            }
        };
        // It is held until the answer is there: whoever lets go without an answer is taken for dead.
        self.bring(source, id, ended).await;
    }

    async fn answer(&self, task: proto::Task) -> Result<Bytes, Status> {
        let tenant = TenantId::parse(&task.tenant);
        let tenant = tenant.map_err(|error| Status::new(ErrorKind::Internal, error.to_string()))?;
        let within = Duration::from_millis(task.timeout_ms);
        let trace = TraceHeaders {
            traceparent: task.traceparent,
            tracestate: task.tracestate,
        };
        let span = info_span!(target: SPANS, "querier_processor_runRequest", %tenant);
        let trace = Trace::continued(&trace, tenant.clone(), span);
        let answered = async {
            let query = decode_query(task.query)?;
            let answer = self.0.fleet.answer_to(&tenant, query).await?;
            let encode = move || encode_answer(answer);
            Ok::<_, Status>(self.0.offload.run(encode).await?)
        };
        let begun = Instant::now();
        let answered = async {
            let answered = timeout(within, answered).await.unwrap_or_else(|_| {
                Err(Status::new(
                    ErrorKind::DeadlineExceeded,
                    format!("the query was not answered within {within:?}"),
                ))
            });
            let error = answered.as_ref().err().map(|failed| &failed.message);
            debug!(error, took = ?begun.elapsed(), "query answered");
            answered
        };
        trace.scope(answered).await
    }

    /// Says that a query is worked on, as long as somebody wants its answer.
    async fn held(&self, source: &Source, id: Vec<u8>) {
        sleep(HOLD_AFTER).await;
        let mut failures = 0;
        while failures < FAILURES {
            let request = proto::HoldRequest {
                instance_id: name_of(&source.instance),
                querier: self.0.id.clone(),
                id: id.clone(),
                wait_ms: WAIT.as_millis() as u64,
            };
            let mut client = source.client.clone();
            let send = async move |request| client.hold(request).await;
            let tenant = TenantId::anonymous();
            match call(&source.instance, &tenant, WAIT + ON_THE_WAY, request, send).await {
                Ok(proto::HoldResponse { over: true }) => return,
                Ok(_) => failures = 0,
                Err(error) => {
                    debug!(error = error.status.message, "a query is not held");
                    failures += 1;
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Brings an answer, or why there is none; why it cannot be brought, if that is the answer's fault.
    async fn bring(&self, source: &Source, id: Vec<u8>, ended: Result<Bytes, Status>) {
        let is_answer = ended.is_ok();
        let brought = self.finish(source, id.clone(), ended).await;
        let Err(error) = brought else { return };
        debug!(error = error.status.message, "an answer was not taken");
        if is_answer && !error.unavailable {
            // Whoever asked hears of it, or of nothing.
            let _ = self.finish(source, id, Err(error.status)).await;
        }
    }

    async fn finish(
        &self,
        source: &Source,
        id: Vec<u8>,
        ended: Result<Bytes, Status>,
    ) -> Result<(), CallError> {
        let request = proto::FinishRequest {
            instance_id: name_of(&source.instance),
            querier: self.0.id.clone(),
            id,
            outcome: Some(outcome(ended)),
        };
        let mut client = source.client.clone();
        let send = async move |request| client.finish(request).await;
        let tenant = TenantId::anonymous();
        call(&source.instance, &tenant, BRING, request, send).await?;
        Ok(())
    }
}
