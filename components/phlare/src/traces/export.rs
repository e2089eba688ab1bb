//! Spans on their way: from whoever ends them, through a bounded queue, to the collector.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::metrics::Metrics;

/// Where spans end. Never waits.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    metrics: Metrics,
}

impl Queue {
    /// With room for `size` spans.
    pub(super) fn new(size: usize, metrics: Metrics) -> (Self, mpsc::Receiver<SpanData>) {
        let (spans, taken) = mpsc::channel(size.max(1));
        (Self { spans, metrics }, taken)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        match self.spans.try_send(span) {
            Ok(()) => drop(self.metrics.waiting.inc()),
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.metrics.full().inc();
            }
        }
    }

    /// What is in the queue goes out by itself.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Takes spans out of the queue, and sends them.
#[derive(Debug)]
pub(super) struct Exporting<E> {
    pub(super) spans: mpsc::Receiver<SpanData>,
    pub(super) exporter: E,
    /// Most that are sent at once.
    pub(super) batch: usize,
    /// How long the first of them may wait for others.
    pub(super) every: Duration,
    /// How long the collector has.
    pub(super) within: Duration,
    pub(super) metrics: Metrics,
}

impl<E: SpanExporter> Exporting<E> {
    /// Sends until `stop`, and then what is left in the queue.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let (mut batch, mut is_failing) = (Vec::new(), false);
        while stop
            .run_until_cancelled(self.collect(&mut batch))
            .await
            .is_some()
        {
            let full = std::mem::take(&mut batch);
            self.send(full, &mut is_failing).await;
        }
        self.spans.close();
        loop {
            let room = self.batch.saturating_sub(batch.len());
            self.spans.recv_many(&mut batch, room).await;
            if batch.is_empty() {
                return;
            }
            self.send(std::mem::take(&mut batch), &mut is_failing).await;
        }
    }

    /// Takes as many as may be sent at once, or what comes within the time. Cancel-safe: what it took is in `batch`.
    async fn collect(&mut self, batch: &mut Vec<SpanData>) {
        self.spans.recv_many(batch, self.batch).await;
        let until = Instant::now() + self.every;
        while batch.len() < self.batch {
            let room = self.batch - batch.len();
            let more = timeout_at(until, self.spans.recv_many(batch, room));
            if !matches!(more.await, Ok(1..)) {
                return;
            }
        }
    }

    async fn send(&self, batch: Vec<SpanData>, is_failing: &mut bool) {
        let count = batch.len() as u64;
        self.metrics.waiting.dec_by(batch.len() as i64);
        let problem = match timeout(self.within, self.exporter.export(batch)).await {
            Ok(Ok(())) => {
                self.metrics.exported.inc_by(count);
                if std::mem::take(is_failing) {
                    info!("spans are taken again");
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it did not answer within {:?}", self.within),
        };
        self.metrics.failed().inc_by(count);
        // Once, not for each batch of a collector that is away.
        if !std::mem::replace(is_failing, true) {
            warn!(
                problem,
                "the collector of traces takes no spans: they are dropped"
            );
        }
    }
}

#[cfg(test)]
mod tests;
