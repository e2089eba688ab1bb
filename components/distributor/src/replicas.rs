//! Several ingesters store each profile: who, and when enough have it.
//!
//! The rows of one set of labels go to the replicas that the ring names for it, whatever their sample type. All are
//! asked at once; the push succeeds when for each set a quorum has it on disk, and the others go on in the background.
//! A replica that cannot be reached is replaced by the next instance of the ring, once.
//!
//! What is acknowledged is on a quorum of the replication factor. What is not may still be stored somewhere: a client
//! that repeats the push stores the same ids again, which queries and the compactor count once.

mod delivery;
mod metrics;
mod plan;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use phlare_model::{Clock, ErrorKind, TenantId};
use phlare_peer::CallError;
use phlare_phlaredb::{Append, Row};
use phlare_pprof::carried;
use phlare_proto::phlare::ingest::v1::{AppendRequest, AppendResponse};
use phlare_ring::{Instance, Operation, Ring};
use phlare_server::Status;
use phlare_tenancy::Overrides;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::replica::{Durable, Ingest, Refused};
use delivery::Delivery;
pub use metrics::ReplicaMetrics;
use plan::Plan;

/// Fast, and a third of the bytes.
const ZSTD_LEVEL: i32 = 1;

/// In-flight bytes are counted in units of this.
const UNIT: usize = 1 << 10;

/// How an ingester is asked to store.
pub trait Ingesters: Send + Sync {
    /// Asks one ingester; the answer comes when the rows are durable there, or are not going to be.
    fn append(
        &self,
        to: Arc<Instance>,
        tenant: TenantId,
        request: AppendRequest,
        within: Duration,
    ) -> BoxFuture<'static, Result<AppendResponse, CallError>>;
}

/// What replication works with.
pub struct ReplicaDependencies {
    /// The ring of ingesters.
    pub ring: watch::Receiver<Ring>,
    /// Reaches them.
    pub ingesters: Arc<dyn Ingesters>,
    /// Size of each tenant's shard.
    pub overrides: Overrides,
    /// Whether an ingester is alive depends on the time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: ReplicaMetrics,
}

impl fmt::Debug for ReplicaDependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaDependencies")
            .finish_non_exhaustive()
    }
}

/// Stores profiles on several ingesters. Cheap to clone.
#[derive(Clone)]
pub struct Replicas(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) dependencies: ReplicaDependencies,
    /// How long an ingester has.
    pub(crate) timeout: Duration,
    limit: usize,
    in_flight: Arc<Semaphore>,
    /// What goes on after the push was answered.
    pub(crate) tasks: TaskTracker,
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl Replicas {
    /// `timeout`: how long an ingester has. `limit`: bytes that may be on their way to ingesters.
    #[must_use]
    pub fn new(timeout: Duration, limit: usize, dependencies: ReplicaDependencies) -> Self {
        let units = (limit / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            dependencies,
            timeout,
            limit: units * UNIT,
            in_flight: Arc::new(Semaphore::new(units)),
            tasks: TaskTracker::new(),
        }))
    }

    /// Bytes on their way now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.limit - self.0.in_flight.available_permits() * UNIT
    }

    /// Waits for what is still on its way to replicas whose push was answered. Bounded by the time that an ingester has.
    pub async fn drained(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Why no profile could be stored now, if so: what a readiness probe should say.
    ///
    /// # Errors
    /// Too few ingesters are alive for a quorum.
    pub fn check_ready(&self) -> Result<(), String> {
        let Shared { dependencies, .. } = &*self.0;
        let ring = dependencies.ring.borrow().clone();
        let healthy = ring.healthy(Operation::WRITE, dependencies.clock.now_ms());
        let needed = ring.settings().replication_factor / 2 + 1;
        match healthy >= needed {
            true => Ok(()),
            false => Err(format!(
                "{healthy} ingesters can take profiles, {needed} are needed; see /ring"
            )),
        }
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refused> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permits = Arc::clone(&self.0.in_flight).try_acquire_many_owned(units);
        permits.map_err(|_| {
            self.0.dependencies.metrics.overloaded.inc();
            let message = format!(
                "{} bytes of profiles are on their way to ingesters, and {bytes} more would exceed \
                 `-distributor.max-inflight-bytes`, {}: ingesters are slow, or too few",
                self.in_flight(),
                self.0.limit
            );
            Refused {
                status: Status::new(ErrorKind::Unavailable, message)
                    .with_retry_after(Duration::from_secs(1)),
                reason: "unknown",
            }
        })
    }
}

impl Ingest for Replicas {
    fn append(&self, tenant: &TenantId, append: &Append<'_>) -> Result<Durable, Refused> {
        let Shared { dependencies, .. } = &*self.0;
        let now_ms = dependencies.clock.now_ms();
        let size = dependencies
            .overrides
            .limits(tenant)
            .ingestion_tenant_shard_size;
        let ring = dependencies.ring.borrow().clone();
        let shard = ring.shuffle_shard(tenant, size);
        let plan = Plan::new(&shard, tenant, append.rows, now_ms).map_err(|error| Refused {
            status: error.into(),
            reason: "unknown",
        })?;
        let profile = compressed(&carried::encode(append.profile)).map_err(|error| Refused {
            status: Status::new(ErrorKind::Internal, format!("compress a profile: {error}")),
            reason: "unknown",
        })?;
        let permit = self.reserve(profile.len() * plan.targets.len())?;
        let delivery = Delivery {
            shared: Arc::clone(&self.0),
            tenant: tenant.clone(),
            ring,
            plan,
            profile,
            rows: append.rows.iter().map(Row::to_wire).collect(),
            _permit: permit,
        };
        Ok(Box::pin(Arc::new(delivery).run()))
    }
}

/// A message as it goes over the network. The working memory stays with the thread.
fn compressed(message: &impl Message) -> std::io::Result<Bytes> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> =
            const { RefCell::new(None) };
    }
    let encoded = message.encode_to_vec();
    COMPRESSOR.with_borrow_mut(|compressor| {
        let compressor = match compressor {
            Some(compressor) => compressor,
            None => compressor.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        Ok(compressor.compress(&encoded)?.into())
    })
}

#[cfg(test)]
mod tests;
