//! The push phase.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use indicatif::ProgressBar;
use phlare_proto::push::v1::{PushRequest, RawProfileSeries, RawSample};
use phlare_proto::types::v1::LabelPair;
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cli::{Api, PushSettings, ServerSettings, Timestamps};
use crate::measure::Recorder;
use crate::run::now_ns;
use crate::schedule::{Schedule, Slot, fraction};
use crate::source::{NAME, SERVICE_NAME, Source};
use crate::target::{Answer, Connection, Failure};

/// How long to wait after a 429 that does not say.
const BACKOFF: Duration = Duration::from_millis(100);
/// Most that a server can make a connection wait.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// What the connections of the phase share.
#[derive(Debug)]
struct Phase {
    settings: PushSettings,
    sources: Vec<Source>,
    schedule: Schedule,
    start: Instant,
    /// The time of the newest profile, unless it is the time of sending.
    until_ns: i64,
    progress: ProgressBar,
}

/// Sends the profiles; returns what was measured and how long it took.
pub(crate) async fn push(
    server: &ServerSettings,
    settings: &PushSettings,
    sources: Vec<Source>,
    progress: ProgressBar,
) -> anyhow::Result<(Recorder, Duration)> {
    let phase = Arc::new(Phase {
        schedule: Schedule::new(settings.profiles, settings.duration, settings.rate),
        settings: settings.clone(),
        sources,
        start: Instant::now(),
        until_ns: now_ns(),
        progress,
    });
    let mut connections = JoinSet::new();
    for _ in 0..settings.concurrency {
        let connection = Connection::new(server)?;
        connections.spawn(work(Arc::clone(&phase), connection));
    }
    let mut total = Recorder::new();
    while let Some(ended) = connections.join_next().await {
        total.merge(ended.context("a connection's task ended early")?);
    }
    phase.progress.finish_and_clear();
    Ok((total, phase.start.elapsed()))
}

async fn work(phase: Arc<Phase>, connection: Connection) -> Recorder {
    let mut recorder = Recorder::new();
    while let Some(slot) = phase.schedule.take(phase.start.elapsed()) {
        let began = wait(phase.start, slot).await;
        phase
            .send(&connection, slot.index, began, &mut recorder)
            .await;
        phase.progress.inc(1);
    }
    recorder
}

/// Waits until a request is due and returns the time from which its latency counts: when it was
/// due if no connection was free then, else now, so that the timer's own lag is not the server's.
pub(crate) async fn wait(start: Instant, slot: Slot) -> Instant {
    let now = Instant::now();
    match slot.due.and_then(|due| start.checked_add(due)) {
        Some(due) if due > now => {
            sleep_until(due).await;
            Instant::now()
        }
        Some(due) => due,
        None => now,
    }
}

impl Phase {
    async fn send(
        &self,
        connection: &Connection,
        index: u64,
        began: Instant,
        recorder: &mut Recorder,
    ) {
        let request = self.request(connection, index);
        let size = request.body.len();
        let mut tries = 0;
        loop {
            match request.send(connection).await {
                Ok(answer) => {
                    recorder.succeeded(began.elapsed(), size, answer.wire_bytes());
                    return;
                }
                Err(failure) if failure.is_throttled() && tries < self.settings.retry_429 => {
                    tries += 1;
                    recorder.retries += 1;
                    sleep(failure.retry_after.unwrap_or(BACKOFF).min(MAX_BACKOFF)).await;
                }
                Err(failure) => {
                    recorder.failed(failure, size);
                    return;
                }
            }
        }
    }

    /// Request number `index`: the files in turn, each through its label sets in turn.
    fn request(&self, connection: &Connection, index: u64) -> Request {
        let files = self.sources.len().max(1) as u64;
        let source = &self.sources[pick(index % files)];
        let series = &source.series[pick((index / files) % source.series.len() as u64)];
        let time_ns = self.time_ns(index);
        let profile = Bytes::from(source.template.at(time_ns));
        match self.settings.api {
            Api::Connect => Request::connect(series, profile),
            Api::Ingest => Request::ingest(connection, series, profile, time_ns),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a fraction of an i64")]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a few nanoseconds do not matter"
    )]
    fn time_ns(&self, index: u64) -> i64 {
        match self.settings.timestamps {
            Timestamps::Now => now_ns(),
            Timestamps::Spread => {
                let back = 1.0 - fraction(index, self.settings.profiles);
                let back = back * self.settings.spread.as_nanos() as f64;
                self.until_ns.saturating_sub(back as i64)
            }
        }
    }
}

/// An index into a slice, from arithmetic on request numbers.
fn pick(index: u64) -> usize {
    usize::try_from(index).unwrap_or_default()
}

/// A push, ready to be sent, maybe several times.
#[derive(Debug)]
struct Request {
    /// `None` stands for the method `Push`.
    url: Option<reqwest::Url>,
    body: Bytes,
}

impl Request {
    fn connect(series: &[(String, String)], profile: Bytes) -> Self {
        let labels = series
            .iter()
            .map(|(name, value)| LabelPair {
                name: name.clone(),
                value: value.clone(),
            })
            .collect();
        let sample = RawSample {
            raw_profile: profile,
            ..RawSample::default()
        };
        let series = RawProfileSeries {
            labels,
            samples: vec![sample],
            ..RawProfileSeries::default()
        };
        let request = PushRequest {
            series: vec![series],
        };
        Self {
            url: None,
            body: request.encode_to_vec().into(),
        }
    }

    fn ingest(
        connection: &Connection,
        series: &[(String, String)],
        profile: Bytes,
        time_ns: i64,
    ) -> Self {
        let mut url = connection.url("ingest");
        let seconds = (time_ns / 1_000_000_000).to_string();
        url.query_pairs_mut()
            .append_pair("name", &application_name(series))
            .append_pair("format", "pprof")
            .append_pair("spyName", "phlare-load")
            .append_pair("from", &seconds)
            .append_pair("until", &seconds);
        Self {
            url: Some(url),
            body: profile,
        }
    }

    async fn send(&self, connection: &Connection) -> Result<Answer, Failure> {
        let body = self.body.clone();
        match &self.url {
            None => connection.call("push.v1.PusherService/Push", body).await,
            Some(url) => {
                connection
                    .post(url.clone(), "application/octet-stream", body)
                    .await
            }
        }
    }
}

/// `app{name=value,…}`. Names that begin with `__` have no place there: the server sets them.
fn application_name(series: &[(String, String)]) -> String {
    let service = series
        .iter()
        .find(|(name, _)| name == SERVICE_NAME)
        .map_or("phlare-load", |(_, v)| v);
    let tags: Vec<String> = series
        .iter()
        .filter(|(name, _)| name != NAME && name != SERVICE_NAME && !name.starts_with("__"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if tags.is_empty() {
        service.to_owned()
    } else {
        format!("{service}{{{}}}", tags.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_names_carry_the_tags() {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let series = [
            label("__name__", "memory"),
            label("pod", "p"),
            label("service_name", "s"),
        ];
        assert_eq!(application_name(&series), "s{pod=p}");
        assert_eq!(application_name(&series[..1]), "phlare-load");
    }

    #[tokio::test(start_paused = true)]
    async fn latency_counts_from_the_due_time_only_when_late() {
        let start = Instant::now();
        let slot = |ms| Slot {
            index: 0,
            due: Some(Duration::from_millis(ms)),
        };
        assert_eq!(
            wait(start, slot(50))
                .await
                .duration_since(start)
                .as_millis(),
            50
        );
        // It is 50 ms now: a request due at 20 ms was late.
        assert_eq!(
            wait(start, slot(20))
                .await
                .duration_since(start)
                .as_millis(),
            20
        );
        assert_eq!(
            wait(
                start,
                Slot {
                    index: 0,
                    due: None
                }
            )
            .await,
            Instant::now()
        );
    }
}
