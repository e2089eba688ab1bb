//! A fleet on one machine: each component a process of its own, on an address of its own.

mod arguments;
mod ready;
mod secured;
mod settings;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use rand::Rng;
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::Instant;

use crate::netns::{FAR, Halves, NEAR, Namespace};
use crate::process::{self, GLANCE, PATIENCE};
use crate::programs;

pub use settings::Settings;

/// Port of all servers: each has an address of its own.
const PORT: u16 = 4040;
/// Port of gossip.
const GOSSIP: u16 = 7946;

/// Zones of ingesters.
pub const ZONES: [&str; 3] = ["a", "b", "c"];

/// One process of the fleet.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Its name; also that of its instance in the ring.
    pub name: String,
    /// Which component it runs.
    pub target: &'static str,
    /// Its availability zone; empty if it has none.
    pub zone: &'static str,
    /// Its process id; changes when it is started anew.
    pub pid: u32,
    /// Where it serves.
    pub url: String,
}

/// What `fleet up` prints when everything is ready.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Where profiles are pushed to.
    pub push: String,
    /// Where queries are asked.
    pub query: String,
    /// All processes.
    pub processes: Vec<Process>,
}

/// A running fleet; its processes are killed when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    directory: PathBuf,
    flags: Vec<String>,
    members: Vec<Member>,
    /// The first three parts of all addresses; the fourth is counted up.
    network: [u8; 3],
    addresses: u8,
    seeds: Vec<Ipv4Addr>,
    halves: Option<Halves>,
    authority: Option<String>,
    hosts: Option<PathBuf>,
}

#[derive(Debug)]
struct Member {
    process: Process,
    address: Ipv4Addr,
    /// Where it runs, if not where the test does.
    namespace: Option<Namespace>,
    child: Option<Child>,
}

impl Fleet {
    fn plan(settings: Settings) -> anyhow::Result<Self> {
        // Several fleets may run on one machine.
        let part = || rand::rng().random_range(1..=250);
        let network = match &settings.halves {
            Some(_) => [10, part(), part()],
            None => [127, part(), part()],
        };
        let bucket = settings.directory.join("bucket");
        std::fs::create_dir_all(bucket).context("make the bucket")?;
        let mut fleet = Self {
            directory: settings.directory,
            flags: settings.flags,
            members: Vec::new(),
            network,
            addresses: 0,
            seeds: Vec::new(),
            halves: settings.halves,
            authority: settings.authority,
            hosts: settings.hosts,
        };
        for (name, target, zone) in settings.members {
            let far = settings.far.contains(&name);
            let namespace = fleet.halves.as_ref().filter(|_| far);
            let namespace = namespace.map(|halves| halves.far.clone());
            let address = fleet.new_address(far)?;
            fleet.push((name, target, zone), address, namespace);
        }
        let seeds = fleet.members.iter().take(ZONES.len());
        fleet.seeds = seeds.map(|member| member.address).collect();
        Ok(fleet)
    }

    fn push(
        &mut self,
        (name, target, zone): (String, &'static str, &'static str),
        address: Ipv4Addr,
        namespace: Option<Namespace>,
    ) {
        let url = self.url_of(address);
        self.members.push(Member {
            process: Process {
                name,
                target,
                zone,
                pid: 0,
                url,
            },
            address,
            namespace,
            child: None,
        });
    }

    /// An address that no process has had.
    fn new_address(&mut self, far: bool) -> anyhow::Result<Ipv4Addr> {
        let next = self.addresses.checked_add(1);
        self.addresses = next.context("a fleet has 255 addresses")?;
        let [first, second, third] = self.network;
        let address = Ipv4Addr::new(first, second, third, self.addresses);
        if let Some(halves) = &self.halves {
            let (namespace, device) = match far {
                true => (&halves.far, FAR),
                false => (&halves.near, NEAR),
            };
            namespace.ip(&format!("addr add {address}/24 dev {device}"))?;
        }
        Ok(address)
    }

    /// What runs where.
    #[must_use]
    pub fn description(&self) -> Description {
        let processes: Vec<_> = self.members.iter().map(|m| m.process.clone()).collect();
        Description {
            push: self.first("distributor"),
            query: self.first("query-frontend"),
            processes,
        }
    }

    /// Where a process serves; empty if there is none of this name.
    #[must_use]
    pub fn url(&self, name: &str) -> &str {
        let member = self.members.iter().find(|m| m.process.name == name);
        member.map_or("", |member| &member.process.url)
    }

    /// Where the first process serves that runs a component.
    fn first(&self, target: &str) -> String {
        let first = self.members.iter().find(|member| member.runs(target));
        first.map_or_else(String::new, |member| member.process.url.clone())
    }

    /// Where a process gossips.
    ///
    /// # Errors
    /// If the fleet has none of this name.
    pub fn gossip(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let address = self.members[self.find(name)?].address;
        Ok(SocketAddr::from((address, GOSSIP)))
    }

    /// What a process has written to standard error since the fleet began.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn log(&self, name: &str) -> anyhow::Result<String> {
        let path = self.directory.join(name).join("log");
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Sends a signal to a process.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let child = self.members[self.find(name)?].child.as_ref();
        let child = child.with_context(|| format!("{name} does not run"))?;
        process::send(child, signal).with_context(|| format!("signal {name}"))
    }

    /// Ends a process as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let number = self.find(name)?;
        let child = self.members[number].child.take();
        let mut child = child.with_context(|| format!("{name} does not run"))?;
        process::kill(&mut child)
    }

    /// Ends all processes as a power cut would: first all, then it waits.
    ///
    /// # Errors
    /// If one cannot be killed.
    pub fn kill_all(&mut self) -> anyhow::Result<()> {
        let running = self.members.iter_mut();
        let mut children: Vec<Child> = running.filter_map(|m| m.child.take()).collect();
        for child in &children {
            process::send(child, Signal::KILL)?;
        }
        children.iter_mut().try_for_each(process::kill)
    }

    /// Asks a process to stop, waits until it has, and demands exit code 0.
    ///
    /// # Errors
    /// If it does not stop in time, or not in order.
    pub async fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        self.signal(name, Signal::TERM)?;
        let number = self.find(name)?;
        let child = self.members[number].child.as_mut();
        let ended = process::ended(child.context("it does not run")?).await;
        let status = ended.with_context(|| format!("{name}: {}", self.end_of_log(name)))?;
        self.members[number].child = None;
        ensure!(
            status.success(),
            "{name} stopped with {status}: {}",
            self.end_of_log(name)
        );
        Ok(())
    }

    /// Starts a process that was killed or stopped, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Settings::start`].
    pub async fn restart(&mut self, name: &str) -> anyhow::Result<()> {
        let number = self.find(name)?;
        self.spawn(number)?;
        self.member_ready(number, Instant::now() + PATIENCE).await
    }

    /// Starts a new process, `name`, that takes over from one that does not run: its component, zone and address, not its
    /// name and data. Waits until it is ready.
    ///
    /// # Errors
    /// As [`Settings::start`].
    pub async fn take_over(&mut self, from: &str, name: &str) -> anyhow::Result<()> {
        let from = &self.members[self.find(from)?];
        ensure!(from.child.is_none(), "{} runs", from.process.name);
        let (target, zone) = (from.process.target, from.process.zone);
        let (address, namespace) = (from.address, from.namespace.clone());
        self.push((name.to_owned(), target, zone), address, namespace);
        self.restart(name).await
    }

    /// Gives a process that does not run an address that no process has had, for its next start.
    ///
    /// # Errors
    /// If there is none left.
    pub fn move_away(&mut self, name: &str) -> anyhow::Result<()> {
        let number = self.find(name)?;
        let far = self.members[number].namespace.is_some();
        let address = self.new_address(far)?;
        let url = self.url_of(address);
        let member = &mut self.members[number];
        member.address = address;
        member.process.url = url;
        Ok(())
    }

    /// Starts processes that were killed or stopped, all at once, and waits until all are ready and know of each other.
    ///
    /// # Errors
    /// As [`Settings::start`].
    pub async fn restart_all(&mut self) -> anyhow::Result<()> {
        for number in 0..self.members.len() {
            if self.members[number].child.is_none() {
                self.spawn(number)?;
            }
        }
        self.ready().await
    }

    /// Stops all processes: those that take requests first, so that none is cut off.
    ///
    /// # Errors
    /// The first that did not stop in order; the others are stopped, too.
    pub async fn down(&mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        let running = |m: &&Member| m.child.is_some();
        let names = self.members.iter().filter(running);
        let names: Vec<_> = names.map(|m| m.process.name.clone()).collect();
        for name in names.iter().rev() {
            // A paused process does not see that it is to stop.
            let _ = self.signal(name, Signal::CONT);
            outcome = outcome.and(self.stop(name).await);
        }
        outcome
    }

    fn find(&self, name: &str) -> anyhow::Result<usize> {
        let mut members = self.members.iter();
        let found = members.position(|member| member.process.name == name);
        found.with_context(|| format!("the fleet has no process {name}"))
    }

    fn spawn(&mut self, number: usize) -> anyhow::Result<()> {
        let member = &self.members[number];
        let name = &member.process.name;
        let home = self.directory.join(name);
        std::fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.join("log"))?;
        let mut command = match &self.hosts {
            Some(hosts) => with_hosts(hosts, &programs::phlare()?),
            None => Command::new(programs::phlare()?),
        };
        command
            .args(self.arguments(member, &home))
            .args(&self.flags)
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = match &member.namespace {
            Some(namespace) => namespace.spawn(&mut command),
            None => command.spawn().map_err(Into::into),
        };
        let child = child.with_context(|| format!("start {name}"))?;
        let member = &mut self.members[number];
        member.process.pid = child.id();
        member.child = Some(child);
        Ok(())
    }

    fn end_of_log(&self, name: &str) -> String {
        let log = self.log(name).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(30).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("the end of its log:\n{}", lines.join("\n"))
    }
}

impl Member {
    /// Whether it runs a component.
    fn runs(&self, component: &str) -> bool {
        let mut targets = self.process.target.split(',');
        targets.any(|target| target == "all" || target == component)
    }
}

/// Runs a program that sees another `/etc/hosts`. It takes the place of what starts it.
fn with_hosts(hosts: &Path, program: &Path) -> Command {
    let mount = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;
    let mut command = Command::new("unshare");
    let private = [
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        mount,
        "sh",
    ];
    command.args(private).arg(hosts).arg(program);
    command
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|m| m.child.as_mut()) {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
