//! Settings of gossip; YAML section `memberlist`, flags `-memberlist.*`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

use super::{ConfigError, host_name};
use crate::address::advertised;
use crate::gossip::GossipSettings;
use crate::seeds::{Seed, unbracketed};

/// Shortest secret: 128 bits as hexadecimal digits are 32, as base64 22 characters.
const MIN_SECRET: usize = 16;

/// Largest file of secrets.
const MAX_SECRETS: usize = 16 * 1024;

/// Settings of gossip; YAML section `memberlist`, flags `-memberlist.*`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct GossipConfig {
    /// Name of this process among the members; empty is the host name.
    #[arg(long = "memberlist.nodename", value_name = "NAME")]
    pub node_name: String,

    /// Members to join: `host:port`, `dns+host:port`, `dnssrv+service`, `dnssrvnoa+service`. May be repeated. None: this process is alone.
    #[arg(long = "memberlist.join", value_name = "MEMBER")]
    pub join_members: Vec<String>,

    /// How often members that are missing are looked up and asked again, so that halves of a cluster find each other; 0 is never.
    #[arg(long = "memberlist.rejoin-interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub rejoin_interval: Duration,

    /// Address to listen on for gossip; empty is all of them. The first counts.
    #[arg(long = "memberlist.bind-addr", value_name = "ADDRESS")]
    pub bind_addr: Vec<String>,

    /// Port to listen on for gossip, UDP.
    #[arg(long = "memberlist.bind-port", value_name = "PORT")]
    pub bind_port: u16,

    /// Address under which others reach this process; empty is that of the default route.
    #[arg(long = "memberlist.advertise-addr", value_name = "ADDRESS")]
    pub advertise_addr: String,

    /// Port under which others reach this process; 0 is the port it listens on.
    #[arg(long = "memberlist.advertise-port", value_name = "PORT")]
    pub advertise_port: u16,

    /// Name of the cluster. What comes from a cluster of another name is refused.
    #[arg(long = "memberlist.cluster-label", value_name = "NAME")]
    pub cluster_label: String,

    /// File with the secret that members share, at least 16 characters in its first line. Gossip is then encrypted, and who does not know it is refused. Further lines are secrets that are accepted as well, to change them one member after the other. Empty: gossip is open to whoever reaches the port.
    #[arg(long = "memberlist.secret-file", value_name = "FILE")]
    pub secret_file: PathBuf,

    /// How often news are told to some members.
    #[arg(long = "memberlist.gossip-interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub gossip_interval: Duration,

    /// How long leaving may take.
    #[arg(long = "memberlist.leave-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub leave_timeout: Duration,
}

impl Default for GossipConfig {
    fn default() -> Self {
        Self {
            node_name: String::new(),
            join_members: Vec::new(),
            rejoin_interval: Duration::from_secs(90),
            bind_addr: Vec::new(),
            bind_port: 7946,
            advertise_addr: String::new(),
            advertise_port: 0,
            cluster_label: String::new(),
            secret_file: PathBuf::new(),
            gossip_interval: Duration::from_millis(200),
            leave_timeout: Duration::from_secs(20),
        }
    }
}

impl GossipConfig {
    /// Checks what can be checked without looking at the machine.
    ///
    /// # Errors
    /// Names the key, its value and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let interval = self.gossip_interval;
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&interval) {
            return Err(ConfigError::Range {
                key: "memberlist.gossip_interval",
                value: phlare_model::time::format_duration(interval),
                allowed: "between 10ms and 1m",
            });
        }
        for member in &self.join_members {
            member.parse::<Seed>()?;
        }
        Ok(())
    }

    /// The settings as gossip needs them: addresses found, secrets read.
    pub(crate) fn check(&self) -> Result<GossipSettings, ConfigError> {
        self.validate()?;
        let bind: Option<IpAddr> = match self.bind_addr.first().map(String::as_str) {
            None | Some("") => None,
            Some(text) => Some(
                unbracketed(text)
                    .parse()
                    .map_err(|_| ConfigError::Address {
                        key: "memberlist.bind_addr",
                        problem: crate::AddressError::Bad(text.to_owned()),
                    })?,
            ),
        };
        let bound = bind.filter(|address| !address.is_unspecified());
        let advertise = match (self.advertise_addr.as_str(), bound) {
            ("", Some(bound)) => bound,
            (configured, _) => advertised(configured).map_err(|problem| ConfigError::Address {
                key: "memberlist.advertise_addr",
                problem,
            })?,
        };
        // One family: a socket of one does not reach addresses of the other.
        let any = match advertise {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let advertise_port = match self.advertise_port {
            0 => self.bind_port,
            port => port,
        };
        let name = match self.node_name.as_str() {
            "" => host_name(),
            name => name.to_owned(),
        };
        Ok(GossipSettings {
            cluster: match self.cluster_label.as_str() {
                "" => "phlare".to_owned(),
                label => label.to_owned(),
            },
            name,
            listen: SocketAddr::new(bound.unwrap_or(any), self.bind_port),
            advertise: SocketAddr::new(advertise, advertise_port),
            seeds: self
                .join_members
                .iter()
                .map(|member| member.parse())
                .collect::<Result<_, _>>()?,
            default_port: self.bind_port,
            gossip_interval: self.gossip_interval,
            rejoin_interval: self.rejoin_interval,
            leave_timeout: self.leave_timeout,
            secrets: self.secrets()?,
        })
    }

    fn secrets(&self) -> Result<Vec<Vec<u8>>, ConfigError> {
        let path: &Path = &self.secret_file;
        if path.as_os_str().is_empty() {
            return Ok(Vec::new());
        }
        let bad = |problem| ConfigError::BadSecret {
            path: path.to_owned(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Secret {
            path: path.to_owned(),
            source,
        })?;
        if text.len() > MAX_SECRETS {
            return Err(bad("longer than 16 KiB"));
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<_> = lines.map(|line| line.as_bytes().to_vec()).collect();
        if secrets.is_empty() {
            return Err(bad("it is empty"));
        }
        if secrets.iter().any(|secret| secret.len() < MIN_SECRET) {
            return Err(bad("a secret has at least 16 characters"));
        }
        Ok(secrets)
    }
}
