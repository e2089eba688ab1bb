//! The keys of `meta.json` in the order in which upstream writes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Compaction, FileEntry, Stats};
use crate::id::BlockId;
use crate::json::{or_default, seconds};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    ulid: BlockId,
    #[serde(default, with = "seconds")]
    min_time: i64,
    #[serde(default, with = "seconds")]
    max_time: i64,
    #[serde(default, deserialize_with = "or_default")]
    stats: Stats,
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    files: Vec<FileEntry>,
    #[serde(default, deserialize_with = "or_default")]
    compaction: Compaction,
    version: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    downsample: Option<Downsample>,
}

#[derive(Serialize, Deserialize)]
struct Downsample {
    #[serde(default)]
    resolution: i64,
}

impl From<Meta> for super::Meta {
    fn from(wire: Meta) -> Self {
        Self {
            id: wire.ulid,
            min_ms: wire.min_time,
            max_ms: wire.max_time,
            stats: wire.stats,
            files: wire.files,
            compaction: wire.compaction,
            version: wire.version,
            labels: wire.labels.unwrap_or_default(),
            source: wire.source,
            resolution: wire
                .downsample
                .map_or(0, |downsample| downsample.resolution),
        }
    }
}

impl From<super::Meta> for Meta {
    /// Version 3 has always labels and a resolution, the older ones knew neither.
    fn from(meta: super::Meta) -> Self {
        let current = meta.version >= super::VERSION;
        let resolution = meta.resolution;
        Self {
            ulid: meta.id,
            min_time: meta.min_ms,
            max_time: meta.max_ms,
            stats: meta.stats,
            files: meta.files,
            compaction: meta.compaction,
            version: meta.version,
            labels: (current || !meta.labels.is_empty()).then_some(meta.labels),
            source: meta.source,
            downsample: (current || resolution != 0).then_some(Downsample { resolution }),
        }
    }
}
