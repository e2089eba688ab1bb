//! What the operator remembers of autoscaling between two passes. All of it can be lost: what must not be is in the
//! resource's status.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use phlare_operator_api::AutoscalingStatus;

use crate::conditions::Autoscaled;
use crate::demand::Demand;
use crate::metrics::Metrics;

/// Loads of so long are one: its peak. Between two moments in which somebody asks there may have been none.
const SMOOTH: Duration = Duration::from_secs(30);
/// After so long without a pass a resource is gone, or nobody's any more.
const FORGET: Duration = Duration::from_secs(1800);

/// What is remembered, and who is asked.
#[derive(Debug)]
pub struct Autoscaler {
    /// Query-schedulers.
    pub demand: Demand,
    known: Mutex<HashMap<String, Known>>,
}

/// What is known of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Whose it is, as metrics name it.
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Which of its generations.
    pub(crate) generation: Option<i64>,
    /// When query-schedulers were asked.
    pub(crate) asked: Instant,
    /// When something was decided by a known load.
    pub(crate) decided: Option<Timestamp>,
    /// Loads, the newest last.
    pub(crate) loads: VecDeque<(Instant, u64)>,
    /// What is said of it until the next time.
    pub(crate) said: Autoscaled,
}

impl Known {
    /// Nothing is known of a resource but what its status says.
    pub(crate) fn new(namespace: &str, name: &str, now: Instant, state: AutoscalingStatus) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            generation: None,
            asked: now,
            decided: None,
            loads: VecDeque::new(),
            said: Autoscaled {
                state: Some(state),
                ..Autoscaled::default()
            },
        }
    }

    /// The peak of the loads lately, with this one.
    pub(crate) fn peak(&mut self, now: Instant, load: u64) -> u64 {
        self.loads.push_back((now, load));
        self.loads
            .retain(|(at, _)| now.duration_since(*at) < SMOOTH);
        let peak = self.loads.iter().map(|(_, load)| *load).max();
        peak.unwrap_or(load)
    }
}

impl Autoscaler {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(demand: Demand) -> Self {
        Self {
            demand,
            known: Mutex::default(),
        }
    }

    /// What is known of a resource, by its identity.
    pub(crate) fn known(&self, uid: &str) -> Option<Known> {
        self.known.lock().get(uid).cloned()
    }

    /// Remembers.
    pub(crate) fn learn(&self, uid: &str, known: Known, metrics: &Metrics) {
        let now = known.asked;
        let mut all = self.known.lock();
        all.insert(uid.to_owned(), known);
        all.retain(|_, known| {
            let stays = now.duration_since(known.asked) < FORGET;
            if !stays {
                metrics.forget(&known.namespace, &known.name);
            }
            stays
        });
    }

    /// Forgets: the number is not the operator's any more.
    pub(crate) fn forget(&self, uid: &str, metrics: &Metrics) {
        if let Some(known) = self.known.lock().remove(uid) {
            metrics.forget(&known.namespace, &known.name);
        }
    }
}
