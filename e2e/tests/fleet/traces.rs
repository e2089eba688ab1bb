//! What a request does in a fleet can be followed through all its processes: by spans, and by lines of their logs.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use phlare_e2e::client::{CPU, series, stacktraces};
use phlare_e2e::collector::{Collector, Trace};
use phlare_e2e::fleet::{Fleet, Settings};
use phlare_e2e::{Pprof, Reply, now_ns, until};
use phlare_proto::push::v1::PushRequest;
use prost::Message;

use crate::load::unlimited;

const PUSH: &str = "push.v1.PusherService/Push";
const SELECT: &str = "querier.v1.QuerierService/SelectMergeStacktraces";
const ASK: &str = "phlare.query.v1.SchedulerService/Ask";
const KEYS: &str = "phlare.store.v1.StoreService/Keys";
const APPEND: &str = "phlare.ingest.v1.IngestService/Append";

/// The span of a client, as its own tracing would make it.
const CALLER: &str = "00f067aa0ba902b7";

fn traceparent(trace: &str) -> String {
    format!("00-{trace}-{CALLER}-01")
}

/// Calls a method of a process, as a part of a trace if there is one.
async fn call(
    fleet: &Fleet,
    name: &str,
    method: &str,
    trace: Option<&str>,
    request: impl Message,
) -> anyhow::Result<Reply> {
    let parent = trace.map(traceparent);
    let mut headers = vec![("content-type", "application/proto")];
    headers.extend(parent.iter().map(|parent| ("traceparent", parent.as_str())));
    let client = fleet.client(name)?.tenant("team-a");
    let path = format!("/{method}");
    client.post(&path, &headers, request.encode_to_vec()).await
}

fn push() -> PushRequest {
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[7]).bytes();
    let labels = [("__name__", "process_cpu"), ("service_name", "shop")];
    PushRequest {
        series: vec![series(&labels, vec![profile])],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_and_a_query_are_one_trace_each() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let collector = Collector::start().await?;
    let settings = unlimited(Settings::small(directory.path()))
        .flag("-auth.multitenancy-enabled=true")
        .flag("-tracing.enabled")
        .flag(&format!("-tracing.endpoint={}", collector.url()));
    let mut fleet = Box::pin(settings.start()).await?;

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    call(&fleet, "distributor-0", PUSH, Some(trace), push())
        .await?
        .ok()?;
    call(
        &fleet,
        "query-frontend-0",
        SELECT,
        None,
        stacktraces(CPU, "{}"),
    )
    .await?
    .ok()?;
    // Whoever stops sends what it has.
    fleet.down().await?;

    check_push(&collector.trace(trace))?;
    let spans = collector.spans();
    let begun = spans.iter().find(|span| span.name == SELECT);
    let query = collector.trace(&begun.context("the query has a span")?.trace);
    check_query(&query)?;
    // Queriers wait for queries all the time, and the harness asks whether all are ready.
    let names: BTreeSet<_> = spans.iter().map(|span| span.name.as_str()).collect();
    for quiet in ["Pull", "Hold", "Finish", "ready", "metrics"] {
        let found = names.iter().find(|name| name.contains(quiet));
        ensure!(found.is_none(), "{quiet} is traced: {names:?}");
    }
    Ok(())
}

fn check_push(trace: &Trace) -> anyhow::Result<()> {
    let begun = trace.the(PUSH)?;
    ensure!(begun.parent == CALLER, "{begun:?}");
    ensure!(begun.service == "phlare-distributor", "{begun:?}");
    ensure!(begun.attributes["tenant"] == "team-a", "{begun:?}");
    ensure!(
        begun.attributes["http.response.status_code"] == "200",
        "{begun:?}"
    );
    let normalized = trace.path(trace.the("Profile.Normalize")?);
    ensure!(
        normalized == [CALLER, PUSH, "Distributor.Push", "Profile.Normalize"],
        "{normalized:?}"
    );
    let stored = trace.named(APPEND);
    ensure!(stored.len() == 3, "{stored:#?}");
    for span in stored {
        ensure!(span.service == "phlare-ingester", "{span:?}");
        let path = trace.path(span);
        ensure!(
            path == [CALLER, PUSH, "Distributor.Push", "Append", APPEND],
            "{path:?}"
        );
    }
    ensure!(trace.named("Wal.Commit").len() == 3, "{trace:#?}");
    Ok(())
}

fn check_query(trace: &Trace) -> anyhow::Result<()> {
    ensure!(trace.the(SELECT)?.service == "phlare-query-frontend");
    let asked = [SELECT, "Ask", ASK];
    let scheduled = trace.the(ASK)?;
    ensure!(scheduled.service == "phlare-query-scheduler");
    ensure!(trace.path(scheduled) == asked, "{trace:#?}");
    let queued = trace.the("queued")?;
    ensure!(queued.parent == scheduled.id, "{queued:?}");
    let worked = trace.the("querier_processor_runRequest")?;
    ensure!(worked.parent == scheduled.id, "{worked:?}");
    ensure!(worked.service == "phlare-querier", "{worked:?}");
    ensure!(worked.attributes["tenant"] == "team-a", "{worked:?}");
    let stores = trace.named(KEYS);
    ensure!(stores.len() >= 2, "{trace:#?}");
    let expected = [
        SELECT,
        "Ask",
        ASK,
        "querier_processor_runRequest",
        "select_tree",
        "select_tree Ingesters",
        "Keys",
        KEYS,
    ];
    for span in stores {
        ensure!(span.service == "phlare-ingester", "{span:?}");
        let path = trace.path(span);
        ensure!(path == expected, "{path:?}");
    }
    Ok(())
}

/// Lines of a process' log about a trace.
fn lines(fleet: &Fleet, name: &str, trace: &str) -> anyhow::Result<Vec<String>> {
    let log = fleet.log(name)?;
    let of_trace = log.lines().filter(|line| line.contains(trace));
    Ok(of_trace.map(str::to_owned).collect())
}

/// Each of these processes says something about a trace, and whose it is whenever it does.
async fn all_say(fleet: &Fleet, names: &[&str], trace: &str) -> anyhow::Result<()> {
    for name in names {
        until(
            &format!("{name} says something about {trace}"),
            async || Ok(!lines(fleet, name, trace)?.is_empty()),
        )
        .await?;
        for line in lines(fleet, name, trace)? {
            let fields = [format!("traceID={trace}"), "tenant=team-a".to_owned()];
            let has_all = fields.iter().all(|field| line.contains(field));
            ensure!(has_all, "{name}: {line}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_all_processes_name_the_request() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = unlimited(Settings::small(directory.path()))
        .flag("-auth.multitenancy-enabled=true")
        .flag("-log.level=debug");
    let mut fleet = Box::pin(settings.start()).await?;
    // One ingester is away, and nobody knows it yet: the others do.
    fleet.kill("ingester-b-0")?;
    let ingesters = ["ingester-a-0", "ingester-c-0"];

    let pushed = "5bf92f3577b34da6a3ce929d0e0e4736";
    let reply = call(&fleet, "distributor-0", PUSH, Some(pushed), push());
    reply.await?.ok()?;
    all_say(
        &fleet,
        &["distributor-0", ingesters[0], ingesters[1]],
        pushed,
    )
    .await?;
    let complaints = lines(&fleet, "distributor-0", pushed)?;
    let about = |line: &&String| line.contains("level=warn") && line.contains("ingester-b-0");
    ensure!(complaints.iter().any(|line| about(&line)), "{complaints:?}");

    let asked = "6bf92f3577b34da6a3ce929d0e0e4736";
    let way = ["query-frontend-0", "query-scheduler-0", "querier-0"];
    let query = || stacktraces(CPU, "{}");
    let reply = call(&fleet, way[0], SELECT, Some(asked), query());
    reply.await?.ok()?;
    all_say(&fleet, &way, asked).await?;
    all_say(&fleet, &ingesters, asked).await?;

    // Two are too many: the query fails, and all who know of it say so under its name.
    fleet.kill("ingester-c-0")?;
    let failed = "7bf92f3577b34da6a3ce929d0e0e4736";
    let reply = call(&fleet, way[0], SELECT, Some(failed), query()).await?;
    reply.refused(503, &["too few ingesters"])?;
    all_say(&fleet, &way, failed).await?;
    let complaints = lines(&fleet, way[0], failed)?;
    ensure!(
        complaints.iter().any(|line| line.contains("level=warn")),
        "{complaints:?}"
    );
    Ok(())
}

/// The collector is somewhere that takes connections and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_delays_nobody() -> anyhow::Result<()> {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", silent.local_addr()?);
    let options = phlare_e2e::Options::new()
        .flag("-tracing.enabled")
        .flag(&format!("-tracing.endpoint={endpoint}"))
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "4")
        .env("OTEL_BSP_EXPORT_TIMEOUT", "200")
        .env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut server = options.start().await?;
    let client = server.client()?;
    let labels = [("__name__", "process_cpu"), ("service_name", "shop")];
    let mut pushed = 0;
    until("spans are dropped, and counted", async || {
        let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[1]).bytes();
        client.push(&labels, profile).await?;
        pushed += 1;
        let metrics = client.get("/metrics").await?.ok()?.text();
        let dropped = |reason: &str| {
            let name = format!("phlare_tracing_spans_dropped_total{{reason=\"{reason}\"}}");
            metrics.lines().any(|line| line.starts_with(&name))
        };
        Ok(dropped("queue_full") && dropped("export_failed"))
    })
    .await?;
    ensure!(client.total(CPU, "{}").await? == pushed);
    server
        .stop_quiet(&["the collector of traces takes no spans", "the last spans"])
        .await
}
