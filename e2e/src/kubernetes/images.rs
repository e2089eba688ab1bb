//! Images of the programs, made from the files that cargo built: without a registry, and without Docker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{programs, shared};

/// Whom to trust, as the Dockerfile of the components has it.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A version of the components that there is an image of, beside the present one.
pub const NEXT: &str = "next";

/// Makes the images that manifests name: of the components, of the operator, and of an object store (`phlare-store` of
/// these sources). The components have a second one, of the next version, so that there is something to change to.
///
/// # Errors
/// A program is not built, or the image can't be written.
pub fn images(directory: &Path, controlplane: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory)?;
    let version = env!("CARGO_PKG_VERSION");
    let of = [
        ("phlare", programs::phlare()?, &[version, NEXT][..]),
        ("phlare-operator", programs::operator()?, &[version]),
        ("phlare-store", programs::store()?, &[version]),
    ];
    let mut images = Vec::new();
    for (name, program, versions) in of {
        let program = stripped(&program, &directory.join(name))?;
        for version in versions {
            let tar = directory.join(format!("{name}-{version}.tar"));
            let made = Command::new(controlplane)
                .arg("image")
                .arg(&tar)
                .arg(format!("phlare/{name}:{version}"))
                .arg(&program)
                .args(std::fs::exists(AUTHORITIES)?.then_some(AUTHORITIES))
                .output()
                .context("start controlplane")?;
            let said = String::from_utf8_lossy(&made.stderr);
            ensure!(made.status.success(), "image of {name}: {said}");
            images.push(tar);
        }
    }
    Ok(images)
}

/// The program without what only debuggers read: each node unpacks a copy, and that is most of it.
fn stripped(program: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(to).arg(program);
    let done = strip.output().context("start strip, of the binutils")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "strip {}: {said}", program.display());
    Ok(to.to_owned())
}

/// What nodes with containers need beside the kernel.
const NEEDED: &[&str] = &["containerd", "runc", "ip", "nft", "unshare"];

/// Whether this machine can run nodes with containers; why not is said on standard error.
///
/// # Errors
/// A program is missing although it must not be.
pub fn real_nodes_allowed() -> anyhow::Result<bool> {
    let runs = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).output();
        output.is_ok_and(|output| output.status.success())
    };
    for program in NEEDED {
        if !runs(&format!("command -v {program}")) {
            shared::skip(&format!("{program} is not installed"))?;
            return Ok(false);
        }
    }
    if !Path::new("/usr/lib/cni").is_dir() {
        shared::skip("the network plugins of containers are not installed")?;
        return Ok(false);
    }
    // Not every machine lets its root do so, and no package changes that.
    let allowed = rustix::process::geteuid().is_root()
        && runs("unshare --mount --pid --net --fork mount -t tmpfs tmpfs /mnt");
    if !allowed {
        shared::not_allowed("no namespaces and mounts for us here");
    }
    Ok(allowed)
}
