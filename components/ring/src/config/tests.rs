use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches};

use super::*;

fn from_flags<C: Args + FromArgMatches + Default>(flags: &[&str]) -> C {
    let command = C::augment_args_for_update(Command::new("test"));
    let arguments = flags.iter().map(|flag| format!("--{flag}"));
    let matches = command.get_matches_from(std::iter::once("test".to_owned()).chain(arguments));
    let mut config = C::default();
    config.update_from_arg_matches(&matches).unwrap();
    config
}

#[test]
fn flags_have_upstreams_names() {
    let gossip: GossipConfig = from_flags(&[
        "memberlist.join=dns+phlare-memberlist.ns.svc.cluster.local.:7946",
        "memberlist.join=10.0.0.1",
        "memberlist.cluster-label=ns-phlare",
        "memberlist.advertise-addr=[fd00:1::2]",
        "memberlist.rejoin-interval=1m",
    ]);
    let settings = gossip.check().unwrap();
    assert_eq!(settings.seeds.len(), 2);
    assert_eq!(settings.listen.to_string(), "[::]:7946");
    assert_eq!(settings.advertise.to_string(), "[fd00:1::2]:7946");
    assert_eq!(settings.cluster, "ns-phlare");

    let ingester: Lifecycler = from_flags(&[
        "distributor.replication-factor=3",
        "distributor.zone-awareness-enabled",
        "distributor.excluded-zones=a, b",
        "ring.heartbeat-timeout=30s",
        "ingester.availability-zone=c",
        "ingester.lifecycler.ID=ingester-2",
        "ingester.lifecycler.addr=10.0.0.9",
    ]);
    ingester.validate().unwrap();
    let settings = ingester.ring.settings(false);
    assert_eq!(settings.replication_factor, 3);
    let unset = IngesterRing::default();
    assert_eq!(unset.settings(true).replication_factor, 3);
    assert_eq!(unset.settings(false).replication_factor, 1);
    assert_eq!(settings.excluded_zones, ["a", "b"]);
    let identity = ingester.identity(4040).unwrap();
    assert_eq!(
        (identity.addr.as_str(), &*identity.zone),
        ("10.0.0.9:4040", "c")
    );

    let distributor: DistributorRing = from_flags(&["distributor.ring.instance-addr=fd00:1::"]);
    assert_eq!(
        distributor.member().identity(4040).unwrap().addr,
        "[fd00:1::]:4040"
    );
    let all = Command::new("all");
    let all = DistributorRing::augment_args_for_update(all);
    let all = StoreGatewayRing::augment_args_for_update(all);
    let all = CompactorRing::augment_args_for_update(all);
    QuerySchedulerRing::augment_args_for_update(all).debug_assert();
}

#[test]
fn values_out_of_range_are_named() {
    let mut ingester = Lifecycler::default();
    ingester.validate().unwrap();
    ingester.heartbeat_period = std::time::Duration::from_secs(60);
    assert!(
        ingester
            .validate()
            .unwrap_err()
            .to_string()
            .contains("heartbeat_period` is 1m")
    );
    ingester = Lifecycler {
        num_tokens: 0,
        ..Lifecycler::default()
    };
    assert!(
        ingester
            .validate()
            .unwrap_err()
            .to_string()
            .contains("between 1 and 4096")
    );
    let mut gossip = GossipConfig {
        join_members: vec!["http://x".to_owned()],
        ..GossipConfig::default()
    };
    assert!(
        gossip
            .validate()
            .unwrap_err()
            .to_string()
            .contains("`http://x`")
    );
    gossip = GossipConfig {
        bind_addr: vec!["here".to_owned()],
        ..GossipConfig::default()
    };
    assert!(
        gossip
            .check()
            .unwrap_err()
            .to_string()
            .contains("memberlist.bind_addr")
    );
}

#[test]
fn one_replica_is_never_forgotten_by_itself_and_zero_switches_it_off() {
    let mut ring = IngesterRing::default();
    assert!(ring.forget().unwrap().only_replicated);
    ring.auto_forget_after = std::time::Duration::ZERO;
    assert_eq!(ring.forget(), None);
}

#[test]
fn a_secret_is_read_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let config = |path: PathBuf| GossipConfig {
        secret_file: path,
        advertise_addr: "10.0.0.1".to_owned(),
        ..GossipConfig::default()
    };
    for (text, problem) in [
        ("", "it is empty"),
        ("short\n", "at least 16"),
        ("long enough to serve\nx", "at least 16"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = config(path.clone()).check().unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    std::fs::write(
        &path,
        "  a secret of the cluster\n\nthe one before, as long\n",
    )
    .unwrap();
    let settings = config(path).check().unwrap();
    assert_eq!(
        settings.secrets,
        [
            b"a secret of the cluster".to_vec(),
            b"the one before, as long".to_vec()
        ]
    );
    assert!(config("/no/such/file".into()).check().is_err());
}
