//! Recorded requests with the answers of the system that users have today, replayed on a fresh server.
//!
//! A step may be answered otherwise only if `golden-differences.json` names it and says why; a step named there that
//! is answered alike must be taken off the list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use phlare_e2e::fleet::Settings;
use phlare_e2e::{Options, Server, shared};
use serde::Deserialize;

/// Steps of a scenario that are answered otherwise on purpose.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    scenario: String,
    /// Names of the steps, or their beginnings.
    steps: Vec<String>,
    reason: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_read_is_answered_as_recorded() -> anyhow::Result<()> {
    replay("connect_read", Options::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn http_render_is_answered_as_recorded() -> anyhow::Result<()> {
    replay("http_render", Options::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_pprof_is_answered_as_recorded() -> anyhow::Result<()> {
    replay("ingest_pprof", Options::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_formats_is_answered_as_recorded() -> anyhow::Result<()> {
    replay("ingest_formats", Options::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_is_answered_as_recorded() -> anyhow::Result<()> {
    replay("delta", Options::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_answered_as_recorded() -> anyhow::Result<()> {
    replay("errors", Options::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_is_answered_as_recorded() -> anyhow::Result<()> {
    replay("otlp", Options::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_answered_as_recorded() -> anyhow::Result<()> {
    replay(
        "tenants",
        Options::new().flag("-auth.multitenancy-enabled=true"),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_upstream_is_queried_as_recorded() -> anyhow::Result<()> {
    replay_blocks("v3-golden", "v3-golden", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_blocks_of_upstream_are_queried_as_recorded() -> anyhow::Result<()> {
    replay_blocks("v3-compaction input", "v3-compaction", "input").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_block_of_upstream_is_queried_as_recorded() -> anyhow::Result<()> {
    replay_blocks("v3-compaction output", "v3-compaction", "output").await
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_upstream_that_we_compact_are_queried_as_recorded() -> anyhow::Result<()> {
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    let set = shared.join("testdata/blocks/v3-compaction");
    let bucket = tempfile::tempdir()?;
    let blocks = bucket.path().join("anonymous/phlaredb");
    copy(&set.join("input/anonymous/phlaredb"), &blocks)?;
    let count = std::fs::read_dir(&blocks)?.count();
    let mut server = over(bucket.path())
        .flag("-compactor.first-level-compaction-wait-period=0s")
        .start()
        .await?;
    let client = server.client()?;
    let merged = async {
        let done = "pyroscope_compactor_runs_completed_total 1";
        while !client.get("/metrics").await?.ok()?.text().contains(done) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    let limit = std::time::Duration::from_secs(120);
    tokio::time::timeout(limit, merged)
        .await
        .context("nothing is merged")??;
    let marks = std::fs::read_dir(blocks.join("markers"))?.count();
    ensure!(
        marks >= count,
        "{marks} blocks of {count} gave way to others"
    );
    let file = set.join("queries.json");
    replay_on(&mut server, "v3-compaction output", &file).await
}

/// A server for blocks in a directory.
fn over(bucket: &Path) -> Options {
    Options::new()
        .flag(&format!("-storage.filesystem.dir={}", bucket.display()))
        .flag("-querier.max-query-lookback=0s")
        .flag("-querier.query-store-after=0s")
        .flag("-blocks-storage.bucket-store.ignore-blocks-within=0s")
}

/// Replays the queries of a set of blocks on a server whose bucket holds `directory` of that set.
async fn replay_blocks(name: &str, set: &str, directory: &str) -> anyhow::Result<()> {
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    let set = shared.join("testdata/blocks").join(set);
    let bucket = tempfile::tempdir()?;
    let tenant = "anonymous";
    copy(
        &set.join(directory).join(tenant),
        &bucket.path().join(tenant),
    )?;
    let options = over(bucket.path());
    replay_file(name, &set.join("queries.json"), options).await
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            // Not `copy`, which would keep the mode: fixtures may be read-only.
            std::fs::write(target, std::fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

async fn replay(scenario: &str, options: Options) -> anyhow::Result<()> {
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    let file = shared.join("golden").join(format!("{scenario}.json"));
    replay_file(scenario, &file, options).await
}

async fn replay_file(scenario: &str, file: &Path, options: Options) -> anyhow::Result<()> {
    if shared::directory()?.is_none() {
        return Ok(());
    }
    let mut server = options.start().await?;
    replay_on(&mut server, scenario, file).await
}

async fn replay_on(server: &mut Server, scenario: &str, file: &Path) -> anyhow::Result<()> {
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    if !shared::runtime("python3", &["--version"], &[3, 8])? {
        return Ok(());
    }
    ask(&shared, server.url(), scenario, file).await?;
    server.stop_quiet(&["message=\"request failed\""]).await
}

async fn ask(shared: &Path, url: &str, scenario: &str, file: &Path) -> anyhow::Result<()> {
    let (shared, url, path) = (shared.to_owned(), url.to_owned(), file.to_owned());
    let output = tokio::task::spawn_blocking(move || run(&shared, &url, &path)).await??;
    let name = file.file_name().unwrap_or_default();
    compare(scenario, &name.to_string_lossy(), &output)
}

/// The same of a new fleet, whose bucket begins with the blocks of a directory.
async fn replay_on_fleet(
    scenario: &str,
    file: &str,
    blocks: Option<&str>,
    flags: &[&str],
) -> anyhow::Result<()> {
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    if !shared::runtime("python3", &["--version"], &[3, 8])? {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    if let Some(blocks) = blocks {
        let bucket = directory.path().join("bucket/anonymous");
        copy(&shared.join(blocks), &bucket)?;
    }
    let settings = flags
        .iter()
        .fold(Settings::new(directory.path()), |settings, flag| {
            settings.flag(flag)
        });
    let mut fleet = Box::pin(settings.start()).await?;
    ask(&shared, fleet.url("front-0"), scenario, &shared.join(file))
        .await
        .with_context(|| format!("{scenario}, a fleet"))?;
    fleet.down().await
}

/// What is pushed to the distributors of a fleet and asked of its queriers is as with one process.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_answers_as_recorded() -> anyhow::Result<()> {
    for scenario in [
        "connect_read",
        "http_render",
        "ingest_pprof",
        "ingest_formats",
        "delta",
        "errors",
        "otlp",
    ] {
        let file = format!("golden/{scenario}.json");
        Box::pin(replay_on_fleet(scenario, &file, None, &[])).await?;
    }
    let tenants = ["-auth.multitenancy-enabled=true"];
    Box::pin(replay_on_fleet(
        "tenants",
        "golden/tenants.json",
        None,
        &tenants,
    ))
    .await
}

/// Not `v3-compaction input`: there a push that was repeated has two ids, and queriers know profiles by their ids until
/// the compactor has compared samples.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_answers_from_blocks_of_upstream_as_recorded() -> anyhow::Result<()> {
    let no_limit = ["-querier.max-query-lookback=0s"];
    for (set, directory) in [("v3-golden", ""), ("v3-compaction", "output")] {
        let name = [set, directory].join(" ");
        let blocks = Path::new("testdata/blocks")
            .join(set)
            .join(directory)
            .join("anonymous");
        let file = format!("testdata/blocks/{set}/queries.json");
        let blocks = blocks.to_string_lossy().into_owned();
        Box::pin(replay_on_fleet(
            name.trim(),
            &file,
            Some(&blocks),
            &no_limit,
        ))
        .await?;
    }
    Ok(())
}

fn run(shared: &Path, url: &str, file: &Path) -> anyhow::Result<String> {
    let golden = shared.join("golden");
    let output = Command::new("python3")
        .arg("-B")
        .arg(golden.join("replay.py"))
        .args(["--url", url, "--testdata"])
        .arg(shared.join("testdata"))
        .arg(file)
        .output()
        .context("start replay.py")?;
    let text = String::from_utf8(output.stdout)?;
    let counted = text
        .lines()
        .last()
        .is_some_and(|line| line.contains(" passed, "));
    ensure!(
        counted,
        "replay.py did not come to an end:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

/// Every failed step is on the list, and every step on the list has failed.
fn compare(scenario: &str, file: &str, output: &str) -> anyhow::Result<()> {
    let mut accepted: BTreeMap<String, bool> = BTreeMap::new();
    for difference in differences()?
        .into_iter()
        .filter(|difference| difference.scenario == scenario)
    {
        ensure!(
            !difference.reason.is_empty(),
            "{:?} needs a reason",
            difference.steps
        );
        accepted.extend(difference.steps.into_iter().map(|step| (step, false)));
    }
    let failure = format!("FAIL {file}: ");
    let mut unexpected = Vec::new();
    for step in output
        .lines()
        .filter_map(|line| line.strip_prefix(&failure))
    {
        match accepted
            .iter_mut()
            .find(|(name, _)| step.starts_with(name.as_str()))
        {
            Some((_, seen)) => *seen = true,
            None => unexpected.push(step),
        }
    }
    let stale: Vec<&String> = accepted
        .iter()
        .filter(|(_, seen)| !**seen)
        .map(|(name, _)| name)
        .collect();
    let count = output.lines().last().unwrap_or_default();
    ensure!(
        unexpected.is_empty(),
        "{scenario}: {count}; answered otherwise:\n{}",
        unexpected.join("\n")
    );
    ensure!(
        stale.is_empty(),
        "{scenario}: answered alike, so take them off the list: {stale:#?}"
    );
    Ok(())
}

fn differences() -> anyhow::Result<Vec<Difference>> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "golden-differences.json"]
        .iter()
        .collect();
    let text = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
}
