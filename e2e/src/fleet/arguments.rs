//! The command line of each process.

use std::path::Path;

use super::{Fleet, GOSSIP, Member, PORT};

impl Fleet {
    pub(super) fn arguments(&self, member: &Member, home: &Path) -> Vec<String> {
        let Member {
            process, address, ..
        } = member;
        let name = &process.name;
        let mut arguments = vec![
            format!("-target={}", process.target),
            "-config.show_banner=false".to_owned(),
            format!("-server.http-listen-address={address}"),
            format!("-server.http-listen-port={PORT}"),
            format!("-memberlist.nodename={name}"),
            format!("-memberlist.bind-addr={address}"),
            format!("-memberlist.bind-port={GOSSIP}"),
            format!("-memberlist.cluster-label={}", self.cluster()),
            "-distributor.replication-factor=3".to_owned(),
            "-distributor.zone-awareness-enabled".to_owned(),
            format!(
                "-storage.filesystem.dir={}",
                self.directory.join("bucket").display()
            ),
        ];
        for seed in &self.seeds {
            arguments.push(format!("-memberlist.join={seed}:{GOSSIP}"));
        }
        if member.runs("ingester") {
            arguments.extend([
                format!("-ingester.lifecycler.ID={name}"),
                format!("-ingester.lifecycler.addr={address}"),
                format!("-ingester.availability-zone={}", process.zone),
                "-ingester.min-ready-duration=0s".to_owned(),
                format!("-pyroscopedb.data-path={}", home.join("data").display()),
            ]);
        }
        let rings = [
            ("distributor", "distributor.ring"),
            ("store-gateway", "store-gateway.sharding-ring"),
            ("compactor", "compactor.ring"),
            ("query-scheduler", "query-scheduler.ring"),
        ];
        for (component, ring) in rings {
            if member.runs(component) {
                arguments.push(format!("-{ring}.instance-id={name}"));
                arguments.push(format!("-{ring}.instance-addr={address}"));
            }
        }
        if member.runs("querier") {
            arguments.push(format!("-querier.id={name}"));
        }
        let directories = [
            (
                "store-gateway",
                "blocks-storage.bucket-store.sync-dir",
                "sync",
            ),
            ("compactor", "compactor.data-dir", "compactor"),
        ];
        for (component, flag, directory) in directories {
            if member.runs(component) {
                arguments.push(format!("-{flag}={}", home.join(directory).display()));
            }
        }
        arguments
    }

    /// What sets this fleet apart from others.
    fn cluster(&self) -> String {
        let [first, second, third] = self.network;
        format!("fleet-{first}-{second}-{third}")
    }
}
