//! A server as a user starts it: a process with a port, a data directory and a log.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::certificates::{Certificates, OPERATOR};
use crate::netns::Namespace;
use crate::process::{self, GLANCE, PATIENCE};
use crate::{Client, programs};

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    directory: Option<Arc<TempDir>>,
    /// Where it runs, and its URL there.
    place: Option<(Namespace, String)>,
    /// Size of the disk of its data, in MiB.
    disk: Option<u32>,
    /// Who signed its certificate, if it serves over TLS.
    authority: Option<String>,
}

impl Options {
    /// A server on a free port of this machine with a new data directory, which does not profile itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one flag more, as `-name=value`.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// In another network, where flags say that it serves at this URL.
    #[must_use]
    pub fn inside(mut self, namespace: &Namespace, url: &str) -> Self {
        self.place = Some((namespace.clone(), url.to_owned()));
        self
    }

    /// Over TLS, for clients that have one of the tokens.
    #[must_use]
    pub fn secured(mut self, certificates: &Certificates) -> Self {
        self.flags.extend(certificates.server());
        self.authority = Some(certificates.ca());
        self
    }

    /// With a disk for its data of so many MiB, which nobody else sees, and which goes with the process.
    #[must_use]
    pub fn disk(mut self, mib: u32) -> Self {
        self.disk = Some(mib);
        self
    }

    /// Whether this user may give a server a disk of its own.
    #[must_use]
    pub fn disk_allowed() -> bool {
        let tried = on_disk(1, Path::new("/tmp")).arg("true").output();
        let allowed = tried.as_ref().is_ok_and(|output| output.status.success());
        if !allowed {
            let why = format!("this user or kernel mounts no file systems: {tried:?}");
            crate::shared::not_allowed(&why);
        }
        allowed
    }

    /// In the directory of an earlier server.
    #[must_use]
    pub fn directory(mut self, directory: &Arc<TempDir>) -> Self {
        self.directory = Some(Arc::clone(directory));
        self
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// If it ends, or is not ready in time; with its log.
    pub async fn start(self) -> anyhow::Result<Server> {
        let mut server = self.spawn()?;
        match server.up(true).await {
            Ok(()) => Ok(server),
            Err(error) => Err(error.context(format!("log of the server:\n{}", server.log()?))),
        }
    }

    /// Starts the server and waits until it listens, ready or not.
    ///
    /// # Errors
    /// If it ends, or does not listen in time.
    pub async fn listening(self) -> anyhow::Result<Server> {
        let mut server = self.spawn()?;
        server.up(false).await?;
        Ok(server)
    }

    /// Starts the server and waits until it has ended, as it must when a setting is wrong. The text is what it wrote to
    /// standard error.
    ///
    /// # Errors
    /// If it goes on.
    pub async fn refused(self) -> anyhow::Result<(ExitStatus, String)> {
        let mut server = self.spawn()?;
        let status = server
            .ended()
            .await
            .context("the server was to refuse this, and goes on")?;
        Ok((status, server.log()?))
    }

    fn spawn(self) -> anyhow::Result<Server> {
        let directory = match self.directory {
            Some(directory) => directory,
            None => Arc::new(TempDir::new()?),
        };
        // Each start has a log of its own.
        let log = tempfile::Builder::new()
            .prefix("log-")
            .tempfile_in(directory.path())?;
        let (file, log) = log.keep()?;
        let data = directory.path().join("data");
        let mut command = match self.disk {
            Some(mib) => {
                std::fs::create_dir_all(&data)?;
                let mut command = on_disk(mib, &data);
                command.arg(programs::phlare()?);
                command
            }
            None => Command::new(programs::phlare()?),
        };
        command
            .arg("-server.http-listen-address=127.0.0.1")
            .arg("-server.http-listen-port=0")
            .arg("-self-profiling.disable-push=true")
            .arg(format!("-pyroscopedb.data-path={}", data.display()))
            .args(&self.flags)
            .envs(self.environment)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(File::create(directory.path().join("stdout"))?)
            .stderr(file);
        let (child, url) = match self.place {
            Some((namespace, url)) => (namespace.spawn(&mut command)?, url),
            None => (command.spawn().context("start phlare")?, String::new()),
        };
        Ok(Server {
            child,
            directory,
            log,
            url,
            authority: self.authority,
        })
    }
}

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    directory: Arc<TempDir>,
    log: PathBuf,
    url: String,
    authority: Option<String>,
}

impl Server {
    /// A server with no settings but the harness'.
    ///
    /// # Errors
    /// As [`Options::start`].
    pub async fn start() -> anyhow::Result<Self> {
        Options::new().start().await
    }

    /// `http://127.0.0.1:port`, or `https://`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of it, without a tenant; over TLS one that may do everything.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn client(&self) -> anyhow::Result<Client> {
        match &self.authority {
            Some(authority) => Ok(Client::secured(&self.url, authority)?.token(OPERATOR)),
            None => Client::new(&self.url),
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory, which a later server may get.
    #[must_use]
    pub fn directory(&self) -> &Arc<TempDir> {
        &self.directory
    }

    /// The directory that it keeps data in.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data(&self.directory)
    }

    /// What it has written to standard error.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("read the log")
    }

    /// Lines of its log that somebody ought to look at: of level `warn` or `error`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn complaints(&self) -> anyhow::Result<Vec<String>> {
        let grave = |line: &&str| line.contains("level=warn") || line.contains("level=error");
        Ok(self
            .log()?
            .lines()
            .filter(grave)
            .map(str::to_owned)
            .collect())
    }

    /// Ends it as a power cut would, as far as it can see, and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        process::kill(&mut self.child)
    }

    /// Asks it to stop, waits until it has, and demands exit code 0.
    ///
    /// # Errors
    /// If it does not stop in time, or not in order.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        process::send(&self.child, Signal::TERM)?;
        let status = self.ended().await?;
        ensure!(
            status.success(),
            "the server stopped with {status}; its log:\n{}",
            self.log()?
        );
        Ok(())
    }

    /// Stops it and demands that it had nothing to complain about.
    ///
    /// # Errors
    /// As [`Self::stop`]; or if a line of level `warn` or `error` holds none of the `expected` texts.
    pub async fn stop_quiet(&mut self, expected: &[&str]) -> anyhow::Result<()> {
        self.stop().await?;
        let mut complaints = self.complaints()?;
        // The harness itself asks before the server is ready.
        complaints.retain(|line| !line.contains("path=/ready status=503"));
        complaints.retain(|line| !expected.iter().any(|text| line.contains(text)));
        ensure!(
            complaints.is_empty(),
            "lines that were not expected: {complaints:#?}"
        );
        Ok(())
    }

    fn scheme(&self) -> &'static str {
        match self.authority {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Waits until it listens, and until it is ready if that is asked for.
    async fn up(&mut self, ready: bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status} while it started");
            }
            if self.url.is_empty() {
                self.url = address(&self.log()?)
                    .map(|address| format!("{}://{address}", self.scheme()))
                    .unwrap_or_default();
            } else if !ready
                || self
                    .client()?
                    .get("/ready")
                    .await
                    .is_ok_and(|reply| reply.status == 200)
            {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
        bail!("the server was not ready within {PATIENCE:?}")
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        match process::ended(&mut self.child).await {
            Ok(status) => Ok(status),
            Err(error) => Err(error.context(format!("log of the server:\n{}", self.log()?))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program, which is to be added, with a disk in memory at `path`. The program takes the place of what starts it.
fn on_disk(mib: u32, path: &Path) -> Command {
    let mount = r#"mount -t tmpfs -o "size=$1m" none "$2" && shift 2 && exec "$@""#;
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            mount,
            "sh",
        ])
        .arg(mib.to_string())
        .arg(path);
    command
}

/// The data directory of servers that run in this directory.
#[must_use]
pub fn data(directory: &TempDir) -> PathBuf {
    directory.path().join("data")
}

/// Log segments of a tenant below a data directory, oldest first.
///
/// # Errors
/// If the directory cannot be read.
pub fn segments(data: &Path, tenant: &str) -> anyhow::Result<Vec<PathBuf>> {
    let wal = data.join("ingester").join(tenant).join("wal");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&wal).with_context(|| format!("list {}", wal.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The address in the line that the server writes when it listens.
fn address(log: &str) -> Option<&str> {
    let line = log.lines().find(|line| line.contains("message=started"))?;
    line.split(' ')
        .find_map(|field| field.strip_prefix("address="))
}
