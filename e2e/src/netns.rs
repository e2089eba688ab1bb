//! Networks of this machine's own: Linux network namespaces, with real addresses, routes and links that can be cut.
//!
//! A namespace has no name and lies in no directory: it lives as long as something here or a process in it does, so a
//! test that is killed leaves nothing behind. What a thread inside it opens, and whom it starts, belongs to it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::shared;

/// A network namespace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<File>);

impl Namespace {
    /// Whether this user may have networks of its own; if not, it is said on standard error, and the test is skipped.
    ///
    /// # Errors
    /// If the program `ip` is missing although `PHLARE_REQUIRE_CLIENTS=1`.
    pub fn allowed() -> anyhow::Result<bool> {
        if let Err(error) = Command::new("ip").arg("-V").output() {
            shared::skip(&format!("ip (iproute2) cannot be run: {error}"))?;
            return Ok(false);
        }
        let tried = Self::new().and_then(|one| {
            one.join("eth0", &Self::new()?, "eth0")?;
            one.ip("link add br0 type bridge")
        });
        if let Err(error) = tried {
            let why =
                format!("this user or kernel makes no network namespaces and links: {error:#}");
            shared::not_allowed(&why);
            return Ok(false);
        }
        Ok(true)
    }

    /// One in which there is only the loopback device, up.
    ///
    /// # Errors
    /// If this user may not.
    pub fn new() -> anyhow::Result<Self> {
        // Once it echoes, it is in the new namespace; it ends when its input does, at the latest with us.
        let mut inside = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start unshare")?;
        let opened = Self::of(&mut inside);
        drop(inside.stdin.take());
        let output = inside.wait_with_output().context("wait for unshare")?;
        let namespace = opened.with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("make a network namespace: {}", said.trim())
        })?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    fn of(inside: &mut Child) -> anyhow::Result<Self> {
        let (input, output) = (&mut inside.stdin, &mut inside.stdout);
        let mut byte = *b".";
        // Writing fails if it has ended; reading finds the end then.
        let _ = input.as_mut().context("its input")?.write_all(&byte);
        output
            .as_mut()
            .context("its output")?
            .read_exact(&mut byte)?;
        let file = File::open(format!("/proc/{}/ns/net", inside.id()))?;
        Ok(Self(Arc::new(file)))
    }

    /// Runs commands of `ip` in it, one a line.
    ///
    /// # Errors
    /// If one fails; with what it said.
    pub fn ip(&self, commands: &str) -> anyhow::Result<()> {
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut ip = self.spawn(&mut command).context("start ip")?;
        let mut input = ip.stdin.take().context("its input")?;
        let written = input.write_all(format!("{commands}\n").as_bytes());
        drop(input);
        let output = ip.wait_with_output().context("wait for ip")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip: {commands}: {}", said.trim());
        written.context("tell ip what to do")
    }

    /// A cable from a new device of this one to a new device of another, both up.
    ///
    /// # Errors
    /// If a device is there already, or this user may not.
    pub fn join(&self, device: &str, other: &Self, others_device: &str) -> anyhow::Result<()> {
        let place = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!(
            "link add {device} type veth peer name {others_device} netns {place}\nlink set {device} up"
        ))?;
        other.ip(&format!("link set {others_device} up"))
    }

    /// Starts a process in it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&self, command: &mut Command) -> anyhow::Result<Child> {
        self.run(|| command.spawn())?
            .with_context(|| format!("start {}", command.get_program().display()))
    }

    /// Does something on a thread of its own in it.
    ///
    /// # Errors
    /// If the thread cannot enter.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let inside = || {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                .context("enter a network namespace")?;
            anyhow::Ok(work())
        };
        let done = std::thread::scope(|scope| {
            let name = std::thread::current().name().unwrap_or("netns").to_owned();
            let thread = std::thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, inside);
            anyhow::Ok(thread.context("start a thread")?.join())
        })?;
        match done {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Runs something asynchronous in it to its end, and blocks meanwhile: the whole of a test.
    ///
    /// # Errors
    /// Its own; or the thread cannot enter.
    pub fn block_on<T: Send>(
        &self,
        work: impl AsyncFnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        self.run(|| {
            // One thread: each that it starts is in here, too.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("start a runtime")?;
            runtime.block_on(work())
        })?
    }

    /// Runs something asynchronous in it from outside, without blocking.
    ///
    /// # Errors
    /// As [`Self::block_on`].
    pub async fn visit<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let this = self.clone();
        let visit = tokio::task::spawn_blocking(move || this.block_on(work));
        visit.await.map_err(|error| anyhow!("{error}"))?
    }
}

/// Two networks in one, with a cable between them that can be cut.
#[derive(Clone, Debug)]
pub struct Halves {
    /// Where the test runs.
    pub near: Namespace,
    /// What is cut off.
    pub far: Namespace,
}

/// Devices that have the addresses of each half.
pub(crate) const NEAR: &str = "br0";
pub(crate) const FAR: &str = "eth0";
/// The near end of the cable. Not the device with the addresses: those stay up.
const PLUG: &str = "plug";

impl Halves {
    /// Both, connected, without addresses.
    ///
    /// # Errors
    /// If this user may not.
    pub fn new() -> anyhow::Result<Self> {
        let (near, far) = (Namespace::new()?, Namespace::new()?);
        near.ip(&format!("link add {NEAR} type bridge\nlink set {NEAR} up"))?;
        near.join(PLUG, &far, FAR)?;
        near.ip(&format!("link set {PLUG} master {NEAR}"))?;
        Ok(Self { near, far })
    }

    /// Cuts the cable: packets vanish, no connection is reset.
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.near.ip(&format!("link set {PLUG} down"))
    }

    /// Mends it.
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn mend(&self) -> anyhow::Result<()> {
        self.near.ip(&format!("link set {PLUG} up"))
    }
}
