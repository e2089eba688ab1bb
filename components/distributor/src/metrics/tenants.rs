//! Figures that are labelled with tenants.
//!
//! A tenant has series while it pushes: whoever was silent for half an hour has none, and begins again at zero. A limited
//! number of tenants has series of its own at a time, the others share one, so that `/metrics` stays small enough to be
//! scraped. Nothing moves from one series to another, so a rate shows no jump.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::RwLock;
use phlare_model::{Clock, TenantId};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Sizes;

/// For how long a series stays without being used.
const IDLE: std::time::Duration = std::time::Duration::from_secs(30 * 60);

/// Most tenants with a series of their own, for each kind of profile and each reason.
const MOST: usize = 300;

/// Who has none: no tenant can be named so.
const OTHERS: &str = "<others>";

/// What was received: of each figure the sum, all with one count.
const RECEIVED: [(&str, &str); 5] = [
    (
        "pyroscope_distributor_received_compressed_bytes",
        "Size in bytes of profiles as they came",
    ),
    (
        "pyroscope_distributor_received_decompressed_bytes",
        "Size in bytes of profiles, uncompressed",
    ),
    (
        "pyroscope_distributor_received_samples",
        "Samples of profiles",
    ),
    (
        "pyroscope_distributor_received_samples_bytes",
        "Size in bytes of all samples of a profile",
    ),
    (
        "pyroscope_distributor_received_symbols_bytes",
        "Size in bytes of all symbols of a profile",
    ),
];

/// The figures. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct OfTenants(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    received: Places<Received>,
    discarded: Places<Discarded>,
    sanitized: Places<AtomicU64>,
}

#[derive(Debug, Default)]
struct Received {
    profiles: AtomicU64,
    sums: [AtomicU64; 5],
}

#[derive(Debug, Default)]
struct Discarded {
    profiles: AtomicU64,
    bytes: AtomicU64,
}

impl OfTenants {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            clock,
            received: Places::default(),
            discarded: Places::default(),
            sanitized: Places::default(),
        }))
    }

    pub(super) fn received(&self, tenant: &TenantId, kind: &'static str, sizes: &Sizes) {
        let Shared { received, .. } = &*self.0;
        let place = received.of(tenant, kind, self.0.clock.now_ms());
        let symbols = sizes.decompressed.saturating_sub(sizes.samples_bytes);
        let values = [
            sizes.compressed,
            sizes.decompressed,
            sizes.samples,
            sizes.samples_bytes,
            symbols,
        ];
        for (sum, value) in place.value.sums.iter().zip(values) {
            sum.fetch_add(value as u64, Ordering::Relaxed);
        }
        place.value.profiles.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn discarded(&self, tenant: &TenantId, reason: &'static str, bytes: usize) {
        let Shared { discarded, .. } = &*self.0;
        let place = discarded.of(tenant, reason, self.0.clock.now_ms());
        place.value.profiles.fetch_add(1, Ordering::Relaxed);
        place.value.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn sanitized(&self, tenant: &TenantId, names: u64) {
        let Shared { sanitized, .. } = &*self.0;
        let place = sanitized.of(tenant, "", self.0.clock.now_ms());
        place.value.fetch_add(names, Ordering::Relaxed);
    }
}

/// Series by tenant and one more label.
#[derive(Debug)]
struct Places<T>(RwLock<HashMap<Key, Arc<Place<T>>>>);

/// No tenant: all those that have no series of their own.
type Key = (Option<TenantId>, &'static str);

#[derive(Debug)]
struct Place<T> {
    used_ms: AtomicI64,
    value: T,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Default> Places<T> {
    /// Where a tenant is counted.
    fn of(&self, tenant: &TenantId, label: &'static str, now_ms: i64) -> Arc<Place<T>> {
        let key = (Some(tenant.clone()), label);
        let known = self.0.read().get(&key).map(Arc::clone);
        let place = known.unwrap_or_else(|| self.new_place(key, now_ms));
        place.used_ms.store(now_ms, Ordering::Relaxed);
        place
    }

    fn new_place(&self, key: Key, now_ms: i64) -> Arc<Place<T>> {
        let mut places = self.0.write();
        if places.len() >= MOST {
            drop_idle(&mut places, now_ms);
        }
        let key = match places.len() >= MOST && !places.contains_key(&key) {
            true => (None, key.1),
            false => key,
        };
        Arc::clone(places.entry(key).or_insert_with(|| {
            Arc::new(Place {
                used_ms: AtomicI64::new(now_ms),
                value: T::default(),
            })
        }))
    }

    /// Those in use, in order.
    fn rows(&self, now_ms: i64) -> Vec<(Key, Arc<Place<T>>)> {
        let mut places = self.0.write();
        drop_idle(&mut places, now_ms);
        let rows = places
            .iter()
            .map(|(key, place)| (key.clone(), Arc::clone(place)));
        let mut rows: Vec<_> = rows.collect();
        drop(places);
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        rows
    }
}

fn drop_idle<T>(places: &mut HashMap<Key, Arc<Place<T>>>, now_ms: i64) {
    let idle_ms = i64::try_from(IDLE.as_millis()).unwrap_or(i64::MAX);
    places
        .retain(|_, place| now_ms.saturating_sub(place.used_ms.load(Ordering::Relaxed)) <= idle_ms);
}

fn tenant((tenant, _): &Key) -> &str {
    tenant.as_ref().map_or(OTHERS, TenantId::as_str)
}

impl Collector for OfTenants {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now_ms = self.0.clock.now_ms();
        let rows = self.0.received.rows(now_ms);
        for (figure, (name, help)) in RECEIVED.into_iter().enumerate() {
            if rows.is_empty() {
                continue;
            }
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for (key, place) in &rows {
                let labels = [("type", key.1), ("tenant", tenant(key))];
                let mut series = metric.encode_family(&labels)?;
                let Received { profiles, sums } = &place.value;
                let count = profiles.load(Ordering::Relaxed);
                let sum = sums
                    .get(figure)
                    .map_or(0, |sum| sum.load(Ordering::Relaxed));
                let all = [(f64::INFINITY, count)];
                series.encode_histogram::<NoLabelSet>(sum as f64, count, &all, None)?;
            }
        }
        let rows = self.0.discarded.rows(now_ms);
        let profiles = |row: &Discarded| row.profiles.load(Ordering::Relaxed);
        let help = "Profiles that were not stored, by reason";
        counters(
            &mut encoder,
            ("pyroscope_discarded_samples", help),
            &rows,
            profiles,
        )?;
        let bytes = |row: &Discarded| row.bytes.load(Ordering::Relaxed);
        let help = "Bytes of profiles that were not stored";
        counters(
            &mut encoder,
            ("pyroscope_discarded_bytes", help),
            &rows,
            bytes,
        )?;
        let rows = self.0.sanitized.rows(now_ms);
        let names = |row: &AtomicU64| row.load(Ordering::Relaxed);
        let help = "Label names with rewritten characters";
        counters(
            &mut encoder,
            ("pyroscope_sanitized_label_names", help),
            &rows,
            names,
        )
    }
}

fn counters<T>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    rows: &[(Key, Arc<Place<T>>)],
    value: impl Fn(&T) -> u64,
) -> Result<(), std::fmt::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (key, place) in rows {
        let mut labels = vec![("reason", key.1), ("tenant", tenant(key))];
        labels.retain(|(_, value)| !value.is_empty());
        let mut series = metric.encode_family(&labels)?;
        series.encode_counter::<NoLabelSet, u64, f64>(&value(&place.value), None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use phlare_model::ManualClock;
    use prometheus_client::registry::Registry;

    use super::*;

    const SIZES: Sizes = Sizes {
        compressed: 1,
        decompressed: 7,
        samples: 3,
        samples_bytes: 2,
    };

    fn figures() -> (Arc<ManualClock>, OfTenants, Registry) {
        let clock = Arc::new(ManualClock::at_ns(1_700_000_000_000_000_000));
        let figures = OfTenants::new(Arc::<ManualClock>::clone(&clock));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(figures.clone()));
        (clock, figures, registry)
    }

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    fn name(number: usize) -> TenantId {
        TenantId::parse(&format!("tenant-{number:05}")).unwrap()
    }

    #[test]
    fn a_tenant_has_figures_while_it_pushes() {
        let (clock, figures, registry) = figures();
        figures.received(&name(1), "memory", &SIZES);
        figures.received(&name(1), "memory", &SIZES);
        figures.discarded(&name(1), "rate_limited", 9);
        figures.sanitized(&name(1), 4);
        let text = shown(&registry);
        for line in [
            r#"pyroscope_distributor_received_symbols_bytes_sum{type="memory",tenant="tenant-00001"} 10.0"#,
            r#"pyroscope_distributor_received_samples_count{type="memory",tenant="tenant-00001"} 2"#,
            r#"pyroscope_distributor_received_samples_bucket{le="+Inf",type="memory",tenant="tenant-00001"} 2"#,
            r#"pyroscope_discarded_samples_total{reason="rate_limited",tenant="tenant-00001"} 1"#,
            r#"pyroscope_discarded_bytes_total{reason="rate_limited",tenant="tenant-00001"} 9"#,
            r#"pyroscope_sanitized_label_names_total{tenant="tenant-00001"} 4"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        clock.advance(IDLE);
        figures.received(&name(2), "memory", &SIZES);
        assert!(shown(&registry).contains("tenant-00001"));
        clock.advance(std::time::Duration::from_secs(1));
        let text = shown(&registry);
        assert!(!text.contains("tenant-00001"), "{text}");
        assert!(text.contains("tenant-00002"), "{text}");
        // It begins anew, and nothing that it had went anywhere else.
        figures.received(&name(1), "memory", &SIZES);
        let text = shown(&registry);
        let line = r#"received_samples_count{type="memory",tenant="tenant-00001"} 1"#;
        assert!(text.contains(line), "{text}");
        assert!(!text.contains(OTHERS), "{text}");
    }

    /// Field report B59.
    #[test]
    fn thousands_of_tenants_leave_the_figures_small() {
        let (clock, figures, registry) = figures();
        for number in 0..5000 {
            figures.received(&name(number), "process_cpu", &SIZES);
            figures.discarded(&name(number), "rate_limited", 1);
            figures.sanitized(&name(number), 1);
        }
        let text = shown(&registry);
        assert!(text.len() < 800_000, "{} bytes", text.len());
        let others = 5000 - MOST;
        for line in [
            format!(
                r#"pyroscope_distributor_received_samples_count{{type="process_cpu",tenant="{OTHERS}"}} {others}"#
            ),
            format!(r#"pyroscope_sanitized_label_names_total{{tenant="{OTHERS}"}} {others}"#),
        ] {
            assert!(text.contains(&line), "{line}");
        }
        clock.advance(IDLE + std::time::Duration::from_secs(1));
        assert_eq!(shown(&registry), "# EOF\n");
        figures.received(&name(4999), "process_cpu", &SIZES);
        assert!(
            shown(&registry).contains("tenant-04999"),
            "there is room again"
        );
    }
}
