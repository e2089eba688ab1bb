//! Over real sockets of the loopback interface.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

use chitchat::transport::Transport;
use chitchat::{ChitchatEnvelope, ChitchatMessage, ProtocolVersion};
use phlare_model::{Clock, SystemClock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::socket::SealedTransport;
use super::*;
use crate::testing::instance;
use crate::{GossipConfig, Heartbeat, Instance, Membership, RingKind, Rings};

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn transport(cluster: &str) -> SealedTransport {
    SealedTransport {
        cluster: cluster.to_owned(),
        secrets: vec![b"a secret of some length".to_vec()],
        figures: Figures::default(),
    }
}

fn message() -> ChitchatEnvelope {
    ChitchatEnvelope {
        version: ProtocolVersion::V1,
        message: ChitchatMessage::BadCluster,
    }
}

#[tokio::test]
async fn what_is_sealed_arrives_and_all_else_is_counted() {
    let ours = transport("ours");
    let figures = ours.figures.clone();
    let mut to = ours.open(LOCALHOST).await.unwrap();
    let place = to.local_addr().unwrap();
    let mut stranger = transport("theirs").open(LOCALHOST).await.unwrap();
    stranger.send(place, message()).await.unwrap();
    let noise = UdpSocket::bind(LOCALHOST).unwrap();
    for bytes in [
        b"GET /metrics HTTP/1.1\r\n\r\n".as_slice(),
        b"",
        &[0xff; 1500],
        b"PHG1",
    ] {
        noise.send_to(bytes, place).unwrap();
    }
    let mut from = transport("ours").open(LOCALHOST).await.unwrap();
    from.send(place, message()).await.unwrap();
    let received = to.recv().await.unwrap();
    assert_eq!(received.from_addr, from.local_addr().unwrap());
    assert_eq!(received.envelope, message());
    assert_eq!(
        (figures.refusals("noise"), figures.refusals("foreign")),
        (4, 1)
    );
}

fn free_port() -> u16 {
    UdpSocket::bind(LOCALHOST)
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

async fn process(
    name: &str,
    cluster: &str,
    port: u16,
    seed: u16,
    tasks: &mut JoinSet<()>,
) -> Membership {
    let config = GossipConfig {
        node_name: name.to_owned(),
        join_members: vec![format!("127.0.0.1:{seed}")],
        bind_addr: vec!["127.0.0.1".to_owned()],
        bind_port: port,
        cluster_label: cluster.to_owned(),
        gossip_interval: Duration::from_millis(20),
        ..GossipConfig::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let membership = Membership::gossip(
        config,
        Rings::default(),
        Arc::clone(&clock),
        Figures::default(),
    )
    .await
    .unwrap();
    let running = membership.clone();
    tasks.spawn(async move { running.run(CancellationToken::new()).await.unwrap() });
    // With many tokens: its entry needs several datagrams.
    let heartbeat = Heartbeat::at_ms(clock.now_ms());
    let tokens = crate::Tokens::spread("test", "", name, 512);
    membership
        .publish(
            RingKind::Compactor,
            &Instance {
                heartbeat,
                tokens,
                ..instance(name, "")
            },
        )
        .await;
    membership
}

#[tokio::test]
async fn processes_find_each_other_and_strangers_do_not() {
    let seed = free_port();
    let mut tasks = JoinSet::new();
    let first = process("p-0", "ours", seed, seed, &mut tasks).await;
    let second = process("p-1", "ours", free_port(), seed, &mut tasks).await;
    let stranger = process("p-2", "theirs", free_port(), seed, &mut tasks).await;
    let third = process("p-3", "ours", free_port(), seed, &mut tasks).await;
    for membership in [&first, &second, &third] {
        let mut ring = membership.subscribe(RingKind::Compactor);
        let ring = ring
            .wait_for(|ring| ring.instances().len() == 3)
            .await
            .unwrap()
            .clone();
        assert_eq!(
            ring.instances()
                .iter()
                .map(|member| member.tokens.len())
                .sum::<usize>(),
            3 * 512
        );
        assert!(ring.instance(&"p-2".into()).is_none());
    }
    assert_eq!(stranger.ring(RingKind::Compactor).instances().len(), 1);
    third.remove(RingKind::Compactor, &"p-3".into()).await;
    let mut ring = first.subscribe(RingKind::Compactor);
    ring.wait_for(|ring| ring.instances().len() == 2)
        .await
        .unwrap();
}
