//! Clients that others publish, as their users run them, against a server that was just started.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use phlare_e2e::{Client, Server, client, flame, pprof, runtimes, shared};
use phlare_proto::querier::v1::{ProfileTypesRequest, ProfileTypesResponse};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Clients upload every 5 to 15 seconds, on a busy machine later.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn the_go_api_client_gets_the_totals_that_the_pprof_has() -> anyhow::Result<()> {
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    let Some(program) = runtimes::go(&source("go-api"), "clients/go-api").await? else {
        return Ok(());
    };
    let file = shared.join("testdata/pprof/og/cpu.pb.gz");
    let totals = pprof::totals(&pprof::read(&std::fs::read(&file)?)?);
    let total = totals
        .get("cpu:nanoseconds")
        .copied()
        .context("the fixture is a CPU profile")?;
    for protocol in ["connect", "grpc", "grpcweb"] {
        let mut server = Server::start().await?;
        let mut command = Command::new(&program);
        command.args([protocol, server.url()]).arg(&file);
        let answers: Value = serde_json::from_str(&runtimes::run(command).await?)?;
        let expected = json!({
            "profileTypes": [
                "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
                "process_cpu:samples:count:cpu:nanoseconds",
            ],
            "labelNames": [
                "__name__", "__period_type__", "__period_unit__", "__profile_type__", "__service_name__",
                "__type__", "__unit__", "protocol", "service_name",
            ],
            "labelValues": [protocol],
            "series": 2,
            "stacktraces": total,
            "empty": ["total"],
            "profile": total,
            "spans": 0,
            "points": total,
            "diff": [0, total],
            "ingested": true,
            "scopes": 2,
            "heatmap": "unimplemented",
            "badSelector": "invalid_argument",
        });
        ensure!(
            answers == expected,
            "{protocol}: expected {expected}\ngot {answers}"
        );
        server.stop_quiet(&["status=501", "status=400"]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_sdk_shows_where_a_program_is_busy() -> anyhow::Result<()> {
    let Some(program) = runtimes::go(&source("go-sdk"), "clients/go-sdk").await? else {
        return Ok(());
    };
    profiled("go-sdk", &[("", "busyFunction")], |url| {
        let mut command = Command::new(&program);
        command.arg(url);
        command
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_shows_where_a_program_is_busy() -> anyhow::Result<()> {
    let Some(bin) = runtimes::python(&source("python"), "clients/python").await? else {
        return Ok(());
    };
    let python = bin.join("python");
    profiled("python-sdk", &[("", "busy_function")], |url| {
        let mut command = Command::new(&python);
        command.arg(source("python").join("busy.py")).arg(url);
        command
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_shows_where_a_program_is_busy() -> anyhow::Result<()> {
    let Some(directory) = runtimes::node(&source("node"), "clients/node").await? else {
        return Ok(());
    };
    profiled("node-sdk", &[("", "busyFunction")], |url| {
        let mut command = Command::new("node");
        command.arg(directory.join("busy.js")).arg(url);
        command
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_shows_where_a_program_is_busy() -> anyhow::Result<()> {
    let program = runtimes::rust(&source("rust"), "clients/rust-sdk").await?;
    profiled("rust-sdk", &[("", "busy_function")], |url| {
        let mut command = Command::new(&program);
        command.arg(url);
        command
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_of_opentelemetry_shows_where_a_program_is_busy() -> anyhow::Result<()> {
    let Some(program) = runtimes::go(&source("otel"), "clients/otel").await? else {
        return Ok(());
    };
    for protocol in ["grpc", "protobuf", "json"] {
        let service = format!("otel-{protocol}");
        profiled(&service, &[("process_cpu", "busyFunction")], |url| {
            let mut command = Command::new(&program);
            command.arg(protocol).arg(url);
            command
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_java_agent_shows_where_a_program_is_busy_and_allocates() -> anyhow::Result<()> {
    let Some(agent) = runtimes::java_agent(&source("java"), "clients/java").await? else {
        return Ok(());
    };
    let functions = [
        ("process_cpu", "Busy.busyFunction"),
        ("memory", "Busy.allocatingFunction"),
    ];
    profiled("java-agent", &functions, |url| {
        let mut command = Command::new("java");
        command
            .arg(format!("-javaagent:{}", agent.display()))
            .arg(source("java").join("Busy.java"))
            .env("PYROSCOPE_APPLICATION_NAME", "java-agent")
            .env("PYROSCOPE_SERVER_ADDRESS", url)
            .env("PYROSCOPE_LABELS", "region=eu")
            .env("PYROSCOPE_FORMAT", "jfr")
            .env("PYROSCOPE_PROFILER_ALLOC", "64k")
            .env("PYROSCOPE_UPLOAD_INTERVAL", "5s");
        command
    })
    .await
}

/// B22: of a recording that the JDK itself made, with its hundred types of events, each sample counts.
#[tokio::test(flavor = "multi_thread")]
async fn each_sample_of_a_recording_of_the_jdk_is_counted() -> anyhow::Result<()> {
    const PERIOD_NS: i64 = 20_000_000;
    for (program, version) in [("java", 17), ("jfr", 1)] {
        if !shared::runtime(program, &["--version"], &[version])? {
            return Ok(());
        }
    }
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("jdk.jfr");
    let settings = "settings=profile,jdk.ExecutionSample#period=20ms";
    let mut java = Command::new("java");
    java.arg(format!(
        "-XX:StartFlightRecording=filename={},{settings}",
        file.display()
    ));
    java.arg(source("java").join("Busy.java")).arg("100");
    runtimes::run(java).await?;
    let mut summary = Command::new("jfr");
    summary.arg("summary").arg(&file);
    let summary = runtimes::run(summary).await?;
    let samples = summary.lines().find_map(|line| {
        let counts = line.trim().strip_prefix("jdk.ExecutionSample ")?;
        counts.split_whitespace().next()
    });
    let samples: i64 = samples.context("jfr counts samples")?.parse()?;
    ensure!(samples > 0, "the program was never seen running");
    let mut server = Server::start().await?;
    let asked = server.client()?;
    let body = std::fs::read(&file)?;
    asked
        .post("/ingest?name=jdk&format=jfr", &[], body)
        .await?
        .ok()?;
    let total = asked.total(client::CPU, "{service_name=\"jdk\"}").await?;
    ensure!(
        total == samples * PERIOD_NS,
        "{samples} samples became {total} ns"
    );
    server.stop().await
}

/// Where a client's program lies in the repository.
fn source(client: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "clients", client]
        .iter()
        .collect()
}

/// Runs a program that profiles itself until its busy functions are in flame graphs, each in one of a profile type that begins
/// so.
async fn profiled(
    service: &str,
    functions: &[(&str, &str)],
    command: impl Fn(&OsStr) -> Command,
) -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let talk = server.directory().path().join("client.log");
    let file = std::fs::File::create(&talk)?;
    let mut program = command(server.url().as_ref());
    program
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let mut program = Running(
        program
            .spawn()
            .with_context(|| format!("start {service}"))?,
    );
    let deadline = Instant::now() + PATIENCE;
    let mut ended = None;
    while let Some(function) = missing(&client, service, functions).await? {
        let talk = || std::fs::read_to_string(&talk).unwrap_or_default();
        if let Some(status) = ended {
            bail!(
                "{service} ended with {status}, and {function} is not in the flame graph:\n{}",
                talk()
            );
        }
        if Instant::now() >= deadline {
            let log = server.log()?;
            bail!(
                "{function} is not in the flame graph after {PATIENCE:?}\nclient:\n{}\nserver:\n{log}",
                talk()
            );
        }
        // What it sent before it ended is looked for once more.
        ended = program.0.try_wait()?;
        sleep(Duration::from_millis(200)).await;
    }
    drop(program);
    server.stop_quiet(&[]).await
}

/// The first function that no flame graph of a profile type of the service shows with a weight of its own.
async fn missing<'a>(
    client: &Client,
    service: &str,
    functions: &[(&str, &'a str)],
) -> anyhow::Result<Option<&'a str>> {
    let (start, end) = client::last_hour();
    let request = ProfileTypesRequest { start, end };
    let types: ProfileTypesResponse = client
        .call("querier.v1.QuerierService/ProfileTypes", &request)
        .await?;
    let selector = format!("{{service_name={service:?},region=\"eu\"}}");
    let mut missing = functions.to_vec();
    for profile_type in types.profile_types {
        let graph = client.flame(&profile_type.id, &selector).await?;
        let stacks = flame::stacks(&graph)?;
        missing.retain(|(beginning, function)| {
            let shown = |(stack, value): (&String, &i64)| stack.contains(function) && *value > 0;
            !profile_type.id.starts_with(beginning) || !stacks.iter().any(shown)
        });
    }
    Ok(missing.first().map(|(_, function)| *function))
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
