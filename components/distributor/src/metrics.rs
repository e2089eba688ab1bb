//! Figures about what comes in. Upstream's names where the meaning is the same (components.md 14.1).

mod tenants;

use std::fmt;
use std::sync::Arc;

use phlare_model::{Clock, TenantId};
use phlare_pprof::normalized::Dropped;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use tenants::OfTenants;

/// Names of profiles that have figures of their own; all others are `other`, so that clients cannot
/// make series of metrics without end.
const KINDS: [&str; 10] = [
    "process_cpu",
    "memory",
    "goroutine",
    "goroutines",
    "mutex",
    "block",
    "wall",
    "exceptions",
    "off_cpu",
    "threadcreate",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// The figures of the distributor. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    of_tenants: OfTenants,
    sizes: Family<KindLabels, Histogram, fn() -> Histogram>,
    repairs: Family<ReasonLabels, Counter>,
}

/// Sizes of a profile as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) compressed: usize,
    pub(crate) decompressed: usize,
    pub(crate) samples: usize,
    pub(crate) samples_bytes: usize,
}

fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(256.0, 4.0, 10))
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Makes the figures and registers them. Those of a tenant go when it has been silent, by this clock.
    pub fn register(registry: &mut Registry, clock: Arc<dyn Clock>) -> Self {
        let metrics = Self {
            of_tenants: OfTenants::new(clock),
            sizes: Family::new_with_constructor(sizes),
            repairs: Family::default(),
        };
        registry.register_collector(Box::new(metrics.of_tenants.clone()));
        registry.register(
            "phlare_distributor_profile_bytes",
            "Size in bytes of profiles of all tenants, uncompressed",
            metrics.sizes.clone(),
        );
        let help = "Values, samples and strings of stored profiles that were left out or changed, by reason";
        registry.register("phlare_distributor_repairs", help, metrics.repairs.clone());
        metrics
    }

    pub(crate) fn received(&self, tenant: &TenantId, name: &str, sizes: &Sizes) {
        let kind = KINDS
            .into_iter()
            .find(|kind| *kind == name)
            .unwrap_or("other");
        self.of_tenants.received(tenant, kind, sizes);
        let labels = KindLabels { r#type: kind };
        let histogram = self.sizes.get_or_create(&labels);
        histogram.observe(sizes.decompressed as f64);
    }

    pub(crate) fn discarded(&self, tenant: &TenantId, reason: &'static str, bytes: usize) {
        self.of_tenants.discarded(tenant, reason, bytes);
    }

    pub(crate) fn sanitized(&self, tenant: &TenantId, names: u64) {
        if names > 0 {
            self.of_tenants.sanitized(tenant, names);
        }
    }

    pub(crate) fn repaired(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.repairs
                .get_or_create(&ReasonLabels { reason })
                .inc_by(count);
        }
    }

    /// What normalisation left out or changed.
    pub(crate) fn dropped(&self, dropped: &Dropped) {
        let Dropped {
            negative_values,
            zero_samples,
            broken_samples,
            unknown_mappings,
            repaired_strings,
            folded_samples,
            truncated_stacks,
            truncated_strings,
            invalid_ids,
        } = *dropped;
        self.repaired("negative_value", negative_values);
        self.repaired("zero_sample", zero_samples);
        self.repaired("broken_sample", broken_samples);
        self.repaired("unknown_mapping", unknown_mappings);
        self.repaired("repaired_string", repaired_strings);
        self.repaired("folded_sample", folded_samples);
        self.repaired("truncated_stack", truncated_stacks);
        self.repaired("truncated_string", truncated_strings);
        self.repaired("invalid_id", invalid_ids);
    }
}
