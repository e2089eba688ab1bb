//! Figures about what comes in. Upstream's names where the meaning is the same (components.md 14.1).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use phlare_model::TenantId;
use phlare_pprof::normalized::Dropped;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

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
struct ReceivedLabels {
    r#type: &'static str,
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiscardLabels {
    reason: &'static str,
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabels {
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

type Histograms = Family<ReceivedLabels, Histogram, fn() -> Histogram>;

/// The figures of the distributor. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    compressed: Histograms,
    decompressed: Histograms,
    samples: Histograms,
    samples_bytes: Histograms,
    symbols_bytes: Histograms,
    discarded_samples: Family<DiscardLabels, Counter>,
    discarded_bytes: Family<DiscardLabels, Counter>,
    sanitized: Family<TenantLabels, Counter>,
    repairs: Family<ReasonLabels, Counter>,
    /// The histograms of a tenant and a kind, found without building labels.
    received: Arc<RwLock<HashMap<(TenantId, &'static str), Received>>>,
}

/// The histograms of one tenant and one kind of profile.
#[derive(Clone, Debug)]
struct Received {
    compressed: Histogram,
    decompressed: Histogram,
    samples: Histogram,
    samples_bytes: Histogram,
    symbols_bytes: Histogram,
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

fn counts() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 4.0, 10))
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Makes the figures and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            compressed: Family::new_with_constructor(sizes),
            decompressed: Family::new_with_constructor(sizes),
            samples: Family::new_with_constructor(counts),
            samples_bytes: Family::new_with_constructor(sizes),
            symbols_bytes: Family::new_with_constructor(sizes),
            discarded_samples: Family::default(),
            discarded_bytes: Family::default(),
            sanitized: Family::default(),
            repairs: Family::default(),
            received: Arc::default(),
        };
        let m = metrics.clone();
        let mut histogram = |name: &str, help: &str, family| registry.register(name, help, family);
        let help = "Size in bytes of profiles as they came";
        histogram(
            "pyroscope_distributor_received_compressed_bytes",
            help,
            m.compressed,
        );
        let help = "Size in bytes of profiles, uncompressed";
        histogram(
            "pyroscope_distributor_received_decompressed_bytes",
            help,
            m.decompressed,
        );
        histogram(
            "pyroscope_distributor_received_samples",
            "Samples of profiles",
            m.samples,
        );
        let help = "Size in bytes of all samples of a profile";
        histogram(
            "pyroscope_distributor_received_samples_bytes",
            help,
            m.samples_bytes,
        );
        let help = "Size in bytes of all symbols of a profile";
        histogram(
            "pyroscope_distributor_received_symbols_bytes",
            help,
            m.symbols_bytes,
        );
        registry.register(
            "pyroscope_discarded_samples",
            "Profiles that were not stored, by reason",
            m.discarded_samples,
        );
        registry.register(
            "pyroscope_discarded_bytes",
            "Bytes of profiles that were not stored",
            m.discarded_bytes,
        );
        registry.register(
            "pyroscope_sanitized_label_names",
            "Label names with rewritten characters",
            m.sanitized,
        );
        let help = "Values, samples and strings of stored profiles that were left out or changed, by reason";
        registry.register("phlare_distributor_repairs", help, m.repairs);
        metrics
    }

    pub(crate) fn received(&self, tenant: &TenantId, name: &str, sizes: &Sizes) {
        let kind = KINDS
            .into_iter()
            .find(|kind| *kind == name)
            .unwrap_or("other");
        let key = (tenant.clone(), kind);
        let known = self.received.read().get(&key).cloned();
        let received = known.unwrap_or_else(|| {
            let labels = ReceivedLabels {
                r#type: kind,
                tenant: tenant.to_string(),
            };
            let received = Received {
                compressed: self.compressed.get_or_create_owned(&labels),
                decompressed: self.decompressed.get_or_create_owned(&labels),
                samples: self.samples.get_or_create_owned(&labels),
                samples_bytes: self.samples_bytes.get_or_create_owned(&labels),
                symbols_bytes: self.symbols_bytes.get_or_create_owned(&labels),
            };
            self.received.write().insert(key, received.clone());
            received
        });
        received.compressed.observe(sizes.compressed as f64);
        received.decompressed.observe(sizes.decompressed as f64);
        received.samples.observe(sizes.samples as f64);
        received.samples_bytes.observe(sizes.samples_bytes as f64);
        received
            .symbols_bytes
            .observe(sizes.decompressed.saturating_sub(sizes.samples_bytes) as f64);
    }

    pub(crate) fn discarded(&self, tenant: &TenantId, reason: &'static str, bytes: usize) {
        let labels = DiscardLabels {
            reason,
            tenant: tenant.to_string(),
        };
        self.discarded_samples.get_or_create(&labels).inc();
        self.discarded_bytes
            .get_or_create(&labels)
            .inc_by(bytes as u64);
    }

    pub(crate) fn sanitized(&self, tenant: &TenantId, names: u64) {
        if names > 0 {
            self.sanitized
                .get_or_create(&TenantLabels {
                    tenant: tenant.to_string(),
                })
                .inc_by(names);
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
