//! Figures of the compactor. Names: components.md 9.

mod tenants;

use phlare_model::TenantId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use tenants::OfTenants;
pub(crate) use tenants::TenantFigures;

/// Counters and gauges.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) runs_started: Counter,
    pub(crate) runs_completed: Counter,
    pub(crate) runs_failed: Counter,
    pub(crate) last_run_s: Gauge,
    pub(crate) tenants_discovered: Gauge,
    pub(crate) tenants_skipped: Gauge,
    pub(crate) tenants_succeeded: Gauge,
    pub(crate) tenants_failed: Gauge,
    pub(crate) jobs_started: Counter,
    pub(crate) jobs_completed: Counter,
    pub(crate) jobs_failed: Counter,
    pub(crate) job_seconds: Histogram,
    pub(crate) input_bytes: Counter,
    pub(crate) input_blocks: Counter,
    pub(crate) output_blocks: Counter,
    pub(crate) marked: Family<Reason, Counter>,
    pub(crate) no_compact: Family<Reason, Counter>,
    pub(crate) deleted: Counter,
    pub(crate) cleanups_started: Counter,
    pub(crate) cleanups_completed: Counter,
    pub(crate) cleanups_failed: Counter,
    pub(crate) last_cleanup_s: Gauge,
    of_tenants: OfTenants,
}

/// Why a block was marked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            runs_started: Counter::default(),
            runs_completed: Counter::default(),
            runs_failed: Counter::default(),
            last_run_s: Gauge::default(),
            tenants_discovered: Gauge::default(),
            tenants_skipped: Gauge::default(),
            tenants_succeeded: Gauge::default(),
            tenants_failed: Gauge::default(),
            jobs_started: Counter::default(),
            jobs_completed: Counter::default(),
            jobs_failed: Counter::default(),
            job_seconds: Histogram::new([1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0]),
            input_bytes: Counter::default(),
            input_blocks: Counter::default(),
            output_blocks: Counter::default(),
            marked: Family::default(),
            no_compact: Family::default(),
            deleted: Counter::default(),
            cleanups_started: Counter::default(),
            cleanups_completed: Counter::default(),
            cleanups_failed: Counter::default(),
            last_cleanup_s: Gauge::default(),
            of_tenants: OfTenants::default(),
        }
    }
}

impl Metrics {
    /// Makes the figures and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        metrics.register_runs(registry);
        metrics.register_jobs(registry);
        metrics.register_cleaning(registry);
        metrics
    }

    fn register_runs(&self, registry: &mut Registry) {
        let counters = [
            (
                "pyroscope_compactor_runs_started",
                "Runs that began",
                &self.runs_started,
            ),
            (
                "pyroscope_compactor_runs_completed",
                "Runs without a failure",
                &self.runs_completed,
            ),
            (
                "pyroscope_compactor_runs_failed",
                "Runs in which something failed",
                &self.runs_failed,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            (
                "pyroscope_compactor_last_successful_run_timestamp_seconds",
                "When a run last ended without a failure",
                &self.last_run_s,
            ),
            (
                "pyroscope_compactor_tenants_discovered",
                "Tenants found in the last run",
                &self.tenants_discovered,
            ),
            (
                "pyroscope_compactor_tenants_skipped",
                "Tenants left out of the last run",
                &self.tenants_skipped,
            ),
            (
                "pyroscope_compactor_tenants_processing_succeeded",
                "Tenants without a failure in the last run",
                &self.tenants_succeeded,
            ),
            (
                "pyroscope_compactor_tenants_processing_failed",
                "Tenants with a failure in the last run",
                &self.tenants_failed,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
    }

    fn register_jobs(&self, registry: &mut Registry) {
        let counters = [
            (
                "pyroscope_compactor_group_compaction_runs_started",
                "Jobs that began",
                &self.jobs_started,
            ),
            (
                "pyroscope_compactor_group_compaction_runs_completed",
                "Jobs whose blocks are in the bucket",
                &self.jobs_completed,
            ),
            (
                "pyroscope_compactor_group_compactions_failures",
                "Jobs that failed; they are tried again",
                &self.jobs_failed,
            ),
            (
                "phlare_compactor_input_bytes",
                "Bytes of blocks that were merged",
                &self.input_bytes,
            ),
            (
                "phlare_compactor_input_blocks",
                "Blocks that were merged",
                &self.input_blocks,
            ),
            (
                "phlare_compactor_output_blocks",
                "Blocks that were made",
                &self.output_blocks,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "pyroscope_compaction_duration_seconds",
            "Time of a job, with transfers",
            self.job_seconds.clone(),
        );
        registry.register(
            "pyroscope_compactor_blocks_marked_for_no_compaction",
            "Blocks that are left out from now on",
            self.no_compact.clone(),
        );
    }

    fn register_cleaning(&self, registry: &mut Registry) {
        registry.register(
            "pyroscope_compactor_blocks_marked_for_deletion",
            "Blocks that are to be deleted",
            self.marked.clone(),
        );
        let counters = [
            (
                "pyroscope_compactor_blocks_cleaned",
                "Blocks that were deleted",
                &self.deleted,
            ),
            (
                "pyroscope_compactor_block_cleanup_started",
                "Rounds of cleaning that began",
                &self.cleanups_started,
            ),
            (
                "pyroscope_compactor_block_cleanup_completed",
                "Rounds of cleaning without a failure",
                &self.cleanups_completed,
            ),
            (
                "pyroscope_compactor_block_cleanup_failed",
                "Rounds of cleaning in which something failed",
                &self.cleanups_failed,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "pyroscope_compactor_block_cleanup_last_successful_run_timestamp_seconds",
            "When a round of cleaning last ended without a failure",
            self.last_cleanup_s.clone(),
        );
        registry.register_collector(Box::new(self.of_tenants.clone()));
    }

    pub(crate) fn set_tenant(&self, tenant: &TenantId, figures: &TenantFigures) {
        self.of_tenants.set(tenant, figures);
    }

    /// Forgets the tenants that are not among these.
    pub(crate) fn retain_tenants(&self, tenants: &[TenantId]) {
        self.of_tenants.retain(tenants);
    }
}
