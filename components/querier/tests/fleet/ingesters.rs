//! Heads of three ingesters, two or three of which have each profile.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use phlare_model::{ErrorKind, ManualClock};
use phlare_peer::Peers;
use phlare_querier::{Config, Fleet, Metrics, RemoteStore, RingStores, Share, Store};
use phlare_ring::{Instance, Membership, RingKind, RingSettings, Rings};
use phlare_server::Registry;
use tokio::net::TcpListener;

use crate::store::{Mood, Moody};
use crate::support::{
    Data, Given, Node, T0_MS, analysis, assert_same, config, fleet, merge, metadata, offload,
    tenant, total,
};

const PROFILES: u16 = 30;

/// Three databases, each without every third profile, and one with all.
async fn replicated() -> (Vec<Arc<Data>>, Arc<Data>) {
    let (stores, whole) = ([Data::new(), Data::new(), Data::new()], Data::new());
    for number in 0..PROFILES {
        whole.push(number).await;
        for (at, store) in stores.iter().enumerate() {
            if (usize::from(number) + at) % 3 != 0 {
                store.push(number).await;
            }
        }
    }
    (stores.to_vec(), whole)
}

fn moody(stores: &[Arc<Data>]) -> Vec<Arc<Moody>> {
    let named = stores.iter().zip(["i-0", "i-1", "i-2"]);
    named.map(|(data, name)| data.store(name)).collect()
}

fn given(stores: &[Arc<Moody>]) -> Given {
    let stores = stores.iter();
    Given::ingesters(stores.map(|store| Arc::<Moody>::clone(store) as Arc<dyn Store>))
}

async fn nodes(stores: &[Arc<Data>]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for store in moody(stores) {
        nodes.push(Node::start(store).await);
    }
    nodes
}

fn remote(node: &Node) -> Arc<dyn Store> {
    Arc::new(remote_of(node.instance()))
}

fn remote_of(instance: Instance) -> RemoteStore {
    RemoteStore::new(&Arc::new(instance), &Peers::default(), &config()).unwrap()
}

#[tokio::test]
async fn replicas_count_once_over_the_network_with_one_server_down_or_silent() {
    let (stores, whole) = replicated().await;
    let whole = whole.querier();
    let mut nodes = nodes(&stores).await;
    let remotes: Vec<_> = nodes.iter().map(remote).collect();
    assert_same(&Given::ingesters(remotes.clone()).fleet(), &whole).await;
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hung = remote_of(Instance {
        addr: silent.local_addr().unwrap().to_string(),
        ..nodes[2].instance()
    });
    let with_hung = [
        Arc::clone(&remotes[0]),
        Arc::clone(&remotes[1]),
        Arc::new(hung),
    ];
    assert_same(&Given::ingesters(with_hung).fleet(), &whole).await;
    nodes[1].stop().await;
    let fleet = Given::ingesters(remotes).fleet();
    assert_same(&fleet, &whole).await;
    nodes[0].stop().await;
    let error = fleet.select_tree(&tenant(), merge()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("instance `i-"), "{}", error.message);
}

#[tokio::test]
async fn stores_are_found_in_the_rings() {
    let (stores, whole) = replicated().await;
    let nodes = nodes(&stores).await;
    let blocks = Data::new();
    blocks.push_all(0..PROFILES).await;
    blocks.cut();
    let gateway = Node::start(blocks.store("g-0")).await;
    let settings = RingSettings {
        replication_factor: 3,
        ..RingSettings::default()
    };
    let rings = Rings::default().with(RingKind::Ingester, settings, None);
    let clock = Arc::new(ManualClock::at_ns(T0_MS * 1_000_000));
    let membership = Membership::alone(rings, clock);
    let (ingesters, gateways) = (Peers::default(), Peers::default());
    let stores = RingStores::new(membership.clone(), ingesters, gateways, config());
    let stores = Arc::new(stores);
    let fleet = fleet(stores, config());
    let error = fleet.stats(&tenant()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "nobody has joined");
    for node in &nodes {
        membership
            .publish(RingKind::Ingester, &node.instance())
            .await;
    }
    membership
        .publish(RingKind::StoreGateway, &gateway.instance())
        .await;
    assert_same(&fleet, &whole.querier()).await;
    membership
        .remove(RingKind::Ingester, nodes[0].store.instance())
        .await;
    assert_same(&fleet, &whole.querier()).await;
}

#[tokio::test]
async fn who_took_over_an_address_does_not_answer_for_another() {
    let data = Data::new();
    data.push(1).await;
    let node = Node::start(data.store("new")).await;
    let store = remote_of(Instance {
        id: "old".into(),
        ..node.instance()
    });
    let tenant = tenant();
    let error = store.stats(Share::all(&tenant)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let text = "this is `new`, and the call is for `old`";
    assert!(error.message.ends_with(text), "{}", error.message);
    assert_eq!(node.store.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_query_that_is_given_up_is_given_up_there_as_well() {
    let data = Data::new();
    data.push(1).await;
    let node = Node::start(data.store("i-0")).await;
    node.store.set(Mood::Hangs, Mood::Fine);
    let fleet = Given::ingesters([remote(&node)]).fleet();
    let tenant = tenant();
    let query = fleet.stats(&tenant);
    tokio::select! {
        _ = query => panic!("it hangs"),
        () = node.store.hanging.notified() => {}
    }
    node.store.dropped.notified().await;
}

#[tokio::test]
async fn tenants_are_apart() {
    let data = Data::new();
    data.push(1).await;
    let node = Node::start(data.store("i-0")).await;
    let fleet = Given::ingesters([remote(&node)]).fleet();
    let other = phlare_model::TenantId::parse("b").unwrap();
    assert!(fleet.select_tree(&other, merge()).await.unwrap().is_empty());
    let found = fleet.select_tree(&tenant(), merge()).await.unwrap();
    assert_eq!(found.total(), total([1]));
}

#[tokio::test]
async fn one_that_fails_or_hangs_in_either_call_is_not_missed() {
    let (stores, whole) = replicated().await;
    let whole = whole.querier();
    let moody = moody(&stores);
    for at in 0..3 {
        for mood in [Mood::Fails, Mood::Hangs] {
            moody[at].set(mood, Mood::Fine);
            assert_same(&given(&moody).fleet(), &whole).await;
            moody[at].set(Mood::Fine, mood);
            assert_same(&given(&moody).fleet(), &whole).await;
        }
        moody[at].set(Mood::Fine, Mood::Fine);
    }
}

#[tokio::test]
async fn profiles_that_are_gone_between_the_calls_are_looked_for_anew() {
    let (stores, whole) = replicated().await;
    let whole = whole.querier();
    let moody = moody(&stores);
    for store in &moody {
        store.then([Mood::Forgets]);
    }
    assert_same(&given(&moody).fleet(), &whole).await;
    for store in &moody {
        store.set(Mood::Fine, Mood::Forgets);
    }
    let fleet = given(&moody).fleet();
    let error = fleet.select_tree(&tenant(), merge()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("4 attempts"), "{}", error.message);
    assert!(error.retry_after.is_some());
}

#[tokio::test]
async fn calls_failures_keys_and_repeats_are_counted() {
    let data = Data::new();
    data.push_all([1, 2, 3]).await;
    let store = data.store("i-0");
    store.then([Mood::Fails]);
    let mut registry = Registry::default();
    let fleet = Fleet::new(
        config(),
        Arc::new(given(&[store])),
        offload(),
        Arc::new(ManualClock::at_ns(T0_MS * 1_000_000)),
        Metrics::register(&mut registry),
    );
    let found = fleet.select_tree(&tenant(), merge()).await.unwrap();
    assert_eq!(found.total(), total([1, 2, 3]));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for (name, value) in [
        ("store_calls", 4),
        ("store_call_failures", 1),
        ("profile_keys", 6),
        ("query_repeats", 1),
    ] {
        let line = format!("phlare_querier_{name}_total{{operation=\"select_tree\"}} {value}\n");
        assert!(text.contains(&line), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_query_that_matches_too_much_is_refused_at_once() {
    let (stores, _) = replicated().await;
    let moody = moody(&stores);
    let config = Config {
        max_profile_keys: 5,
        ..config()
    };
    let fleet = fleet(Arc::new(given(&moody)), config);
    let error = fleet.analyze(&tenant(), analysis()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    assert!(error.message.contains("more than 5 profiles"));
}

#[tokio::test]
async fn without_a_store_too_many_there_is_no_answer() {
    let (stores, _) = replicated().await;
    let moody = moody(&stores);
    moody[0].set(Mood::Fails, Mood::Fails);
    moody[1].set(Mood::Fails, Mood::Fails);
    let fleet = given(&moody).fleet();
    let error = fleet.select_tree(&tenant(), merge()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("too few ingesters"));
    let error = fleet.label_names(&tenant(), metadata()).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Unavailable);
}
