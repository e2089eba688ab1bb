//! The workloads as they are and as they should be, for those who decide.

use std::time::Duration;

use phlare_operator_api::PhlareClusterSpec;

use super::health;
use crate::decide::rollout::{self, View};
use crate::desired::{Desired, Workload};
use crate::health::Heard;
use crate::live::{self, Live};
use crate::part::Part;

/// Of how many of a workload's pods it is asked how long they have been ready: all, unless their number follows the load.
/// Those that it brought lately prove nothing, and are not waited for.
fn soaking(workload: &Workload, spec: &PhlareClusterSpec) -> i32 {
    match &spec.autoscaling.querier {
        Some(scaling) if scaling.enabled && workload.part == Part::Querier => scaling.min_replicas,
        _ => i32::MAX,
    }
}

/// The workloads as they are and as they should be.
pub(super) fn views(
    desired: &Desired,
    live: &Live,
    heard: &Heard,
    spec: &PhlareClusterSpec,
) -> Vec<View> {
    let rollout = &spec.rollout;
    let seconds = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let canaries = rollout.canary.ingesters;
    let mut all = desired.workloads.iter();
    // The first zone has the canaries.
    let with_canaries = all.find(|workload| canaries > 0 && workload.part.holds_profiles());
    let with_canaries = with_canaries.map(|workload| workload.object.name.as_str());
    let view = |workload: &Workload| {
        let has_canaries = with_canaries == Some(&workload.object.name);
        let there = live.twin(&workload.object).map(live::state);
        let there = there.map(|state| rollout::Live {
            since: live.since(
                workload.part,
                workload.zone.as_deref(),
                soaking(workload, spec),
            ),
            stable: live.stable(&workload.object.name, state.replicas - canaries),
            ..state
        });
        let canary_soak = seconds(rollout.canary.soak_seconds);
        View {
            name: workload.object.name.clone(),
            part: workload.part,
            release: workload.release.clone(),
            canaries: if has_canaries { canaries } else { 0 },
            soak: match workload.part == Part::QuerierCanary {
                true => canary_soak,
                false => seconds(rollout.soak_seconds),
            },
            canary_soak,
            held: health::of_workload(workload, live, heard, rollout),
            live: there,
        }
    };
    desired.workloads.iter().map(view).collect()
}
