//! `phlarectl`: uploads profiles to a server and asks it; looks into blocks.
//!
//! Knows nothing of how a server works inside: a server is its public API, a block its files.

mod cli;
mod client;
mod commands;
mod render;
mod source;
mod ui;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use phlare_model::{Clock, SystemClock};

use crate::cli::{Cli, Plugin, UsageError};
use crate::client::ClientError;
use crate::commands::kubernetes::KubernetesError;

/// Failed for a reason of its own, or not ready.
const EXIT_FAILED: u8 = 1;
/// The command line makes no sense.
const EXIT_USAGE: u8 = 2;
/// The server refused the request.
const EXIT_REFUSED: u8 = 3;
/// The server failed, or was not reached.
const EXIT_SERVER: u8 = 4;

/// Who reads the command line.
enum Asked {
    ByUser(Box<Cli>),
    /// `kubectl phlare …` runs `kubectl-phlare …`.
    ByKubectl(Plugin),
}

/// Whether this program was started by the name that makes it a part of kubectl.
fn is_plugin(arguments: &[OsString]) -> bool {
    let name = arguments
        .first()
        .and_then(|name| Path::new(name).file_stem());
    name.is_some_and(|name| name == "kubectl-phlare")
}

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        ui::note("a TLS provider is installed already");
    }
    let arguments = cli::normalise(std::env::args_os());
    let parsed = match is_plugin(&arguments) {
        true => Plugin::try_parse_from(arguments).map(Asked::ByKubectl),
        false => Cli::try_parse_from(arguments).map(|cli| Asked::ByUser(Box::new(cli))),
    };
    let asked = match parsed {
        Ok(asked) => asked,
        Err(error) => {
            let usage = error.use_stderr();
            if error.print().is_err() {
                return ExitCode::from(EXIT_FAILED);
            }
            return if usage {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| match &asked {
            Asked::ByUser(cli) => runtime.block_on(commands::run(cli)),
            Asked::ByKubectl(plugin) => {
                let now_ms = SystemClock.now_ms();
                runtime.block_on(commands::kubernetes::run(&plugin.kubernetes, now_ms))
            }
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The exit code that an error stands for.
fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<UsageError>().is_some() {
        return EXIT_USAGE;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { .. }) => return EXIT_REFUSED,
        Some(
            ClientError::Server { .. } | ClientError::Transport { .. } | ClientError::Answer { .. },
        ) => return EXIT_SERVER,
        None => {}
    }
    match error.downcast_ref::<KubernetesError>() {
        Some(KubernetesError::Refused { .. } | KubernetesError::NotInstalled) => {
            return EXIT_REFUSED;
        }
        Some(KubernetesError::Unreachable(_)) => return EXIT_SERVER,
        None => {}
    }
    let mut causes = error.chain();
    match causes.find_map(|cause| cause.downcast_ref::<phlare_bucket::Error>()) {
        Some(error) => bucket_exit_code(error.kind()),
        None => EXIT_FAILED,
    }
}

/// The exit code that a failure of a bucket stands for.
fn bucket_exit_code(kind: phlare_bucket::ErrorKind) -> u8 {
    use phlare_bucket::ErrorKind;
    match kind {
        ErrorKind::NotFound
        | ErrorKind::NoBucket
        | ErrorKind::PermissionDenied
        | ErrorKind::Misconfigured => EXIT_REFUSED,
        ErrorKind::Unavailable | ErrorKind::Truncated | ErrorKind::Other => EXIT_SERVER,
        ErrorKind::Invalid | ErrorKind::LocalFile => EXIT_FAILED,
    }
}
