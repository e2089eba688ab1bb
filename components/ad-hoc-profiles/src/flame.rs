//! Flame graphs as JSON that users upload: what [`phlare_model::flamebearer`] writes.

use phlare_model::Tree;
use phlare_model::flamebearer::Meaning;
use phlare_proto::querier::v1::{FlameGraph, Level};
use serde::Deserialize;

use crate::error::Error;

/// The parts of the JSON that matter.
#[derive(Debug, Deserialize)]
pub(crate) struct Flame {
    #[serde(default)]
    version: u64,
    flamebearer: Flamebearer,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Flamebearer {
    names: Vec<String>,
    levels: Vec<Vec<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    format: String,
    sample_rate: u64,
    units: String,
    name: String,
}

impl Flame {
    /// Reads the JSON.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Version`], [`Error::NotSingle`].
    pub(crate) fn read(json: &[u8]) -> Result<Self, Error> {
        let flame: Self = serde_json::from_slice(json).map_err(Error::Json)?;
        // Old files have no version and are the same.
        if flame.version > 1 {
            return Err(Error::Version {
                version: flame.version,
            });
        }
        match flame.metadata.format.as_str() {
            "" | "single" => Ok(flame),
            format => Err(Error::NotSingle {
                format: format.chars().take(64).collect(),
            }),
        }
    }

    /// What is counted; `samples` if it does not say.
    pub(crate) fn name(&self) -> &str {
        match self.metadata.name.as_str() {
            "" => "samples",
            name => name,
        }
    }

    /// What the values mean, as the file says.
    pub(crate) fn meaning(&self) -> Meaning {
        Meaning {
            name: self.name().to_owned(),
            units: self.metadata.units.clone(),
            sample_rate: self.metadata.sample_rate,
        }
    }

    /// The call tree.
    ///
    /// # Errors
    /// [`Error::FlameGraph`].
    pub(crate) fn tree(&self) -> Result<Tree, Error> {
        let level = |values: &Vec<i64>| Level {
            values: values.clone(),
        };
        let graph = FlameGraph {
            names: self.flamebearer.names.clone(),
            levels: self.flamebearer.levels.iter().map(level).collect(),
            ..FlameGraph::default()
        };
        Tree::from_flame_graph(&graph).map_err(Error::FlameGraph)
    }
}
