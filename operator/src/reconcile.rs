//! One pass over one resource: look, decide, write what is missing, say how it is.
//!
//! No pass relies on an earlier one: what was done is read from the objects, so an operator that is killed between any two
//! requests goes on where it was.

mod autoscale;
mod course;
mod health;
mod lost;
mod mode;
mod monitoring;
mod pass;
mod refused;
mod status;
mod views;
mod volumes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use phlare_operator_api::PhlareCluster;
use tracing::warn;

use crate::apply::Error;
use crate::context::Context;
use crate::metrics::Outcome;

/// How often a resource is looked at when nothing happens: watches can miss something.
const CALM: Duration = Duration::from_secs(300);
/// How often while a kind is missing that nobody announces.
const WAITING: Duration = Duration::from_secs(30);
/// How often while something is going on.
const BUSY: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(120);

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// There is nothing to do until something changes.
    Calm,
    /// The definition of a kind is waited for.
    Waiting,
    /// There is nothing to do until something changes, or so much time has passed.
    Within(Duration),
    /// Something is going on that nobody announces.
    Busy,
    /// There is more to do.
    AtOnce,
}

/// Reconciles, and knows how often it failed.
#[derive(Debug)]
pub struct Reconciler {
    context: Context,
    failures: Mutex<HashMap<ObjectRef<PhlareCluster>, u32>>,
}

impl Reconciler {
    /// Nothing failed yet.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self {
            context,
            failures: Mutex::default(),
        }
    }

    /// One pass.
    ///
    /// # Errors
    /// The API server does not answer or refuses.
    pub async fn reconcile(cluster: Arc<PhlareCluster>, this: Arc<Self>) -> Result<Action, Error> {
        let metrics = &this.context.metrics;
        metrics.begin();
        let begun = Instant::now();
        let passed = pass::run(&this.context, &cluster).await;
        let outcome = if passed.is_ok() {
            Outcome::Success
        } else {
            Outcome::Error
        };
        metrics.end(outcome, begun.elapsed());
        let pace = passed?;
        this.failures.lock().remove(&ObjectRef::from_obj(&*cluster));
        Ok(match pace {
            Pace::Calm => Action::requeue(spread(CALM, &cluster)),
            Pace::Waiting => Action::requeue(spread(WAITING, &cluster)),
            Pace::Within(period) => Action::requeue(period),
            Pace::Busy => Action::requeue(BUSY),
            Pace::AtOnce => Action::requeue(Duration::ZERO),
        })
    }

    /// When a pass that failed is tried again: each time twice as late.
    pub fn retry(cluster: Arc<PhlareCluster>, error: &Error, this: Arc<Self>) -> Action {
        let mut failures = this.failures.lock();
        let count = failures.entry(ObjectRef::from_obj(&*cluster)).or_default();
        let delay = (FIRST_RETRY * 2_u32.saturating_pow(*count)).min(LAST_RETRY);
        *count = (*count + 1).min(16);
        warn!(
            namespace = cluster.namespace(),
            name = cluster.name_any(),
            error = error as &dyn std::error::Error,
            retry_in = ?delay,
            "reconcile failed"
        );
        Action::requeue(delay)
    }
}

/// A fifth more or less, by the resource's name: a hundred resources are not looked at in the same second.
fn spread(period: Duration, cluster: &PhlareCluster) -> Duration {
    let name = cluster.uid().unwrap_or_default();
    let place = xxhash_rust::xxh3::xxh3_64(name.as_bytes()) % 400;
    period * 8 / 10 + period / 1000 * u32::try_from(place).unwrap_or_default()
}
