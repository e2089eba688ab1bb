//! Instances that addresses lead to, for those who know them by nothing else: no ring says who they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::instance::{Instance, State};
use crate::ring::{Ring, RingSettings};
use crate::seeds::{BadSeed, Names, Seed, SystemNames, resolve};

/// How long an address that is in no answer any more counts as one that leaves: it may have work to hand on.
const LINGER: Duration = Duration::from_secs(60);

/// Shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(10);

/// Looks addresses up again and again, and shows what is there as a [`Ring`] without tokens.
///
/// An address that goes is [`State::Leaving`] for a minute. If a look-up fails, what was known stays.
#[derive(Debug)]
pub struct Discovery {
    seeds: Vec<Seed>,
    names: Arc<dyn Names>,
    default_port: u16,
    every: Duration,
    /// Each address, and since when it is gone.
    known: BTreeMap<SocketAddr, Option<Instant>>,
    ring: watch::Sender<Ring>,
    is_failing: bool,
}

impl Discovery {
    /// Of a list of `host:port`, `dns+host:port`, `dnssrv+service`; `default_port` is for those that say none.
    ///
    /// # Errors
    /// Names the part of the list that is none of these.
    pub fn new(list: &[String], default_port: u16, every: Duration) -> Result<Self, BadSeed> {
        Self::with_names(list, default_port, every, Arc::new(SystemNames))
    }

    fn with_names(
        list: &[String],
        default_port: u16,
        every: Duration,
        names: Arc<dyn Names>,
    ) -> Result<Self, BadSeed> {
        let seeds = list.iter().map(|text| text.parse());
        let nobody = Ring::new(Arc::new(RingSettings::default()), Vec::new());
        Ok(Self {
            seeds: seeds.collect::<Result<_, _>>()?,
            names,
            default_port,
            every: every.max(SHORTEST),
            known: BTreeMap::new(),
            ring: watch::Sender::new(nobody),
            is_failing: false,
        })
    }

    /// Whether a list can be read.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn check(list: &[String]) -> Result<(), BadSeed> {
        list.iter()
            .try_for_each(|text| text.parse::<Seed>().map(drop))
    }

    /// What is there, and its changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Ring> {
        self.ring.subscribe()
    }

    /// Looks until it is dropped.
    pub async fn run(mut self) {
        loop {
            self.look().await;
            sleep(self.every).await;
        }
    }

    async fn look(&mut self) {
        let names = self.names.as_ref();
        let (found, failed) = resolve(&self.seeds, names, self.default_port, None).await;
        self.tell(&failed);
        let before = self.known.clone();
        self.take_in(&found, failed.is_empty());
        if self.known != before {
            self.ring.send_replace(self.shown());
        }
    }

    fn take_in(&mut self, found: &BTreeSet<SocketAddr>, is_all: bool) {
        let now = Instant::now();
        for address in found {
            self.known.insert(*address, None);
        }
        if is_all {
            for (address, gone) in &mut self.known {
                if !found.contains(address) {
                    gone.get_or_insert(now);
                }
            }
        }
        self.known
            .retain(|_, gone| gone.is_none_or(|since| now.duration_since(since) < LINGER));
    }

    fn shown(&self) -> Ring {
        let instances = self.known.iter().map(|(address, gone)| {
            let state = match gone {
                None => State::Active,
                Some(_) => State::Leaving,
            };
            Arc::new(Instance::at(*address, state))
        });
        Ring::new(Arc::new(RingSettings::default()), instances)
    }

    /// Says once that names cannot be looked up, and once that they can again.
    fn tell(&mut self, failed: &[String]) {
        let was_failing = std::mem::replace(&mut self.is_failing, !failed.is_empty());
        if self.is_failing && !was_failing {
            warn!(
                failed = failed.join("; "),
                "addresses cannot be looked up; those that are known stay"
            );
        } else if was_failing && !self.is_failing {
            info!("addresses can be looked up again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use async_trait::async_trait;
    use parking_lot::Mutex;

    use super::*;

    /// The addresses of each host now; a host without any cannot be looked up.
    #[derive(Debug, Default)]
    struct Changing(Mutex<Vec<IpAddr>>);

    #[async_trait]
    impl Names for Changing {
        async fn addresses(&self, host: &str) -> anyhow::Result<Vec<IpAddr>> {
            let now = self.0.lock().clone();
            anyhow::ensure!(!now.is_empty(), "{host} is gone");
            Ok(now)
        }

        async fn services(&self, name: &str) -> anyhow::Result<Vec<(String, u16)>> {
            Ok(vec![(name.to_owned(), 7)])
        }
    }

    fn shown(ring: &Ring) -> Vec<(String, State)> {
        let instances = ring.instances().iter();
        let mut shown: Vec<_> = instances.map(|one| (one.addr.clone(), one.state)).collect();
        shown.sort();
        shown
    }

    fn discovery(list: &[&str]) -> (Discovery, Arc<Changing>) {
        let names = Arc::new(Changing::default());
        let list: Vec<String> = list.iter().map(|&text| text.to_owned()).collect();
        let every = Duration::from_secs(10);
        let looking = Discovery::with_names(&list, 4040, every, Arc::clone(&names) as _);
        (looking.unwrap(), names)
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_leaves_for_a_while_and_failures_change_nothing() {
        let (mut looking, names) = discovery(&["dns+schedulers"]);
        let ring = looking.subscribe();
        let (a, b) = ("10.0.0.1:4040".to_owned(), "10.0.0.2:4040".to_owned());
        *names.0.lock() = vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        looking.look().await;
        let both = vec![(a.clone(), State::Active), (b.clone(), State::Active)];
        assert_eq!(shown(&ring.borrow()), both);
        assert!(ring.borrow().instances().iter().all(|one| !one.is_named()));
        let now_ms = i64::MAX / 2;
        let alive = |one: &Arc<Instance>| ring.borrow().is_alive(one, now_ms);
        assert!(ring.borrow().instances().iter().all(alive));

        names.0.lock().clear();
        looking.look().await;
        assert_eq!(shown(&ring.borrow()), both);

        names.0.lock().push([10, 0, 0, 2].into());
        looking.look().await;
        let first_leaves = vec![(a.clone(), State::Leaving), (b.clone(), State::Active)];
        assert_eq!(shown(&ring.borrow()), first_leaves);
        tokio::time::advance(LINGER).await;
        looking.look().await;
        assert_eq!(shown(&ring.borrow()), [(b, State::Active)]);
        names.0.lock().push([10, 0, 0, 1].into());
        looking.look().await;
        assert_eq!(shown(&ring.borrow()), both);
    }

    #[tokio::test]
    async fn addresses_and_services_are_taken_as_they_are() {
        let (mut looking, names) = discovery(&["10.0.0.9", "[::1]:5", "dnssrv+srv"]);
        names.0.lock().push([10, 0, 0, 3].into());
        let ring = looking.subscribe();
        looking.look().await;
        let addresses: Vec<_> = shown(&ring.borrow()).into_iter().map(|(a, _)| a).collect();
        assert_eq!(addresses, ["10.0.0.3:7", "10.0.0.9:4040", "[::1]:5"]);
        assert!(Discovery::check(&["http://x".to_owned()]).is_err());
    }
}
