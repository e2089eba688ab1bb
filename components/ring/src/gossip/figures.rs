//! Figures of gossip.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct Reason {
    reason: &'static str,
}

/// Counters of gossip.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub(super) sent_bytes: Counter,
    pub(super) received_bytes: Counter,
    pub(super) send_failures: Counter,
    refused: Family<Reason, Counter>,
    bad_entries: Counter,
}

impl Figures {
    /// Makes the counters and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        registry.register(
            "phlare_gossip_sent_bytes",
            "Bytes of gossip sent",
            figures.sent_bytes.clone(),
        );
        registry.register(
            "phlare_gossip_received_bytes",
            "Bytes that came to the gossip port",
            figures.received_bytes.clone(),
        );
        registry.register(
            "phlare_gossip_send_failures",
            "Gossip messages that could not be sent",
            figures.send_failures.clone(),
        );
        registry.register(
            "phlare_gossip_refused_datagrams",
            "Datagrams refused: noise, or of another cluster or secret (foreign)",
            figures.refused.clone(),
        );
        registry.register(
            "phlare_gossip_bad_entries",
            "Ring entries of others that make no sense",
            figures.bad_entries.clone(),
        );
        figures
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn bad(&self, entries: usize) {
        self.bad_entries.inc_by(entries as u64);
    }

    /// How many datagrams were refused.
    #[cfg(test)]
    pub(super) fn refusals(&self, reason: &'static str) -> u64 {
        self.refused.get_or_create(&Reason { reason }).get()
    }
}
