//! `meta.json`: what a block is made of, from when to when it reaches and where it comes from.
//!
//! Format: blocks.md 1.3.

mod shard;
mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::Files;
use crate::id::BlockId;
use crate::json::{self, is_zero, or_default};

pub use self::shard::{Shard, ShardError};

/// Names of files in a block, and of labels in its `meta.json`.
pub mod names {
    /// What this module reads.
    pub const META: &str = "meta.json";
    /// The index of series.
    pub const INDEX: &str = "index.tsdb";
    /// The table of profiles.
    pub const PROFILES: &str = "profiles.parquet";
    /// Label: the host that wrote the block.
    pub const HOSTNAME: &str = "__hostname__";
    /// Label: which part of a split block it is, `<i>_of_<n>`, from 1.
    pub const SHARD_ID: &str = "__compactor_shard_id__";
    /// Source: cut from a head.
    pub const INGESTER: &str = "ingester";
    /// Source: made of other blocks.
    pub const COMPACTOR: &str = "compactor";
}

/// The version that is written.
pub const VERSION: u8 = 3;

/// What `meta.json` says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The block; also the name of its directory, which is the caller's to compare.
    pub id: BlockId,
    /// Time of the first profile, inclusive, in milliseconds since the epoch, rounded down.
    pub min_ms: i64,
    /// Time of the last profile, inclusive, in milliseconds since the epoch, rounded down.
    pub max_ms: i64,
    /// Totals.
    pub stats: Stats,
    /// All files that belong to the block but `meta.json` itself and marks, sorted by path.
    pub files: Vec<FileEntry>,
    /// Where it comes from.
    pub compaction: Compaction,
    /// 1, 2 or 3: what the files contain.
    pub version: u8,
    /// Labels of the block as a whole, see [`names`].
    pub labels: BTreeMap<String, String>,
    /// What wrote it, see [`names`]; empty if not said.
    pub source: String,
    /// Always 0.
    pub resolution: i64,
}

/// Totals of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    /// Samples kept, over all profiles.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Series of the index.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Rows of the table of profiles.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_profiles: u64,
}

/// A file of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Path in the block, with `/` between its parts.
    pub rel_path: String,
    /// Size; 0 if not said.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "is_zero"
    )]
    pub size_bytes: u64,
    /// Of a table. QUIRK: heads of upstream say too many row groups of symbols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parquet: Option<ParquetEntry>,
    /// Of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsdb: Option<TsdbEntry>,
}

/// Totals of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParquetEntry {
    /// Row groups.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_row_groups: u64,
    /// Rows.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_rows: u64,
}

/// Totals of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TsdbEntry {
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
}

/// Where a block comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Compaction {
    /// 1 from a head, then one more than the highest of its parents. 0 in blocks of the first versions.
    #[serde(deserialize_with = "or_default")]
    pub level: u32,
    /// Its ancestors of level 1, sorted; itself if it is one.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<BlockId>,
    /// It has no profiles and may go.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub deletable: bool,
    /// The blocks that it was made of.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    /// It could not be compacted.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub failed: bool,
    /// Notes of compactors.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// A block that another was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// The block.
    #[serde(rename = "ulid")]
    pub id: BlockId,
    /// As [`Meta::min_ms`].
    #[serde(rename = "minTime", default, with = "json::seconds")]
    pub min_ms: i64,
    /// As [`Meta::max_ms`].
    #[serde(rename = "maxTime", default, with = "json::seconds")]
    pub max_ms: i64,
}

/// Bytes of a block by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The index of series.
    pub index_bytes: u64,
    /// The table of profiles, without downsampled ones.
    pub profiles_bytes: u64,
    /// Symbols, as far as their files are named so.
    pub symbols_bytes: u64,
}

impl Meta {
    /// A block of a head, still without times, totals and files.
    #[must_use]
    pub fn new(id: BlockId) -> Self {
        Self {
            id,
            min_ms: 0,
            max_ms: 0,
            stats: Stats::default(),
            files: Vec::new(),
            compaction: Compaction {
                level: 1,
                sources: vec![id],
                ..Compaction::default()
            },
            version: VERSION,
            labels: BTreeMap::new(),
            source: names::INGESTER.to_owned(),
            resolution: 0,
        }
    }

    /// Reads `meta.json`; `file` names it in errors. Unknown keys are ignored.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a version that is not known; [`Error::Corrupt`] if it is no JSON, a value has the wrong
    /// type, times are not decimal seconds or not in order, or a file lies outside the block.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        json::check_version(bytes, file, &[1, 2, 3])?;
        let meta: Self = json::parse::<wire::Meta>(bytes, file)?.into();
        if meta.min_ms > meta.max_ms {
            let problem = "minTime is after maxTime";
            return Err(Error::corrupt(file, json::find(bytes, "minTime"), problem));
        }
        if let Some(bad) = meta.files.iter().find(|file| !is_inside(&file.rel_path)) {
            let problem = format!("not a path inside the block: {:.100?}", bad.rel_path);
            let at = json::find(bytes, &bad.rel_path);
            return Err(Error::corrupt(file, at, problem));
        }
        Ok(meta)
    }

    /// Reads `meta.json` of a block.
    ///
    /// # Errors
    /// As [`Self::parse`] and [`Files::read_all`].
    pub fn read(files: &dyn Files) -> Result<Self, Error> {
        Self::parse(&files.read_all(names::META)?, &files.name(names::META))
    }

    /// As it is written to a disk; the one in a bucket has a newline behind it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        json::tabbed(&wire::Meta::from(self.clone()))
    }

    /// A file by its path in the block.
    #[must_use]
    pub fn file(&self, rel_path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.rel_path == rel_path)
    }

    /// The first file with this name in whatever directory; so symbols are found.
    #[must_use]
    pub fn file_named(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name() == name)
    }

    /// Size of a file, if the block has it and its size is said.
    #[must_use]
    pub fn size_of(&self, rel_path: &str) -> Option<u64> {
        self.file(rel_path)
            .map(|file| file.size_bytes)
            .filter(|&size| size > 0)
    }

    /// Bytes of all files.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }

    /// Bytes by purpose, as upstream reports them.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let mut sizes = Sizes::default();
        for file in &self.files {
            let path = file.rel_path.as_str();
            let sum = match path {
                names::INDEX => &mut sizes.index_bytes,
                names::PROFILES => &mut sizes.profiles_bytes,
                _ if path.starts_with("symbols") || path.ends_with(".symdb") => {
                    &mut sizes.symbols_bytes
                }
                _ => continue,
            };
            *sum = sum.saturating_add(file.size_bytes);
        }
        sizes
    }

    /// Whether profiles between two times, both inclusive, can be in the block.
    #[must_use]
    pub fn overlaps(&self, from_ms: i64, to_ms: i64) -> bool {
        self.min_ms <= to_ms && from_ms <= self.max_ms
    }

    /// The shard as text, `1_of_4`; empty if the block is not split.
    #[must_use]
    pub fn shard_id(&self) -> &str {
        self.labels.get(names::SHARD_ID).map_or("", String::as_str)
    }

    /// The shard, if the block is split and its label can be read.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        self.shard_id().parse().ok()
    }
}

impl FileEntry {
    /// The last part of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        let path = self.rel_path.as_str();
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }
}

/// Whether a path cannot lead out of the directory that it is relative to.
fn is_inside(path: &str) -> bool {
    !path.contains(['\\', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests;
