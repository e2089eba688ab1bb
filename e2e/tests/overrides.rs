//! Limits of single tenants, changed while a server takes profiles: field report B11.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use phlare_e2e::client::CPU;
use phlare_e2e::server::Server;
use phlare_e2e::{Client, Options, Pprof, now_ns};
use tempfile::TempDir;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);

/// A file as Kubernetes mounts it: a link to a directory that is replaced as a whole.
#[derive(Debug)]
struct Mounted(TempDir);

impl Mounted {
    fn new(text: &str) -> anyhow::Result<Self> {
        let mounted = Self(tempfile::tempdir()?);
        mounted.replace("0", text)?;
        symlink("..data/overrides.yaml", mounted.path("overrides.yaml"))?;
        Ok(mounted)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn flag(&self) -> String {
        let file = self.path("overrides.yaml");
        format!("-runtime-config.file={}", file.display())
    }

    fn replace(&self, version: &str, text: &str) -> anyhow::Result<()> {
        let directory = self.path(&format!("..{version}"));
        std::fs::create_dir(&directory)?;
        std::fs::write(directory.join("overrides.yaml"), text)?;
        let link = self.path("..data_tmp");
        symlink(&directory, &link)?;
        std::fs::rename(&link, self.path("..data"))?;
        Ok(())
    }
}

/// Pushes of several tenants, without a pause, all of which must be taken.
#[derive(Debug)]
struct Pushes {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Pushes {
    fn begin(client: &Client, tenants: &[&str]) -> Self {
        let mut pushes = Self {
            stop: Arc::default(),
            count: Arc::default(),
            tasks: JoinSet::new(),
        };
        for tenant in tenants {
            let client = client.tenant(tenant);
            let (stop, count) = (Arc::clone(&pushes.stop), Arc::clone(&pushes.count));
            pushes.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    push(&client, "load").await?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        pushes
    }

    /// Waits until some more were taken.
    async fn more(&mut self) -> anyhow::Result<()> {
        let goal = self.count.load(Ordering::Relaxed) + 20;
        while self.count.load(Ordering::Relaxed) < goal {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => ended??,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn push(client: &Client, service: &str) -> anyhow::Result<()> {
    let labels = [("__name__", "process_cpu"), ("service_name", service)];
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[1]).bytes();
    client.push(&labels, profile).await?;
    Ok(())
}

async fn text(client: &Client, path: &str) -> anyhow::Result<String> {
    Ok(client.get(path).await?.ok()?.text())
}

/// Waits until a page holds a text.
async fn shows(client: &Client, path: &str, part: &str) -> anyhow::Result<String> {
    let waiting = async {
        loop {
            let shown = text(client, path).await?;
            if shown.contains(part) {
                return anyhow::Ok(shown);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let shown = tokio::time::timeout(PATIENCE, waiting).await;
    shown.with_context(|| format!("{path} never shows {part:?}"))?
}

/// Lines of the log about files that were not taken.
fn refusals(server: &Server) -> anyhow::Result<Vec<String>> {
    let log = server.log()?;
    let lines = log
        .lines()
        .filter(|line| line.contains("runtime configuration not changed"));
    Ok(lines.map(str::to_owned).collect())
}

fn server(mounted: &Mounted) -> Options {
    Options::new()
        .flag("-auth.multitenancy-enabled")
        .flag("-runtime-config.reload-period=100ms")
        .flag(&mounted.flag())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_limits_is_taken_while_serving_or_refused_with_its_mistake() -> anyhow::Result<()>
{
    let retention = "overrides: {t1: {compactor_blocks_retention_period: 48h}}\n";
    let mounted = Mounted::new(retention)?;
    let mut running = server(&mounted).start().await?;
    let client = running.client()?;
    let mut pushes = Pushes::begin(&client, &["t1", "t2"]);
    pushes.more().await?;
    // Nothing but the retention is another one.
    let difference = text(&client, "/runtime_config?mode=diff").await?;
    ensure!(
        difference.ends_with("overrides:\n  t1:\n    compactor_blocks_retention_period: 48h0m0s\n"),
        "{difference}"
    );
    let all = text(&client, "/runtime_config").await?;
    ensure!(
        all.contains("    ingestion_rate_mb: 4.0\n") && all.contains("`*` is no tenant"),
        "{all}"
    );

    let mistakes = [
        (
            "overrides:\n  ingestion_rate_mb: 10\n",
            "line 2: `overrides.ingestion_rate_mb`: a limit directly under `overrides`, where tenants are: \
             write `overrides: {TENANT: {ingestion_rate_mb: 10}}`",
        ),
        (
            "overrides:\n  t1: {}\n  \"*\":\n    ingestion_rate_mb: 10\n",
            "line 3: `overrides.*`: `*` is no tenant; limits of all tenants are `limits` in the file of `-config.file`",
        ),
        (
            "overrides:\n\tt1:\n\t\tingestion_rate_mb: 10\n",
            "line 2: a tab character",
        ),
        (
            "overrides:\n  t1:\n    ingestion_rat_mb: 10\n",
            "line 3: `overrides.t1.ingestion_rat_mb`: unknown limit, did you mean `ingestion_rate_mb`?",
        ),
    ];
    for (number, (file, complaint)) in mistakes.iter().enumerate() {
        mounted.replace(&format!("bad-{number}"), file)?;
        shows(&client, "/ready", complaint).await?;
        pushes.more().await?;
        let figures = text(&client, "/metrics").await?;
        ensure!(
            figures.contains(
                "pyroscope_runtime_config_last_reload_successful{config=\"pyroscope\"} 0"
            ),
            "{figures}"
        );
        let page = text(&client, "/runtime_config?mode=diff").await?;
        ensure!(
            page.contains("# NOT in force") && page.contains("retention_period: 48h0m0s"),
            "{page}"
        );
        let lines = refusals(&running)?;
        ensure!(lines.len() == number + 1, "one line each: {lines:#?}");
        ensure!(
            lines[number].contains("overrides.yaml"),
            "{}",
            lines[number]
        );
    }

    // A limit counts from the next push on, for its tenant only.
    mounted.replace(
        "good",
        "overrides:\n  t3:\n    max_label_value_length: 5\n    max_global_series_per_tenant: 7\n",
    )?;
    let figures = shows(&client, "/metrics", "tenant=\"t3\"").await?;
    ensure!(
        figures.contains("pyroscope_runtime_config_last_reload_successful{config=\"pyroscope\"} 1"),
        "{figures}"
    );
    ensure!(
        figures.contains(
            "pyroscope_limits_overrides{limit_name=\"max_label_value_length\",tenant=\"t3\"} 5"
        ),
        "{figures}"
    );
    ensure!(
        !figures.contains("pyroscope_limits_overrides{limit_name=\"max_query_length\""),
        "{figures}"
    );
    let refused = push(&client.tenant("t3"), "too-long").await;
    ensure!(refused.is_err(), "the limit of t3 does not count");
    push(&client.tenant("t1"), "too-long").await?;
    let own = text(&client.tenant("t3"), "/api/v1/tenant_limits").await?;
    ensure!(own.contains("\"max_global_series_per_user\":7"), "{own}");
    pushes.more().await?;
    pushes.end().await?;
    for tenant in ["t1", "t2"] {
        let total = client.tenant(tenant).total(CPU, "{}").await?;
        ensure!(total > 0, "{tenant} has {total}");
    }
    running
        .stop_quiet(&["runtime configuration not changed", "status=400"])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_at_the_start_is_named() -> anyhow::Result<()> {
    let mounted = Mounted::new("overrides: {t1: {ingestion_rate_mb: much}}\n")?;
    let (status, log) = server(&mounted).refused().await?;
    ensure!(!status.success(), "{status}");
    ensure!(
        log.contains("-runtime-config.file")
            && log.contains("line 1: `overrides.t1.ingestion_rate_mb`")
            && log.contains("much"),
        "{log}"
    );
    let missing = Options::new().flag("-runtime-config.file=/nowhere/overrides.yaml");
    let (_, log) = missing.refused().await?;
    ensure!(log.contains("/nowhere/overrides.yaml"), "{log}");
    Ok(())
}

/// Other files are left alone, so a path is enough.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_merged_from_left_to_right() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let write = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = Path::new(directory.path()).join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let first = write(
        "first.yaml",
        "overrides: {a: {max_query_length: 1h, ingestion_rate_mb: 1}}\n",
    )?;
    let second = write(
        "second.yaml",
        "overrides: {a: {ingestion_rate_mb: 2}, b: {ingestion_rate_mb: 3}}\n",
    )?;
    let flag = format!("-runtime-config.file={first},{second}");
    let mut running = Options::new().flag(&flag).start().await?;
    let page = text(&running.client()?, "/runtime_config?mode=diff").await?;
    ensure!(
        page.ends_with(
            "overrides:\n  a:\n    ingestion_rate_mb: 2.0\n    max_query_length: 1h0m0s\n  b:\n    ingestion_rate_mb: 3.0\n"
        ),
        "{page}"
    );
    running.stop_quiet(&[]).await
}
