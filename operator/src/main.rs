//! `phlare-operator`: reconciles PhlareCluster resources.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use clap::Parser;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use phlare_operator::autoscaler::Autoscaler;
use phlare_operator::context::Context;
use phlare_operator::demand::Demand;
use phlare_operator::drain::Drain;
use phlare_operator::health::Health;
use phlare_operator::leader::Election;
use phlare_operator::metrics::Metrics;
use phlare_operator::pods::Pods;
use phlare_operator::serve::{self, Shown};
use phlare_operator::settings::Settings;
use phlare_operator::{controller, desired};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Reconciles PhlareCluster resources into the components of Phlare.
#[derive(Debug, Parser)]
#[command(name = "phlare-operator", version)]
enum Command {
    /// Reconciles until it is told to stop.
    Run(Settings),
    /// Prints the CustomResourceDefinition.
    Crd,
}

fn main() -> ExitCode {
    // Some crates are built without a TLS provider of their own; a second installation cannot happen here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match Command::parse() {
        Command::Run(settings) => run(settings),
        Command::Crd => print_definition(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of the program")]
fn complain(error: &anyhow::Error) {
    eprintln!("phlare-operator: {error:#}");
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn print_definition() -> anyhow::Result<()> {
    print!("{}", phlare_operator::definition()?);
    Ok(())
}

#[tokio::main]
async fn run(settings: Settings) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();
    let client = Client::try_default().await.context("find the API server")?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let shown = Shown {
        registry: Arc::new(registry),
        ready: Arc::new(AtomicBool::new(false)),
    };
    let listener = serve::listen(settings.listen).await;
    let listener = listener.with_context(|| format!("listen on {}", settings.listen))?;
    let stop = CancellationToken::new();
    let election = (!settings.no_leader_election).then(|| {
        let namespace = settings.lease_namespace.clone();
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        Election::new(client.clone(), &namespace, settings.identity.clone())
    });
    let reporter = Reporter {
        controller: desired::OPERATOR.to_owned(),
        instance: Some(settings.identity.clone()),
    };
    let pods = Pods::new().context("make a client of pods")?;
    let context = Context {
        recorder: Recorder::new(client.clone(), reporter),
        drain: Drain::new(pods.clone()),
        health: Arc::new(Health::new(pods.clone())),
        autoscaler: Arc::new(Autoscaler::new(Demand::new(pods))),
        client,
        settings,
        metrics: metrics.clone(),
    };
    let work = lead(context, election, shown.clone(), metrics, stop.clone());
    // The first branch that ends ends the others: being told to stop must not.
    let told = async {
        told(stop).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = serve::serve(listener, shown) => served.context("serve metrics"),
        done = work => done,
        () = told => Ok(()),
    }
}

/// Waits for its turn, then reconciles until it is told to stop or does not lead any more.
async fn lead(
    context: Context,
    election: Option<Election>,
    shown: Shown,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let won = match &election {
        None => None,
        Some(election) => {
            // One that waits for its turn is as healthy as it can be.
            shown.ready.store(true, Ordering::Release);
            tokio::select! {
                at = election.win() => Some((election, at)),
                () = stop.cancelled() => return Ok(()),
            }
        }
    };
    metrics.count_leading();
    let reconciles = controller::run(context, shown.ready, stop);
    match won {
        None => reconciles.await,
        Some((election, at)) => {
            tokio::select! {
                () = reconciles => election.release().await,
                () = election.keep(at) => anyhow::bail!("another operator may lead now"),
            }
        }
    }
    info!("stopped");
    Ok(())
}

/// Cancels when the process is told to stop.
async fn told(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}
