//! TLS and logins: between the processes of a fleet, and for clients.

use std::process::Command;

use anyhow::{Context, ensure};
use phlare_e2e::certificates::{AGENT, Certificates, OPERATOR, READER};
use phlare_e2e::client::{CPU, PUSH};
use phlare_e2e::fleet::Settings;
use phlare_e2e::{Client, Options, Pprof, now_ns, programs, until};

const APPEND: &str = "/phlare.ingest.v1.IngestService/Append";
const LABELS: [(&str, &str); 2] = [("__name__", "process_cpu"), ("service_name", "shop")];
const GRPC: [(&str, &str); 1] = [("content-type", "application/grpc")];
const PROTO: [(&str, &str); 1] = [("content-type", "application/proto")];

fn profile() -> Vec<u8> {
    Pprof::cpu().at(now_ns()).stack(&["main"], &[7]).bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_speaks_tls_only_and_lets_in_who_may() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut certificates = Certificates::new(directory.path())?;
    let settings = Settings::of_three(directory.path()).secured(&certificates);
    let mut fleet = Box::pin(settings.start()).await?;
    let agent = fleet.client("all-a")?.token(AGENT);
    let reader = fleet.client("all-b")?.token(READER);
    agent.push(&LABELS, profile()).await?;
    ensure!(reader.total(CPU, "{}").await? == 7);
    refusals(&agent, &reader).await?;

    certificates.replace(2200)?;
    let expiry = "phlare_tls_certificate_not_after_seconds{use=\"server\"} 7258118400";
    for name in ["all-a", "all-b", "all-c"] {
        let client = fleet.client(name)?;
        until("the new certificate is in force", async || {
            Ok(client.get("/metrics").await?.text().contains(expiry))
        })
        .await?;
    }
    // Connections from before go on, and new ones are made.
    agent.push(&LABELS, profile()).await?;
    fleet.stop("all-c").await?;
    fleet.restart("all-c").await?;
    fleet.settled().await?;
    agent.push(&LABELS, profile()).await?;
    for name in ["all-a", "all-b", "all-c"] {
        let reader = fleet.client(name)?.token(READER);
        let total = reader.total(CPU, "{}").await?;
        ensure!(total == 21, "{name}: {total}");
    }
    fleet.down().await
}

/// What needs a login, or another one.
async fn refusals(agent: &Client, reader: &Client) -> anyhow::Result<()> {
    let nobody = agent.without_token();
    ensure!(nobody.get("/ready").await?.status == 200);
    let refused = nobody.get("/metrics").await?;
    refused.refused(401, &["unauthenticated"])?;
    ensure!(
        refused.headers.contains_key("www-authenticate"),
        "{refused:?}"
    );
    nobody
        .post(&format!("/{PUSH}"), &PROTO, "")
        .await?
        .refused(401, &["unauthenticated", "Authorization"])?;
    let refused = nobody.post(&format!("/{PUSH}"), &GRPC, "").await?;
    let code = refused
        .headers
        .get("grpc-status")
        .context("a gRPC status")?;
    ensure!(refused.status == 200 && code == "16", "{refused:?}");
    nobody
        .token("token of a stranger")
        .get("/config")
        .await?
        .refused(401, &["not known"])?;
    reader.try_push(&LABELS, vec![profile()]).await?.refused(
        403,
        &["permission_denied", "`reader` lacks the right `write`"],
    )?;
    ensure!(agent.total(CPU, "{}").await.is_err());
    for client in [agent, reader, &nobody.token(OPERATOR)] {
        let refused = client.post(APPEND, &PROTO, "").await?;
        refused.refused(403, &["lacks the right `internal`"])?;
    }
    nobody
        .post(APPEND, &PROTO, "")
        .await?
        .refused(401, &["unauthenticated"])?;
    agent.get("/ring").await?.refused(403, &["`admin`"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_alone_speaks_tls() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let certificates = Certificates::new(directory.path())?;
    let server = Options::new().secured(&certificates).start().await?;
    let client = server.client()?;
    client.push(&LABELS, profile()).await?;
    ensure!(client.total(CPU, "{}").await? == 7);
    let plain = Client::new(&server.url().replace("https:", "http:"))?;
    plain
        .get("/ready")
        .await?
        .refused(400, &["HTTP request to an HTTPS server"])?;

    let ca = certificates.path("ca.crt");
    let ctl = |arguments: &[&str]| {
        let mut command = Command::new(programs::phlarectl()?);
        command
            .args(["--url", server.url(), "--token", OPERATOR])
            .args(arguments);
        command.output().context("run phlarectl")
    };
    let shown = ctl(&["--tls-ca-path", &ca.display().to_string(), "types"])?;
    let text = String::from_utf8_lossy(&shown.stdout);
    ensure!(
        shown.status.success() && text.contains("process_cpu"),
        "{shown:?}"
    );
    ensure!(!ctl(&["types"])?.status.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_the_start_is_one_line() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let certificates = Certificates::new(directory.path())?;
    let key = certificates.path("tls.key").display().to_string();
    let cert = certificates.path("tls.crt").display().to_string();
    for (flags, texts) in [
        (
            vec![format!("-server.http-tls-cert-path={cert}")],
            vec!["-server.http-tls-key-path"],
        ),
        (
            vec![
                format!("-server.http-tls-cert-path={cert}"),
                "-server.http-tls-key-path=none.key".to_owned(),
            ],
            vec!["none.key", "No such file"],
        ),
        (
            vec![
                format!("-server.http-tls-cert-path={key}"),
                format!("-server.http-tls-key-path={key}"),
            ],
            vec!["tls.key", "no certificate"],
        ),
        (
            vec!["-server.http-tls-client-auth=RequireAnyClientCert".to_owned()],
            vec!["write `RequireAndVerifyClientCert`"],
        ),
        (vec!["-auth.file=none.yaml".to_owned()], vec!["none.yaml"]),
    ] {
        let options = flags
            .iter()
            .fold(Options::new(), |options, flag| options.flag(flag));
        let (status, text) = options.refused().await?;
        ensure!(
            !status.success() && text.trim().lines().count() == 1,
            "{status}: {text}"
        );
        for expected in texts {
            ensure!(text.contains(expected), "{text}");
        }
    }
    Ok(())
}
