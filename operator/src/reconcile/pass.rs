//! The steps of one pass.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;
use phlare_operator_api::condition::STORAGE_REACHABLE;
use phlare_operator_api::{PhlareCluster, StorageType};
use serde_json::json;
use tracing::warn;

use super::course::{self, Chosen};
use super::mode::{Steps, Switch};
use super::status::{self, Said};
use super::views::views;
use super::{Pace, autoscale, lost, monitoring, refused, volumes};
use crate::apply::{Error, Writer};
use crate::conditions::Facts;
use crate::context::Context;
use crate::credentials::{self, Credentials};
use crate::decide::scale::{self, Scaled, Step};
use crate::decide::{
    self,
    rollout::{self, Verdict},
};
use crate::desired::{self, Desired, Inputs, Meta, RELEASE, VERSION, Workload};
use crate::live::{self, Live};
use crate::releases::{self, Known};
use crate::trouble;

/// One pass over one resource.
pub(super) async fn run(context: &Context, cluster: &PhlareCluster) -> Result<Pace, Error> {
    if cluster.metadata.deletion_timestamp.is_some() {
        // Everything is owned by the resource and goes with it.
        return Ok(Pace::Calm);
    }
    let meta = Meta::of(cluster);
    let mut facts = Facts {
        generation: cluster.metadata.generation,
        paused: cluster.spec.paused,
        ..Facts::default()
    };
    if cluster.status.is_none() {
        status::announce(context, cluster, &facts).await?;
    }
    let live = Live::of(&context.client, &meta).await?;
    let version = version(context, cluster, &live);
    let mut desired = match planned(context, cluster, &version).await? {
        Ok(desired) => desired,
        Err((reason, message)) => {
            facts.refused = Some((reason, message));
            return said(context, cluster, &live, &facts, None).await;
        }
    };
    let next = autoscale::step(context, cluster, &live, &mut desired, &mut facts).await;
    let mut chosen = course::choose(context, cluster, &meta, &live, desired).await?;
    if let Some(rejected) = chosen.reject.take().filter(|_| !facts.paused) {
        facts.rejected = Some(rejected);
        said(context, cluster, &live, &facts, Some(&chosen)).await?;
        return Ok(Pace::AtOnce);
    }
    facts.rejected.clone_from(&chosen.back);
    facts.stuck = facts.stuck.or_else(|| chosen.halted.clone());
    if let Some((reason, message)) = chosen.rights_missing() {
        warn!(
            namespace = meta.namespace,
            name = meta.name,
            message,
            "{reason}"
        );
    }
    let pass = Pass {
        context,
        meta: &meta,
        live: &live,
        chosen: &chosen,
        desired: &chosen.desired,
        writer: Writer::new(context.client.clone(), meta.namespace),
    };
    let written = match facts.paused {
        true => Ok(()),
        false => pass.write(&mut facts).await,
    };
    if let Err(error) = &written {
        facts.stuck = error.trouble().or(facts.stuck);
    }
    // What goes wrong is said before it is tried again.
    let pace = said(context, cluster, &live, &facts, Some(&chosen)).await?;
    let pace = match (pace, next) {
        (Pace::Calm | Pace::Waiting, Some(next)) => Pace::Within(next),
        (pace, _) => pace,
    };
    written.map(|()| pace)
}

/// The version that pods run: what the resource says, else what they were made with, else the operator's own. An operator
/// that is upgraded leaves the pods of a resource that names none as they are.
fn version(context: &Context, cluster: &PhlareCluster, live: &Live) -> String {
    let pinned = || {
        let mut workloads = live.objects();
        workloads.find_map(|object| object.annotations().get(VERSION).cloned())
    };
    let asked = cluster.spec.version.clone();
    asked
        .or_else(pinned)
        .unwrap_or_else(|| context.settings.version.clone())
}

/// What should be there, or why that can't be: a reason and a message.
async fn planned(
    context: &Context,
    cluster: &PhlareCluster,
    version: &str,
) -> Result<Result<Desired, (&'static str, String)>, Error> {
    let namespace = cluster.namespace().unwrap_or_default();
    let storage = &cluster.spec.storage;
    let secret = match credentials::secret_of(storage) {
        None => None,
        Some(name) => {
            let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
            secrets.get_opt(name).await?
        }
    };
    let credentials = match Credentials::of(storage, &namespace, secret.as_ref()) {
        Ok(credentials) => credentials,
        Err(problem) => {
            let reason = match problem {
                credentials::Problem::Missing { .. } => "StorageSecretMissing",
                credentials::Problem::Key { .. } => "StorageSecretInvalid",
            };
            return Ok(Err((reason, problem.to_string())));
        }
    };
    let image = &cluster.spec.image;
    let repository = image
        .repository
        .as_deref()
        .unwrap_or(&context.settings.image);
    let image = match &image.digest {
        Some(digest) => format!("{repository}@{digest}"),
        None => format!("{repository}:{version}"),
    };
    let inputs = Inputs {
        cluster,
        image,
        version: version.to_owned(),
        credentials: &credentials,
        operator_namespace: match &context.settings.lease_namespace {
            Some(namespace) => namespace,
            None => context.client.default_namespace(),
        },
    };
    let desired = desired::desired(&inputs);
    Ok(desired.map_err(|error| ("ConfigInvalid", error.to_string())))
}

async fn said(
    context: &Context,
    cluster: &PhlareCluster,
    live: &Live,
    facts: &Facts,
    chosen: Option<&Chosen>,
) -> Result<Pace, Error> {
    let mut facts = facts.clone();
    // One that was just rejected has not been taken back yet: what is wrong is said in the rejection.
    let is_rejected_now = facts.rejected.is_some() && chosen.is_none_or(|it| it.back.is_none());
    if facts.stuck.is_none() && !is_rejected_now {
        // Pods of a release that is being taken back are on their way out.
        let runs = |pod: &&Pod| {
            let Some(chosen) = chosen.filter(|chosen| chosen.back.is_some()) else {
                return true;
            };
            let release = pod.annotations().get(RELEASE);
            let mut workloads = chosen.desired.workloads.iter();
            workloads.any(|workload| Some(&workload.release) == release)
        };
        let pods = trouble::of_pods(live.pods.iter().filter(runs));
        facts.stuck = pods.or_else(|| live.objects().find_map(trouble::of_workload));
    }
    if facts.stuck.is_none() && !is_rejected_now {
        let namespace = cluster.namespace().unwrap_or_default();
        facts.stuck = refused::pods(context, &namespace, live).await;
    }
    if facts.stuck.is_none() {
        facts.stuck = chosen.and_then(Chosen::rights_missing);
    }
    if let (None, Some(chosen)) = (&facts.monitoring, chosen) {
        facts.monitoring = monitoring::seen(&chosen.desired, live);
    }
    if let Some(chosen) = chosen {
        let status = cluster.status.as_ref();
        let mut before = status.iter().flat_map(|status| &status.conditions);
        let before = before.find(|condition| condition.type_ == STORAGE_REACHABLE);
        facts.storage = Some(decide::health::storage(&chosen.heard.storage, before));
    }
    let is_reached = facts.storage.as_ref().map(|storage| storage.status);
    let pace = match (&facts.progress, &facts.monitoring) {
        (Some(_), _) => Pace::Busy,
        (None, Some((_, monitoring::CRD_MISSING, _))) => Pace::Waiting,
        // Nobody announces that it answers again.
        (None, _) if is_reached.is_some_and(|status| status != Some(true)) => Pace::Waiting,
        (None, _) => Pace::Calm,
    };
    let said = Said {
        live,
        chosen,
        facts,
    };
    status::say(context, cluster, said).await?;
    Ok(pace)
}

struct Pass<'a> {
    context: &'a Context,
    meta: &'a Meta<'a>,
    live: &'a Live,
    chosen: &'a Chosen,
    desired: &'a Desired,
    writer: Writer,
}

impl Pass<'_> {
    async fn write(&self, facts: &mut Facts) -> Result<(), Error> {
        let views = views(self.desired, self.live, &self.chosen.heard, self.meta.spec);
        let switch = Switch::of(self.meta, self.live);
        let switch = switch.map(|switch| switch.steps(self.meta, self.desired, self.live, &views));
        let mut switch = switch.unwrap_or_default();
        switch
            .settle(self.context, self.meta, self.live, facts)
            .await;
        for object in &self.desired.objects {
            let object = switch.for_now(self.meta, object);
            if self.writer.apply(&object, self.live.twin(&object)).await? {
                self.context.metrics.wrote(&object.resource.kind);
            }
        }
        let verdicts = self.chosen.verdicts(&views, Timestamp::now());
        let mut kept = self.chosen.kept.clone();
        let mut waiting = None;
        for (workload, verdict) in self.desired.workloads.iter().zip(verdicts) {
            match verdict {
                Verdict::Apply { partition } => self.workload(workload, partition).await?,
                Verdict::Wait(reason) => {
                    let name = &workload.object.name;
                    waiting.get_or_insert_with(|| format!("{name} {reason}"));
                }
            }
        }
        let done = rollout::is_done(&views);
        if let Some(waiting) = waiting {
            let rolling = match self.chosen.back {
                None => "RollingOut",
                Some(_) => "RollingBack",
            };
            facts.progress = Some((rolling, waiting));
        } else if !done {
            let names = rollout::unfinished(&views).map(|view| view.name.as_str());
            let names: Vec<_> = names.collect();
            let message = format!("waits for the pods of {}", names.join(", "));
            facts.progress = Some(("Applying", message));
        }
        // One that is held at a gate may still be taken back: it is not what others are taken back to.
        let is_held = views.iter().any(|view| view.held.is_some());
        let recorded = match done && !is_held && self.chosen.can_keep() {
            true => releases::record(&self.writer, self.meta, self.desired, &mut kept).await,
            false => Ok(false),
        };
        if matches!(recorded, Ok(true)) {
            self.context.metrics.wrote(releases::KIND);
        }
        self.scale(&switch.leaving, facts, !done).await?;
        if let Some(progress) = &switch.progress {
            facts.switching = true;
            let progress = ("SwitchingMode", progress.clone());
            facts.progress.get_or_insert(progress);
        }
        volumes::grow(self.context, &self.writer, self.live, self.desired, facts).await?;
        lost::see(
            self.context,
            &self.writer,
            self.meta,
            self.live,
            self.desired,
            facts,
        )
        .await?;
        facts.monitoring =
            monitoring::write(self.context, &self.writer, self.live, self.desired).await?;
        self.sweep(&kept, &switch).await?;
        // What can't be remembered keeps nothing else from being done.
        recorded.map(|_| ())
    }

    async fn workload(&self, workload: &Workload, partition: i32) -> Result<(), Error> {
        let mut object = workload.object.clone();
        if workload.part.is_stateful() {
            object.body["spec"]["updateStrategy"]["rollingUpdate"] =
                json!({"partition": partition});
        }
        let live = self.live.twin(&object);
        if self.writer.apply(&object, live).await? {
            self.context.metrics.wrote(&object.resource.kind);
        }
        Ok(())
    }

    /// `leaving`: workloads of another mode.
    async fn scale(
        &self,
        leaving: &[Workload],
        facts: &mut Facts,
        rolling_out: bool,
    ) -> Result<(), Error> {
        let all = || self.desired.workloads.iter().chain(leaving);
        let scaled: Vec<_> = all().map(|workload| self.scaled(workload)).collect();
        let object_store = self.meta.spec.storage.r#type != StorageType::Filesystem;
        let mut drained = None;
        for (name, step) in scale::steps(&scaled, rolling_out, object_store) {
            let Some(workload) = all().find(|workload| workload.object.name == name) else {
                continue;
            };
            match step {
                Step::Set(replicas) => {
                    self.writer.scale(&workload.object, replicas).await?;
                    self.context.metrics.wrote(&workload.object.resource.kind);
                    facts
                        .progress
                        .get_or_insert_with(|| ("Scaling", format!("{name} gets {replicas} pods")));
                }
                Step::Drain(left) => {
                    drained = Some(format!("{name}-{left}"));
                    self.drain(workload, left, facts).await?;
                }
                Step::Hold(hold) => {
                    let message = format!("{name} {hold}");
                    match hold {
                        scale::Hold::NoObjectStore => {
                            facts.stuck = Some(("ScaleDownRefused", message))
                        }
                        _ => facts.progress = Some(("ScalingDown", message)),
                    }
                }
            }
        }
        let draining = volumes::draining(self.live);
        for pod in scale::resumed(&draining, &scaled, drained.as_deref()) {
            volumes::undo_drain(self.context, &self.writer, self.live, pod, facts).await?;
        }
        Ok(())
    }

    fn scaled(&self, workload: &Workload) -> Scaled {
        let live = self.live.twin(&workload.object);
        Scaled {
            name: workload.object.name.clone(),
            part: workload.part,
            wanted: workload.replicas,
            replicas: live.map(live::replicas),
            ready: live.map_or(0, |live| live::state(live).ready),
        }
    }

    /// One step towards a StatefulSet with one pod less.
    async fn drain(&self, workload: &Workload, left: i32, facts: &mut Facts) -> Result<(), Error> {
        let pod = format!("{}-{left}", workload.object.name);
        facts.progress = Some((
            "ScalingDown",
            format!("pod {pod} brings its profiles into the object store before it goes"),
        ));
        volumes::mark_drain(&self.writer, self.live, &pod).await?;
        let address = volumes::address(self.live, &pod);
        let Some(address) = address else {
            return Ok(());
        };
        match self.context.drain.prepare(&address).await {
            Ok(preparation) if preparation.prepared && preparation.finished => {
                self.writer.scale(&workload.object, left).await?;
                self.context.metrics.wrote(&workload.object.resource.kind);
            }
            Ok(preparation) => {
                if let Some(trouble) = preparation.trouble {
                    facts.stuck = Some(("DrainFailing", format!("pod {pod} stays: {trouble}")));
                }
            }
            Err(error) => {
                facts.stuck = Some(("DrainUnreachable", format!("pod {pod} stays: {error}")));
            }
        }
        Ok(())
    }

    /// Deletes what the resource does not ask for any more. What has volumes is among it only if it is of another mode and
    /// holds nothing.
    async fn sweep(&self, kept: &[Known], switch: &Steps) -> Result<(), Error> {
        let wanted: BTreeSet<_> = self
            .desired
            .objects
            .iter()
            .chain(&self.desired.monitoring)
            .map(|object| (object.resource.kind.as_str(), object.name.as_str()))
            .collect();
        let mounted = mounted(self.live);
        let kept: BTreeSet<_> = kept
            .iter()
            .flat_map(|known| known.configs.iter().map(String::as_str))
            .collect();
        let workloads = self.desired.workloads.iter();
        let workloads: BTreeSet<_> = workloads
            .map(|workload| workload.object.name.as_str())
            .collect();
        for (kind, object) in self.live.objects_by_kind() {
            let name = object.name_any();
            let stays = match kind.kind.as_str() {
                // Its pods hold nothing, unlike those of StatefulSets.
                "Deployment" if workloads.contains(name.as_str()) => true,
                kind if switch.keeps(kind, &name) => true,
                "Deployment" | "StatefulSet" => false,
                "ConfigMap" if kept.contains(name.as_str()) || !self.chosen.can_keep() => true,
                "ConfigMap" if mounted.contains(&name) => true,
                kind => wanted.contains(&(kind, name.as_str())),
            };
            if !stays && self.meta.owns(object) {
                self.writer.delete(kind, object).await?;
                self.context.metrics.wrote(&kind.kind);
            }
        }
        Ok(())
    }
}

/// ConfigMaps that pods have, or that pods will have when they come back.
fn mounted(live: &Live) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for pod in &live.pods {
        let volumes = pod
            .spec
            .iter()
            .flat_map(|spec| spec.volumes.iter().flatten());
        names.extend(volumes.filter_map(|volume| Some(volume.config_map.as_ref()?.name.clone())));
    }
    for object in live.objects() {
        names.extend(desired::config_maps(&object.data).map(ToOwned::to_owned));
    }
    names
}
