//! Figures of the compactor. Names: components.md 9.

use std::sync::Arc;

use parking_lot::Mutex;
use phlare_model::TenantId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Levels that have a label of their own in the count of blocks of a tenant.
const LEVELS: u32 = 6;

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
    blocks: Family<OfLevel, Gauge>,
    leaving: Family<OfTenant, Gauge>,
    partials: Family<OfTenant, Gauge>,
    index_s: Family<OfTenant, Gauge>,
    /// Levels that a tenant has a figure for.
    levels: Arc<Mutex<std::collections::BTreeMap<TenantId, Vec<u32>>>>,
}

/// Why a block was marked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTenant {
    user: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLevel {
    user: String,
    compaction_level: u32,
}

/// Blocks of a tenant.
#[derive(Clone, Debug, Default)]
pub(crate) struct TenantFigures {
    /// Level of each complete block.
    pub(crate) levels: Vec<u32>,
    pub(crate) leaving: usize,
    pub(crate) partial: usize,
    /// When the index was written, in seconds since the epoch.
    pub(crate) index_s: i64,
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
            blocks: Family::default(),
            leaving: Family::default(),
            partials: Family::default(),
            index_s: Family::default(),
            levels: Arc::default(),
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
        registry.register(
            "pyroscope_bucket_blocks_count",
            "Blocks of a tenant in the bucket",
            self.blocks.clone(),
        );
        let families = [
            (
                "pyroscope_bucket_blocks_marked_for_deletion_count",
                "Blocks of a tenant that are to be deleted",
                &self.leaving,
            ),
            (
                "pyroscope_bucket_blocks_partials_count",
                "Directories of a tenant's blocks without meta.json",
                &self.partials,
            ),
            (
                "pyroscope_bucket_index_last_successful_update_timestamp_seconds",
                "When the index of a tenant's blocks was written",
                &self.index_s,
            ),
        ];
        for (name, help, family) in families {
            registry.register(name, help, family.clone());
        }
    }

    pub(crate) fn set_tenant(&self, tenant: &TenantId, figures: &TenantFigures) {
        let mut counts = std::collections::BTreeMap::<u32, i64>::new();
        for level in &figures.levels {
            *counts.entry((*level).min(LEVELS)).or_default() += 1;
        }
        let mut known = self.levels.lock();
        let levels = known.entry(tenant.clone()).or_default();
        for level in levels.iter().filter(|level| !counts.contains_key(*level)) {
            self.blocks.remove(&of_level(tenant, *level));
        }
        *levels = counts.keys().copied().collect();
        for (level, count) in counts {
            self.blocks
                .get_or_create(&of_level(tenant, level))
                .set(count);
        }
        let label = of_tenant(tenant);
        self.leaving
            .get_or_create(&label)
            .set(figures.leaving as i64);
        self.partials
            .get_or_create(&label)
            .set(figures.partial as i64);
        self.index_s.get_or_create(&label).set(figures.index_s);
    }

    /// Forgets the tenants that are not among these.
    pub(crate) fn retain_tenants(&self, tenants: &[TenantId]) {
        self.levels.lock().retain(|tenant, levels| {
            let stays = tenants.contains(tenant);
            if !stays {
                for level in levels {
                    self.blocks.remove(&of_level(tenant, *level));
                }
                for family in [&self.leaving, &self.partials, &self.index_s] {
                    family.remove(&of_tenant(tenant));
                }
            }
            stays
        });
    }
}

fn of_tenant(tenant: &TenantId) -> OfTenant {
    OfTenant {
        user: tenant.to_string(),
    }
}

fn of_level(tenant: &TenantId, compaction_level: u32) -> OfLevel {
    OfLevel {
        user: tenant.to_string(),
        compaction_level,
    }
}
