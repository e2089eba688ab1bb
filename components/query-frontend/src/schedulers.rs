//! Queries go into the queue of a query-scheduler, and their answers come back from there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures_util::FutureExt;
use phlare_model::ask::{Answer, Query};
use phlare_model::{Clock, ErrorKind, TenantId};
use phlare_peer::ask::{decode_answer, encode_query, read_outcome};
use phlare_peer::{Peers, call, name_of};
use phlare_proto::phlare::query::v1::scheduler_service_client::SchedulerServiceClient;
use phlare_proto::phlare::query::v1::{AskRequest, AskResponse};
use phlare_ring::{Instance, InstanceId, Ring};
use phlare_server::{Offload, Status};
use tokio::sync::watch;
use tracing::debug;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::querier::{Querier, Reply};

/// How long a call may take if nothing else ends it. Calls end when whoever asked goes away, or with the server's own limit.
const LONGEST: Duration = Duration::from_secs(600);

/// Answers larger than this are decoded off the threads that serve sockets.
const SMALL: usize = 16 << 10;

/// The query-schedulers of a fleet, as someone who answers.
pub struct Schedulers {
    ring: watch::Receiver<Ring>,
    peers: Peers,
    most_used: usize,
    config: Config,
    clock: Arc<dyn Clock>,
    offload: Offload,
    metrics: Metrics,
    next: AtomicUsize,
}

impl fmt::Debug for Schedulers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedulers").finish_non_exhaustive()
    }
}

impl Schedulers {
    /// The members of `ring`, over the connections of `peers`; `most_used` of them (0: all).
    #[must_use]
    pub fn new(
        ring: watch::Receiver<Ring>,
        peers: Peers,
        most_used: usize,
        config: Config,
        (clock, offload, metrics): (Arc<dyn Clock>, Offload, Metrics),
    ) -> Self {
        Self {
            ring,
            peers,
            most_used,
            config,
            clock,
            offload,
            metrics,
            next: AtomicUsize::default(),
        }
    }

    /// Whether there is one to ask.
    ///
    /// # Errors
    /// Says that there is none.
    pub fn check_ready(&self) -> Result<(), String> {
        match self.used().is_empty() {
            true => Err("no query-scheduler is active".to_owned()),
            false => Ok(()),
        }
    }

    fn used(&self) -> Vec<Arc<Instance>> {
        let ring = self.ring.borrow();
        phlare_peer::used_schedulers(&ring, self.most_used, self.clock.now_ms())
    }

    /// The next one to ask; one that failed before only if there is no other.
    fn choose(&self, failed: &[InstanceId]) -> Result<Arc<Instance>, Status> {
        let used = self.used();
        let fresh: Vec<_> = used
            .iter()
            .filter(|one| !failed.contains(&one.id))
            .collect();
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let chosen = match fresh.len() {
            0 => used.get(next.checked_rem(used.len()).unwrap_or_default()),
            many => fresh.get(next % many).copied(),
        };
        chosen.cloned().ok_or_else(|| {
            let message = "no query-scheduler is active: nobody answers queries now";
            Status::new(ErrorKind::Unavailable, message.to_owned())
                .with_retry_after(Duration::from_secs(1))
        })
    }

    async fn answer(&self, tenant: &TenantId, query: Query) -> Result<Answer, Status> {
        let operation = query.operation();
        let query = encode_query(&query);
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .with_jitter()
            .with_max_times(self.config.max_retries)
            .build();
        let mut failed = Vec::new();
        loop {
            let status = match self.try_once(tenant, query.clone(), &mut failed).await {
                Ok(answer) => return self.decode(answer).await,
                Err(status) => status,
            };
            if status.kind != ErrorKind::Unavailable {
                return Err(status);
            }
            let Some(pause) = pauses.next() else {
                return Err(status.with_retry_after(Duration::from_secs(1)));
            };
            debug!(operation, error = status.message, "query asked again");
            self.metrics.repeated(operation);
            tokio::time::sleep(pause).await;
        }
    }

    async fn try_once(
        &self,
        tenant: &TenantId,
        query: Bytes,
        failed: &mut Vec<InstanceId>,
    ) -> Result<Bytes, Status> {
        let chosen = self.choose(failed)?;
        let asked = async {
            let mut client = SchedulerServiceClient::new(self.peers.channel(&chosen)?)
                .max_decoding_message_size(self.config.max_answer_bytes);
            let request = AskRequest {
                instance_id: name_of(&chosen),
                query,
            };
            let send = async move |request| client.ask(request).await;
            call(&chosen, tenant, LONGEST, request, send).await
        };
        match asked.await {
            Ok(AskResponse { outcome }) => read_outcome(outcome),
            Err(error) => {
                if error.unavailable {
                    failed.push(chosen.id.clone());
                }
                Err(error.status)
            }
        }
    }

    async fn decode(&self, answer: Bytes) -> Result<Answer, Status> {
        match answer.len() {
            0..=SMALL => decode_answer(answer),
            _ => self.offload.run(move || decode_answer(answer)).await?,
        }
    }
}

impl Querier for Schedulers {
    fn ask(&self, tenant: TenantId, query: Query) -> Reply<'_> {
        async move { self.answer(&tenant, query).await }.boxed()
    }
}
