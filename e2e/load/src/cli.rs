//! The command line and the settings that it means.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use crate::manifest::{self, Entry};

/// The manifest of the reference load.
const REFERENCE: &str = include_str!("../reference.txt");

/// How profiles are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    /// `push.v1.PusherService/Push` over Connect
    Connect,
    /// `POST /ingest?format=pprof`
    Ingest,
}

/// What time the profiles bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Timestamps {
    /// Evenly over the last `--spread`
    Spread,
    /// The time of sending
    Now,
}

/// Sends real profiles to any server with the Pyroscope v1 API, then asks queries; reports throughput,
/// latency, errors, and what the server spent.
#[derive(Debug, clap::Parser)]
#[command(
    name = "phlare-load",
    version,
    after_help = "Exit codes: 0 every request succeeded, 1 a request or the run failed, 2 usage."
)]
pub(crate) struct Args {
    /// The server
    #[arg(long, default_value = "http://localhost:4040", help_heading = "Server")]
    url: String,
    /// Tenant, sent as `X-Scope-OrgID`
    #[arg(long, help_heading = "Server")]
    tenant: Option<String>,
    /// One more header, `Name: value` (repeatable)
    #[arg(long = "header", value_name = "HEADER", help_heading = "Server")]
    headers: Vec<String>,
    /// Process id of the server: adds its CPU time and memory to the report
    #[arg(long, help_heading = "Server")]
    pid: Option<u32>,
    /// Wait at most this long for `/ready` before the first phase
    #[arg(long, value_parser = duration, help_heading = "Server")]
    wait_ready: Option<Duration>,
    /// Time allowed for one request
    #[arg(long, default_value = "30s", value_parser = duration, help_heading = "Server")]
    timeout: Duration,

    /// pprof files to send, in turn
    #[arg(long, num_args = 1.., value_name = "FILE", help_heading = "Push")]
    files: Vec<PathBuf>,
    /// A list of files with labels; see `reference.txt`
    #[arg(long, value_name = "FILE", help_heading = "Push")]
    manifest: Option<PathBuf>,
    /// Directory to which the manifest's paths are relative
    #[arg(long, value_name = "DIR", help_heading = "Push")]
    testdata: Option<PathBuf>,
    /// Number of profiles to send
    #[arg(long, help_heading = "Push")]
    profiles: Option<u64>,
    /// How long to send, e.g. `30s`
    #[arg(long, value_parser = duration, help_heading = "Push")]
    duration: Option<Duration>,
    /// Connections, each with one request at a time [default: 8]
    #[arg(long, help_heading = "Push")]
    concurrency: Option<usize>,
    /// Profiles per second (`200/s`), whether or not the server keeps up; without it each connection
    /// sends as fast as it is answered
    #[arg(long, value_parser = rate, help_heading = "Push")]
    rate: Option<f64>,
    /// How to send
    #[arg(long, value_enum, default_value = "connect", help_heading = "Push")]
    api: Api,
    /// Label sets per file, told apart by `pod` and `region` [default: 1]
    #[arg(long, help_heading = "Push")]
    series_per_file: Option<usize>,
    /// Times of the profiles
    #[arg(long, value_enum, default_value = "spread", help_heading = "Push")]
    timestamps: Timestamps,
    /// With `--timestamps spread`: how far back
    #[arg(long, default_value = "50m", value_parser = duration, help_heading = "Push")]
    spread: Duration,
    /// How often to send a profile again that was answered with 429
    #[arg(long, default_value_t = 0, help_heading = "Push")]
    retry_429: u32,

    /// A JSON file of queries instead of the built-in mix: `[{"name", "method", "request", "count"}]`
    #[arg(long, value_name = "FILE", help_heading = "Queries")]
    queries: Option<PathBuf>,
    /// How often to ask each query [default: 0, or 100 with --queries]
    #[arg(long, help_heading = "Queries")]
    query_count: Option<u64>,
    /// Connections that ask at the same time
    #[arg(long, default_value_t = 1, help_heading = "Queries")]
    query_concurrency: usize,
    /// Queries without times are about the last so much
    #[arg(long, default_value = "1h", value_parser = duration, help_heading = "Queries")]
    query_window: Duration,

    /// Write the report as JSON to this file, or `-` for standard output instead of the table
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,
    /// Threads of the generator itself
    #[arg(long, default_value_t = 1, help_heading = "Report")]
    threads: usize,
    /// The reference setting, where not given otherwise: 8 programs in 50 series each, 10000 profiles,
    /// one a request, 8 connections, then each query of the built-in mix 100 times; needs --testdata
    #[arg(long, help_heading = "Report")]
    defaults_for_benchmark: bool,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    pub(crate) url: reqwest::Url,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) pid: Option<u32>,
    pub(crate) wait_ready: Option<Duration>,
    pub(crate) timeout: Duration,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct PushSettings {
    pub(crate) entries: Vec<Entry>,
    pub(crate) profiles: Option<u64>,
    pub(crate) duration: Option<Duration>,
    pub(crate) concurrency: usize,
    pub(crate) rate: Option<f64>,
    pub(crate) api: Api,
    pub(crate) series_per_file: usize,
    pub(crate) timestamps: Timestamps,
    pub(crate) spread: Duration,
    pub(crate) retry_429: u32,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct QuerySettings {
    pub(crate) file: Option<PathBuf>,
    pub(crate) count: u64,
    pub(crate) concurrency: usize,
    pub(crate) window: Duration,
}

/// A whole run, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) server: ServerSettings,
    pub(crate) push: Option<PushSettings>,
    pub(crate) queries: Option<QuerySettings>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) threads: usize,
}

impl Args {
    /// Checks the arguments and fills in what they leave open.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let push = self.push()?;
        let queries = self.query_settings(push.is_some())?;
        ensure!(
            push.is_some() || queries.is_some(),
            "nothing to do: give --files or --manifest with --profiles or --duration, or --query-count, \
             or --defaults-for-benchmark"
        );
        ensure!(self.threads > 0, "--threads must be at least 1");
        Ok(Settings {
            server: self.server()?,
            push,
            queries,
            json: self.json.clone(),
            threads: self.threads,
        })
    }

    fn server(&self) -> anyhow::Result<ServerSettings> {
        let url: reqwest::Url = self
            .url
            .parse()
            .with_context(|| format!("--url `{}`", self.url))?;
        ensure!(
            matches!(url.scheme(), "http" | "https"),
            "--url `{}`: expected http:// or https://",
            self.url
        );
        let mut headers = reqwest::header::HeaderMap::new();
        if let Some(tenant) = &self.tenant {
            headers.insert("x-scope-orgid", tenant.parse().context("--tenant")?);
        }
        for header in &self.headers {
            let Some((name, value)) = header.split_once(':') else {
                bail!("--header `{header}`: expected `Name: value`");
            };
            let name: reqwest::header::HeaderName = name
                .trim()
                .parse()
                .with_context(|| format!("--header `{header}`"))?;
            let value = value
                .trim()
                .parse()
                .with_context(|| format!("--header `{header}`"))?;
            headers.append(name, value);
        }
        Ok(ServerSettings {
            url,
            headers,
            pid: self.pid,
            wait_ready: self.wait_ready,
            timeout: self.timeout,
        })
    }

    fn push(&self) -> anyhow::Result<Option<PushSettings>> {
        let entries = self.entries()?;
        if entries.is_empty() {
            ensure!(
                self.profiles.is_none() && self.duration.is_none(),
                "--profiles and --duration need --files or --manifest"
            );
            return Ok(None);
        }
        let bench = self.defaults_for_benchmark;
        let mut profiles = self.profiles;
        if profiles.is_none() && self.duration.is_none() {
            ensure!(bench, "say how many (--profiles) or how long (--duration)");
            profiles = Some(10_000);
        }
        let concurrency = self.concurrency.unwrap_or(8);
        let series_per_file = self.series_per_file.unwrap_or(if bench { 50 } else { 1 });
        ensure!(concurrency > 0, "--concurrency must be at least 1");
        ensure!(series_per_file > 0, "--series-per-file must be at least 1");
        Ok(Some(PushSettings {
            entries,
            profiles,
            duration: self.duration,
            concurrency,
            rate: self.rate,
            api: self.api,
            series_per_file,
            timestamps: self.timestamps,
            spread: self.spread,
            retry_429: self.retry_429,
        }))
    }

    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = self
            .files
            .iter()
            .map(|path| Entry::unlabelled(path))
            .collect();
        let text = match &self.manifest {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| format!("read the manifest {}", path.display()))?,
            ),
            None if self.defaults_for_benchmark && entries.is_empty() => {
                ensure!(
                    self.testdata.is_some(),
                    "--defaults-for-benchmark sends files of --testdata DIR: give it"
                );
                Some(REFERENCE.to_owned())
            }
            None => None,
        };
        if let Some(text) = text {
            let base = self.testdata.clone().unwrap_or_default();
            entries.extend(manifest::parse(&text, &base)?);
        }
        Ok(entries)
    }

    fn query_settings(&self, pushed: bool) -> anyhow::Result<Option<QuerySettings>> {
        let bench = self.defaults_for_benchmark && pushed;
        let default = if bench || self.queries.is_some() {
            100
        } else {
            0
        };
        let count = self.query_count.unwrap_or(default);
        ensure!(
            self.query_concurrency > 0,
            "--query-concurrency must be at least 1"
        );
        Ok((count > 0).then(|| QuerySettings {
            file: self.queries.clone(),
            count,
            concurrency: self.query_concurrency,
            window: self.query_window,
        }))
    }
}

/// Reads `150ms`, `30s`, `5m`, `1h` or sums of such, e.g. `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; expected e.g. 500ms, 30s, 5m, 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    if total.is_zero() {
        Err(wrong())
    } else {
        Ok(total)
    }
}

/// Reads `200` or `200/s`.
fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(format!("`{text}` is no rate; expected e.g. 200/s")),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    fn settings(args: &[&str]) -> anyhow::Result<Settings> {
        let args = std::iter::once("phlare-load").chain(args.iter().copied());
        Args::try_parse_from(args)?.settings()
    }

    #[test]
    fn the_command_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn benchmark_defaults_are_the_reference_setting() {
        let settings = settings(&["--defaults-for-benchmark", "--testdata", "td"]).unwrap();
        let push = settings.push.unwrap();
        assert_eq!(push.entries.len(), 8);
        assert_eq!(
            (push.profiles, push.concurrency, push.series_per_file),
            (Some(10_000), 8, 50)
        );
        assert_eq!(settings.queries.unwrap().count, 100);
    }

    #[test]
    fn given_values_win_over_benchmark_defaults() {
        let args = [
            "--defaults-for-benchmark",
            "--testdata",
            "td",
            "--profiles",
            "7",
            "--query-count",
            "0",
        ];
        let settings = settings(&args).unwrap();
        assert_eq!(settings.push.unwrap().profiles, Some(7));
        assert!(settings.queries.is_none());
    }

    #[test]
    fn a_run_without_work_says_what_to_give() {
        let error = settings(&[]).unwrap_err().to_string();
        assert!(error.contains("--manifest"), "{error}");
        let error = settings(&["--files", "a.pprof"]).unwrap_err().to_string();
        assert!(error.contains("--duration"), "{error}");
        assert!(settings(&["--profiles", "3"]).is_err());
        assert!(settings(&["--defaults-for-benchmark"]).is_err());
    }

    #[test]
    fn headers_and_tenant_reach_the_settings() {
        let args = [
            "--query-count",
            "1",
            "--tenant",
            "t1",
            "--header",
            "Authorization: Bearer x",
        ];
        let headers = settings(&args).unwrap().server.headers;
        assert_eq!(headers.get("x-scope-orgid").unwrap(), "t1");
        assert_eq!(headers.get("authorization").unwrap(), "Bearer x");
        assert!(settings(&["--query-count", "1", "--header", "nonsense"]).is_err());
    }

    #[test]
    fn durations_and_rates_are_read() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "5", "0s", "s", "5 m", "1y", "999999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(rate("200/s"), Ok(200.0));
        assert!(rate("-1").is_err() && rate("x/s").is_err() && rate("inf").is_err());
    }
}
