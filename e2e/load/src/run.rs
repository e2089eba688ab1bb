//! A whole run: wait, push, ask, report.

use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep};

use crate::cli::{PushSettings, ServerSettings, Settings};
use crate::figures;
use crate::process::Usage;
use crate::push;
use crate::queries;
use crate::report::{Load, Phase, Report, Spent};
use crate::source::Source;
use crate::target::Connection;
use crate::ui;

/// Between two looks at `/ready`.
const READY_INTERVAL: Duration = Duration::from_millis(200);

/// The wall clock, in nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "profiles must bear the time at which a server gets them"
    )]
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Runs all phases and writes the report.
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<Report> {
    let server = &settings.server;
    if let Some(pid) = server.pid
        && Usage::of(pid).is_none()
    {
        bail!("--pid {pid}: no such process, or no /proc here");
    }
    if let Some(limit) = server.wait_ready {
        wait_ready(server, limit).await?;
    }
    let mut report = Report {
        url: server.url.to_string(),
        load: None,
        phases: Vec::new(),
    };
    if let Some(settings) = &settings.push {
        let sources = load(settings)?;
        report.load = Some(describe(&sources));
        report
            .phases
            .push(push_phase(server, settings, sources).await?);
    }
    if let Some(settings) = &settings.queries {
        for query in queries::mix(server, settings).await? {
            ui::note(&format!("query: {} …", query.name));
            let connection = Connection::new(server)?;
            let before = connection.metrics().await;
            let meter = Meter::start(server);
            let (recorder, elapsed, answer) = query.run(server, settings.concurrency).await?;
            let mut phase = meter.end(Phase::new(&query.name, recorder, elapsed));
            phase.read = figures::between(before, connection.metrics().await, phase.requests);
            phase.last_answer = answer;
            report.phases.push(phase);
        }
    }
    write(settings, &report)?;
    Ok(report)
}

async fn push_phase(
    server: &ServerSettings,
    settings: &PushSettings,
    sources: Vec<Source>,
) -> anyhow::Result<Phase> {
    let meter = Meter::start(server);
    let (recorder, elapsed) = push::push(server, settings, sources, progress(settings)).await?;
    Ok(meter.end(Phase::new("push", recorder, elapsed)))
}

/// The processes' use before a phase.
struct Meter {
    pid: Option<u32>,
    server: Option<Usage>,
    own: Option<Usage>,
}

impl Meter {
    fn start(server: &ServerSettings) -> Self {
        let pid = server.pid;
        Self {
            pid,
            server: pid.and_then(Usage::of),
            own: Usage::own(),
        }
    }

    fn end(&self, mut phase: Phase) -> Phase {
        phase.server = Spent::between(self.server, self.pid.and_then(Usage::of), phase.requests);
        phase.generator = Spent::between(self.own, Usage::own(), phase.requests);
        phase
    }
}

async fn wait_ready(server: &ServerSettings, limit: Duration) -> anyhow::Result<()> {
    let connection = Connection::new(server)?;
    let start = Instant::now();
    loop {
        match connection.ready().await {
            Ok(()) => return Ok(()),
            Err(failure) if start.elapsed() >= limit => {
                bail!("the server is not ready after {limit:?}: {failure}")
            }
            Err(_) => sleep(READY_INTERVAL).await,
        }
    }
}

fn load(settings: &PushSettings) -> anyhow::Result<Vec<Source>> {
    settings
        .entries
        .iter()
        .map(|entry| Source::load(entry, settings.series_per_file))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files")]
fn describe(sources: &[Source]) -> Load {
    let mean = |of: fn(&Source) -> usize| {
        sources.iter().map(of).sum::<usize>() as f64 / sources.len().max(1) as f64
    };
    Load {
        files: sources.len(),
        series: sources.iter().map(|source| source.series.len()).sum(),
        mean_gzip_bytes: mean(|source| source.template.gzip_bytes()),
        mean_sample_types: mean(|source| source.sample_types),
        mean_samples: mean(|source| source.samples),
    }
}

/// A bar on standard error; hidden where that is no terminal.
fn progress(settings: &PushSettings) -> ProgressBar {
    let template = "push {wide_bar} {pos}/{len} {per_sec} {eta}";
    match (settings.profiles, ProgressStyle::with_template(template)) {
        (Some(count), Ok(style)) => ProgressBar::new(count).with_style(style),
        _ => ProgressBar::new_spinner(),
    }
}

fn write(settings: &Settings, report: &Report) -> anyhow::Result<()> {
    let Some(path) = &settings.json else {
        ui::data(&report.table());
        return Ok(());
    };
    let json = serde_json::to_string_pretty(report)?;
    if path.as_os_str() == "-" {
        ui::data(&json);
        return Ok(());
    }
    std::fs::write(path, json + "\n").with_context(|| format!("write {}", path.display()))?;
    ui::data(&report.table());
    Ok(())
}
