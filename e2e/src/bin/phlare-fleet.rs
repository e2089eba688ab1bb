//! `e2e/fleet up`: a fleet on one machine, for people and tests.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use phlare_e2e::fleet::Settings;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: e2e/fleet up [--dir DIR] [-flag=value …]

Starts three ingesters in three zones, two distributors, queriers and store-gateways, a compactor, and a distributor and
querier behind one address, each a process of its own. Prints one line of JSON when all are ready, and runs until SIGINT, SIGTERM or the end of its input.
Data and logs lie under DIR, by default a new directory that goes with the fleet. Flags are given to every process.";

fn main() -> ExitCode {
    let outcome = asked().and_then(|(directory, flags)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(up(directory, flags));
        // What reads the input can't be told to stop, and is not waited for.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "fleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The directory, and flags for the processes.
fn asked() -> anyhow::Result<(Option<PathBuf>, Vec<String>)> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("up") {
        bail!("{USAGE}");
    }
    let (mut directory, mut flags) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dir" => {
                directory = Some(arguments.next().context("--dir needs a directory")?.into())
            }
            flag if flag.starts_with('-') && flag.contains('=') => flags.push(argument),
            other => bail!("{other:?} is no flag\n{USAGE}"),
        }
    }
    Ok((directory, flags))
}

async fn up(directory: Option<PathBuf>, flags: Vec<String>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let own = tempfile::TempDir::new()?;
    let directory = match directory {
        // Processes have directories of their own to work in.
        Some(directory) => std::path::absolute(directory)?,
        None => own.path().to_owned(),
    };
    let settings = flags
        .iter()
        .fold(Settings::new(&directory), |settings, flag| {
            settings.flag(flag)
        });
    let told_to_stop = async {
        let mut input = tokio::io::stdin();
        let mut ignored = [0; 1024];
        loop {
            tokio::select! {
                _ = interrupt.recv() => return,
                _ = terminate.recv() => return,
                read = input.read(&mut ignored) => if read.is_ok_and(|read| read > 0) { continue } else { return },
            }
        }
    };
    let mut told_to_stop = std::pin::pin!(told_to_stop);
    let mut fleet = tokio::select! {
        started = settings.start() => started?,
        // Dropping what has begun ends its processes.
        () = &mut told_to_stop => return Ok(()),
    };
    let description = serde_json::to_string(&fleet.description())?;
    writeln!(stdout(), "{description}").context("print where the fleet is")?;
    stdout().flush()?;
    told_to_stop.await;
    fleet.down().await
}
