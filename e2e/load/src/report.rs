//! What a run found out: as a table for people, as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::measure::{Latency, Recorder};
use crate::process::Usage;

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The server's URL.
    pub(crate) url: String,
    /// What was sent, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) load: Option<Load>,
    /// In the order in which they ran.
    pub(crate) phases: Vec<Phase>,
}

/// The profiles of the push phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Load {
    pub(crate) files: usize,
    pub(crate) series: usize,
    pub(crate) mean_gzip_bytes: f64,
    pub(crate) mean_sample_types: f64,
    pub(crate) mean_samples: f64,
}

/// One phase: a push, or one query asked many times.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) requests: u64,
    pub(crate) succeeded: u64,
    pub(crate) retries: u64,
    pub(crate) seconds: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<Latency>,
    pub(crate) errors: BTreeMap<String, Errors>,
    /// Bytes that the server read from its store, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read: Option<Read>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Spent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generator: Option<Spent>,
}

/// Failures with one code.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Errors {
    pub(crate) count: u64,
    pub(crate) messages: Vec<String>,
}

/// Bytes for each request, on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Read {
    /// Of files of blocks.
    pub(crate) block_bytes: f64,
    /// What a bucket sent, whatever for.
    pub(crate) bucket_bytes: f64,
}

/// What a process spent during a phase, and its memory at the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spent {
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_ms_per_request: f64,
    pub(crate) rss_bytes: u64,
    pub(crate) peak_rss_bytes: u64,
}

impl Spent {
    /// Between two moments, over `requests` requests.
    #[expect(clippy::cast_precision_loss, reason = "requests stay far below 2^53")]
    pub(crate) fn between(
        before: Option<Usage>,
        after: Option<Usage>,
        requests: u64,
    ) -> Option<Self> {
        let (before, after) = before.zip(after)?;
        let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
        Some(Self {
            cpu_seconds,
            cpu_ms_per_request: cpu_seconds * 1e3 / requests.max(1) as f64,
            rss_bytes: after.rss_bytes,
            peak_rss_bytes: after.peak_rss_bytes,
        })
    }
}

impl Phase {
    /// From what the connections measured.
    #[expect(clippy::cast_precision_loss, reason = "requests stay far below 2^53")]
    pub(crate) fn new(name: &str, recorder: Recorder, elapsed: Duration) -> Self {
        let requests = recorder.ok + recorder.failures();
        let seconds = elapsed.as_secs_f64();
        Self {
            name: name.to_owned(),
            requests,
            succeeded: recorder.ok,
            retries: recorder.retries,
            seconds,
            requests_per_second: if seconds > 0.0 {
                recorder.ok as f64 / seconds
            } else {
                0.0
            },
            bytes_sent: recorder.bytes_sent,
            bytes_received: recorder.bytes_received,
            latency_ms: recorder.latency(),
            errors: recorder
                .errors
                .into_iter()
                .map(|(code, group)| {
                    (
                        code,
                        Errors {
                            count: group.count,
                            messages: group.samples,
                        },
                    )
                })
                .collect(),
            read: None,
            last_answer: None,
            server: None,
            generator: None,
        }
    }
}

impl Report {
    /// Requests that failed in any phase.
    pub(crate) fn errors(&self) -> u64 {
        self.phases
            .iter()
            .flat_map(|phase| phase.errors.values())
            .map(|group| group.count)
            .sum()
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        if let Some(load) = &self.load {
            let _ = writeln!(
                out,
                "load: {} files in {} series; on average {:.1} KB of gzip, {:.2} sample types, {:.0} samples\n",
                load.files,
                load.series,
                load.mean_gzip_bytes / 1e3,
                load.mean_sample_types,
                load.mean_samples
            );
        }
        let _ = writeln!(out, "{}", self.latencies().trim_fmt());
        if self
            .phases
            .iter()
            .any(|phase| phase.server.is_some() || phase.generator.is_some())
        {
            let _ = writeln!(out, "\n{}", self.resources().trim_fmt());
        }
        for phase in &self.phases {
            for (code, group) in &phase.errors {
                let _ = writeln!(out, "\n{}: {} × {code}", phase.name, group.count);
                for message in &group.messages {
                    let _ = writeln!(out, "    {message}");
                }
            }
        }
        out
    }

    fn latencies(&self) -> Table {
        let header = [
            "phase",
            "ok",
            "failed",
            "retries",
            "seconds",
            "ok/s",
            "p50 ms",
            "p90",
            "p99",
            "max",
            "MB out",
            "MB in",
            "KB read/query",
            "KB from bucket/query",
            "last answer",
        ];
        let mut table = plain(&header, 1..14);
        for phase in &self.phases {
            let mut row = vec![
                phase.name.clone(),
                phase.succeeded.to_string(),
                (phase.requests - phase.succeeded).to_string(),
                phase.retries.to_string(),
                format!("{:.2}", phase.seconds),
                format!("{:.1}", phase.requests_per_second),
            ];
            match &phase.latency_ms {
                Some(latency) => row.extend(
                    [latency.p50, latency.p90, latency.p99, latency.max]
                        .map(|ms| format!("{ms:.2}")),
                ),
                None => row.extend(["-"; 4].map(str::to_owned)),
            }
            row.extend([megabytes(phase.bytes_sent), megabytes(phase.bytes_received)]);
            match &phase.read {
                Some(read) => row.extend([read.block_bytes, read.bucket_bytes].map(kilobytes)),
                None => row.extend(["-"; 2].map(str::to_owned)),
            }
            row.push(phase.last_answer.clone().unwrap_or_default());
            table.add_row(row);
        }
        table
    }

    fn resources(&self) -> Table {
        let header = [
            "phase",
            "server CPU s",
            "CPU-ms/request",
            "RSS MB",
            "peak RSS MB",
            "generator CPU s",
            "CPU-ms/request",
        ];
        let mut table = plain(&header, 1..7);
        for phase in &self.phases {
            let mut row = vec![phase.name.clone()];
            match &phase.server {
                Some(spent) => row.extend([
                    format!("{:.2}", spent.cpu_seconds),
                    format!("{:.3}", spent.cpu_ms_per_request),
                    megabytes(spent.rss_bytes),
                    megabytes(spent.peak_rss_bytes),
                ]),
                None => row.extend(["-"; 4].map(str::to_owned)),
            }
            match &phase.generator {
                Some(spent) => row.extend([
                    format!("{:.2}", spent.cpu_seconds),
                    format!("{:.3}", spent.cpu_ms_per_request),
                ]),
                None => row.extend(["-"; 2].map(str::to_owned)),
            }
            table.add_row(row);
        }
        table
    }
}

fn plain(header: &[&str], right: std::ops::Range<usize>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.to_vec());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn kilobytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Failure;

    fn report() -> Report {
        let mut recorder = Recorder::new();
        for _ in 0..8 {
            recorder.succeeded(Duration::from_millis(2), 1000, 10);
        }
        let failure = Failure {
            code: "unavailable".into(),
            message: "starting".into(),
            retry_after: None,
        };
        recorder.failed(failure, 1000);
        let usage = |cpu_seconds| {
            Some(Usage {
                cpu_seconds,
                rss_bytes: 5_000_000,
                peak_rss_bytes: 7_000_000,
            })
        };
        let mut phase = Phase::new("push", recorder, Duration::from_secs(2));
        phase.server = Spent::between(usage(1.0), usage(1.5), phase.requests);
        Report {
            url: "http://x".into(),
            load: None,
            phases: vec![phase],
        }
    }

    #[test]
    fn rates_count_what_succeeded_and_cpu_what_was_asked() {
        let report = report();
        let phase = &report.phases[0];
        assert_eq!((phase.requests, phase.succeeded), (9, 8));
        assert_eq!(phase.requests_per_second, 4.0);
        assert_eq!(phase.bytes_sent, 9000);
        let spent = phase.server.unwrap();
        assert_eq!(spent.cpu_seconds, 0.5);
        assert!((spent.cpu_ms_per_request - 500.0 / 9.0).abs() < 1e-9);
        assert_eq!(report.errors(), 1);
    }

    #[test]
    fn the_table_shows_figures_and_messages() {
        let table = report().table();
        for part in ["p99", "4.0", "55.556", "7.0", "1 × unavailable", "starting"] {
            assert!(table.contains(part), "{part} in {table}");
        }
    }

    #[test]
    fn a_process_that_is_not_seen_is_left_out() {
        assert_eq!(Spent::between(None, Usage::own(), 1), None);
        let json = serde_json::to_value(Report {
            url: String::new(),
            load: None,
            phases: Vec::new(),
        })
        .unwrap();
        assert_eq!(
            json.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["phases", "url"]
        );
    }
}
