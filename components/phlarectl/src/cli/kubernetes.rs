//! Arguments of `kubernetes`, which are those of `kubectl phlare`, too.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::Output;

/// `kubectl phlare`: kubectl runs a program of the name `kubectl-phlare` so.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-phlare",
    bin_name = "kubectl phlare",
    version,
    about = "Looks at Phlares on a Kubernetes, and has their operator do things",
    after_help = "Exit codes: 0 done; 1 failed, or a rollout that does not go on; 2 usage; 3 the API server refused the \
                  request (4xx); 4 it failed or was not reached.\n\
                  Colour is off where NO_COLOR is set."
)]
pub(crate) struct Plugin {
    #[command(flatten)]
    pub(crate) kubernetes: KubernetesArgs,
}

/// Which Kubernetes, and what to do.
#[derive(Debug, Args)]
pub(crate) struct KubernetesArgs {
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(subcommand)]
    pub(crate) command: KubernetesCommand,
}

/// How to reach the API server, as kubectl reads it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct AccessArgs {
    /// File with addresses and keys; otherwise KUBECONFIG, then `~/.kube/config`, then the account of the pod
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context in that file
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace, if not that of the context
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

/// What to do with Phlares on a Kubernetes.
#[derive(Debug, Subcommand)]
pub(crate) enum KubernetesCommand {
    /// Say how a Phlare is, and what to do next; without a name, all of them
    Status(StatusArgs),
    /// Say how far a change is, wait for its end, or have it pause
    Rollout(RolloutArgs),
    /// Show who is in the rings
    Ring(RingArgs),
    /// Collect what a bug report needs into an archive, without secrets
    Diagnose(DiagnoseArgs),
}

/// Arguments of `status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatusArgs {
    /// Name of the PhlareCluster
    pub(crate) name: Option<String>,
    /// Those of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    pub(crate) all_namespaces: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `rollout`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RolloutArgs {
    /// Name of the PhlareCluster
    pub(crate) name: String,
    /// What to do with it
    #[arg(value_enum)]
    pub(crate) action: Option<RolloutAction>,
    /// Wait until every pod runs what the resource says; exit code 1 if that does not go on without help
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Wait for so long at most
    #[arg(long, value_name = "SECONDS", requires = "watch")]
    pub(crate) give_up_after: Option<u64>,
}

/// What to do with a change on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RolloutAction {
    /// The operator leaves everything as it is
    Pause,
    /// The operator goes on
    Resume,
    /// Pods run again what all of them ran before this change, until it is retried or the resource changes
    Undo,
    /// A change that was undone, or taken back because it did not work, is tried once more
    Retry,
}

/// Arguments of `ring`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RingArgs {
    /// Name of the PhlareCluster
    pub(crate) name: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `diagnose`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DiagnoseArgs {
    /// Name of the PhlareCluster
    pub(crate) name: String,
    /// The archive [default: phlare-NAME-TIME.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Lines of each log
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) lines: u32,
    /// Overwrite an existing file
    #[arg(short, long)]
    pub(crate) force: bool,
}
