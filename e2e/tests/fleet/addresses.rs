//! Networks in which other programs do not start (field report B32): addresses outside the private ranges, IPv6 only, an
//! address that ends in `::`, two network cards.

use std::sync::Arc;

use anyhow::{Context, ensure};
use phlare_e2e::client::CPU;
use phlare_e2e::netns::Namespace;
use phlare_e2e::{Client, Options, Pprof, Server, now_ns, until};
use tempfile::TempDir;

/// Two machines with a cable between them.
struct Pair {
    names: [&'static str; 2],
    machines: [Namespace; 2],
    /// Address of each on the cable, as URLs have them.
    hosts: [&'static str; 2],
}

impl Pair {
    /// Addresses with their prefix lengths, and as URLs have them. `None`: the test is skipped.
    fn new(addresses: [&str; 2], hosts: [&'static str; 2]) -> anyhow::Result<Option<Self>> {
        if !Namespace::allowed()? {
            return Ok(None);
        }
        let machines = [Namespace::new()?, Namespace::new()?];
        machines[0].join("eth0", &machines[1], "eth0")?;
        for (machine, address) in machines.iter().zip(addresses) {
            let at_once = if address.contains(':') { "nodad" } else { "" };
            machine.ip(&format!("addr add {address} dev eth0 {at_once}"))?;
        }
        Ok(Some(Self {
            names: ["one", "other"],
            machines,
            hosts,
        }))
    }

    /// Runs a process on each, `configured` with the addresses that these YAML values say, and works with both.
    fn work(&self, configured: Option<[&str; 2]>) -> anyhow::Result<()> {
        self.machines[0].block_on(async || self.use_both(configured).await)
    }

    fn url(&self, machine: usize) -> String {
        format!("http://{}:4040", self.hosts[machine])
    }

    async fn start(&self, machine: usize, configured: Option<&str>) -> anyhow::Result<Server> {
        let (name, other) = (self.names[machine], self.hosts[1 - machine]);
        let directory = Arc::new(TempDir::new()?);
        let path = directory.path().join("phlare.yaml");
        let file = file(name, other, configured.map(|_| "${POD_IP}"));
        // What is not the value of a variable stands in the file as it is.
        let file = match configured {
            Some(quoted) if quoted.starts_with('"') => file.replace("${POD_IP}", quoted),
            _ => file,
        };
        std::fs::write(&path, file).context("write the settings")?;
        Options::new()
            .directory(&directory)
            .inside(&self.machines[machine], &self.url(machine))
            .env("POD_IP", configured.unwrap_or_default())
            .flag(&format!("-config.file={}", path.display()))
            .flag("-config.expand-env")
            // The harness asks for a loopback address.
            .flag("-server.http-listen-address=")
            .flag("-server.http-listen-port=4040")
            .listening()
            .await
    }

    async fn use_both(&self, configured: Option<[&str; 2]>) -> anyhow::Result<()> {
        let of = |machine: usize| configured.map(|values| values[machine]);
        let one = self.start(0, of(0)).await?;
        let mut other = self.start(1, of(1)).await?;
        let clients = [Client::new(&self.url(0))?, Client::new(&self.url(1))?];
        let outcome = self.together(&clients, &mut other).await;
        outcome.with_context(|| {
            let logs = [one.log(), other.log()].map(Result::unwrap_or_default);
            format!("{configured:?}; the logs:\n{}\n{}", logs[0], logs[1])
        })?;
        for (server, host) in [&one, &other].into_iter().zip(self.hosts) {
            let log = server.log()?;
            let started = log.lines().find(|line| line.contains("message=started"));
            let started = started.context("a start-up line")?;
            ensure!(started.contains(&format!("{host}:4040")), "{started}");
        }
        Ok(())
    }

    /// Push, query, ring page, forget.
    async fn together(&self, clients: &[Client; 2], other: &mut Server) -> anyhow::Result<()> {
        let expected = self.names.into_iter().zip(self.hosts);
        let expected: Vec<_> = expected
            .map(|(name, host)| (name.to_owned(), format!("{host}:4040")))
            .collect();
        for client in clients {
            until("both are in the ring and ready", async || {
                let ready = client.get("/ready").await;
                Ok(ready.is_ok_and(|reply| reply.status == 200)
                    && ring(client).await.is_ok_and(|shown| shown == expected))
            })
            .await?;
        }
        let labels = [("__name__", "process_cpu"), ("service_name", "hello")];
        for client in clients {
            let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[7]).bytes();
            client.push(&labels, profile).await?;
        }
        for client in clients {
            let total = client.total(CPU, "{}").await?;
            ensure!(total == 14, "{total}");
        }
        other.kill()?;
        let form = ("content-type", "application/x-www-form-urlencoded");
        let forget = format!("forget={}", self.names[1]);
        clients[0].post("/ring", &[form], forget).await?.ok()?;
        until("the other is forgotten", async || {
            Ok(ring(&clients[0]).await? == expected[..1])
        })
        .await
    }
}

/// Names and addresses in the ring of ingesters, if all are active.
async fn ring(client: &Client) -> anyhow::Result<Vec<(String, String)>> {
    let shown = client.get_json("/ring").await?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let instances = shown["instances"].as_array().into_iter().flatten();
    let active = instances.filter(|instance| instance["state"] == "ACTIVE");
    Ok(active
        .map(|instance| (text(&instance["id"]), text(&instance["address"])))
        .collect())
}

fn file(name: &str, other: &str, address: Option<&str>) -> String {
    let set = |key: &str| address.map_or_else(String::new, |address| format!("{key}: {address}"));
    let instance = format!(
        "
    instance_id: {name}
    {}",
        set("instance_addr")
    );
    format!(
        "
memberlist:
  node_name: {name}
  cluster_label: pair
  join_members: ['{other}:7946']
  {advertise}
ingester:
  lifecycler:
    id: {name}
    ring: {{replication_factor: 2}}
    min_ready_duration: 0s
    {address}
distributor:
  ring: {instance}
store_gateway:
  sharding_ring: {instance}
compactor:
  sharding_ring: {instance}
",
        advertise = set("advertise_addr"),
        address = set("address"),
    )
}

#[test]
fn an_only_address_of_class_e_is_found_and_configured() -> anyhow::Result<()> {
    let addresses = ["240.1.2.3/24", "240.1.2.4/24"];
    let Some(pair) = Pair::new(addresses, ["240.1.2.3", "240.1.2.4"])? else {
        return Ok(());
    };
    pair.work(None)?;
    pair.work(Some(["240.1.2.3", "240.1.2.4"]))
}

#[test]
fn a_public_address_is_found_and_configured() -> anyhow::Result<()> {
    let addresses = ["192.150.0.5/16", "192.150.0.6/16"];
    let Some(pair) = Pair::new(addresses, ["192.150.0.5", "192.150.0.6"])? else {
        return Ok(());
    };
    pair.work(None)?;
    pair.work(Some(["192.150.0.5", "192.150.0.6"]))
}

#[test]
fn addresses_of_ipv6_only_are_found_and_configured() -> anyhow::Result<()> {
    let addresses = ["fd00:1::/64", "fd00:1::2/64"];
    let Some(pair) = Pair::new(addresses, ["[fd00:1::]", "[fd00:1::2]"])? else {
        return Ok(());
    };
    pair.work(None)?;
    pair.work(Some(["fd00:1::", "fd00:1::2"]))?;
    pair.work(Some(["[fd00:1::]", "\"[fd00:1::2]\""]))
}

#[test]
fn of_two_cards_the_one_of_the_default_route_counts_or_the_configured_one() -> anyhow::Result<()> {
    let addresses = ["192.150.0.5/16", "192.150.0.6/16"];
    let Some(pair) = Pair::new(addresses, ["192.150.0.5", "192.150.0.6"])? else {
        return Ok(());
    };
    let elsewhere = Namespace::new()?;
    let [one, other] = &pair.machines;
    one.join("card0", &elsewhere, "eth0")?;
    one.ip("addr add 10.7.0.1/24 dev card0")?;
    pair.work(Some(["192.150.0.5", "192.150.0.6"]))?;
    one.ip("route add default via 192.150.0.6 dev eth0")?;
    other.ip("route add default via 192.150.0.5 dev eth0")?;
    pair.work(None)
}
