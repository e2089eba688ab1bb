//! Where the query-schedulers of a fleet are found: in their ring, or by addresses.

use std::time::Duration;

use phlare_query_scheduler::DiscoveryMode;
use phlare_ring::{BadSeed, Discovery, Membership, Ring, RingKind};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::target::{Target, Targets};

/// Settings that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "`query_scheduler.service_discovery_mode` is `dns`: `{0}` has to say where query-schedulers are"
    )]
    Nowhere(&'static str),
    #[error(
        "`{0}` counts only with `query_scheduler.service_discovery_mode: dns`, and that is `ring`"
    )]
    NotAsked(&'static str),
    #[error("`{0}`: {1}")]
    Address(&'static str, BadSeed),
}

/// Who looks for query-schedulers, and how.
struct Side<'a> {
    key: &'static str,
    target: Target,
    addresses: &'a [String],
    every: Duration,
}

fn frontend(config: &Config) -> Side<'_> {
    Side {
        key: "frontend.scheduler_address",
        target: Target::QueryFrontend,
        addresses: &config.frontend.scheduler_address,
        every: config.frontend.scheduler_dns_lookup_period,
    }
}

fn querier(config: &Config) -> Side<'_> {
    Side {
        key: "frontend_worker.scheduler_address",
        target: Target::Querier,
        addresses: &config.frontend_worker.scheduler_address,
        every: config.frontend_worker.dns_lookup_duration,
    }
}

/// Whether the settings say where query-schedulers are, to those that ask.
pub(crate) fn check(config: &Config, targets: &Targets) -> Result<(), Error> {
    let mode = config.query_scheduler.service_discovery_mode;
    for side in [frontend(config), querier(config)] {
        let asks = targets.has(side.target) && config.is_one_of_several();
        match (mode, side.addresses.is_empty()) {
            (DiscoveryMode::Dns, true) if asks => return Err(Error::Nowhere(side.key)),
            (DiscoveryMode::Ring, false) => return Err(Error::NotAsked(side.key)),
            _ => {}
        }
        Discovery::check(side.addresses).map_err(|bad| Error::Address(side.key, bad))?;
    }
    Ok(())
}

/// The query-schedulers that query-frontends and queriers of this process know.
#[derive(Clone, Debug)]
pub(crate) struct FoundSchedulers {
    pub(crate) by_frontend: watch::Receiver<Ring>,
    pub(crate) by_querier: watch::Receiver<Ring>,
}

impl FoundSchedulers {
    /// `looking` has what looks, if somebody has to.
    pub(crate) fn begin(
        config: &Config,
        membership: &Membership,
        looking: &mut JoinSet<()>,
    ) -> Result<Self, Error> {
        let mut find = |side: Side<'_>| {
            if config.query_scheduler.service_discovery_mode == DiscoveryMode::Ring {
                return Ok(membership.subscribe(RingKind::QueryScheduler));
            }
            let port = config.server.http_listen_port;
            let looked = Discovery::new(side.addresses, port, side.every);
            let looked = looked.map_err(|bad| Error::Address(side.key, bad))?;
            let found = looked.subscribe();
            looking.spawn(looked.run());
            Ok(found)
        };
        Ok(Self {
            by_frontend: find(frontend(config))?,
            by_querier: find(querier(config))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Config)) -> Result<(), String> {
        let mut config = Config {
            target: vec!["querier".to_owned()],
            ..Config::default()
        };
        change(&mut config);
        let targets = config.targets().unwrap();
        check(&config, &targets).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_and_the_way_to_find_have_to_fit() {
        let dns = |config: &mut Config| {
            config.query_scheduler.service_discovery_mode = DiscoveryMode::Dns;
        };
        let addresses = |config: &mut Config, text: &str| {
            config.frontend_worker.scheduler_address = vec![text.to_owned()];
        };
        assert_eq!(checked(|_| {}), Ok(()));
        let nowhere = checked(dns).unwrap_err();
        assert!(
            nowhere.contains("frontend_worker.scheduler_address"),
            "{nowhere}"
        );
        let ignored = checked(|config| addresses(config, "dns+a:1")).unwrap_err();
        assert!(ignored.contains("service_discovery_mode: dns"), "{ignored}");
        let both = |text: &'static str| {
            checked(move |config| {
                dns(config);
                addresses(config, text);
            })
        };
        assert_eq!(both("dnssrv+_grpc._tcp.schedulers"), Ok(()));
        let bad = both("http://a").unwrap_err();
        assert!(bad.contains("`http://a`"), "{bad}");
    }
}
