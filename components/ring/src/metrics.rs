//! Figures of rings, with upstream's names.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::status::{Census, owned};
use crate::{InstanceId, Membership, RingKind, State};

/// Registers the figures of `rings`, and of the members of this process. They are worked out when they are asked for.
pub fn register(
    registry: &mut Registry,
    membership: &Membership,
    rings: Vec<RingKind>,
    members: Vec<(RingKind, InstanceId)>,
) {
    registry.register_collector(Box::new(RingFigures {
        membership: membership.clone(),
        rings,
        members,
    }));
}

#[derive(Debug)]
struct RingFigures {
    membership: Membership,
    rings: Vec<RingKind>,
    members: Vec<(RingKind, InstanceId)>,
}

/// A figure: its labels and its value.
type Rows = Vec<(Vec<(&'static str, String)>, f64)>;

/// As upstream writes states in this figure: names, and one word that is none.
fn label(place: usize) -> String {
    State::ALL
        .get(place)
        .map_or("Unhealthy", |state| state.as_str())
        .to_owned()
}

impl RingFigures {
    fn rows(&self) -> [(&'static str, &'static str, Rows); 6] {
        let now_ms = self.membership.clock().now_ms();
        let [mut members, mut zones, mut tokens, mut oldest] = [const { Rows::new() }; 4];
        for kind in &self.rings {
            let census = Census::of(&self.membership.ring(*kind), now_ms);
            let name = || ("name", kind.to_string());
            let counts = census.by_state.iter().chain([&census.unhealthy]);
            for (place, count) in counts.enumerate() {
                members.push((vec![name(), ("state", label(place))], *count as f64));
            }
            for (place, seconds) in census.oldest_s.iter().enumerate() {
                let seconds = seconds.unwrap_or_default() as f64;
                oldest.push((vec![name(), ("state", label(place))], seconds));
            }
            for (zone, count) in &census.zones {
                zones.push((vec![name(), ("zone", zone.clone())], *count as f64));
            }
            tokens.push((vec![name()], census.tokens as f64));
        }
        let [mut shares, mut own] = [const { Rows::new() }; 2];
        for (kind, id) in &self.members {
            if let Some((share, count)) = owned(&self.membership.ring(*kind), id) {
                shares.push((vec![("name", kind.to_string())], share));
                own.push((vec![("name", kind.to_string())], count as f64));
            }
        }
        [
            (
                "pyroscope_ring_members",
                "Members of the ring by state",
                members,
            ),
            (
                "pyroscope_ring_zone_members",
                "Members of the ring by zone",
                zones,
            ),
            ("pyroscope_ring_tokens_total", "Tokens in the ring", tokens),
            (
                "pyroscope_ring_oldest_member_timestamp",
                "Oldest heartbeat of the members by state, seconds since the epoch; 0 if there is none",
                oldest,
            ),
            (
                "phlare_ring_member_ownership_ratio",
                "Part of the ring that this process owns",
                shares,
            ),
            (
                "pyroscope_ring_member_tokens_owned",
                "Tokens of this process in the ring",
                own,
            ),
        ]
    }
}

impl Collector for RingFigures {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use phlare_model::ManualClock;

    use super::*;
    use crate::Rings;
    use crate::testing::{NOW, instances};

    #[tokio::test]
    async fn figures_have_upstreams_names() {
        let membership = Membership::alone(
            Rings::default(),
            Arc::new(ManualClock::at_ns(NOW * 1_000_000)),
        );
        for instance in instances(2, 2) {
            membership.publish(RingKind::Ingester, &instance).await;
        }
        let mut registry = Registry::default();
        let me = (RingKind::Ingester, InstanceId::from("i-1"));
        register(
            &mut registry,
            &membership,
            vec![RingKind::Ingester],
            vec![me],
        );
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"pyroscope_ring_members{name="ingester",state="ACTIVE"} 2.0"#,
            r#"pyroscope_ring_members{name="ingester",state="Unhealthy"} 0.0"#,
            r#"pyroscope_ring_zone_members{name="ingester",zone="zone-1"} 1.0"#,
            r#"pyroscope_ring_tokens_total{name="ingester"} 256.0"#,
            r#"pyroscope_ring_oldest_member_timestamp{name="ingester",state="ACTIVE"} 1700000000.0"#,
            r#"pyroscope_ring_member_tokens_owned{name="ingester"} 128.0"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
