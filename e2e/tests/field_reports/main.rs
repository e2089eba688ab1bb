//! What went wrong for people who run systems of this kind, tried on ours: one test for each report, named after what
//! must hold instead.

mod bombs;
mod compaction;

mod contents;
mod doors;
mod exports;
mod labels;
mod queries;
mod ranges;
mod references;
mod shapes;
mod storage;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use phlare_e2e::{Client, Pprof};

/// Labels of a CPU profile of a service.
fn cpu_of(service: &str) -> [(&str, &str); 2] {
    [("__name__", "process_cpu"), ("service_name", service)]
}

/// A CPU profile with one stack, `main;work`.
fn work(value: i64) -> Pprof {
    Pprof::cpu().stack(&["main", "work"], &[value])
}

/// Sum of a counter over all its label sets that hold these texts.
async fn metric(client: &Client, name: &str, holds: &[&str]) -> anyhow::Result<f64> {
    let text = client.get("/metrics").await?.ok()?.text();
    let mut sum = 0.0;
    for line in text
        .lines()
        .filter(|line| line.starts_with(name) && holds.iter().all(|part| line.contains(part)))
    {
        let value = line.rsplit(' ').next().context("a sample has a value")?;
        sum += value.parse::<f64>().with_context(|| line.to_owned())?;
    }
    Ok(sum)
}

/// Waits for something that comes about by itself.
async fn until<F: Future<Output = anyhow::Result<bool>>>(
    what: &str,
    mut is_so: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let waiting = async {
        while !is_so().await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .with_context(|| what.to_owned())?
}

/// Cuts the heads and uploads their blocks.
async fn flush(client: &Client) -> anyhow::Result<()> {
    client
        .post("/ingester/flush", &[], Vec::new())
        .await?
        .ok()?;
    Ok(())
}

/// Damages one bit of a file.
fn flip(path: &Path, at: usize) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(path)?;
    let byte = bytes.get_mut(at).context("the file is too short")?;
    *byte ^= 1;
    std::fs::write(path, bytes)?;
    Ok(())
}
