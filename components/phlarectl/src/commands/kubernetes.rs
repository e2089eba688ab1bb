//! `kubernetes`: Phlares that the operator runs, seen through the API server.
//!
//! Knows the resource by its type, pods by their labels, and processes by their pages.

mod access;
mod diagnose;
mod pods;
mod ring;
mod rollout;
mod status;

use crate::cli::{KubernetesArgs, KubernetesCommand};

use access::Access;
pub(crate) use access::KubernetesError;

/// Runs a command about Phlares on a Kubernetes.
pub(crate) async fn run(args: &KubernetesArgs, now_ms: i64) -> anyhow::Result<()> {
    let access = Access::new(&args.access).await?;
    match &args.command {
        KubernetesCommand::Status(args) => status::run(&access, args, now_ms).await,
        KubernetesCommand::Rollout(args) => rollout::run(&access, args).await,
        KubernetesCommand::Ring(args) => ring::run(&access, args).await,
        KubernetesCommand::Diagnose(args) => diagnose::run(&access, args, now_ms).await,
    }
}
