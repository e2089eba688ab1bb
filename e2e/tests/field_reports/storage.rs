//! Blocks, buckets and disks that misbehave.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use phlare_e2e::client::CPU;
use phlare_e2e::{Client, Options, Pprof, now_ns, shared};
use tempfile::TempDir;

use super::{cpu_of, flip, flush, metric, until, work};

const MINUTE_NS: i64 = 60_000_000_000;

/// A server with a bucket of its own place, so that the data directory can go.
fn on(bucket: &TempDir) -> Options {
    Options::new()
        .flag(&format!(
            "-storage.filesystem.dir={}",
            bucket.path().display()
        ))
        .flag("-distributor.ingestion-rate-limit-mb=0")
}

/// B25.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_push_one_series_in_one_millisecond_all_count_at_every_stage()
-> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    let mut server = on(&bucket).start().await?;
    let client = server.client()?;
    let at_ns = now_ns() - MINUTE_NS;
    for value in [1, 20, 300] {
        client
            .push(&cpu_of("host"), work(value).at(at_ns).bytes())
            .await?;
    }
    let together = [4000, 50_000, 600_000].map(|value| work(value).at(at_ns).bytes());
    client
        .try_push(&cpu_of("host"), together.to_vec())
        .await?
        .ok()?;
    ensure!(client.total(CPU, "{}").await? == 654_321, "in the head");
    flush(&client).await?;
    ensure!(client.total(CPU, "{}").await? == 654_321, "in a block");
    client
        .push(&cpu_of("host"), work(7_000_000).at(at_ns).bytes())
        .await?;
    flush(&client).await?;
    ensure!(client.total(CPU, "{}").await? == 7_654_321, "in two blocks");
    server.stop_quiet(&[]).await?;
    let server = on(&bucket).start().await?;
    let total = server.client()?.total(CPU, "{}").await?;
    ensure!(total == 7_654_321, "from the bucket: {total}");
    Ok(())
}

/// B38.
#[tokio::test(flavor = "multi_thread")]
async fn leftovers_and_strange_entries_do_not_stop_a_start() -> anyhow::Result<()> {
    let directory = Arc::new(tempfile::tempdir()?);
    let mut server = Options::new().directory(&directory).start().await?;
    let client = server.client()?;
    client.push(&cpu_of("cart"), work(5).bytes()).await?;
    flush(&client).await?;
    client.push(&cpu_of("cart"), work(7).bytes()).await?;
    let tenants = server.data().join("ingester");
    server.kill()?;
    let tenant = tenants.join("anonymous");
    std::fs::write(tenant.join("wal/00000900.wal"), b"")?;
    std::fs::write(tenant.join("wal/00000901.wal"), b"abc")?;
    let leftover = tenant.join("head/01M894XZ7NE6X1FAJZN8JYAHY1");
    std::fs::create_dir_all(&leftover)?;
    std::fs::write(leftover.join("profiles.parquet"), vec![0; 1000])?;
    let no_meta = tenant.join("local/01M894XZ7NE6X1FAJZN8JYAHY2");
    std::fs::create_dir_all(&no_meta)?;
    std::fs::write(no_meta.join("index.tsdb"), vec![0; 1000])?;
    for name in ["empty", "lost+found"] {
        std::fs::create_dir_all(tenants.join(name))?;
    }
    std::fs::write(tenants.join("file"), b"")?;

    let mut server = Options::new().directory(&directory).start().await?;
    let client = server.client()?;
    ensure!(client.total(CPU, "{}").await? == 12, "something is missing");
    ensure!(!leftover.try_exists()?, "the half block is still there");
    ensure!(
        !no_meta.try_exists()?,
        "the block without meta.json is still there"
    );
    ensure!(
        tenant
            .join("set-aside/01M894XZ7NE6X1FAJZN8JYAHY2")
            .try_exists()?
    );
    ensure!(metric(&client, "phlare_blocks_set_aside_total", &[]).await? == 1.0);
    let log = server.log()?;
    for name in ["lost+found", "/file", "01M894XZ7NE6X1FAJZN8JYAHY2"] {
        let count = log.lines().filter(|line| line.contains(name)).count();
        ensure!(count == 1, "{name} is named {count} times:\n{log}");
    }
    server.stop().await
}

/// B39.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_once_a_restarted_server_is_ready() -> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    let late = |options: Options| {
        options
            .flag("-validation.reject-older-than=0s")
            .flag("-auth.multitenancy-enabled=true")
    };
    let mut server = late(on(&bucket)).start().await?;
    let hours = 5;
    for tenant in ["a", "b", "c"] {
        let client = server.client()?.tenant(tenant);
        for step in 0..20 {
            let at_ns = now_ns() - hours * 60 * MINUTE_NS * step / 20;
            client
                .push(&cpu_of("cart"), work(1 + step).at(at_ns).bytes())
                .await?;
        }
    }
    let total = |client: Client| async move {
        let end = now_ns() / 1_000_000 + 60_000;
        let query = serde_json::json!({
            "profileTypeID": CPU, "labelSelector": "{}", "start": end - 6 * 3_600_000, "end": end,
        });
        let reply = client.json("querier.v1.QuerierService/SelectMergeStacktraces", &query);
        let answer = reply.await?.ok()?.value()?;
        let total = answer["flamegraph"]["total"].clone();
        anyhow::Ok(total.as_str().unwrap_or_default().to_owned())
    };
    server.stop_quiet(&[]).await?;

    // Everything but the bucket is gone.
    let mut server = late(on(&bucket)).start().await?;
    for tenant in ["a", "b", "c"] {
        let found = total(server.client()?.tenant(tenant)).await?;
        ensure!(found == "210", "tenant {tenant}: {found}");
        let client = server.client()?.tenant(tenant);
        client.push(&cpu_of("cart"), work(1000).bytes()).await?;
        flush(&client).await?;
        client.push(&cpu_of("cart"), work(5000).bytes()).await?;
    }
    // What was just uploaded is seen at once, and what was not uploaded survives.
    server.kill()?;
    let server = late(on(&bucket))
        .directory(server.directory())
        .start()
        .await?;
    for tenant in ["a", "b", "c"] {
        let found = total(server.client()?.tenant(tenant)).await?;
        ensure!(found == "6210", "tenant {tenant}: {found}");
    }
    Ok(())
}

/// B40, of a bucket that was well at the start.
#[tokio::test(flavor = "multi_thread")]
async fn ready_names_the_trouble_of_a_bucket_until_it_is_over() -> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    let mut server = on(&bucket)
        .flag("-blocks-storage.bucket-store.sync-interval=200ms")
        .start()
        .await?;
    let client = server.client()?;
    client.push(&cpu_of("cart"), work(5).bytes()).await?;
    let ready = || async {
        let reply = client.get("/ready").await?.ok()?;
        anyhow::Ok(reply.text())
    };
    ensure!(ready().await? == "ready\n");
    let away = bucket.path().with_extension("away");
    std::fs::rename(bucket.path(), &away)?;
    until("/ready says nothing", || async {
        Ok(ready().await?.contains("warning: store-gateway: "))
    })
    .await?;
    let shown = ready().await?;
    let place = bucket.path().display().to_string();
    ensure!(shown.contains(&place) && shown.contains("list"), "{shown}");
    client.push(&cpu_of("cart"), work(7).bytes()).await?;
    let flushed = client.post("/ingester/flush", &[], Vec::new()).await?;
    ensure!(flushed.status != 200, "{}", flushed.text());
    ensure!(ready().await?.contains("warning: ingester: "));
    ensure!(client.total(CPU, "{}").await? == 12, "answers got lost");
    std::fs::rename(&away, bucket.path())?;
    flush(&client).await?;
    until("/ready still complains", || async {
        Ok(ready().await? == "ready\n")
    })
    .await?;
    ensure!(client.total(CPU, "{}").await? == 12, "afterwards");
    server
        .stop_quiet(&[
            "bucket not listed",
            "not uploaded",
            "message=\"request failed\"",
        ])
        .await
}

/// B42, the part of queries.
#[tokio::test(flavor = "multi_thread")]
async fn bad_blocks_and_foreign_folders_leave_the_others_alone() -> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    let mut server = on(&bucket).start().await?;
    let client = server.client()?;
    for value in [1, 20, 300, 4000, 50_000, 600_000] {
        client.push(&cpu_of("cart"), work(value).bytes()).await?;
        flush(&client).await?;
    }
    server.stop_quiet(&[]).await?;
    let blocks = block_directories(&bucket.path().join("anonymous/phlaredb"))?;
    let [index, table, meta, symbols, ..] = blocks.as_slice() else {
        anyhow::bail!("{blocks:?}");
    };
    flip(&index.join("index.tsdb"), 20)?;
    let cut = std::fs::read(table.join("profiles.parquet"))?;
    std::fs::write(table.join("profiles.parquet"), &cut[..cut.len() / 2])?;
    std::fs::remove_file(meta.join("meta.json"))?;
    for folder in ["traces/deep", ".trash/x", "__pyroscope_cluster/y"] {
        std::fs::create_dir_all(bucket.path().join(folder))?;
        std::fs::write(bucket.path().join(folder).join("object"), b"x")?;
    }

    let mut server = on(&bucket)
        .flag("-blocks-storage.bucket-store.sync-interval=200ms")
        .start()
        .await?;
    let client = server.client()?;
    let total = client.total(CPU, "{}").await?;
    ensure!(total == 654_000, "with three bad blocks: {total}");
    std::fs::remove_dir_all(symbols.join("symbols"))?;
    // Pieces in memory still answer; a new server has none.
    server.stop().await?;
    let mut server = on(&bucket)
        .flag("-blocks-storage.bucket-store.sync-interval=200ms")
        .start()
        .await?;
    let client = server.client()?;
    let total = client.total(CPU, "{}").await?;
    ensure!(total == 650_000, "with four bad blocks: {total}");
    ensure!(metric(&client, "phlare_bucket_stores_tenants_synced", &[]).await? <= 1.0);
    let left_out = metric(&client, "phlare_blocks_left_out_total", &[]).await?;
    ensure!(left_out >= 3.0, "{left_out}");
    let log = server.log()?;
    let named = log
        .lines()
        .filter(|line| line.contains("left out of answers"));
    ensure!(named.count() == 3, "each bad block is named once:\n{log}");

    std::fs::remove_dir_all(bucket.path().join("anonymous"))?;
    let gone = async {
        while metric(&client, "pyroscope_bucket_stores_tenants_synced", &[]).await? != 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), gone)
        .await
        .context("the tenant stays in memory")??;
    server.stop().await
}

fn block_directories(tenant: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(tenant)? {
        let path = entry?.path();
        if path.join("meta.json").is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A file system of this size in memory; `None` where nobody may mount one.
struct SmallDisk {
    directory: Arc<TempDir>,
}

impl SmallDisk {
    fn mount(size: &str) -> anyhow::Result<Option<Self>> {
        let directory = Arc::new(tempfile::tempdir()?);
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "phlare-test"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Some(Self { directory })),
            _ => {
                shared::not_allowed("nobody may mount a file system here");
                Ok(None)
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the log of the server is open.
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.directory.path())
            .status();
    }
}

/// A profile of a few hundred kilobytes that is like no other.
fn large(number: usize) -> Vec<u8> {
    (0..1500)
        .fold(Pprof::cpu(), |profile, stack| {
            let text = format!("{number}-{stack}-");
            let name = text.repeat(200 / text.len());
            profile.stack(&["main", &name], &[1])
        })
        .bytes()
}

/// B44, and of B58 that every surface says the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_profiles_and_heals_when_there_is_room() -> anyhow::Result<()> {
    let Some(disk) = SmallDisk::mount("64m")? else {
        return Ok(());
    };
    let bucket = tempfile::tempdir()?;
    let options = || {
        on(&bucket)
            .directory(&disk.directory)
            .flag("-pyroscopedb.head-target-bytes=0")
    };
    let mut server = options().start().await?;
    let ballast = disk.directory.path().join("ballast");
    std::fs::write(&ballast, vec![1; 40 << 20])?;
    let client = server.client()?;
    let mut taken = 0;
    let refused = loop {
        let reply = client.try_push(&cpu_of("cart"), vec![large(taken)]).await?;
        if reply.status != 200 {
            break reply;
        }
        taken += 1;
        ensure!(taken < 1000, "the disk does not fill");
    };
    ensure!(
        refused.status == 503,
        "{} {}",
        refused.status,
        refused.text()
    );
    ensure!(refused.text().contains("disk"), "{}", refused.text());
    // The profile that was refused may be there, because its client cannot know; what was taken must be.
    let taken = taken as i64 * 1500;
    let fits = |total: i64| total == taken || total == taken + 1500;
    ensure!(fits(client.total(CPU, "{}").await?), "reads do not work");
    let ingest = client
        .post("/ingest?name=a&format=pprof", &[], work(1).bytes())
        .await?;
    ensure!(ingest.status == 503, "{}", ingest.text());
    let ready = client.get("/ready").await?;
    ensure!(
        ready.status == 503 && ready.text().contains("bytes left"),
        "{}",
        ready.text()
    );
    server.kill()?;

    // It starts while the disk is full, and everything is there. The harness reads the server's log, which lies there,
    // too, and needs a little room; it is far below what profiles are refused at.
    std::fs::write(&ballast, vec![1; 39 << 20])?;
    let mut server = options().listening().await?;
    let client = server.client()?;
    let replayed = async {
        while !client.total(CPU, "{}").await.is_ok_and(fits) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), replayed)
        .await
        .context("something is missing after a start on a full disk")?;
    std::fs::remove_file(&ballast)?;
    let healed = async {
        while client
            .try_push(&cpu_of("cart"), vec![work(1).bytes()])
            .await?
            .status
            != 200
        {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), healed)
        .await
        .context("it does not take profiles again")??;
    let total = client.total(CPU, "{}").await?;
    ensure!(fits(total - 1), "{total} of {taken}");
    flush(&client).await?;
    ensure!(client.total(CPU, "{}").await? == total, "in blocks");
    server.stop().await
}
