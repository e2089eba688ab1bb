//! Names of processes, and the addresses behind them: whom gossip asks first, and who is found without it.
//!
//! | form | what is asked |
//! | --- | --- |
//! | `10.0.0.1:7946`, `[fd00::1]`, `host:7946` | the address, or all addresses of the host |
//! | `dns+host:7946` | all addresses of the host |
//! | `dnssrv+_gossip._udp.host`, `dnssrvnoa+…` | the service records, then all addresses of each target |

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};

/// Addresses that are taken from one name.
const MAX_ADDRESSES: usize = 1024;

/// Where a member may be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seed {
    Address(IpAddr, Option<u16>),
    Host(String, Option<u16>),
    Service(String),
}

/// A text that says nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address: write `host:port`, `dns+host:port`, `dnssrv+service` or `dnssrvnoa+service`"
)]
pub struct BadSeed(String);

impl FromStr for Seed {
    type Err = BadSeed;

    fn from_str(text: &str) -> Result<Self, BadSeed> {
        let bad = || BadSeed(text.to_owned());
        if let Some(name) = text
            .strip_prefix("dnssrv+")
            .or(text.strip_prefix("dnssrvnoa+"))
        {
            return if is_name(name) {
                Ok(Self::Service(name.to_owned()))
            } else {
                Err(bad())
            };
        }
        let place = text.strip_prefix("dns+").unwrap_or(text);
        if let Ok(address) = place.parse::<SocketAddr>() {
            return Ok(Self::Address(address.ip(), Some(address.port())));
        }
        if let Ok(address) = unbracketed(place).parse::<IpAddr>() {
            return Ok(Self::Address(address, None));
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| bad())?)),
            None => (place, None),
        };
        if is_name(host) {
            Ok(Self::Host(host.to_owned(), port))
        } else {
            Err(bad())
        }
    }
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !text.is_empty() && text.len() <= 253 && text.chars().all(fits)
}

/// An address without brackets around it.
pub(crate) fn unbracketed(text: &str) -> &str {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text)
}

/// Looks names up.
#[async_trait]
pub(crate) trait Names: Send + Sync + fmt::Debug {
    /// Addresses of a host.
    async fn addresses(&self, host: &str) -> anyhow::Result<Vec<IpAddr>>;
    /// Hosts and ports of a service.
    async fn services(&self, name: &str) -> anyhow::Result<Vec<(String, u16)>>;
}

/// As the system does: hosts by its resolver, services by the name servers of `/etc/resolv.conf`.
#[derive(Debug)]
pub(crate) struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, host: &str) -> anyhow::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found
            .map(|address| address.ip())
            .take(MAX_ADDRESSES)
            .collect())
    }

    async fn services(&self, name: &str) -> anyhow::Result<Vec<(String, u16)>> {
        let resolver = TokioResolver::builder_tokio()?.build()?;
        let found = resolver.lookup(name, RecordType::SRV).await?;
        let services = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(service) => {
                    let target = service.target.to_utf8();
                    Some((target.trim_end_matches('.').to_owned(), service.port))
                }
                _ => None,
            });
        Ok(services.take(MAX_ADDRESSES).collect())
    }
}

/// Addresses of `seeds`, of the family of `like` only, if that is said; and what could not be looked up, with its reason.
pub(crate) async fn resolve(
    seeds: &[Seed],
    names: &dyn Names,
    default_port: u16,
    like: Option<IpAddr>,
) -> (BTreeSet<SocketAddr>, Vec<String>) {
    let mut found = BTreeSet::new();
    let mut failed = Vec::new();
    for seed in seeds {
        let hosts = match seed {
            Seed::Address(address, port) => {
                found.insert(SocketAddr::new(*address, port.unwrap_or(default_port)));
                continue;
            }
            Seed::Host(host, port) => vec![(host.clone(), port.unwrap_or(default_port))],
            Seed::Service(name) => match names.services(name).await {
                Ok(hosts) => hosts,
                Err(error) => {
                    failed.push(format!("{name}: {error:#}"));
                    continue;
                }
            },
        };
        for (host, port) in hosts {
            match names.addresses(&host).await {
                Ok(addresses) => {
                    found.extend(
                        addresses
                            .into_iter()
                            .map(|address| SocketAddr::new(address, port)),
                    );
                }
                Err(error) => failed.push(format!("{host}: {error:#}")),
            }
        }
    }
    if let Some(like) = like {
        found.retain(|address| address.is_ipv4() == like.is_ipv4());
    }
    (found, failed)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Seed>) {
        assert_eq!(text.parse::<Seed>().ok(), expected, "{text}");
    }

    #[test]
    fn forms() {
        let v4 = IpAddr::from([10, 0, 0, 1]);
        check("10.0.0.1:7946", Some(Seed::Address(v4, Some(7946))));
        check("10.0.0.1", Some(Seed::Address(v4, None)));
        for text in ["fd00:1::", "[fd00:1::]"] {
            check(text, Some(Seed::Address("fd00:1::".parse().unwrap(), None)));
        }
        check(
            "[fd00:1::2]:7000",
            Some(Seed::Address("fd00:1::2".parse().unwrap(), Some(7000))),
        );
        let service = "phlare-memberlist.ns.svc.cluster.local.";
        check(
            &format!("dns+{service}:7946"),
            Some(Seed::Host(service.to_owned(), Some(7946))),
        );
        check("host", Some(Seed::Host("host".to_owned(), None)));
        check(
            "dnssrv+_gossip._udp.a.b",
            Some(Seed::Service("_gossip._udp.a.b".to_owned())),
        );
        check("dnssrvnoa+a.b", Some(Seed::Service("a.b".to_owned())));
        for bad in [
            "",
            "dns+",
            "dnssrv+",
            "host:port",
            "host:99999",
            "http://host",
            "a b",
        ] {
            check(bad, None);
        }
    }

    #[derive(Debug)]
    struct Fixed;

    #[async_trait]
    impl Names for Fixed {
        async fn addresses(&self, host: &str) -> anyhow::Result<Vec<IpAddr>> {
            match host {
                "two" => Ok(vec![
                    [10, 0, 0, 1].into(),
                    [10, 0, 0, 2].into(),
                    "::1".parse()?,
                ]),
                "one" => Ok(vec![[10, 0, 0, 3].into()]),
                _ => anyhow::bail!("no such host"),
            }
        }

        async fn services(&self, name: &str) -> anyhow::Result<Vec<(String, u16)>> {
            anyhow::ensure!(name == "srv", "no such service");
            Ok(vec![
                ("one".to_owned(), 1),
                ("two".to_owned(), 2),
                ("gone".to_owned(), 3),
            ])
        }
    }

    #[tokio::test]
    async fn names_become_addresses_and_failures_are_told() {
        let seeds: Vec<Seed> = [
            "dns+two:5",
            "one",
            "dnssrv+srv",
            "dnssrv+none",
            "10.9.9.9:1",
        ]
        .iter()
        .map(|seed| seed.parse().unwrap())
        .collect();
        let (found, failed) = resolve(&seeds, &Fixed, 7946, Some(Ipv4Addr::LOCALHOST.into())).await;
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "10.0.0.1:2",
                "10.0.0.1:5",
                "10.0.0.2:2",
                "10.0.0.2:5",
                "10.0.0.3:1",
                "10.0.0.3:7946",
                "10.9.9.9:1"
            ]
        );
        assert_eq!(failed, ["gone: no such host", "none: no such service"]);
    }
}
