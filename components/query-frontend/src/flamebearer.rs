//! The JSON of the plain HTTP routes: `flamebearer` version 1 (api.md 5.3).

use std::collections::BTreeMap;

use phlare_model::profile_type::ProfileType;
use phlare_proto::querier::v1::{FlameGraph, FlameGraphDiff, Level};
use serde::Serialize;

use crate::timeline::Timeline;

/// A flame graph with what is needed to draw it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlamebearerProfile {
    version: u32,
    flamebearer: Flamebearer,
    metadata: Metadata,
    timeline: Option<Timeline>,
    /// Value of the label that groups → its timeline.
    groups: Option<BTreeMap<String, Timeline>>,
    /// A field that clients expect and no server fills.
    heatmap: (),
    #[serde(skip_serializing_if = "is_zero")]
    left_ticks: i64,
    #[serde(skip_serializing_if = "is_zero")]
    right_ticks: i64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Flamebearer {
    names: Vec<String>,
    levels: Vec<Vec<i64>>,
    num_ticks: i64,
    max_self: i64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    format: &'static str,
    spy_name: &'static str,
    sample_rate: u32,
    units: String,
    name: String,
}

impl FlamebearerProfile {
    /// One graph and its totals over time.
    pub(crate) fn single(
        graph: FlameGraph,
        kind: &ProfileType,
        timeline: Timeline,
        groups: Option<BTreeMap<String, Timeline>>,
    ) -> Self {
        Self {
            version: 1,
            flamebearer: Flamebearer {
                names: graph.names,
                levels: levels(graph.levels),
                num_ticks: graph.total,
                max_self: graph.max_self,
            },
            metadata: metadata(kind, "single"),
            timeline: Some(timeline),
            groups,
            heatmap: (),
            left_ticks: 0,
            right_ticks: 0,
        }
    }

    /// Two graphs, laid over each other.
    pub(crate) fn double(graph: FlameGraphDiff, kind: &ProfileType) -> Self {
        Self {
            version: 1,
            flamebearer: Flamebearer {
                names: graph.names,
                levels: levels(graph.levels),
                num_ticks: graph.total,
                max_self: graph.max_self,
            },
            metadata: metadata(kind, "double"),
            timeline: None,
            groups: None,
            heatmap: (),
            left_ticks: graph.left_ticks,
            right_ticks: graph.right_ticks,
        }
    }
}

fn levels(levels: Vec<Level>) -> Vec<Vec<i64>> {
    levels.into_iter().map(|level| level.values).collect()
}

fn metadata(kind: &ProfileType, format: &'static str) -> Metadata {
    let units = match kind.sample_type.as_str() {
        "inuse_objects" | "alloc_objects" | "goroutine" | "samples" => "objects",
        "cpu" => "samples",
        _ => &kind.sample_unit,
    };
    Metadata {
        format,
        spy_name: "",
        sample_rate: if kind.sample_type == "cpu" {
            1_000_000_000
        } else {
            100
        },
        units: units.to_owned(),
        name: kind.sample_type.clone(),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use phlare_model::TimeRange;
    use phlare_model::tree::Tree;

    use super::*;
    use crate::timeline::Grid;

    #[test]
    fn an_empty_graph_has_all_fields() {
        let kind = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
            .parse()
            .unwrap();
        let timeline = Grid::over(TimeRange {
            start_ms: 0,
            end_ms: 15_000,
        })
        .timeline(None);
        let profile = FlamebearerProfile::single(Tree::new().flame_graph(8), &kind, timeline, None);
        insta::assert_snapshot!(serde_json::to_string(&profile).unwrap(), @r#"{"version":1,"flamebearer":{"names":["total"],"levels":[[0,0,0,0]],"numTicks":0,"maxSelf":0},"metadata":{"format":"single","spyName":"","sampleRate":1000000000,"units":"samples","name":"cpu"},"timeline":{"startTime":0,"samples":[0],"durationDelta":15,"watermarks":null},"groups":null,"heatmap":null}"#);
    }

    #[test]
    fn units_follow_the_sample_type() {
        let check = |id: &str, units: &str, rate: u32| {
            let metadata = metadata(&id.parse().unwrap(), "single");
            assert_eq!(
                (metadata.units.as_str(), metadata.sample_rate),
                (units, rate),
                "{id}"
            );
        };
        check(
            "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
            "samples",
            1_000_000_000,
        );
        check("process_cpu:samples:count:cpu:nanoseconds", "objects", 100);
        check("memory:inuse_space:bytes:space:bytes", "bytes", 100);
        check("memory:alloc_objects:count:space:bytes", "objects", 100);
        check("goroutine:goroutine:count:goroutine:count", "objects", 100);
        check(
            "mutex:delay:nanoseconds:contentions:count",
            "nanoseconds",
            100,
        );
    }
}
