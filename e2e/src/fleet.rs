//! A fleet on one machine: each component a process of its own, on a loopback address of its own.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use rand::Rng;
use rustix::process::Signal;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::process::{self, GLANCE, PATIENCE};
use crate::{Client, programs};

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

/// How to start a fleet.
#[derive(Clone, Debug)]
pub struct Settings {
    directory: PathBuf,
    flags: Vec<String>,
}

impl Settings {
    /// Three ingesters in three zones, two of the other components and a compactor, with data and logs under
    /// `directory`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            flags: Vec::new(),
        }
    }

    /// With one flag more for every process, as `-name=value`.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Starts all processes and waits until all are ready.
    ///
    /// # Errors
    /// If one ends or is not ready in time; with the end of its log.
    pub async fn start(self) -> anyhow::Result<Fleet> {
        let mut fleet = Fleet::plan(self)?;
        for number in 0..fleet.members.len() {
            fleet.spawn(number)?;
        }
        fleet.ready().await?;
        Ok(fleet)
    }
}

/// A running fleet; its processes are killed when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    directory: PathBuf,
    flags: Vec<String>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    process: Process,
    address: Ipv4Addr,
    child: Option<Child>,
}

impl Fleet {
    fn plan(settings: Settings) -> anyhow::Result<Self> {
        // Several fleets may run on one machine.
        let network = rand::rng().random_range(0..250 * 250);
        let (second, third) = (1 + network / 250, 1 + network % 250);
        let mut members = Vec::new();
        let mut add = |name: String, target, zone| {
            let last = 1 + members.len() as u8;
            let address = Ipv4Addr::new(127, second as u8, third as u8, last);
            members.push(Member {
                process: Process {
                    name,
                    target,
                    zone,
                    pid: 0,
                    url: format!("http://{address}:{PORT}"),
                },
                address,
                child: None,
            });
        };
        for zone in ZONES {
            add(format!("ingester-{zone}-0"), "ingester", zone);
        }
        for target in ["store-gateway", "distributor", "querier"] {
            for number in 0..2 {
                add(format!("{target}-{number}"), target, "");
            }
        }
        add("compactor-0".to_owned(), "compactor", "");
        // One address for everything, as a Service in front of both is.
        add("front-0".to_owned(), "distributor,querier", "");
        let bucket = settings.directory.join("bucket");
        std::fs::create_dir_all(bucket).context("make the bucket")?;
        Ok(Self {
            directory: settings.directory,
            flags: settings.flags,
            members,
        })
    }

    /// What runs where.
    #[must_use]
    pub fn description(&self) -> Description {
        let processes: Vec<_> = self.members.iter().map(|m| m.process.clone()).collect();
        Description {
            push: self.url("distributor-0").to_owned(),
            query: self.url("querier-0").to_owned(),
            processes,
        }
    }

    /// Where a process serves; empty if there is none of this name.
    #[must_use]
    pub fn url(&self, name: &str) -> &str {
        let member = self.members.iter().find(|m| m.process.name == name);
        member.map_or("", |member| &member.process.url)
    }

    /// A client of one process.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn client(&self, name: &str) -> anyhow::Result<Client> {
        Client::new(self.url(name))
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
        let child = Command::new(programs::phlare()?)
            .args(self.arguments(member, &home))
            .args(&self.flags)
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let member = &mut self.members[number];
        member.process.pid = child.id();
        member.child = Some(child);
        Ok(())
    }

    fn arguments(&self, member: &Member, home: &Path) -> Vec<String> {
        let Member {
            process, address, ..
        } = member;
        let name = &process.name;
        let mut arguments = vec![
            format!("-target={}", process.target),
            "-config.show_banner=false".to_owned(),
            format!("-server.http-listen-address={address}"),
            format!("-server.http-listen-port={PORT}"),
            format!("-memberlist.nodename={name}"),
            format!("-memberlist.bind-addr={address}"),
            format!("-memberlist.bind-port={GOSSIP}"),
            format!("-memberlist.cluster-label={}", self.members[0].address),
            "-distributor.replication-factor=3".to_owned(),
            "-distributor.zone-awareness-enabled".to_owned(),
            format!(
                "-storage.filesystem.dir={}",
                self.directory.join("bucket").display()
            ),
        ];
        for seed in self.members.iter().take(ZONES.len()) {
            arguments.push(format!("-memberlist.join={}:{GOSSIP}", seed.address));
        }
        let of_component = match process.target {
            "ingester" => vec![
                format!("-ingester.lifecycler.ID={name}"),
                format!("-ingester.lifecycler.addr={address}"),
                format!("-ingester.availability-zone={}", process.zone),
                "-ingester.min-ready-duration=0s".to_owned(),
                format!("-pyroscopedb.data-path={}", home.join("data").display()),
            ],
            "distributor" | "distributor,querier" => vec![
                format!("-distributor.ring.instance-id={name}"),
                format!("-distributor.ring.instance-addr={address}"),
            ],
            "store-gateway" => vec![
                format!("-store-gateway.sharding-ring.instance-id={name}"),
                format!("-store-gateway.sharding-ring.instance-addr={address}"),
                format!(
                    "-blocks-storage.bucket-store.sync-dir={}",
                    home.join("sync").display()
                ),
            ],
            "compactor" => vec![
                format!("-compactor.ring.instance-id={name}"),
                format!("-compactor.ring.instance-addr={address}"),
                format!("-compactor.data-dir={}", home.join("data").display()),
            ],
            _ => Vec::new(),
        };
        arguments.extend(of_component);
        arguments
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for number in 0..self.members.len() {
            self.member_ready(number, deadline).await?;
        }
        self.settled().await
    }

    /// Waits until every process that runs knows all ingesters and store-gateways that run: a process is ready before others
    /// know of it.
    ///
    /// # Errors
    /// If that takes too long; with the end of the log of the one that does not.
    pub async fn settled(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let rings = [
            ("/ring", "ingester"),
            ("/store-gateway/ring", "store-gateway"),
        ];
        let running = self.members.iter().filter(|member| member.child.is_some());
        for name in running.map(|member| &member.process.name) {
            for (page, target) in rings {
                while !self.knows_all(name, page, target).await {
                    ensure!(
                        Instant::now() < deadline,
                        "{name} does not know all of {target}: {}",
                        self.end_of_log(name)
                    );
                    sleep(GLANCE).await;
                }
            }
        }
        Ok(())
    }

    /// Whether all processes of a component that run are active, as one process sees it.
    async fn knows_all(&self, name: &str, page: &str, target: &str) -> bool {
        let Ok(client) = self.client(name) else {
            return false;
        };
        let shown: Value = client.get_json(page).await.unwrap_or_default();
        let active = |id: &str| {
            let instances = shown["instances"].as_array();
            instances.into_iter().flatten().any(|instance| {
                instance["id"] == id && instance["state"] == "ACTIVE" && instance["healthy"] == true
            })
        };
        let mut wanted = self.members.iter();
        wanted.all(|member| {
            let process = &member.process;
            member.child.is_none() || process.target != target || active(&process.name)
        })
    }

    async fn member_ready(&mut self, number: usize, deadline: Instant) -> anyhow::Result<()> {
        let name = self.members[number].process.name.clone();
        let client = self.client(&name)?;
        while Instant::now() < deadline {
            if let Some(child) = &mut self.members[number].child
                && let Some(status) = child.try_wait()?
            {
                bail!("{name} ended with {status}: {}", self.end_of_log(&name));
            }
            let asked = client.get("/ready").await;
            if asked.is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
        bail!("{name} was not ready in time: {}", self.end_of_log(&name))
    }

    fn end_of_log(&self, name: &str) -> String {
        let log = self.log(name).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(30).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("the end of its log:\n{}", lines.join("\n"))
    }
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
