//! Profiles leave memory as blocks: what a user sees stays the same.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use phlare_e2e::{Client, Options, Pprof, Server, now_ns};
use serde_json::Value;
use tempfile::TempDir;

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// Profiles of two tenants over the last minutes.
async fn push(server: &Server) -> anyhow::Result<()> {
    for tenant in ["a", "b"] {
        let client = server.client()?.tenant(tenant);
        for minute in 0..5 {
            for service in ["cart", "shop"] {
                let at_ns = now_ns() - minute * 60_000_000_000;
                let profile = Pprof::cpu()
                    .at(at_ns)
                    .stack(&["main", tenant, service], &[10 + minute])
                    .stack(&["main", "shared"], &[100]);
                let labels = [("__name__", "process_cpu"), ("service_name", service)];
                client.push(&labels, profile.bytes()).await?;
            }
        }
    }
    Ok(())
}

/// What Grafana asks, of both tenants.
async fn answers(server: &Server) -> anyhow::Result<Vec<String>> {
    let (end, start) = (
        now_ns() / 1_000_000 + 60_000,
        now_ns() / 1_000_000 - 3_000_000,
    );
    // Steps are the same for all who ask within some minutes.
    let (end, start) = (end - end % 600_000 + 600_000, start - start % 600_000);
    let mut answers = Vec::new();
    for tenant in ["a", "b", "nobody"] {
        let client = server.client()?.tenant(tenant);
        for selector in [
            "{}",
            r#"{service_name="cart"}"#,
            r#"{service_name=~"sh.*"}"#,
        ] {
            let query = serde_json::json!({
                "profileTypeID": CPU, "labelSelector": selector, "start": start, "end": end,
            });
            let flame = client.json("querier.v1.QuerierService/SelectMergeStacktraces", &query);
            let flame = flame.await?.ok()?.value()?;
            answers.push(format!(
                "{tenant} {selector} {}",
                flame["flamegraph"]["total"]
            ));
            let series = serde_json::json!({
                "profileTypeID": CPU, "labelSelector": selector, "start": start, "end": end, "step": 600,
                "groupBy": ["service_name"],
            });
            let series = client.json("querier.v1.QuerierService/SelectSeries", &series);
            answers.push(series.await?.ok()?.text());
        }
        let labels = serde_json::json!({"start": start, "end": end});
        for method in ["LabelNames", "ProfileTypes"] {
            let method = format!("querier.v1.QuerierService/{method}");
            answers.push(client.json(&method, &labels).await?.ok()?.text());
        }
    }
    Ok(answers)
}

async fn flush(client: &Client) -> anyhow::Result<Value> {
    let reply = client.post("/ingester/flush", &[], Vec::new()).await?;
    reply.ok()?.value()
}

fn options(directory: &Arc<TempDir>, bucket: &Path) -> Options {
    Options::new()
        .directory(directory)
        .flag("-auth.multitenancy-enabled=true")
        .flag(&format!("-storage.filesystem.dir={}", bucket.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_all_that_a_new_server_needs() -> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    let directory = Arc::new(tempfile::tempdir()?);
    let mut first = options(&directory, bucket.path()).start().await?;
    push(&first).await?;
    let before = answers(&first).await?;
    let flushed = flush(&first.client()?).await?;
    let blocks = flushed["blocks"].as_array().context("a list of blocks")?;
    ensure!(blocks.len() >= 2, "{flushed}");
    for block in blocks {
        let (tenant, id) = (&block["tenant"], &block["block"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let path = format!("{}/phlaredb/{}/meta.json", text(tenant), text(id));
        ensure!(
            bucket.path().join(&path).is_file(),
            "{path} was not uploaded"
        );
    }
    ensure!(
        answers(&first).await? == before,
        "answers changed with the flush"
    );
    first.stop_quiet(&[]).await?;

    let other = Arc::new(tempfile::tempdir()?);
    let mut second = options(&other, bucket.path()).start().await?;
    ensure!(
        answers(&second).await? == before,
        "answers of a new server differ"
    );
    second.stop_quiet(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_s3_is_all_that_a_new_server_needs() -> anyhow::Result<()> {
    let source = phlare_e2e::programs::workspace().join("components/bucket/tests/servers/gofakes3");
    let Some(program) = phlare_e2e::runtimes::go(&source, "stores/gofakes3").await? else {
        return Ok(());
    };
    let store = Store::start(&program, "profiles")?;
    let options = |directory: &Arc<TempDir>| {
        Options::new()
            .directory(directory)
            .flag("-auth.multitenancy-enabled=true")
            .flag("-storage.backend=s3")
            .flag(&format!("-storage.s3.endpoint={}", store.address))
            .flag("-storage.s3.bucket-name=profiles")
            .flag("-storage.s3.bucket-lookup-type=path-style")
            .flag("-storage.s3.region=here")
            .flag("-storage.s3.access-key-id=key")
            .flag("-storage.s3.secret-access-key=secret")
            .flag("-storage.s3.insecure=true")
    };
    let first = Arc::new(tempfile::tempdir()?);
    let mut server = options(&first).start().await?;
    push(&server).await?;
    let before = answers(&server).await?;
    flush(&server.client()?).await?;
    ensure!(
        answers(&server).await? == before,
        "answers changed with the flush"
    );
    server.stop_quiet(&[]).await?;
    let second = Arc::new(tempfile::tempdir()?);
    let mut server = options(&second).start().await?;
    ensure!(
        answers(&server).await? == before,
        "answers of a new server differ"
    );
    server.stop_quiet(&[]).await
}

/// An S3 server that others wrote; it ends with the test.
struct Store {
    process: std::process::Child,
    address: String,
}

impl Store {
    /// It says its URL when it listens.
    fn start(program: &Path, bucket: &str) -> anyhow::Result<Self> {
        let mut process = std::process::Command::new(program)
            .arg(bucket)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .context("start the store")?;
        let mut line = String::new();
        let out = process.stdout.take().context("its output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)?;
        let address = line.trim().trim_start_matches("http://").to_owned();
        Ok(Self { process, address })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_leaves_everything_in_the_bucket() -> anyhow::Result<()> {
    let bucket = tempfile::tempdir()?;
    let directory = Arc::new(tempfile::tempdir()?);
    let mut first = options(&directory, bucket.path()).start().await?;
    push(&first).await?;
    let before = answers(&first).await?;
    first.stop_quiet(&[]).await?;
    let other = Arc::new(tempfile::tempdir()?);
    let second = options(&other, bucket.path()).start().await?;
    ensure!(
        answers(&second).await? == before,
        "something was left behind"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_its_bucket_takes_profiles_and_says_what_is_wrong() -> anyhow::Result<()> {
    let directory = Arc::new(tempfile::tempdir()?);
    let mut server = Options::new()
        .directory(&directory)
        .flag("-storage.backend=s3")
        .flag("-storage.s3.endpoint=127.0.0.1:9")
        .flag("-storage.s3.bucket-name=phlare")
        .flag("-storage.s3.region=here")
        .flag("-storage.s3.access-key-id=key")
        .flag("-storage.s3.secret-access-key=secret")
        .flag("-storage.s3.insecure=true")
        .listening()
        .await?;
    let ready = server.client()?.get("/ready").await?;
    ensure!(ready.status == 503, "{}", ready.text());
    ensure!(ready.text().contains("bucket"), "{}", ready.text());
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[1]);
    let labels = [("__name__", "process_cpu"), ("service_name", "cart")];
    let pushed = server
        .client()?
        .try_push(&labels, vec![profile.bytes()])
        .await?;
    ensure!(pushed.status == 200, "{}", pushed.text());
    server.kill()
}
