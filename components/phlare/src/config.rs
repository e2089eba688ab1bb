//! All settings: one section for each component, the same in YAML and on the command line.

mod expand;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgAction;
use phlare_model::TenantId;
use phlare_model::flag::go_bool;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

use crate::target::{Target, Targets, UnknownTarget};
use crate::yaml;

/// Settings of the process.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Components to run, separated by commas.
    #[arg(long = "target", value_name = "LIST", value_delimiter = ',')]
    #[serde(with = "phlare_model::flag::list")]
    pub(crate) target: Vec<String>,

    /// Requires the header X-Scope-OrgID, which names the tenant; otherwise all belongs to `anonymous`.
    #[arg(long = "auth.multitenancy-enabled", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub(crate) multitenancy_enabled: bool,

    #[command(flatten)]
    pub(crate) auth: Auth,

    /// Prints where the server listens and how to begin.
    #[arg(long = "config.show_banner", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub(crate) show_banner: bool,

    /// How long the process goes on serving after it was told to stop, while others learn that it leaves.
    #[arg(long = "shutdown-delay", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub(crate) shutdown_delay: Duration,

    #[command(flatten)]
    pub(crate) server: phlare_server::Config,

    #[command(flatten)]
    pub(crate) memberlist: phlare_ring::GossipConfig,

    #[command(flatten)]
    pub(crate) peer: phlare_credentials::PeerConfig,

    #[command(flatten)]
    pub(crate) distributor: phlare_distributor::Config,

    #[command(flatten)]
    pub(crate) ingester: phlare_ingester::Config,

    #[command(flatten)]
    pub(crate) pyroscopedb: phlare_phlaredb::Config,

    #[command(flatten)]
    pub(crate) frontend: phlare_query_frontend::Config,

    #[command(flatten)]
    pub(crate) query_scheduler: phlare_query_scheduler::Config,

    #[command(flatten)]
    pub(crate) frontend_worker: phlare_querier::WorkerConfig,

    #[command(flatten)]
    pub(crate) querier: phlare_querier::Config,

    #[command(flatten)]
    pub(crate) store_gateway: phlare_store_gateway::Config,

    #[command(flatten)]
    pub(crate) compactor: phlare_compactor::Config,

    #[command(flatten)]
    pub(crate) limits: phlare_tenancy::Limits,

    #[command(flatten)]
    pub(crate) runtime_config: crate::runtime_config::Config,

    #[command(flatten)]
    pub(crate) storage: phlare_bucket::Config,

    #[command(flatten)]
    pub(crate) tracing: crate::traces::Config,

    #[command(flatten)]
    pub(crate) self_profiling: SelfProfiling,
}

/// Who may ask; YAML section `auth`, flags `-auth.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// File with logins, in YAML: tokens, users and certificates, and what each may do. Without it, all may do everything.
    /// Read again when it changes.
    #[arg(id = "auth_file", long = "auth.file", value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Shows /metrics to who has no login, too.
    #[arg(long = "auth.metrics-open", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub(crate) metrics_open: bool,
}

/// The process profiles itself; YAML section `self_profiling`, flags `-self-profiling.*`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SelfProfiling {
    /// Does not push profiles of the process itself.
    #[arg(long = "self-profiling.disable-push", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub(crate) disable_push: bool,

    /// Server that gets the profiles; empty is this one.
    #[arg(long = "self-profiling.url", value_name = "URL")]
    pub(crate) url: String,

    /// Tenant that gets the profiles; empty is `anonymous`.
    #[arg(long = "self-profiling.tenant-id", value_name = "TENANT")]
    pub(crate) tenant_id: String,

    /// File with the token that is sent with them; empty is that of -peer.token-file if this server gets them.
    #[arg(
        id = "self_profiling_token_file",
        long = "self-profiling.token-file",
        value_name = "FILE"
    )]
    pub(crate) token_file: PathBuf,

    /// What one profile covers.
    #[arg(long = "self-profiling.interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub(crate) interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            target: vec!["all".to_owned()],
            multitenancy_enabled: false,
            auth: Auth::default(),
            show_banner: true,
            shutdown_delay: Duration::ZERO,
            server: phlare_server::Config::default(),
            memberlist: phlare_ring::GossipConfig::default(),
            peer: phlare_credentials::PeerConfig::default(),
            distributor: phlare_distributor::Config::default(),
            ingester: phlare_ingester::Config::default(),
            pyroscopedb: phlare_phlaredb::Config::default(),
            frontend: phlare_query_frontend::Config::default(),
            query_scheduler: phlare_query_scheduler::Config::default(),
            frontend_worker: phlare_querier::WorkerConfig::default(),
            querier: phlare_querier::Config::default(),
            store_gateway: phlare_store_gateway::Config::default(),
            compactor: phlare_compactor::Config::default(),
            limits: phlare_tenancy::Limits::default(),
            runtime_config: crate::runtime_config::Config::default(),
            storage: phlare_bucket::Config::default(),
            tracing: crate::traces::Config::default(),
            self_profiling: SelfProfiling::default(),
        }
    }
}

impl Default for SelfProfiling {
    fn default() -> Self {
        Self {
            disable_push: true,
            url: String::new(),
            tenant_id: String::new(),
            token_file: PathBuf::new(),
            interval: Duration::from_secs(15),
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("read `-config.file` {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`-config.file` {}", path.display())]
    Yaml { path: PathBuf, source: yaml::Error },
    #[error("`-config.file` {}, line {line}: {problem}", path.display())]
    Expand {
        path: PathBuf,
        line: usize,
        problem: &'static str,
    },
    #[error(
        "`-config.file` {}: with the values of its variables it has another structure than without: put them in quotes",
        path.display()
    )]
    Structure { path: PathBuf },
    #[error(transparent)]
    Target(#[from] UnknownTarget),
    #[error(
        "`self_profiling.url` is empty, and this process has no distributor that takes its profiles"
    )]
    SelfProfilingUrl,
    #[error(transparent)]
    Ring(#[from] phlare_ring::ConfigError),
    #[error("`self_profiling.tenant_id`: {0}")]
    SelfProfilingTenant(phlare_model::TenantError),
    #[error("`self_profiling.interval` is {}: between 1s and 10m", phlare_model::time::format_duration(*.0))]
    SelfProfilingInterval(Duration),
    #[error(transparent)]
    Server(#[from] phlare_server::ConfigError),
    #[error(transparent)]
    Credentials(#[from] phlare_credentials::ConfigError),
    #[error(
        "the processes of a fleet call each other at the port that others use, too: `peer.tls_enabled` is {peer}, and TLS in \
         `server.http_tls_config` is {server}; set both or none"
    )]
    OneSidedTls {
        peer: &'static str,
        server: &'static str,
    },
    #[error(transparent)]
    Distributor(#[from] phlare_distributor::ConfigError),
    #[error(transparent)]
    QueryScheduler(#[from] phlare_query_scheduler::ConfigError),
    #[error(transparent)]
    Discovery(#[from] crate::discovery::Error),
    #[error(transparent)]
    Compactor(#[from] phlare_compactor::ConfigError),
    #[error(transparent)]
    Limits(#[from] phlare_tenancy::LimitsError),
    #[error(transparent)]
    RuntimeConfig(#[from] crate::runtime_config::PeriodError),
    #[error(transparent)]
    Storage(#[from] phlare_bucket::ConfigError),
}

impl Config {
    /// Whether the settings can hold.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let targets = self.targets()?;
        let profiling = &self.self_profiling;
        if !profiling.disable_push && profiling.url.is_empty() && !targets.has(Target::Distributor)
        {
            return Err(Error::SelfProfilingUrl);
        }
        profiling.tenant()?;
        self.memberlist.validate()?;
        self.ingester.lifecycler.validate()?;
        self.distributor.ring.member().validate()?;
        self.store_gateway.sharding_ring.member().validate()?;
        self.compactor.sharding_ring.member().validate()?;
        self.query_scheduler.ring.member().validate()?;
        self.query_scheduler.validate()?;
        crate::discovery::check(self, &targets)?;
        let interval = self.self_profiling.interval;
        if interval < Duration::from_secs(1) || interval > Duration::from_secs(600) {
            return Err(Error::SelfProfilingInterval(interval));
        }
        self.server.validate()?;
        self.server.http_tls_config.validate()?;
        self.peer.validate()?;
        let (peer, server) = (self.peer.tls_enabled, self.server.http_tls_config.is_on());
        if self.is_one_of_several() && peer != server {
            let on = |on| if on { "on" } else { "off" };
            return Err(Error::OneSidedTls {
                peer: on(peer),
                server: on(server),
            });
        }
        self.distributor.validate()?;
        self.compactor.validate()?;
        self.limits.validate()?;
        self.runtime_config.validate()?;
        self.storage.validate()?;
        Ok(())
    }

    /// The components of this process.
    pub(crate) fn targets(&self) -> Result<Targets, UnknownTarget> {
        Targets::parse(&self.target)
    }

    /// Whether this process is one of several: it lacks components, or has members to join.
    pub(crate) fn is_one_of_several(&self) -> bool {
        let all = self.targets().is_ok_and(|targets| targets.is_all());
        !all || !self.memberlist.join_members.is_empty()
    }

    /// As YAML, which reads back to equal settings.
    pub(crate) fn to_yaml(&self) -> String {
        yaml::write(self)
    }
}

impl SelfProfiling {
    /// Whose profiles they are.
    pub(crate) fn tenant(&self) -> Result<TenantId, Error> {
        match self.tenant_id.as_str() {
            "" => Ok(TenantId::anonymous()),
            id => TenantId::parse(id).map_err(Error::SelfProfilingTenant),
        }
    }
}

/// Reads settings from a file.
pub(crate) fn load(path: &Path, expand_env: bool) -> Result<Config, Error> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(Error::Read { path, source }),
    };
    let text = match expand_env {
        true => expanded(&text, &path)?,
        false => text,
    };
    yaml::read(&text).map_err(|source| Error::Yaml { path, source })
}

/// The text with the values of its variables, which change no more than scalars.
fn expanded(text: &str, path: &Path) -> Result<String, Error> {
    let with = |variable: &dyn Fn(&str) -> Option<String>| {
        expand::expand(text, variable).map_err(|(line, problem)| Error::Expand {
            path: path.to_owned(),
            line,
            problem,
        })
    };
    let expanded = with(&|name| std::env::var(name).ok())?;
    let neutral = with(&|_| Some("x".to_owned()))?;
    if yaml::alike(&neutral, &expanded) {
        Ok(expanded)
    } else {
        Err(Error::Structure {
            path: path.to_owned(),
        })
    }
}

/// The targets, one a line; `*` marks what `all` consists of.
pub(crate) fn modules() -> String {
    let parts = Target::ALL
        .iter()
        .map(|part| format!("{part} * (runs in `all`)\n"));
    format!("all\n{}", parts.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_settings_read_back_equal() {
        let mut config = Config::default();
        config.server.http_listen_port = 1234;
        config.limits.max_global_series_per_tenant = 7;
        config.self_profiling.interval = Duration::from_secs(90);
        assert_eq!(yaml::read::<Config>(&config.to_yaml()).unwrap(), config);
    }

    #[test]
    fn defaults_can_hold() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn the_reference_of_settings_is_what_defaults_are() {
        insta::assert_snapshot!(Config::default().to_yaml());
    }
}
