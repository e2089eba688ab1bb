//! Figures of the runtime configuration, worked out when they are asked for: a tenant that left the files is gone from
//! them, too.

use phlare_server::Registry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use super::RuntimeConfig;

/// Most figures of single tenants: about a megabyte of text.
const MAX_OVERRIDES: usize = 10_000;

/// A figure: its labels and its value.
type Rows = Vec<(Vec<(&'static str, String)>, f64)>;

#[derive(Debug)]
struct Figures {
    runtime: RuntimeConfig,
    exports: bool,
}

/// Registers them. `exports`: with limits, too.
pub(super) fn register(registry: &mut Registry, runtime: &RuntimeConfig, exports: bool) {
    registry.register_collector(Box::new(Figures {
        runtime: runtime.clone(),
        exports,
    }));
}

impl Figures {
    fn rows(&self) -> Vec<(&'static str, &'static str, Rows)> {
        let mut all = Vec::new();
        let config = || ("config", "pyroscope".to_owned());
        if self.runtime.has_files() {
            let state = self.runtime.state.lock().clone();
            all.push((
                "pyroscope_runtime_config_last_reload_successful",
                "Whether the files with limits of tenants could be read the last time",
                vec![(vec![config()], f64::from(u8::from(state.failure.is_none())))],
            ));
            let hash = state.hash.into_iter();
            let hash = hash.map(|hash| (vec![config(), ("sha256", hash)], 1.0));
            all.push((
                "pyroscope_runtime_config_hash",
                "SHA-256 of the content of the files that is in force",
                hash.collect(),
            ));
        }
        if self.exports {
            let (overrides, left_out) = self.overrides();
            all.push((
                "pyroscope_limits_defaults",
                "Limits of tenants that have none of their own; durations in seconds",
                self.defaults(),
            ));
            all.push((
                "pyroscope_limits_overrides",
                "Limits of single tenants that differ from the defaults; durations in seconds",
                overrides,
            ));
            all.push((
                "phlare_limits_overrides_left_out",
                "Limits of single tenants that pyroscope_limits_overrides does not show because there are too many",
                vec![(Vec::new(), left_out as f64)],
            ));
        }
        all
    }

    fn defaults(&self) -> Rows {
        let figures = self.runtime.overrides.defaults().figures().into_iter();
        figures
            .map(|(name, value)| (vec![("limit_name", name.to_owned())], value))
            .collect()
    }

    /// What differs from the defaults, and how much of it there is no room for.
    fn overrides(&self) -> (Rows, usize) {
        let defaults = self.runtime.overrides.defaults().figures();
        let mut rows = Rows::new();
        let mut left_out = 0;
        for (tenant, limits) in self.runtime.overrides.tenants().iter() {
            for ((name, value), (_, default)) in limits.figures().into_iter().zip(defaults) {
                if value == default {
                    continue;
                }
                if rows.len() == MAX_OVERRIDES {
                    left_out += 1;
                    continue;
                }
                let labels = vec![
                    ("limit_name", name.to_owned()),
                    ("tenant", tenant.as_str().to_owned()),
                ];
                rows.push((labels, value));
            }
        }
        (rows, left_out)
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, rows) in self.rows() {
            if rows.is_empty() {
                continue;
            }
            let gauge = ConstGauge::new(0.0);
            let mut metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            for (labels, value) in rows {
                let encoder = metric.encode_family(&labels)?;
                ConstGauge::new(value).encode(encoder)?;
            }
        }
        Ok(())
    }
}
