//! Figures that are labelled with tenants: what each has in the bucket. The first tenants by name have series of their own,
//! the others share one, so that `/metrics` stays small enough to be scraped.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use phlare_model::TenantId;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

/// Levels that have a label of their own in the count of blocks of a tenant.
const LEVELS: u32 = 6;

/// Tenants with series of their own.
const MOST: usize = 1000;

/// Who has none: no tenant can be named so.
const OTHERS: &str = "<others>";

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

/// A row of a figure: its labels and its value.
type Row<'a> = (Vec<(&'static str, &'a str)>, i64);

/// What is counted of one tenant, or of several together.
#[derive(Clone, Debug, Default)]
struct Counts {
    levels: BTreeMap<u32, i64>,
    leaving: i64,
    partial: i64,
    index_s: i64,
}

impl Counts {
    fn of(figures: &TenantFigures) -> Self {
        let mut levels = BTreeMap::new();
        for level in &figures.levels {
            *levels.entry((*level).min(LEVELS)).or_default() += 1;
        }
        let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            levels,
            leaving: count(figures.leaving),
            partial: count(figures.partial),
            index_s: figures.index_s,
        }
    }

    /// Together with another tenant: of the indexes, the oldest counts.
    fn and(mut self, other: &Self) -> Self {
        for (level, count) in &other.levels {
            *self.levels.entry(*level).or_default() += count;
        }
        self.leaving += other.leaving;
        self.partial += other.partial;
        self.index_s = self.index_s.min(other.index_s);
        self
    }
}

/// The figures. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct OfTenants(Arc<Mutex<BTreeMap<TenantId, Counts>>>);

impl OfTenants {
    pub(super) fn set(&self, tenant: &TenantId, figures: &TenantFigures) {
        self.0.lock().insert(tenant.clone(), Counts::of(figures));
    }

    pub(super) fn retain(&self, tenants: &[TenantId]) {
        let stay: HashSet<_> = tenants.iter().collect();
        self.0.lock().retain(|tenant, _| stay.contains(tenant));
    }
}

/// A figure of each tenant.
fn rows<'a>(all: &'a [(&'a str, &'a Counts)], value: impl Fn(&Counts) -> i64) -> Vec<Row<'a>> {
    let row = |(user, counts): &(&'a str, &'a Counts)| (vec![("user", *user)], value(counts));
    all.iter().map(row).collect()
}

impl Collector for OfTenants {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let tenants = self.0.lock();
        let own = tenants.iter().take(MOST);
        let mut all: Vec<(&str, &Counts)> = own
            .map(|(tenant, counts)| (tenant.as_str(), counts))
            .collect();
        let others = tenants.values().skip(MOST);
        let others = others.cloned().reduce(|sum, more| sum.and(&more));
        all.extend(others.as_ref().map(|others| (OTHERS, others)));
        let names: BTreeMap<u32, String> = (0..=LEVELS)
            .map(|level| (level, level.to_string()))
            .collect();
        let mut blocks = Vec::new();
        for (user, counts) in &all {
            for (level, count) in &counts.levels {
                let level = names.get(level).map_or("", String::as_str);
                blocks.push((vec![("user", *user), ("compaction_level", level)], *count));
            }
        }
        let figures: [(&str, &str, Vec<Row<'_>>); 4] = [
            (
                "pyroscope_bucket_blocks_count",
                "Blocks of a tenant in the bucket",
                blocks,
            ),
            (
                "pyroscope_bucket_blocks_marked_for_deletion_count",
                "Blocks of a tenant that are to be deleted",
                rows(&all, |counts| counts.leaving),
            ),
            (
                "pyroscope_bucket_blocks_partials_count",
                "Directories of a tenant's blocks without meta.json",
                rows(&all, |counts| counts.partial),
            ),
            (
                "pyroscope_bucket_index_last_successful_update_timestamp_seconds",
                "When the index of a tenant's blocks was written",
                rows(&all, |counts| counts.index_s),
            ),
        ];
        for (name, help, rows) in figures {
            if rows.is_empty() {
                continue;
            }
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in rows {
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::parse(&format!("tenant-{number:05}")).unwrap()
    }

    fn shown(figures: &OfTenants) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(figures.clone()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    /// Field report B59.
    #[test]
    fn tenants_have_figures_while_they_are_there_and_never_too_many() {
        let figures = OfTenants::default();
        assert_eq!(shown(&figures), "# EOF\n");
        let counted = TenantFigures {
            levels: vec![1, 1, 3, 9],
            leaving: 2,
            partial: 1,
            index_s: 70,
        };
        for number in 0..MOST + 2 {
            figures.set(&tenant(number), &counted);
        }
        let older = TenantFigures {
            index_s: 60,
            ..counted
        };
        figures.set(&tenant(MOST + 1), &older);
        let text = shown(&figures);
        assert!(text.len() < 800_000, "{} bytes", text.len());
        for line in [
            r#"pyroscope_bucket_blocks_count{user="tenant-00007",compaction_level="1"} 2"#,
            r#"pyroscope_bucket_blocks_count{user="tenant-00007",compaction_level="6"} 1"#,
            r#"pyroscope_bucket_blocks_marked_for_deletion_count{user="tenant-00007"} 2"#,
            r#"pyroscope_bucket_blocks_partials_count{user="<others>"} 2"#,
            r#"pyroscope_bucket_blocks_count{user="<others>",compaction_level="1"} 4"#,
            r#"timestamp_seconds{user="tenant-00007"} 70"#,
            r#"timestamp_seconds{user="<others>"} 60"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        figures.retain(&[tenant(3)]);
        let text = shown(&figures);
        assert!(
            !text.contains("tenant-00007") && !text.contains(OTHERS),
            "{text}"
        );
        assert!(text.contains("tenant-00003"), "{text}");
    }
}
