//! What resources cost the operator and the API server, for BENCHMARKS.md. It judges nothing, and is run by hand:
//! `cargo test -p phlare-e2e --test kubernetes report -- --ignored --nocapture`.
#![expect(clippy::print_stdout, reason = "that is what it is for")]

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use kube::Client;
use kube::api::{Api, PostParams};
use phlare_e2e::kubernetes::{Audit, Cluster, Operator, Options, Rights, documents, namespace};
use phlare_e2e::{programs, until_within};
use phlare_operator_api::PhlareCluster;
use serde_json::{Value, json};
use tokio::time::sleep;

/// How long nothing happens: as usual, or as long as `PHLARE_IDLE_SECONDS` says.
fn idle() -> Duration {
    let asked = std::env::var("PHLARE_IDLE_SECONDS").ok();
    let seconds = asked.and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Memory in MB and processor time in seconds of a process.
fn usage(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.context("VmRSS")?.trim().trim_end_matches(" kB");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("a name in brackets")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok((resident.parse::<f64>()? / 1024.0, ticks / 100.0))
}

struct Report {
    client: Client,
    audit: Audit,
    user: String,
    pid: u32,
}

impl Report {
    /// Writes of the operator since a mark, by resource.
    fn writes(&self, mark: usize) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for request in self.audit.since(mark, &self.user)? {
            if request.is_write() && request.resource != "leases" {
                *counts.entry(request.resource).or_default() += 1;
            }
        }
        Ok(counts)
    }

    /// Passes over resources since a mark: each lists the releases that are kept, once.
    fn passes(&self, mark: usize) -> anyhow::Result<usize> {
        let asked = self.audit.since(mark, &self.user)?;
        let lists = asked
            .iter()
            .filter(|request| request.resource == "controllerrevisions" && request.verb == "list");
        Ok(lists.count())
    }

    /// Applies resources of a specification, and says what it took until all are ready.
    async fn apply(&self, what: &str, names: &[String], spec: &Value) -> anyhow::Result<()> {
        namespace(&self.client, what).await?;
        let clusters: Api<PhlareCluster> = Api::namespaced(self.client.clone(), what);
        let mark = self.audit.mark()?;
        let (_, before) = usage(self.pid)?;
        let begun = Instant::now();
        for name in names {
            let cluster: PhlareCluster = serde_json::from_value(json!({
                "apiVersion": "phlare.dev/v1alpha1", "kind": "PhlareCluster",
                "metadata": {"name": name}, "spec": spec,
            }))?;
            clusters.create(&PostParams::default(), &cluster).await?;
        }
        let mut made = None;
        until_within(Duration::from_secs(600), "all are ready", async || {
            let all = clusters.list(&Default::default()).await?.items;
            let has = |kind: &str| {
                let mut conditions = all.iter().map(|cluster| {
                    let status = cluster.status.iter();
                    let mut conditions = status.flat_map(|status| &status.conditions);
                    conditions.any(|one| one.type_ == kind && one.status == "True")
                });
                conditions.all(|is| is)
            };
            let there = all.iter().all(|cluster| {
                let status = cluster.status.as_ref();
                status.is_some_and(|status| !status.components.is_empty())
            });
            if there {
                made.get_or_insert_with(|| begun.elapsed());
            }
            Ok(has("Ready") && has("UpToDate"))
        })
        .await?;
        let took = begun.elapsed();
        sleep(Duration::from_secs(2)).await;
        let (memory, after) = usage(self.pid)?;
        let writes = self.writes(mark)?;
        let sum: usize = writes.values().sum();
        println!(
            "{what}: {} resources, objects after {:.1?}, ready after {took:.1?}, {} passes, {sum} writes {writes:?}, \
             operator {memory:.0} MB, {:.2} CPU-s",
            names.len(),
            made.unwrap_or_default(),
            self.passes(mark)?,
            after - before,
        );
        Ok(())
    }

    /// Says what it costs when nothing happens.
    async fn rest(&self, what: &str) -> anyhow::Result<()> {
        let mark = self.audit.mark()?;
        let (_, before) = usage(self.pid)?;
        sleep(idle()).await;
        let (memory, after) = usage(self.pid)?;
        println!(
            "{what}, {:?} of rest: {} passes, writes {:?}, operator {memory:.0} MB, {:.2} CPU-s",
            idle(),
            self.passes(mark)?,
            self.writes(mark)?,
            after - before,
        );
        Ok(())
    }
}

fn example(name: &str) -> anyhow::Result<Value> {
    let path = programs::workspace().join(format!("charts/examples/{name}.yaml"));
    let objects = documents(&fs::read_to_string(path)?)?;
    let cluster = objects
        .into_iter()
        .find(|object| object.data.get("spec").is_some());
    let mut spec = cluster.context("a PhlareCluster")?.data["spec"].clone();
    if name == "production" {
        // Nodes of records have no room for so much, and no secret is needed to count.
        spec["storage"]["s3"] = json!({"bucket": "profiles", "authentication": "WorkloadIdentity"});
        for part in ["all", "ingester", "storeGateway"] {
            if let Some(part) = spec["components"][part].as_object_mut() {
                part.remove("resources");
            }
        }
    }
    Ok(spec)
}

#[tokio::test]
#[ignore = "prints figures for BENCHMARKS.md and judges nothing"]
async fn report_what_resources_cost() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        directory: directory.path().join("cluster"),
        ..Options::default()
    };
    let Some(cluster) = Cluster::up(&options).unwrap() else {
        return;
    };
    let client = cluster.client().await.unwrap();
    namespace(&client, "phlare-operator").await.unwrap();
    let rights = Rights::of(&cluster, &client).await.unwrap();
    let operator = Operator::start(&cluster, &rights, "operator", &[]).unwrap();
    let report = Report {
        client,
        audit: cluster.audit(),
        user: rights.user.clone(),
        pid: operator.pid(),
    };
    let one = ["profiles".to_owned()];
    let minimal = example("minimal").unwrap();
    report.rest("no resource").await.unwrap();
    report.apply("minimal", &one, &minimal).await.unwrap();
    report.rest("minimal").await.unwrap();
    let production = example("production").unwrap();
    report.apply("production", &one, &production).await.unwrap();
    report.rest("both").await.unwrap();
    let many: Vec<_> = (0..100).map(|number| format!("p{number}")).collect();
    report.apply("hundred", &many, &minimal).await.unwrap();
    report.rest("all").await.unwrap();
}
