//! What every reconcile needs.

use std::sync::Arc;

use kube::Client;
use kube::runtime::events::Recorder;

use crate::autoscaler::Autoscaler;
use crate::drain::Drain;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// What every reconcile needs.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The operator's settings.
    pub settings: Settings,
    /// Ingesters.
    pub drain: Drain,
    /// How pods are.
    pub health: Arc<Health>,
    /// What is remembered of autoscaling.
    pub autoscaler: Arc<Autoscaler>,
    /// Events.
    pub recorder: Recorder,
    /// Figures.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
