//! Services, and who may connect.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use phlare_operator_api::NetworkPolicyMode;
use serde_json::Value;

use super::{Error, GOSSIP, Meta, OPERATOR, PORT, labels};
use crate::part::Part;

/// Name of the headless Service in which all pods are.
pub(super) fn members(meta: &Meta<'_>) -> String {
    meta.named("members")
}

/// The Services: one with the resource's name, for Grafana and for clients that have one address; one for profiles; one
/// in which all members find each other; and one for the names of the pods of each component that has a StatefulSet.
pub(super) fn services(meta: &Meta<'_>) -> Vec<Service> {
    let front = Part::front(meta.spec.mode);
    let http = [port("http", PORT, "TCP")];
    // Prometheus finds all pods here, too.
    let every = [port("gossip", GOSSIP, "UDP"), port("http", PORT, "TCP")];
    let mut services = vec![
        service(meta, meta.name.to_owned(), Some(front), &http),
        headless(service(meta, members(meta), None, &every)),
    ];
    for &part in Part::of(meta.spec.mode) {
        let name = meta.named(part);
        if part == Part::Distributor {
            services.push(service(meta, name, Some(part), &http));
        } else if part.is_stateful() {
            services.push(headless(service(meta, name, Some(part), &http)));
        }
    }
    services
}

fn port(name: &str, number: i32, protocol: &str) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        protocol: Some(protocol.to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}

fn service(meta: &Meta<'_>, name: String, part: Option<Part>, ports: &[ServicePort]) -> Service {
    let labels = match part {
        Some(part) => meta.labels_of(part, None),
        None => meta.labels(),
    };
    Service {
        metadata: meta.object(name, labels),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            ports: Some(ports.to_vec()),
            selector: Some(meta.selector(part, None)),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Gives each pod a name, whether it is ready or not: members find each other before they are.
fn headless(mut service: Service) -> Service {
    if let Some(spec) = &mut service.spec {
        spec.cluster_ip = Some("None".to_owned());
        spec.publish_not_ready_addresses = Some(true);
    }
    service
}

/// Members may do everything with each other; clients reach the port of clients only. The operator asks members how much
/// they have to do, and tells them to prepare for their end.
pub(super) fn policies(
    meta: &Meta<'_>,
    operator_namespace: &str,
) -> Result<Vec<NetworkPolicy>, Error> {
    let policy = &meta.spec.network_policy;
    if policy.mode == NetworkPolicyMode::None {
        return Ok(Vec::new());
    }
    let mut clients = Vec::new();
    for (index, peer) in policy.allow_ingress_from.iter().enumerate() {
        let peer = serde_json::from_value(Value::Object(peer.0.clone()));
        clients.push(peer.map_err(|problem| Error::Shape {
            path: format!("networkPolicy.allowIngressFrom[{index}]"),
            kind: "NetworkPolicyPeer",
            problem,
        })?);
    }
    let pods = |part| LabelSelector {
        match_labels: Some(meta.selector(part, None)),
        ..LabelSelector::default()
    };
    let ports = [(PORT, "TCP"), (GOSSIP, "UDP")];
    let among_members = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(pods(None)),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(ports.map(open).to_vec()),
    };
    let operator = LabelSelector {
        match_labels: Some(BTreeMap::from([(
            labels::NAME.to_owned(),
            OPERATOR.to_owned(),
        )])),
        ..LabelSelector::default()
    };
    let home = LabelSelector {
        match_labels: Some(BTreeMap::from([(
            "kubernetes.io/metadata.name".to_owned(),
            operator_namespace.to_owned(),
        )])),
        ..LabelSelector::default()
    };
    let from_operator = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(home),
            pod_selector: Some(operator),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![open((PORT, "TCP"))]),
    };
    let from_clients = NetworkPolicyIngressRule {
        from: (!clients.is_empty()).then_some(clients),
        ports: Some(vec![open((PORT, "TCP"))]),
    };
    let policy = |name: String, part, rules| NetworkPolicy {
        metadata: meta.object(name, meta.labels()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(part)),
            ingress: Some(rules),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    };
    let mut policies = vec![policy(
        meta.named("members"),
        None,
        vec![among_members, from_operator],
    )];
    if meta.spec.monitoring.service_monitor.enabled {
        let rules = vec![from_prometheus()];
        policies.push(policy(meta.named("metrics"), None, rules));
    }
    let parts = Part::of(meta.spec.mode).iter();
    for &part in parts.filter(|part| part.is_called_by_clients()) {
        policies.push(policy(
            meta.named(part),
            Some(part),
            vec![from_clients.clone()],
        ));
    }
    Ok(policies)
}

/// The pods that the Prometheus operator makes, wherever they are.
fn from_prometheus() -> NetworkPolicyIngressRule {
    let prometheus = BTreeMap::from([(labels::NAME.to_owned(), "prometheus".to_owned())]);
    NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            pod_selector: Some(LabelSelector {
                match_labels: Some(prometheus),
                ..LabelSelector::default()
            }),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![open((PORT, "TCP"))]),
    }
}

fn open((port, protocol): (i32, &str)) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(port)),
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    }
}
