//! That what should be there is there, stays there, and nothing is written for its own sake.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, ResourceQuota, Secret, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use phlare_e2e::until;
use serde_json::json;

use crate::bench::{Bench, bench, zones};

#[tokio::test]
async fn five_lines_are_enough() {
    let Some(bench) = bench().await else { return };
    bench.create("profiles", json!({})).await;
    bench.ready("profiles").await;
    let set = bench
        .stateful_sets()
        .get("profiles-monolithic")
        .await
        .unwrap();
    assert_eq!(set.spec.unwrap().replicas, Some(1));
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let service = services.get("profiles").await.unwrap();
    assert_eq!(service.spec.unwrap().ports.unwrap()[0].port, 4040);
    let status = bench
        .clusters()
        .get("profiles")
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(status.pods.as_deref(), Some("1/1"));
    assert_eq!(status.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let url = format!("http://profiles.{}:4040", bench.namespace);
    assert_eq!(status.endpoints.unwrap().query, url);
    // One pod has no budget: it could never be drained.
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(bench.client.clone(), &bench.namespace);
    assert_eq!(
        budgets
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        0
    );
}

#[tokio::test]
async fn a_pass_with_nothing_to_do_writes_nothing() {
    let Some(bench) = bench().await else { return };
    bench.create("calm", zones("1.0.0")).await;
    bench.ready("calm").await;
    // Another pass, and another, to be sure that the first one is over: each is seen in the log by what it reads.
    let audit = bench.cluster.audit();
    for round in 0..3 {
        let mark = audit.mark().unwrap();
        let touch = json!({"metadata": {"annotations": {"touched": round.to_string()}}});
        let touched = bench.clusters();
        touched
            .patch("calm", &PatchParams::default(), &Patch::Merge(touch))
            .await
            .unwrap();
        until("the operator looks", async || {
            let mine = audit.since(mark, bench.user)?;
            // The releases are what a pass reads last.
            let looks = |request: &phlare_e2e::kubernetes::Request| {
                request.verb == "list"
                    && request.resource == "controllerrevisions"
                    && request.namespace == bench.namespace
            };
            Ok(mine.iter().any(looks))
        })
        .await
        .unwrap();
        let mine = audit.since(mark, bench.user).unwrap();
        let writes = mine
            .iter()
            .filter(|request| request.is_write() && request.namespace == bench.namespace);
        assert_eq!(
            writes.collect::<Vec<_>>(),
            Vec::<&phlare_e2e::kubernetes::Request>::new()
        );
    }
}

#[tokio::test]
async fn what_others_break_is_repaired_and_what_they_add_stays() {
    let Some(bench) = bench().await else { return };
    bench.create("kept", zones("1.0.0")).await;
    bench.ready("kept").await;
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), &bench.namespace);
    services
        .delete("kept-distributor", &DeleteParams::default())
        .await
        .unwrap();
    budgets
        .delete("kept-ingester", &DeleteParams::default())
        .await
        .unwrap();
    bench
        .deployments()
        .delete("kept-querier", &DeleteParams::default())
        .await
        .unwrap();
    let merge = |value| Patch::Merge(value);
    let params = PatchParams::default();
    let broken = json!({"spec": {"selector": {"app.kubernetes.io/component": "nobody"}}, "metadata": {"annotations": {"theirs": "stays"}}});
    services
        .patch("kept", &params, &merge(broken))
        .await
        .unwrap();
    let broken = json!({"data": {"overrides.yaml": "overrides: {}\n# mine\n"}});
    maps.patch("kept-overrides", &params, &merge(broken))
        .await
        .unwrap();
    let broken = json!({"spec": {"replicas": 7, "template": {"metadata": {"annotations": {"sidecar": "yes"}}}}});
    bench
        .deployments()
        .patch("kept-distributor", &params, &merge(broken))
        .await
        .unwrap();
    until("everything is as it was", async || {
        let service = services.get("kept").await?;
        let selector = service
            .spec
            .clone()
            .and_then(|spec| spec.selector)
            .unwrap_or_default();
        let overrides = maps.get("kept-overrides").await?.data.unwrap_or_default();
        let distributor = bench.deployments().get("kept-distributor").await?;
        Ok(services.get_opt("kept-distributor").await?.is_some()
            && budgets.get_opt("kept-ingester").await?.is_some()
            && bench.deployments().get_opt("kept-querier").await?.is_some()
            && selector
                .get("app.kubernetes.io/component")
                .map(String::as_str)
                == Some("query-frontend")
            && !overrides["overrides.yaml"].contains("mine")
            && distributor.spec.and_then(|spec| spec.replicas) == Some(2))
    })
    .await
    .unwrap();
    let service = services.get("kept").await.unwrap();
    assert_eq!(
        service.annotations().get("theirs").map(String::as_str),
        Some("stays")
    );
    let distributor = bench.deployments().get("kept-distributor").await.unwrap();
    let template = distributor.spec.unwrap().template.metadata.unwrap();
    assert_eq!(
        template
            .annotations
            .unwrap()
            .get("sidecar")
            .map(String::as_str),
        Some("yes")
    );
}

#[tokio::test]
async fn secrets_are_asked_for_by_name_and_key_and_their_rotation_reaches_the_pods() {
    let Some(bench) = bench().await else { return };
    let spec = json!({"storage": {"type": "S3", "s3": {"bucket": "profiles", "credentialsSecretRef": {"name": "login"}}}});
    bench.create("store", spec).await;
    let missing = bench
        .wait("store", "Accepted", "False", "StorageSecretMissing")
        .await;
    let said = format!(
        "secret {}/login, named in spec.storage, does not exist: create it with access_key_id and secret_access_key",
        bench.namespace
    );
    assert_eq!(missing.message, said);
    bench.wait("store", "Ready", "False", "NotAccepted").await;
    let secrets: Api<Secret> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let secret = |value: &str| -> Secret {
        serde_json::from_value(json!({
            "metadata": {"name": "login"},
            "stringData": {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": value},
        }))
        .unwrap()
    };
    let mut half = secret("x");
    half.string_data
        .as_mut()
        .unwrap()
        .remove("AWS_SECRET_ACCESS_KEY");
    secrets.create(&PostParams::default(), &half).await.unwrap();
    let half = bench
        .wait("store", "Accepted", "False", "StorageSecretInvalid")
        .await;
    assert!(
        half.message
            .contains("has no secret_access_key: it has AWS_ACCESS_KEY_ID"),
        "{}",
        half.message
    );
    let params = PatchParams::default();
    secrets
        .patch("login", &params, &Patch::Merge(secret("one")))
        .await
        .unwrap();
    bench.ready("store").await;
    let release = async || {
        let set = bench.stateful_sets().get("store-monolithic").await.unwrap();
        set.annotations()["phlare.dev/release"].clone()
    };
    let before = release().await;
    secrets
        .patch("login", &params, &Patch::Merge(secret("two")))
        .await
        .unwrap();
    until("the new key is another release", async || {
        Ok(release().await != before)
    })
    .await
    .unwrap();
    bench.ready("store").await;
}

#[tokio::test]
async fn a_paused_resource_is_left_alone() {
    let Some(bench) = bench().await else { return };
    bench.create("still", json!({"version": "1.0.0"})).await;
    bench.ready("still").await;
    bench
        .change("still", json!({"paused": true, "version": "2.0.0"}))
        .await;
    bench.wait("still", "Ready", "True", "Paused").await;
    bench
        .wait("still", "UpToDate", "False", "RolloutPending")
        .await;
    let image = async || {
        let set = bench.stateful_sets().get("still-monolithic").await.unwrap();
        set.spec.unwrap().template.spec.unwrap().containers[0]
            .image
            .clone()
            .unwrap()
    };
    assert!(image().await.ends_with(":1.0.0"));
    bench.change("still", json!({"paused": false})).await;
    bench.ready("still").await;
    assert!(image().await.ends_with(":2.0.0"));
}

#[tokio::test]
async fn configurations_are_kept_while_somebody_has_them() {
    let Some(bench) = bench().await else { return };
    bench.create("conf", json!({})).await;
    bench.ready("conf").await;
    let maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let names = async || -> BTreeSet<String> {
        let all = maps
            .list(&ListParams::default().labels("app.kubernetes.io/instance=conf"))
            .await
            .unwrap();
        let named = all.items.iter().map(ResourceExt::name_any);
        named
            .filter(|name| name.starts_with("conf-config-"))
            .collect()
    };
    let before = names().await;
    assert_eq!(before.len(), 1);
    // Limits of a tenant need no restart; another setting does.
    let set = bench.stateful_sets().get("conf-monolithic").await.unwrap();
    bench
        .change(
            "conf",
            json!({"limits": {"overrides": {"team-a": {"maxGlobalSeriesPerTenant": 7}}}}),
        )
        .await;
    until("the limit is in the file", async || {
        let overrides = maps.get("conf-overrides").await?.data.unwrap_or_default();
        Ok(overrides["overrides.yaml"].contains("max_global_series_per_tenant: 7"))
    })
    .await
    .unwrap();
    let same = bench.stateful_sets().get("conf-monolithic").await.unwrap();
    assert_eq!(set.spec.unwrap().template, same.spec.unwrap().template);
    assert_eq!(names().await, before);
    // Three releases are kept, so that there is something to go back to.
    for (days, kept) in [(30, 2), (31, 3), (32, 3)] {
        let period = json!({"retention": {"period": format!("{days}d")}});
        bench.change("conf", period).await;
        bench.ready("conf").await;
        until("as many configurations are kept as releases", async || {
            Ok(names().await.len() == kept)
        })
        .await
        .unwrap();
    }
    assert!(names().await.is_disjoint(&before));
}

#[tokio::test]
async fn an_overlay_that_takes_what_is_the_operators_is_refused() {
    let Some(bench) = bench().await else { return };
    let overlay = |value| json!({"config": {"overlay": value}});
    bench
        .create("over", overlay(json!({"storage": {"backend": "s3"}})))
        .await;
    let refused = bench
        .wait("over", "Accepted", "False", "ConfigInvalid")
        .await;
    assert_eq!(
        refused.message,
        "spec.config.overlay sets storage.backend, which the operator decides: remove it, and set spec.storage"
    );
    bench.change("over", json!({"config": {"overlay": {"storage": null, "querier": {"max_profile_keys": 1000}}}})).await;
    bench.ready("over").await;
    let maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let all = maps.list(&ListParams::default()).await.unwrap();
    let mut data = all
        .items
        .into_iter()
        .filter_map(|map| map.data?.remove("config.yaml"));
    assert!(data.any(|text| text.contains("max_profile_keys: 1000")));
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_left_alone() {
    let Some(bench) = bench().await else { return };
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let theirs: Service = serde_json::from_value(json!({
        "metadata": {"name": "taken"}, "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}},
    }))
    .unwrap();
    let theirs = services
        .create(&PostParams::default(), &theirs)
        .await
        .unwrap();
    bench.create("taken", json!({})).await;
    let stalled = bench
        .wait("taken", "Stalled", "True", "ConflictingOwner")
        .await;
    let said = format!(
        "Service {}/taken exists and does not belong to this resource: delete it, or give the resource another name",
        bench.namespace
    );
    assert_eq!(stalled.message, said);
    assert_eq!(services.get("taken").await.unwrap().spec, theirs.spec);
    services
        .delete("taken", &DeleteParams::default())
        .await
        .unwrap();
    bench.ready("taken").await;
}

#[tokio::test]
async fn what_the_api_server_refuses_is_said_in_its_words() {
    let Some(bench) = bench().await else { return };
    let spread = |skew: i32| {
        let rule =
            json!({"maxSkew": skew, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"});
        json!({"components": {"all": {"topologySpreadConstraints": [rule]}}})
    };
    bench.create("odd", spread(0)).await;
    let stalled = bench.wait("odd", "Stalled", "True", "ApplyRefused").await;
    assert!(stalled.message.contains("maxSkew"), "{}", stalled.message);
    bench.change("odd", spread(1)).await;
    bench.ready("odd").await;
}

#[tokio::test]
async fn what_is_deleted_leaves_nothing_but_volumes() {
    let Some(bench) = bench().await else { return };
    bench.create("gone", zones("1.0.0")).await;
    bench.ready("gone").await;
    bench
        .clusters()
        .delete("gone", &DeleteParams::default())
        .await
        .unwrap();
    until("all is gone", async || Ok(left(&bench).await? == 0))
        .await
        .unwrap();
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(bench.client.clone(), &bench.namespace);
    let claims = claims.list(&ListParams::default()).await.unwrap().items;
    // Three ingesters, three store-gateways and the compactor: their volumes stay, as the default says.
    assert_eq!(claims.len(), 7);
}

async fn left(bench: &Bench) -> anyhow::Result<usize> {
    let all = ListParams::default().labels("app.kubernetes.io/instance=gone");
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(bench.client.clone(), &bench.namespace);
    Ok(services.list(&all).await?.items.len()
        + maps.list(&all).await?.items.len()
        + budgets.list(&all).await?.items.len()
        + bench.deployments().list(&all).await?.items.len()
        + bench.stateful_sets().list(&all).await?.items.len())
}

#[tokio::test]
async fn a_quota_that_leaves_no_room_is_quoted() {
    let Some(bench) = bench().await else { return };
    let quotas: Api<ResourceQuota> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let none = json!({"metadata": {"name": "none-left"}, "spec": {"hard": {"pods": "0"}}});
    let quota = serde_json::from_value(none).unwrap();
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    bench.create("full", json!({})).await;
    let stalled = bench
        .wait("full", "Stalled", "True", "ForbiddenByQuota")
        .await;
    for text in ["full-monolithic", "exceeded quota: none-left"] {
        assert!(stalled.message.contains(text), "{}", stalled.message);
    }
    let params = DeleteParams::default();
    quotas.delete("none-left", &params).await.unwrap();
    bench.ready("full").await;
}
