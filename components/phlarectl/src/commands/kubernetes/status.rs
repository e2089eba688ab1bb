//! `kubernetes status`: how Phlares are, and what to do next.

mod next;
mod report;
mod screen;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use phlare_operator_api::PhlareCluster;

use super::access::{Access, KubernetesError, of};
use super::pods;
use crate::cli::{Output, StatusArgs};
use crate::ui;

use report::{Report, Summary};

/// Pods that run and are not ready: so many are asked why.
const ASKED: usize = 5;

/// A condition of a resource.
pub(super) fn condition<'a>(cluster: &'a PhlareCluster, kind: &str) -> Option<&'a Condition> {
    let mut conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions.find(|condition| condition.type_ == kind)
}

/// Shows one resource, or all of them, a line for each.
pub(super) async fn run(access: &Access, args: &StatusArgs, now_ms: i64) -> anyhow::Result<()> {
    let Some(name) = &args.name else {
        return all(access, args, now_ms).await;
    };
    let report = one(access, name, now_ms).await?;
    match args.output {
        Output::Json => ui::json(&report)?,
        Output::Table => ui::data(&screen::render(&report)),
    }
    Ok(())
}

async fn all(access: &Access, args: &StatusArgs, now_ms: i64) -> anyhow::Result<()> {
    let api: Api<PhlareCluster> = match args.all_namespaces {
        true => Api::all(access.client.clone()),
        false => access.api(),
    };
    let list = api
        .list(&ListParams::default())
        .await
        .map_err(KubernetesError::from)?;
    let mut all: Vec<_> = list
        .iter()
        .map(|cluster| Summary::of(cluster, now_ms))
        .collect();
    all.sort_by(|one, two| (&one.namespace, &one.name).cmp(&(&two.namespace, &two.name)));
    match args.output {
        Output::Json => ui::json(&all)?,
        Output::Table if all.is_empty() => match args.all_namespaces {
            true => ui::note("there are no PhlareClusters"),
            false => ui::note(&format!(
                "namespace {} has no PhlareClusters; -A looks into all namespaces",
                access.namespace
            )),
        },
        Output::Table => ui::data(&screen::list(&all, args.all_namespaces)),
    }
    Ok(())
}

async fn one(access: &Access, name: &str, now_ms: i64) -> Result<Report, KubernetesError> {
    let cluster = access.cluster(name).await?;
    let pods = access.pods(name).await?;
    let claims: Api<PersistentVolumeClaim> = access.api();
    // Whoever may see pods may not always see volumes.
    let mut claims = match claims.list(&of(name)).await {
        Ok(claims) => claims.items,
        Err(kube::Error::Api(status)) if status.is_forbidden() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    claims.sort_by_key(ResourceExt::name_any);
    let mut report = Report::of(&cluster, &pods, &claims, now_ms);
    let unready = pods
        .iter()
        .filter(|pod| pods::is_running(pod) && !pods::is_ready(pod));
    let asked = unready.take(ASKED).map(async |pod| {
        let name = pod.name_any();
        let answer = access.page(&name, "ready").await;
        (name, answer)
    });
    for (name, answer) in futures_util::future::join_all(asked).await {
        if let Err(super::access::PageError::Refused { code: 503, message }) = answer {
            report.explain(&name, &message);
        }
    }
    Ok(report)
}
