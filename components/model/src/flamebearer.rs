//! Flame graphs as JSON for clients that draw them: `flamebearer` version 1 (api.md 5.3).

use std::collections::BTreeMap;

use phlare_proto::querier::v1::{FlameGraph, FlameGraphDiff, Level};
use serde::Serialize;

use crate::profile_type::ProfileType;

/// A flame graph with what is needed to draw it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlamebearerProfile {
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

/// Totals per step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Time of the first sample, in seconds, a multiple of the step.
    pub start_time: i64,
    /// One total for each step.
    pub samples: Vec<u64>,
    /// The step in seconds.
    pub duration_delta: i64,
    /// A field that clients expect and no server fills.
    pub watermarks: (),
}

/// What the values of a flame graph mean, in its clients' terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What is counted: `cpu`, `alloc_space`, …
    pub name: String,
    /// `samples`, `objects`, `bytes`, …
    pub units: String,
    /// Values of a second, where `units` is `samples`.
    pub sample_rate: u64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    format: &'static str,
    spy_name: &'static str,
    sample_rate: u64,
    units: String,
    name: String,
}

impl FlamebearerProfile {
    /// One graph and, if they are known, its totals over time.
    #[must_use]
    pub fn single(
        graph: FlameGraph,
        meaning: Meaning,
        timeline: Option<Timeline>,
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
            metadata: metadata(meaning, "single"),
            timeline,
            groups,
            heatmap: (),
            left_ticks: 0,
            right_ticks: 0,
        }
    }

    /// Two graphs, laid over each other.
    #[must_use]
    pub fn double(graph: FlameGraphDiff, meaning: Meaning) -> Self {
        Self {
            version: 1,
            flamebearer: Flamebearer {
                names: graph.names,
                levels: levels(graph.levels),
                num_ticks: graph.total,
                max_self: graph.max_self,
            },
            metadata: metadata(meaning, "double"),
            timeline: None,
            groups: None,
            heatmap: (),
            left_ticks: graph.left_ticks,
            right_ticks: graph.right_ticks,
        }
    }
}

impl Meaning {
    /// Of values of this sample type and unit.
    #[must_use]
    pub fn of(sample_type: &str, unit: &str) -> Self {
        let units = match sample_type {
            "inuse_objects" | "alloc_objects" | "goroutine" | "samples" => "objects",
            "cpu" => "samples",
            _ => unit,
        };
        Self {
            name: sample_type.to_owned(),
            units: units.to_owned(),
            sample_rate: match sample_type {
                "cpu" => 1_000_000_000,
                _ => 100,
            },
        }
    }
}

impl From<&ProfileType> for Meaning {
    fn from(kind: &ProfileType) -> Self {
        Self::of(&kind.sample_type, &kind.sample_unit)
    }
}

fn levels(levels: Vec<Level>) -> Vec<Vec<i64>> {
    levels.into_iter().map(|level| level.values).collect()
}

fn metadata(meaning: Meaning, format: &'static str) -> Metadata {
    Metadata {
        format,
        spy_name: "",
        sample_rate: meaning.sample_rate,
        units: meaning.units,
        name: meaning.name,
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
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn an_empty_graph_has_all_fields() {
        let timeline = Timeline {
            start_time: 0,
            samples: vec![0],
            duration_delta: 15,
            watermarks: (),
        };
        let meaning = Meaning::of("cpu", "nanoseconds");
        let graph = Tree::new().flame_graph(8);
        let profile = FlamebearerProfile::single(graph, meaning, Some(timeline), None);
        assert_eq!(
            serde_json::to_string(&profile).unwrap(),
            r#"{"version":1,"flamebearer":{"names":["total"],"levels":[[0,0,0,0]],"numTicks":0,"maxSelf":0},"metadata":{"format":"single","spyName":"","sampleRate":1000000000,"units":"samples","name":"cpu"},"timeline":{"startTime":0,"samples":[0],"durationDelta":15,"watermarks":null},"groups":null,"heatmap":null}"#
        );
    }

    #[test]
    fn units_follow_the_sample_type() {
        let check = |id: &str, units: &str, rate: u64| {
            let meaning = Meaning::from(&id.parse::<ProfileType>().unwrap());
            assert_eq!(
                (meaning.units.as_str(), meaning.sample_rate),
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
