//! What merging of blocks must not do.

use std::path::PathBuf;

use anyhow::ensure;
use phlare_e2e::client::CPU;
use phlare_e2e::{Client, Options, now_ns};
use tempfile::TempDir;

use super::{cpu_of, flip, flush, metric, until, work};

const HOUR_NS: i64 = 3_600_000_000_000;

/// A server that merges whatever is there, all the time, and takes profiles of hours that are over.
fn on(bucket: &TempDir) -> Options {
    let directory = bucket.path().display();
    Options::new()
        .flag(&format!("-storage.filesystem.dir={directory}"))
        .flag("-distributor.ingestion-rate-limit-mb=0")
        .flag("-validation.reject-older-than=0s")
        .flag("-compactor.first-level-compaction-wait-period=0s")
        .flag("-compactor.compaction-interval=200ms")
        .flag("-compactor.cleanup-interval=200ms")
}

async fn total(client: &Client) -> anyhow::Result<String> {
    let end = now_ns() / 1_000_000;
    let query = serde_json::json!({
        "profileTypeID": CPU, "labelSelector": "{}", "start": end - 12 * 3_600_000, "end": end,
    });
    let method = "querier.v1.QuerierService/SelectMergeStacktraces";
    let answer = client.json(method, &query).await?.ok()?.value()?;
    let total = answer["flamegraph"]["total"].as_str().unwrap_or_default();
    Ok(total.to_owned())
}

/// Names of blocks with a file of this name.
fn with_file(bucket: &TempDir, file: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(bucket.path().join("anonymous/phlaredb"))? {
        let path = entry?.path();
        if path.join(file).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// B25, the last stage.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_push_one_series_in_one_millisecond_all_count_after_compaction()
-> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    let mut server = on(&bucket)
        .flag("-compactor.disabled-tenants=anonymous")
        .start()
        .await?;
    let client = server.client()?;
    let at_ns = (now_ns() / HOUR_NS - 3) * HOUR_NS + HOUR_NS / 2;
    for value in [1, 20, 300] {
        client
            .push(&cpu_of("host"), work(value).at(at_ns).bytes())
            .await?;
    }
    flush(&client).await?;
    let together = [4000, 50_000].map(|value| work(value).at(at_ns).bytes());
    client
        .try_push(&cpu_of("host"), together.to_vec())
        .await?
        .ok()?;
    flush(&client).await?;
    ensure!(total(&client).await? == "54321", "in two blocks");
    server.stop_quiet(&[]).await?;

    // Another directory, so that nothing but the bucket answers.
    let mut server = on(&bucket).start().await?;
    let client = server.client()?;
    until("nothing is merged", || async {
        Ok(with_file(&bucket, "deletion-mark.json")?.len() == 2)
    })
    .await?;
    ensure!(with_file(&bucket, "meta.json")?.len() == 3);
    ensure!(total(&client).await? == "54321", "after compaction");
    server.stop_quiet(&[]).await?;
    for block in with_file(&bucket, "deletion-mark.json")? {
        std::fs::remove_dir_all(block)?;
    }
    let mut server = on(&bucket).start().await?;
    let total = total(&server.client()?).await?;
    ensure!(total == "54321", "when the merged blocks are gone: {total}");
    server.stop_quiet(&[]).await
}

/// B42, the part of compaction.
#[tokio::test(flavor = "multi_thread")]
async fn bad_blocks_are_marked_once_and_the_others_are_merged() -> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    let off = "-compactor.disabled-tenants=anonymous";
    let mut server = on(&bucket).flag(off).start().await?;
    let client = server.client()?;
    let at_ns = (now_ns() / HOUR_NS - 3) * HOUR_NS + HOUR_NS / 2;
    for value in [1, 20, 300, 4000, 50_000, 600_000] {
        client
            .push(&cpu_of("cart"), work(value).at(at_ns).bytes())
            .await?;
        flush(&client).await?;
    }
    server.stop_quiet(&[]).await?;
    let blocks = with_file(&bucket, "meta.json")?;
    let [index, table, meta, symbols, ..] = blocks.as_slice() else {
        anyhow::bail!("{blocks:?}");
    };
    flip(&index.join("index.tsdb"), 20)?;
    let cut = std::fs::read(table.join("profiles.parquet"))?;
    std::fs::write(table.join("profiles.parquet"), &cut[..cut.len() / 2])?;
    std::fs::remove_file(meta.join("meta.json"))?;
    std::fs::remove_dir_all(symbols.join("symbols"))?;
    for folder in ["traces/deep", ".trash/x"] {
        std::fs::create_dir_all(bucket.path().join(folder))?;
        std::fs::write(bucket.path().join(folder).join("object"), b"x")?;
    }

    let mut server = on(&bucket).start().await?;
    let client = server.client()?;
    until("the good ones are not merged", || async {
        Ok(with_file(&bucket, "deletion-mark.json")?.len() == 2)
    })
    .await?;
    let marked = with_file(&bucket, "no-compact-mark.json")?;
    let bad = [index.clone(), table.clone(), symbols.clone()];
    ensure!(marked == bad, "{marked:?}");
    let marks = || -> anyhow::Result<Vec<String>> {
        let texts = marked.iter().map(|block| {
            let text = std::fs::read_to_string(block.join("no-compact-mark.json"))?;
            Ok(text)
        });
        texts.collect()
    };
    let before = marks()?;
    for (mark, file) in before
        .iter()
        .zip(["index.tsdb", "profiles.parquet", "symbols"])
    {
        ensure!(mark.contains(file), "{mark} does not name {file}");
    }
    let runs = "pyroscope_compactor_runs_completed_total";
    let now = metric(&client, runs, &[]).await?;
    until("there are no more runs", || async {
        Ok(metric(&client, runs, &[]).await? >= now + 3.0)
    })
    .await?;
    ensure!(marks()? == before, "a mark was written again");
    ensure!(
        total(&client).await? == "650000",
        "{}",
        total(&client).await?
    );
    let index = bucket
        .path()
        .join("anonymous/phlaredb/bucket-index.json.gz");
    ensure!(index.is_file(), "the index of the bucket was not written");
    for folder in ["traces", ".trash"] {
        let inside = std::fs::read_dir(bucket.path().join(folder))?.count();
        ensure!(inside == 1, "{folder} was taken for a tenant");
    }
    server.stop().await
}

/// Retention: what is too old goes, from answers and from the bucket, without a compactor of its own process.
#[tokio::test(flavor = "multi_thread")]
async fn profiles_older_than_the_retention_go() -> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    // At some hours of the day both lie in one window; merged, the younger would keep the older.
    let off = "-compactor.disabled-tenants=anonymous";
    let mut server = on(&bucket).flag(off).start().await?;
    let client = server.client()?;
    for hours in [1, 5] {
        let at_ns = (now_ns() / HOUR_NS - hours) * HOUR_NS;
        client
            .push(&cpu_of("cart"), work(hours).at(at_ns).bytes())
            .await?;
    }
    flush(&client).await?;
    ensure!(total(&client).await? == "6");
    server.stop_quiet(&[]).await?;
    let mut server = on(&bucket)
        .flag(off)
        .flag("-compactor.blocks-retention-period=4h")
        .flag("-compactor.deletion-delay=0s")
        .flag("-blocks-storage.bucket-store.sync-interval=200ms")
        .start()
        .await?;
    let client = server.client()?;
    until("the old block stays", || async {
        Ok(with_file(&bucket, "meta.json")?.len() == 1 && total(&client).await? == "1")
    })
    .await?;
    server.stop().await
}
