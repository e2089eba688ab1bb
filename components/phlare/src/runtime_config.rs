//! Limits of single tenants, read from files again and again: a change counts without a restart.
//!
//! Files are read by their path each time, because Kubernetes replaces the directory that they lie in; nothing is
//! watched. What is wrong leaves in force what was before.

mod document;
mod metrics;
mod page;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use phlare_model::chain;
use phlare_model::time::{duration, format_duration};
use phlare_server::{Health, Registry};
use phlare_tenancy::{Limits, Overrides};
use ring::digest::{Context as Digest, SHA256};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use document::Source;

/// Largest file. Limits of a hundred thousand tenants are smaller.
const MAX_BYTES: usize = 64 << 20;
/// How long a URL may take to answer.
const FETCH: Duration = Duration::from_secs(10);

/// Where limits of single tenants come from; YAML section `runtime_config`, flags `-runtime-config.*`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Files or URLs with limits of single tenants, separated by commas: `overrides: {TENANT: {LIMIT: VALUE}}`. Of a limit
    /// that several files name, the last one counts. What a tenant has no value of is as in `limits`.
    #[arg(
        long = "runtime-config.file",
        value_name = "FILES",
        value_delimiter = ','
    )]
    #[serde(with = "phlare_model::flag::list")]
    pub(crate) file: Vec<String>,

    /// How often they are read.
    #[arg(long = "runtime-config.reload-period", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub(crate) period: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: Vec::new(),
            period: Duration::from_secs(10),
        }
    }
}

/// A period that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`runtime_config.period` is {}: at least 100ms", format_duration(*.0))]
pub(crate) struct PeriodError(Duration);

impl Config {
    /// Whether the settings can hold.
    pub(crate) fn validate(&self) -> Result<(), PeriodError> {
        match self.period < Duration::from_millis(100) {
            true => Err(PeriodError(self.period)),
            false => Ok(()),
        }
    }
}

/// Keeps [`Overrides`] as the files say. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeConfig {
    config: Config,
    overrides: Overrides,
    state: Arc<Mutex<State>>,
}

/// What became of the last readings.
#[derive(Clone, Debug, Default)]
struct State {
    /// SHA-256 of what is in force, in hexadecimal; `None` if there are no files.
    hash: Option<String>,
    /// Why the files are not what is in force, if so.
    failure: Option<String>,
}

impl RuntimeConfig {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// If one cannot be read or makes no sense: at the start there is nothing before it to go on with.
    pub(crate) async fn begin(config: &Config, limits: &Limits) -> anyhow::Result<Self> {
        let files = config.file.iter().map(|name| name.trim());
        let files = files.filter(|name| !name.is_empty()).map(str::to_owned);
        let this = Self {
            config: Config {
                file: files.collect(),
                ..config.clone()
            },
            overrides: Overrides::fixed(limits.clone()),
            state: Arc::default(),
        };
        if this.has_files() {
            let loaded = this.load().await;
            loaded.map_err(|problem| anyhow::anyhow!("`-runtime-config.file` {problem}"))?;
        }
        Ok(this)
    }

    fn has_files(&self) -> bool {
        !self.config.file.is_empty()
    }

    /// The limits of all tenants.
    pub(crate) fn overrides(&self) -> Overrides {
        self.overrides.clone()
    }

    /// Shows figures, and trouble in `/ready`. `exports`: also what the limits of each tenant are.
    pub(crate) fn register(&self, registry: &mut Registry, health: &Health, exports: bool) {
        metrics::register(registry, self, exports);
        let this = self.clone();
        health.watch("runtime-config", move || this.state.lock().failure.clone());
    }

    /// Reads the files again until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        if !self.has_files() {
            return;
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.config.period) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.reload() => {}
            }
        }
    }

    /// One line of the log for each thing that goes wrong, however often it is seen.
    async fn reload(&self) {
        let outcome = self.load().await;
        let files = || self.config.file.join(",");
        match outcome {
            Ok(Loaded::Same { failed: false }) => {}
            Ok(Loaded::Same { failed: true }) => info!(
                files = files(),
                "runtime configuration is again what is in force"
            ),
            Ok(Loaded::New) => info!(
                files = files(),
                tenants = self.overrides.tenants().len(),
                "runtime configuration changed"
            ),
            Err(problem) => {
                let mut state = self.state.lock();
                if state.failure.as_ref() != Some(&problem) {
                    warn!(
                        problem,
                        "runtime configuration not changed: what was before stays in force"
                    );
                    state.failure = Some(problem);
                }
            }
        }
    }

    async fn load(&self) -> Result<Loaded, String> {
        let mut sources = Vec::new();
        for name in &self.config.file {
            let text = read(name).await;
            let text = text.map_err(|error| format!("{name}: {error:#}"))?;
            sources.push(Source {
                name: name.clone(),
                text,
            });
        }
        let hash = hash(&sources);
        {
            let mut state = self.state.lock();
            if state.hash.as_ref() == Some(&hash) {
                let failed = state.failure.take().is_some();
                return Ok(Loaded::Same { failed });
            }
        }
        let tenants = document::read(&sources, self.overrides.defaults());
        self.overrides
            .replace(tenants.map_err(|problem| problem.to_string())?);
        *self.state.lock() = State {
            hash: Some(hash),
            failure: None,
        };
        Ok(Loaded::New)
    }
}

enum Loaded {
    New,
    Same { failed: bool },
}

async fn read(name: &str) -> anyhow::Result<String> {
    let bytes = if name.starts_with("http://") || name.starts_with("https://") {
        fetch(name).await?
    } else {
        let path = Path::new(name);
        let size = tokio::fs::metadata(path).await?.len();
        anyhow::ensure!(
            size <= MAX_BYTES as u64,
            "{size} bytes: at most {MAX_BYTES}"
        );
        tokio::fs::read(path).await?
    };
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        anyhow::anyhow!("line {line} is not UTF-8")
    })
}

async fn fetch(url: &str) -> anyhow::Result<Vec<u8>> {
    let client = reqwest::Client::builder().timeout(FETCH).build()?;
    let answer = client.get(url).send().await;
    // What is said of a failed request names its URL, which may hold a password.
    let answer = answer.map_err(reqwest::Error::without_url);
    let answer = answer.map_err(|error| anyhow::anyhow!("{}", chain(&error)))?;
    let mut answer = answer
        .error_for_status()
        .map_err(reqwest::Error::without_url)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("read the answer")? {
        bytes.extend_from_slice(&chunk);
        anyhow::ensure!(bytes.len() <= MAX_BYTES, "more than {MAX_BYTES} bytes");
    }
    Ok(bytes)
}

/// As `cat FILES | sha256sum` has it.
fn hash(sources: &[Source]) -> String {
    let mut digest = Digest::new(&SHA256);
    for source in sources {
        digest.update(source.text.as_bytes());
    }
    let digest = digest.finish();
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
