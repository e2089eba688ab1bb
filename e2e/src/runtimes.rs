//! Programs of others, in their own languages: what they need is installed once, below `target/`, and used again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::{programs, shared};

/// Builds the Go program in a directory; `None`, said on standard error, without Go. `name` is below `target/`.
///
/// # Errors
/// If it does not build, or Go is missing although it must not be.
pub async fn go(source: &Path, name: &str) -> anyhow::Result<Option<PathBuf>> {
    // Go 1.21 fetches the version that a module asks for.
    if !shared::runtime("go", &["version"], &[1, 21])? {
        return Ok(None);
    }
    let program = installed(name)?.join(Path::new(name).file_name().unwrap_or_default());
    let mut build = Command::new("go");
    build
        .args(["build", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source);
    run(build).await?;
    Ok(Some(program))
}

/// Builds the Rust program in a directory, which is a package of its own; it needs nothing that the tests themselves do not.
/// `name` is below `target/`.
///
/// # Errors
/// If it does not build.
pub async fn rust(source: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let target = installed(name)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--quiet", "--locked", "--target-dir"])
        .arg(&target)
        .current_dir(source);
    run(build).await?;
    let program = Path::new(name).file_name().unwrap_or_default();
    Ok(target.join("debug").join(program))
}

/// The directory of programs of a Python environment with what `requirements.txt` in a directory asks for; `None`, said
/// on standard error, without Python. `name` is below `target/`.
///
/// # Errors
/// If it cannot be installed, or Python is missing although it must not be.
pub async fn python(source: &Path, name: &str) -> anyhow::Result<Option<PathBuf>> {
    if !shared::runtime("python3", &["--version"], &[3, 9])? {
        return Ok(None);
    }
    let venv = installed(name)?;
    let bin = venv.join("bin");
    if !bin.join("installed").is_file() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&venv);
        run(make).await?;
        let mut install = Command::new(bin.join("python"));
        let quiet = ["--quiet", "--disable-pip-version-check"];
        install.args(["-m", "pip", "install"]).args(quiet).arg("-r");
        install.arg(source.join("requirements.txt"));
        run(install).await?;
        std::fs::write(bin.join("installed"), b"")?;
    }
    Ok(Some(bin))
}

/// A directory with the files of another one and the packages that its `package.json` asks for, as in its lock file if it
/// has one; `None`, said on standard error, without Node. `name` is below `target/`.
///
/// # Errors
/// If they cannot be installed, or Node is missing although it must not be.
pub async fn node(source: &Path, name: &str) -> anyhow::Result<Option<PathBuf>> {
    let node = shared::runtime("node", &["--version"], &[20, 20, 2])?;
    if !node || !shared::runtime("npm", &["--version"], &[7])? {
        return Ok(None);
    }
    let directory = installed(name)?;
    for entry in std::fs::read_dir(source).with_context(|| format!("list {}", source.display()))? {
        let entry = entry?;
        std::fs::copy(entry.path(), directory.join(entry.file_name()))?;
    }
    if !directory.join("installed").is_file() {
        let how: &[&str] = match source.join("package-lock.json").is_file() {
            true => &["ci"],
            false => &["install", "--no-package-lock"],
        };
        let mut install = Command::new("npm");
        install
            .args(how)
            .args(["--no-audit", "--no-fund"])
            .current_dir(&directory);
        run(install).await?;
        std::fs::write(directory.join("installed"), b"")?;
    }
    Ok(Some(directory))
}

/// The published agent for Java that `agent.py` in a directory fetches, with Python and what `requirements.txt` there asks for;
/// `None`, said on standard error, without a Java that runs sources. `name` is below `target/`.
///
/// # Errors
/// If it cannot be had, or Java is missing although it must not be.
pub async fn java_agent(source: &Path, name: &str) -> anyhow::Result<Option<PathBuf>> {
    for program in ["java", "javac"] {
        if !shared::runtime(program, &["--version"], &[17])? {
            return Ok(None);
        }
    }
    let Some(bin) = python(source, name).await? else {
        return Ok(None);
    };
    let agent = installed(name)?.join("agent.jar");
    let mut fetch = Command::new(bin.join("python"));
    fetch.arg(source.join("agent.py")).arg(&agent);
    run(fetch).await?;
    Ok(Some(agent))
}

/// Where what a program needs is installed.
fn installed(name: &str) -> anyhow::Result<PathBuf> {
    let directory = programs::target()?.join(name);
    std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    Ok(directory)
}

/// Runs a program to its end; the text is what it wrote to standard output.
///
/// # Errors
/// If it cannot be started or fails; with what it wrote.
pub async fn run(mut command: Command) -> anyhow::Result<String> {
    let name = command.get_program().to_owned();
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output())
        .await?
        .with_context(|| format!("start {}", Path::new(&name).display()))?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "{}: {}\n{out}{err}",
        Path::new(&name).display(),
        output.status
    );
    Ok(out.into_owned())
}
