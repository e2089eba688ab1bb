//! `e2e/kubernetes up`: a Kubernetes with the operator in it, on one machine, for people.

use std::fs;
use std::io::{Write, stdout};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use phlare_e2e::kubernetes::{
    Cluster, Operator, Options, Rights, apply, documents, images, namespace, program,
};
use phlare_e2e::programs;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: e2e/kubernetes up [--fake] DIR

Starts a Kubernetes of three nodes in three zones, with the operator as a pod and the image of Phlare at hand. Prints one
line when all is ready, `ready kubeconfig=… kubectl=… proxy=…`, and runs until SIGINT, SIGTERM or the end of its input. DIR is
emptied first, if an earlier run made it. With --fake, pods are records that are ready at once, and the operator is a process:
this needs no root, and no profile flows. Real nodes need root and the packages containerd, runc, iproute2, nftables and
containernetworking-plugins.";

fn main() -> ExitCode {
    let outcome = asked().and_then(|(fake, directory)| {
        let runtime = tokio::runtime::Runtime::new()?;
        let outcome = runtime.block_on(up(fake, &directory));
        // What reads the input can't be told to stop, and is not waited for.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "kubernetes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn asked() -> anyhow::Result<(bool, PathBuf)> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("up") {
        bail!("{USAGE}");
    }
    let (mut fake, mut directory) = (false, None);
    for argument in arguments {
        match argument.as_str() {
            "--fake" => fake = true,
            flag if flag.starts_with('-') => bail!("{flag:?} is no flag\n{USAGE}"),
            _ if directory.is_some() => bail!("one directory only\n{USAGE}"),
            _ => directory = Some(std::path::absolute(&argument)?),
        }
    }
    Ok((
        fake,
        directory.with_context(|| format!("no directory\n{USAGE}"))?,
    ))
}

async fn up(fake: bool, directory: &Path) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let controlplane = program()?.context("Go 1.24 or newer is needed to build Kubernetes")?;
    let scratch = tempfile::tempdir()?;
    let options = Options {
        real: !fake,
        images: if fake {
            Vec::new()
        } else {
            images(scratch.path(), &controlplane)?
        },
        directory: directory.to_owned(),
    };
    let cluster =
        Cluster::up(&options)?.context("Go 1.24 or newer is needed to build Kubernetes")?;
    let client = cluster.client().await?;
    let _operator = if fake {
        namespace(&client, "phlare-operator").await?;
        let rights = Rights::of(&cluster, &client).await?;
        Some(Operator::start(&cluster, &rights, "operator", &[])?)
    } else {
        let text = fs::read_to_string(programs::workspace().join("charts/phlare-operator.yaml"))?;
        apply(&client, "default", &documents(&text)?).await?;
        None
    };
    let kubectl = write_kubectl(directory, &controlplane, &cluster.kubeconfig())?;
    let mut line = format!(
        "ready kubeconfig={} kubectl={}",
        cluster.kubeconfig().display(),
        kubectl.display()
    );
    if let Some(proxy) = &cluster.proxy {
        line = format!("{line} proxy={proxy}");
    }
    writeln!(stdout(), "{line}").context("print where the cluster is")?;
    stdout().flush()?;
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 1024];
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            read = input.read(&mut ignored) => if !read.is_ok_and(|read| read > 0) { return Ok(()) },
        }
    }
}

/// A kubectl that needs no further settings.
fn write_kubectl(
    directory: &Path,
    controlplane: &Path,
    kubeconfig: &Path,
) -> anyhow::Result<PathBuf> {
    let path = directory.join("kubectl");
    let text = format!(
        "#!/bin/sh\nexec '{}' kubectl --kubeconfig '{}' \"$@\"\n",
        controlplane.display(),
        kubeconfig.display()
    );
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
