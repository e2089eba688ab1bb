//! `phlare-load`: sends real profiles to a server, asks queries, reports what that took.
//!
//! Knows nothing of how a server works inside: everything here goes through the public API, so
//! that any server with this API can be measured. The only look behind it is `/proc`, if a
//! process id is given.

mod cli;
mod figures;
mod manifest;
mod measure;
mod process;
mod push;
mod queries;
mod report;
mod run;
mod schedule;
mod source;
mod stamp;
mod target;
mod ui;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

/// All requests succeeded.
const EXIT_OK: u8 = 0;
/// A request failed, or the run could not be finished.
const EXIT_FAILED: u8 = 1;
/// The command line or one of its files makes no sense.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        ui::note("a TLS provider is installed already");
    }
    let args = match cli::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let usage = error.use_stderr();
            if error.print().is_err() {
                return ExitCode::from(EXIT_FAILED);
            }
            return ExitCode::from(if usage { EXIT_USAGE } else { EXIT_OK });
        }
    };
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(error) => {
            ui::note(&format!("error: {error:#}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run::run(&settings)));
    match outcome {
        Ok(report) if report.errors() == 0 => ExitCode::from(EXIT_OK),
        Ok(_) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            ui::note(&format!("error: {error:#}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}
