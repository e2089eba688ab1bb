//! Members over a simulated network: chitchat's own channels, time that moves only when nobody has anything to do.
//! Whom chitchat gossips with is not ours to seed, so what is tested holds in every run.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use async_trait::async_trait;
use chitchat::transport::ChannelTransport;
use phlare_model::ManualClock;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::*;
use crate::seeds::Names;
use crate::testing::{NOW, instance, names, settings};
use crate::{Identity, Lifecycle, Member, MemberSettings, Origin, State, Tokens};

const KIND: RingKind = RingKind::Ingester;

/// The paused clock of the runtime.
#[derive(Debug)]
struct SimulatedClock(Instant);

impl Clock for SimulatedClock {
    fn now_ns(&self) -> i64 {
        NOW * 1_000_000 + i64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }
}

#[derive(Debug)]
struct NoNames;

#[async_trait]
impl Names for NoNames {
    async fn addresses(&self, host: &str) -> anyhow::Result<Vec<IpAddr>> {
        anyhow::bail!("{host} is not known")
    }

    async fn services(&self, name: &str) -> anyhow::Result<Vec<(String, u16)>> {
        anyhow::bail!("{name} is not known")
    }
}

fn address(number: usize) -> SocketAddr {
    SocketAddr::from((
        [10, 0, (number / 200) as u8, (number % 200) as u8 + 1],
        7946,
    ))
}

fn rings() -> Rings {
    let rule = ForgetRule {
        after: Duration::from_secs(150),
        only_replicated: true,
    };
    Rings::default().with(KIND, (*settings(3, true)).clone(), Some(rule))
}

struct Process {
    membership: Membership,
    member: Member,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

struct Cluster {
    network: ChannelTransport,
    clock: Arc<dyn Clock>,
    processes: BTreeMap<usize, Process>,
}

impl Cluster {
    async fn of(count: usize) -> Self {
        let mut cluster = Self {
            network: ChannelTransport::with_mtu(65_507),
            clock: Arc::new(SimulatedClock(Instant::now())),
            processes: BTreeMap::new(),
        };
        for number in 0..count {
            cluster.start(number).await;
        }
        cluster
    }

    /// Starts `i-<number>` in one of three zones; it knows where the first three are.
    async fn start(&mut self, number: usize) {
        let seeds = (0..3).map(|seed| address(seed).to_string().parse().unwrap());
        let gossip = GossipSettings {
            cluster: "test".to_owned(),
            name: format!("i-{number}"),
            listen: address(number),
            advertise: address(number),
            seeds: seeds.collect(),
            default_port: 7946,
            gossip_interval: Duration::from_millis(200),
            rejoin_interval: Duration::from_secs(90),
            leave_timeout: Duration::from_secs(20),
            secrets: Vec::new(),
        };
        let clock = Arc::clone(&self.clock);
        let membership = Membership::over(gossip, rings(), clock, &self.network, Box::new(NoNames))
            .await
            .unwrap();
        let lifecycle = Lifecycle::new(
            MemberSettings {
                tokens: 128,
                heartbeat_period: Duration::from_secs(5),
                join_after: Duration::ZERO,
                observe_period: Duration::ZERO,
                min_ready_duration: Duration::ZERO,
                unregister_on_shutdown: true,
            },
            Identity {
                ring: KIND.to_string(),
                id: format!("i-{number}").as_str().into(),
                addr: format!("10.1.0.{number}:4040"),
                zone: format!("zone-{}", number % 3).as_str().into(),
            },
            Origin {
                seed: number as u64,
                ..Origin::default()
            },
        );
        let (member, task) = Member::new(membership.clone(), KIND, lifecycle, None);
        member.ready();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (running, settling, token) = (membership.clone(), membership.clone(), stop.clone());
        tasks.spawn(async move { running.run(token).await.unwrap() });
        tasks.spawn(async move {
            settling.settled(Duration::from_secs(5)).await;
            task.run().await;
        });
        self.processes.insert(
            number,
            Process {
                membership,
                member,
                stop,
                tasks,
            },
        );
    }

    /// As `kill -9`.
    fn kill(&mut self, number: usize) {
        self.processes.remove(&number);
    }

    async fn stop(&mut self, number: usize) {
        let mut process = self.processes.remove(&number).unwrap();
        process.member.leave();
        process
            .member
            .state()
            .wait_for(|state| state.state == State::Leaving)
            .await
            .unwrap();
        process.member.drained();
        process
            .member
            .state()
            .wait_for(|state| state.gone)
            .await
            .unwrap();
        process.stop.cancel();
        while let Some(ended) = process.tasks.join_next().await {
            ended.unwrap();
        }
    }

    async fn cut(&self, one: Range<usize>, other: Range<usize>) {
        for a in one {
            for b in other.clone() {
                self.network.remove_link(address(a), address(b)).await;
            }
        }
    }

    async fn heal(&self, one: Range<usize>, other: Range<usize>) {
        for a in one {
            for b in other.clone() {
                self.network.add_link(address(a), address(b)).await;
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn ring(&self, number: usize) -> Ring {
        self.processes[&number].membership.ring(KIND)
    }

    /// Whether the ring of `number` has just `members`, all of them alive and active.
    fn sees(&self, number: usize, members: &[usize]) -> bool {
        let ring = self.ring(number);
        let mut expected: Vec<_> = members.iter().map(|member| format!("i-{member}")).collect();
        expected.sort();
        names(ring.instances()) == expected
            && ring.healthy(crate::Operation::WRITE, self.now_ms()) == members.len()
    }

    fn is_one_ring(&self) -> bool {
        let members: Vec<_> = self.processes.keys().copied().collect();
        let same = |number: &usize| {
            let (one, other) = (self.ring(members[0]), self.ring(*number));
            one.instances()
                .iter()
                .zip(other.instances())
                .all(|(one, other)| one.same_as(other))
        };
        members.iter().all(|number| self.sees(*number, &members)) && members.iter().all(same)
    }

    /// Lets time pass until `holds`; how long that took.
    #[track_caller]
    fn within(
        &self,
        limit: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> impl Future<Output = Duration> {
        let place = std::panic::Location::caller();
        async move {
            let begun = Instant::now();
            while !holds(self) {
                assert!(begun.elapsed() < limit, "not within {limit:?}: {place}");
                sleep(Duration::from_millis(100)).await;
            }
            begun.elapsed()
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_members_become_one_ring() {
    let cluster = Cluster::of(100).await;
    cluster.within(seconds(15), Cluster::is_one_ring).await;
    let ownership: f64 = cluster.ring(50).ownership().iter().sum();
    assert!((ownership - 1.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_healed_partition_is_one_ring_and_nobody_was_forgotten() {
    let cluster = Cluster::of(9).await;
    cluster.within(seconds(15), Cluster::is_one_ring).await;
    let before: Vec<Tokens> = cluster
        .ring(0)
        .instances()
        .iter()
        .map(|member| member.tokens.clone())
        .collect();
    // Three of nine, for longer than it takes to be forgotten. They are in three zones: replicas do not cover that,
    // so the majority waits for a person. The minority sees no majority.
    cluster.cut(0..3, 3..9).await;
    sleep(seconds(200)).await;
    for number in 0..9 {
        assert_eq!(
            cluster.ring(number).instances().len(),
            9,
            "seen by {number}"
        );
    }
    assert_eq!(
        cluster
            .ring(0)
            .healthy(crate::Operation::WRITE, cluster.now_ms()),
        3
    );
    cluster.heal(0..3, 3..9).await;
    cluster.within(seconds(30), Cluster::is_one_ring).await;
    let after: Vec<Tokens> = cluster
        .ring(8)
        .instances()
        .iter()
        .map(|member| member.tokens.clone())
        .collect();
    assert_eq!(before, after);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_cut_off_becomes_unhealthy_is_forgotten_and_comes_back() {
    let cluster = Cluster::of(7).await;
    cluster.within(seconds(15), Cluster::is_one_ring).await;
    cluster.cut(6..7, 0..6).await;
    let unhealthy = |cluster: &Cluster| {
        cluster
            .ring(0)
            .healthy(crate::Operation::WRITE, cluster.now_ms())
            == 6
    };
    let took = cluster.within(seconds(70), unhealthy).await;
    assert!(took > seconds(50), "{took:?}");
    assert_eq!(cluster.ring(0).instances().len(), 7);
    let forgotten =
        |cluster: &Cluster| (0..6).all(|number| cluster.sees(number, &[0, 1, 2, 3, 4, 5]));
    cluster.within(seconds(120), forgotten).await;
    assert_eq!(
        cluster.ring(6).instances().len(),
        7,
        "who is alone forgets nobody"
    );
    cluster.heal(6..7, 0..6).await;
    cluster.within(seconds(30), Cluster::is_one_ring).await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_gone_everywhere_at_once() {
    let mut cluster = Cluster::of(5).await;
    cluster.within(seconds(15), Cluster::is_one_ring).await;
    cluster.stop(2).await;
    cluster.within(seconds(3), Cluster::is_one_ring).await;
}

#[tokio::test(start_paused = true)]
async fn who_was_killed_takes_its_place_up_again() {
    let mut cluster = Cluster::of(5).await;
    cluster.within(seconds(15), Cluster::is_one_ring).await;
    let before = Arc::clone(&cluster.ring(0).instances()[3]);
    cluster.kill(3);
    sleep(seconds(30)).await;
    cluster.start(3).await;
    cluster.within(seconds(15), Cluster::is_one_ring).await;
    let after = Arc::clone(&cluster.ring(0).instances()[3]);
    assert_eq!(
        (&after.tokens, after.registered_ms),
        (&before.tokens, before.registered_ms)
    );
}

#[tokio::test(start_paused = true)]
async fn all_killed_at_once_start_again_without_help() {
    let mut cluster = Cluster::of(6).await;
    cluster.within(seconds(15), Cluster::is_one_ring).await;
    for number in 0..6 {
        cluster.kill(number);
    }
    sleep(seconds(10)).await;
    for number in [4, 2, 0, 5, 1, 3] {
        cluster.start(number).await;
        sleep(seconds(7)).await;
    }
    cluster.within(seconds(75), Cluster::is_one_ring).await;
}

#[tokio::test(start_paused = true)]
async fn a_person_can_forget_a_dead_member() {
    let mut cluster = Cluster::of(4).await;
    cluster.within(seconds(15), Cluster::is_one_ring).await;
    cluster.kill(1);
    let membership = cluster.processes[&3].membership.clone();
    assert!(!membership.forget(KIND, &"nobody".into()).await);
    assert!(membership.forget(KIND, &"i-1".into()).await);
    cluster.within(seconds(10), Cluster::is_one_ring).await;
    // And one that is alive comes back by itself.
    assert!(membership.forget(KIND, &"i-2".into()).await);
    assert!(membership.ring(KIND).instance(&"i-2".into()).is_none());
    cluster.within(seconds(10), Cluster::is_one_ring).await;
}

#[tokio::test]
async fn who_is_alone_has_a_ring_without_a_socket() {
    let clock = Arc::new(ManualClock::at_ns(NOW * 1_000_000));
    let membership = Membership::alone(rings(), clock);
    let me = instance("me", "");
    membership.publish(KIND, &me).await;
    assert!(membership.ring(KIND).instances()[0].same_as(&me));
    assert_eq!(membership.members().await, (1, 0));
    membership.beat(KIND, &me.id, NOW + 5).await;
    assert!(membership.forget(KIND, &me.id).await);
    assert!(membership.ring(KIND).instances().is_empty());
    membership.beat(KIND, &me.id, NOW + 6).await;
    assert_eq!(membership.ring(KIND).instances().len(), 1);
    membership.remove(KIND, &me.id).await;
    assert!(membership.ring(KIND).instances().is_empty());
}

/// Figures, not claims: `cargo test -p phlare-ring -- --ignored --nocapture how_long`.
#[tokio::test(start_paused = true)]
#[ignore = "prints figures"]
async fn how_long_until_one_ring() {
    for count in [10, 100] {
        let cluster = Cluster::of(count).await;
        let converged = cluster.within(seconds(120), Cluster::is_one_ring).await;
        let before = cluster.network.statistics();
        sleep(seconds(5)).await;
        let after = cluster.network.statistics();
        let bytes = (after.num_bytes_total - before.num_bytes_total) / 5 / count as u64;
        // Cut in halves; something changes in each.
        let half = count / 2;
        cluster.cut(0..half, half..count).await;
        sleep(seconds(10)).await;
        for changed in [0, half] {
            cluster.processes[&changed].member.set_read_only(true);
        }
        sleep(seconds(2)).await;
        cluster.heal(0..half, half..count).await;
        let knows = |cluster: &Cluster| {
            let read_only = |number: &usize| {
                let ring = cluster.ring(*number);
                ring.instances()
                    .iter()
                    .filter(|member| member.read_only)
                    .count()
            };
            cluster
                .processes
                .keys()
                .all(|number| read_only(number) == 2)
        };
        let healed = cluster.within(seconds(60), knows).await;
        println!(
            "{count} members: one ring after {converged:?}, healed after {healed:?}, {bytes} B/s sent by each"
        );
    }
}
