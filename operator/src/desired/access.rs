//! The account of pods, and how many of them may be away.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Meta, Workload};
use crate::part::Part;

/// The account of pods, if it is not one that the user has made.
pub(super) fn service_account(meta: &Meta<'_>) -> Option<ServiceAccount> {
    let account = &meta.spec.service_account;
    if account.name.is_some() {
        return None;
    }
    let mut metadata = meta.object(meta.name.to_owned(), meta.labels());
    if !account.annotations.is_empty() {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.extend(account.annotations.clone());
    }
    Some(ServiceAccount {
        metadata,
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}

/// The name of the account of pods.
pub(super) fn account_name(meta: &Meta<'_>) -> String {
    let named = meta.spec.service_account.name.as_deref();
    named.unwrap_or(meta.name).to_owned()
}

/// A budget for each component with more than one pod: of all zones together, so that drains of nodes are never in two
/// zones at once. One pod has none: nobody could ever drain its node (field report B54).
pub(super) fn budgets(meta: &Meta<'_>, workloads: &[Workload]) -> Vec<PodDisruptionBudget> {
    let budget = |&part: &Part| {
        let mine = workloads.iter().filter(|workload| workload.part == part);
        let pods: i32 = mine.map(|workload| workload.replicas).sum();
        // How many there are is somebody else's, or changes with the load: one is no rule then.
        let pods = match (part, &meta.spec.autoscaling.querier) {
            (Part::Querier, Some(scaling)) if scaling.enabled => pods.max(scaling.max_replicas),
            _ => pods,
        };
        let budget = part
            .pod(&meta.spec.components)
            .pod_disruption_budget
            .clone();
        let all = || meta.spec.components.all.pod_disruption_budget.clone();
        let budget = budget.or_else(all).unwrap_or_default();
        (budget.enabled && pods > 1).then(|| PodDisruptionBudget {
            metadata: meta.object(meta.named(part), meta.labels_of(part, None)),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(budget.max_unavailable)),
                selector: Some(LabelSelector {
                    match_labels: Some(meta.selector(Some(part), None)),
                    ..LabelSelector::default()
                }),
                // A pod that is not ready serves nobody: it does not keep its node from being drained.
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
                ..PodDisruptionBudgetSpec::default()
            }),
            ..PodDisruptionBudget::default()
        })
    };
    Part::of(meta.spec.mode).iter().filter_map(budget).collect()
}
