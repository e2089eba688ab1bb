//! How to start a fleet: who is in it, and how they are told apart from others.

use std::path::{Path, PathBuf};

use super::{Fleet, ZONES};
use crate::netns::Halves;

/// How to start a fleet.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) directory: PathBuf,
    pub(super) flags: Vec<String>,
    /// Name, target and zone of each process; the first three are those whom all ask first.
    pub(super) members: Vec<(String, &'static str, &'static str)>,
    pub(super) halves: Option<Halves>,
    pub(super) far: Vec<String>,
    pub(super) hosts: Option<PathBuf>,
    /// Who signed the certificates of all, if they serve over TLS.
    pub(super) authority: Option<String>,
}

impl Settings {
    /// Three ingesters in three zones, two of the other components and a compactor, with data and logs under
    /// `directory`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let mut members = Vec::new();
        for zone in ZONES {
            members.push((format!("ingester-{zone}-0"), "ingester", zone));
        }
        for target in [
            "store-gateway",
            "distributor",
            "query-scheduler",
            "querier",
            "query-frontend",
        ] {
            for number in 0..2 {
                members.push((format!("{target}-{number}"), target, ""));
            }
        }
        members.push(("compactor-0".to_owned(), "compactor", ""));
        // One address for everything, as a Service in front of both is.
        let front = "distributor,query-frontend";
        members.push(("front-0".to_owned(), front, ""));
        Self {
            directory: directory.to_owned(),
            flags: Vec::new(),
            members,
            halves: None,
            far: Vec::new(),
            hosts: None,
            authority: None,
        }
    }

    /// Three processes, `all-a` to `all-c`, with every component in each, a zone for each.
    #[must_use]
    pub fn of_three(directory: &Path) -> Self {
        let member = |zone| (format!("all-{zone}"), "all", zone);
        Self {
            members: ZONES.map(member).into(),
            ..Self::new(directory)
        }
    }

    /// What it takes to push and to ask: three ingesters in three zones, and one of each component between them and
    /// clients, two query-schedulers. Nobody merges blocks.
    #[must_use]
    pub fn small(directory: &Path) -> Self {
        let whole = Self::new(directory);
        let needed = |name: &str| {
            name.starts_with("ingester-")
                || [
                    "store-gateway-0",
                    "distributor-0",
                    "query-scheduler-0",
                    "query-scheduler-1",
                    "querier-0",
                    "query-frontend-0",
                ]
                .contains(&name)
        };
        let members = whole.members.into_iter();
        Self {
            members: members.filter(|(name, ..)| needed(name)).collect(),
            directory: whole.directory,
            ..whole
        }
    }

    /// With one flag more for every process, as `-name=value`.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// With this file in the place of `/etc/hosts`: a test may write another text into it, and no other file in its place.
    #[must_use]
    pub fn hosts(mut self, file: &Path) -> Self {
        self.hosts = Some(file.to_owned());
        self
    }

    /// In a network of its own, where these processes can be cut off from the others. The fleet is to be started in
    /// the near half.
    #[must_use]
    pub fn halves(mut self, halves: &Halves, far: &[&str]) -> Self {
        self.halves = Some(halves.clone());
        self.far = far.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Plans all processes, and starts none: [`Fleet::restart_all`] does.
    ///
    /// # Errors
    /// If there is no place for their data.
    pub fn begin(self) -> anyhow::Result<Fleet> {
        Fleet::plan(self)
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
