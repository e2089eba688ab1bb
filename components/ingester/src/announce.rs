//! Tells store-gateways of uploads, which they would find out only when they list the bucket.
//!
//! Best effort: a notice is repeated until every store-gateway that is alive has heard it, or until they must have listed
//! the bucket themselves. All of them hear it, because any of them may be asked which blocks there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use phlare_block::Meta;
use phlare_model::{Clock, ErrorKind, TenantId};
use phlare_peer::{CallError, Peers, call};
use phlare_phlaredb::Uploads;
use phlare_proto::phlare::store::v1::uploads_service_client::UploadsServiceClient;
use phlare_proto::phlare::store::v1::{UploadedBlock, UploadedRequest};
use phlare_ring::{Instance, InstanceId, Ring};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);
/// How often is looked for store-gateways that have not heard.
const TICK: Duration = Duration::from_millis(500);
/// A notice is told for at least so long to store-gateways that only now appear in the ring: they may have listed the
/// bucket before the upload.
const KEEP_MS: i64 = 60_000;
/// Pauses after calls that failed: from the first to the longest.
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 30_000;
/// Notices of one call.
const BATCH: usize = 64;
/// Most notices that wait; of more the oldest are given up.
const MAX_NOTICES: usize = 4096;

/// Figures of notices.
#[derive(Clone, Debug, Default)]
pub struct AnnouncerMetrics {
    told: Counter,
    failures: Counter,
    given_up: Counter,
    pending: Gauge,
}

impl AnnouncerMetrics {
    /// Makes them and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for (name, help, counter) in [
            (
                "phlare_ingester_upload_notices",
                "Uploads that a store-gateway was told of",
                &metrics.told,
            ),
            (
                "phlare_ingester_upload_notice_failures",
                "Calls that were to tell a store-gateway and failed; they are repeated",
                &metrics.failures,
            ),
            (
                "phlare_ingester_upload_notices_given_up",
                "Uploads that some store-gateways learn of only when they list the bucket",
                &metrics.given_up,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "phlare_ingester_upload_notices_pending",
            "Uploads that some store-gateways have not heard of",
            metrics.pending.clone(),
        );
        metrics
    }
}

/// Tells store-gateways of uploads.
#[derive(Debug)]
pub struct Announcer {
    ring: watch::Receiver<Ring>,
    gateways: Peers,
    clock: Arc<dyn Clock>,
    metrics: AnnouncerMetrics,
    notices: Mutex<Notices>,
    news: Notify,
}

impl Announcer {
    /// `ring` and `gateways`: those of store-gateways. They list the bucket by themselves every `listed_every`.
    #[must_use]
    pub fn new(
        ring: watch::Receiver<Ring>,
        gateways: Peers,
        clock: Arc<dyn Clock>,
        listed_every: Duration,
        metrics: AnnouncerMetrics,
    ) -> Self {
        let listed_ms = i64::try_from(listed_every.as_millis()).unwrap_or(i64::MAX);
        Self {
            ring,
            gateways,
            clock,
            metrics,
            notices: Mutex::new(Notices::new(listed_ms)),
            news: Notify::new(),
        }
    }

    /// Tells until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        loop {
            let waiting = tokio::select! {
                () = shutdown.cancelled() => return,
                waiting = self.tell() => waiting,
            };
            let pause = async {
                match waiting {
                    true => tokio::time::sleep(TICK).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.news.notified() => {}
                () = pause => {}
            }
        }
    }

    /// Tells what is left, for as long as `limit`: the last that an ingester does.
    pub async fn finish(&self, limit: Duration) {
        let telling = async {
            while self.tell().await && self.pending() > 0 {
                tokio::time::sleep(TICK).await;
            }
        };
        if tokio::time::timeout(limit, telling).await.is_err() {
            let notices = self.pending();
            warn!(
                notices,
                "store-gateways not told of uploads in time, they learn of them when they list the bucket"
            );
        }
    }

    /// One round of calls. Whether there is anything left to tell, now or to who may come.
    async fn tell(&self) -> bool {
        let now_ms = self.clock.now_ms();
        let ring = self.ring.borrow().clone();
        let calls = {
            let mut notices = self.notices.lock();
            let given_up = notices.expire(&ring, now_ms);
            self.metrics.given_up.inc_by(given_up as u64);
            notices.due(&ring, now_ms)
        };
        join_all(calls.iter().map(|call| self.call(call))).await;
        let notices = self.notices.lock();
        let pending = notices.pending(&ring, now_ms);
        self.metrics
            .pending
            .set(i64::try_from(pending).unwrap_or(i64::MAX));
        !notices.waiting.is_empty()
    }

    async fn call(&self, due: &Call) {
        let outcome = self.send(due).await;
        let now_ms = self.clock.now_ms();
        let id = &due.instance.id;
        match outcome {
            Ok(()) => {
                self.metrics.told.inc_by(due.numbers.len() as u64);
                self.notices.lock().told(due);
            }
            // Of an older version: it lists the bucket, and that is all it can do.
            Err(error) if error.status.kind == ErrorKind::Unimplemented => {
                self.notices.lock().told(due);
            }
            Err(error) => {
                self.metrics.failures.inc();
                debug!(instance = %id, error = error.status.message, "not told of uploads, tried again");
                self.notices.lock().failed(id, now_ms);
            }
        }
    }

    async fn send(&self, due: &Call) -> Result<(), CallError> {
        let mut client = UploadsServiceClient::new(self.gateways.channel(&due.instance)?);
        let request = UploadedRequest {
            instance_id: due.instance.id.to_string(),
            blocks: due.blocks.clone(),
        };
        let send = async move |request| client.uploaded(request).await;
        call(&due.instance, &due.tenant, CALL, request, send).await?;
        Ok(())
    }
}

impl Uploads for Announcer {
    fn uploaded(&self, tenant: &TenantId, meta: Meta) {
        let dropped = self.notices.lock().add(tenant, &meta, self.clock.now_ms());
        self.metrics.given_up.inc_by(dropped as u64);
        self.news.notify_one();
    }

    fn pending(&self) -> usize {
        let ring = self.ring.borrow().clone();
        self.notices.lock().pending(&ring, self.clock.now_ms())
    }
}

/// One store-gateway, and what it is told.
#[derive(Clone, Debug)]
struct Call {
    instance: Arc<Instance>,
    tenant: TenantId,
    numbers: Vec<u64>,
    blocks: Vec<UploadedBlock>,
}

#[derive(Debug)]
struct Notice {
    tenant: TenantId,
    block: UploadedBlock,
    since_ms: i64,
    told: BTreeSet<InstanceId>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    length_ms: i64,
    until_ms: i64,
}

/// Who has heard what. Pure: told the ring and the time.
#[derive(Debug)]
struct Notices {
    /// After this, store-gateways have listed the bucket.
    give_up_ms: i64,
    next: u64,
    waiting: BTreeMap<u64, Notice>,
    /// Those to whom a call failed.
    pauses: HashMap<InstanceId, Pause>,
}

impl Notices {
    fn new(listed_ms: i64) -> Self {
        Self {
            give_up_ms: listed_ms.saturating_add(KEEP_MS),
            next: 0,
            waiting: BTreeMap::new(),
            pauses: HashMap::new(),
        }
    }

    /// Returns how many were dropped for it.
    fn add(&mut self, tenant: &TenantId, meta: &Meta, now_ms: i64) -> usize {
        let notice = Notice {
            tenant: tenant.clone(),
            block: UploadedBlock {
                meta_json: meta.to_json(),
            },
            since_ms: now_ms,
            told: BTreeSet::new(),
        };
        self.waiting.insert(self.next, notice);
        self.next += 1;
        let too_many = self.waiting.len().saturating_sub(MAX_NOTICES);
        for _ in 0..too_many {
            self.waiting.pop_first();
        }
        too_many
    }

    /// Calls to be made now: one at most to each store-gateway for each tenant.
    fn due(&self, ring: &Ring, now_ms: i64) -> Vec<Call> {
        let mut calls = Vec::new();
        for instance in alive(ring, now_ms) {
            let pause = self.pauses.get(&instance.id);
            if pause.is_some_and(|pause| now_ms < pause.until_ms) {
                continue;
            }
            let mut of_tenants: BTreeMap<&TenantId, Call> = BTreeMap::new();
            for (number, notice) in &self.waiting {
                if notice.told.contains(&instance.id) {
                    continue;
                }
                let call = of_tenants.entry(&notice.tenant).or_insert_with(|| Call {
                    instance: Arc::clone(instance),
                    tenant: notice.tenant.clone(),
                    numbers: Vec::new(),
                    blocks: Vec::new(),
                });
                if call.numbers.len() < BATCH {
                    call.numbers.push(*number);
                    call.blocks.push(notice.block.clone());
                }
            }
            calls.extend(of_tenants.into_values());
        }
        calls
    }

    fn told(&mut self, call: &Call) {
        self.pauses.remove(&call.instance.id);
        for number in &call.numbers {
            if let Some(notice) = self.waiting.get_mut(number) {
                notice.told.insert(call.instance.id.clone());
            }
        }
    }

    fn failed(&mut self, id: &InstanceId, now_ms: i64) {
        let before = self.pauses.get(id).map_or(0, |pause| pause.length_ms);
        let length_ms = (before * 2).clamp(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        let pause = Pause {
            length_ms,
            until_ms: now_ms.saturating_add(length_ms),
        };
        self.pauses.insert(id.clone(), pause);
    }

    /// Forgets what everybody has heard or found out. Returns how many notices some have not heard.
    fn expire(&mut self, ring: &Ring, now_ms: i64) -> usize {
        self.pauses.retain(|id, _| ring.instance(id).is_some());
        let (mut given_up, limit_ms) = (0, self.give_up_ms);
        self.waiting.retain(|_, notice| {
            let age_ms = now_ms.saturating_sub(notice.since_ms);
            let heard = heard_by_all(notice, ring, now_ms);
            let late = age_ms >= limit_ms;
            given_up += usize::from(late && !heard);
            let done = heard && age_ms >= KEEP_MS;
            !late && !done
        });
        given_up
    }

    fn pending(&self, ring: &Ring, now_ms: i64) -> usize {
        let notices = self.waiting.values();
        notices
            .filter(|notice| !heard_by_all(notice, ring, now_ms))
            .count()
    }
}

fn alive(ring: &Ring, now_ms: i64) -> impl Iterator<Item = &Arc<Instance>> {
    let instances = ring.instances().iter();
    instances.filter(move |instance| ring.is_alive(instance, now_ms))
}

fn heard_by_all(notice: &Notice, ring: &Ring, now_ms: i64) -> bool {
    alive(ring, now_ms).all(|instance| notice.told.contains(&instance.id))
}

#[cfg(test)]
mod tests {
    use phlare_ring::{Heartbeat, RingSettings, State, Tokens};

    use super::*;

    const META: &str =
        r#"{"ulid":"01HD3X85G9BGAG4S3TKPNMFG4Z","minTime":1,"maxTime":2,"version":3}"#;

    fn ring(members: &[(&str, i64)]) -> Ring {
        let member = |(id, heard_ms): &(&str, i64)| {
            Arc::new(Instance {
                id: (*id).into(),
                addr: String::new(),
                zone: "".into(),
                state: State::Active,
                tokens: Tokens::default(),
                registered_ms: 0,
                fresh: false,
                read_only: false,
                read_only_changed_ms: 0,
                heartbeat: Heartbeat::at_ms(*heard_ms),
            })
        };
        Ring::new(
            Arc::new(RingSettings::default()),
            members.iter().map(member),
        )
    }

    fn notices(count: usize) -> Notices {
        let mut notices = Notices::new(900_000);
        let meta = Meta::parse(META.as_bytes(), "meta.json").unwrap();
        for number in 0..count {
            let tenant = TenantId::parse(&(number % 2).to_string()).unwrap();
            notices.add(&tenant, &meta, 0);
        }
        notices
    }

    #[test]
    fn all_who_are_alive_are_told_once() {
        let mut notices = notices(3);
        let ring = ring(&[("a", 0), ("b", 0), ("dead", -10_000_000)]);
        let calls = notices.due(&ring, 1);
        let mut told: Vec<_> = calls
            .iter()
            .map(|call| {
                (
                    call.instance.id.to_string(),
                    call.tenant.to_string(),
                    call.numbers.clone(),
                )
            })
            .collect();
        told.sort();
        let expected = ["a", "b"].map(|id| {
            [
                (id.to_owned(), "0".to_owned(), vec![0, 2]),
                (id.to_owned(), "1".to_owned(), vec![1]),
            ]
        });
        assert_eq!(told, expected.concat());
        assert_eq!(notices.pending(&ring, 1), 3);
        for call in &calls {
            notices.told(call);
        }
        assert_eq!(notices.pending(&ring, 1), 0);
        assert!(notices.due(&ring, 1).is_empty());
    }

    #[test]
    fn who_appears_later_is_told_for_a_while() {
        let mut notices = notices(1);
        let before = ring(&[("a", 0)]);
        for call in notices.due(&before, 1) {
            notices.told(&call);
        }
        let after = ring(&[("a", 30_000), ("b", 30_000)]);
        assert_eq!(notices.expire(&before, 30_000), 0);
        assert_eq!(notices.pending(&after, 30_000), 1);
        assert_eq!(notices.due(&after, 30_000).len(), 1);
        assert_eq!(notices.expire(&before, KEEP_MS), 0);
        assert!(notices.waiting.is_empty());
    }

    #[test]
    fn who_cannot_be_reached_is_asked_less_often_and_given_up() {
        let mut notices = notices(2);
        let mut now_ms = 0;
        let mut calls = 0;
        loop {
            let ring = ring(&[("a", now_ms)]);
            if notices.expire(&ring, now_ms) > 0 {
                break;
            }
            for call in notices.due(&ring, now_ms) {
                calls += 1;
                notices.failed(&call.instance.id, now_ms);
            }
            now_ms += 500;
        }
        assert_eq!(now_ms, 960_000);
        assert!((30..100).contains(&calls), "{calls}");
        assert!(notices.waiting.is_empty());
    }

    #[test]
    fn notices_are_bounded() {
        let mut notices = notices(MAX_NOTICES);
        let meta = Meta::parse(META.as_bytes(), "meta.json").unwrap();
        assert_eq!(notices.add(&TenantId::anonymous(), &meta, 0), 1);
        assert_eq!(notices.waiting.len(), MAX_NOTICES);
        let ring = ring(&[("a", 0)]);
        let calls = notices.due(&ring, 0);
        assert!(calls.iter().all(|call| call.numbers.len() <= BATCH));
    }
}
