use std::future::pending;
use std::sync::Arc;

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::*;

/// Keeps the names of spans, or never answers.
#[derive(Clone, Debug, Default)]
struct Collector {
    taken: Arc<Mutex<Vec<Vec<String>>>>,
    is_stuck: Arc<Mutex<bool>>,
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let is_stuck = *self.is_stuck.lock();
        if is_stuck {
            return pending().await;
        }
        let names = batch.into_iter().map(|span| span.name.into_owned());
        self.taken.lock().push(names.collect());
        Ok(())
    }
}

struct Process {
    provider: SdkTracerProvider,
    collector: Collector,
    metrics: Metrics,
    stop: CancellationToken,
    running: JoinSet<()>,
}

/// Sends two spans at once, has room for three.
fn process(begun: bool) -> (Process, Option<mpsc::Receiver<SpanData>>) {
    let metrics = Metrics::default();
    let (queue, spans) = Queue::new(3, metrics.clone());
    let mut process = Process {
        provider: SdkTracerProvider::builder()
            .with_span_processor(queue)
            .build(),
        collector: Collector::default(),
        metrics: metrics.clone(),
        stop: CancellationToken::new(),
        running: JoinSet::new(),
    };
    if !begun {
        return (process, Some(spans));
    }
    let exporting = Exporting {
        spans,
        exporter: process.collector.clone(),
        batch: 2,
        every: Duration::from_secs(5),
        within: Duration::from_secs(30),
        metrics,
    };
    process.running.spawn(exporting.run(process.stop.clone()));
    (process, None)
}

impl Process {
    fn end_span(&self, name: &'static str) {
        drop(self.provider.tracer("test").start(name));
    }

    fn counts(&self) -> (u64, u64, u64, i64) {
        let Metrics { exported, .. } = &self.metrics;
        (
            exported.get(),
            self.metrics.full().get(),
            self.metrics.failed().get(),
            self.metrics.waiting.get(),
        )
    }
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let (process, _spans) = process(false);
    for name in ["a", "b", "c", "d", "e"] {
        process.end_span(name);
    }
    assert_eq!(process.counts(), (0, 2, 0, 3));
}

#[tokio::test(start_paused = true)]
async fn spans_go_in_batches_and_the_rest_at_the_end() {
    let (mut process, _) = process(true);
    for name in ["a", "b", "c"] {
        process.end_span(name);
    }
    // The clock moves when all wait.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*process.collector.taken.lock(), [["a", "b"]]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(process.collector.taken.lock().last().unwrap(), &["c"]);
    process.end_span("d");
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.end_span("e");
    process.end_span("f");
    process.end_span("g");
    process.stop.cancel();
    process.running.join_next().await.unwrap().unwrap();
    let taken = process.collector.taken.lock().concat();
    assert_eq!(taken, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(process.counts(), (7, 0, 0, 0));
    process.end_span("late");
    assert_eq!(process.counts(), (7, 1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_does_not_answer_costs_its_batch_only() {
    let (process, _) = process(true);
    *process.collector.is_stuck.lock() = true;
    process.end_span("a");
    process.end_span("b");
    tokio::time::sleep(Duration::from_secs(10)).await;
    *process.collector.is_stuck.lock() = false;
    process.end_span("c");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*process.collector.taken.lock(), [["c"]]);
    assert_eq!(process.counts(), (1, 0, 2, 0));
}
