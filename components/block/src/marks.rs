//! Small files that say what is to become of blocks and tenants, and which blocks were uploaded.
//!
//! A mark of a block is written twice: in the block, and among the markers of the tenant; it holds if both are there.
//! Format: blocks.md 1.5.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id::BlockId;
use crate::json::{self, is_zero, or_default};

/// Directory of the tenant's markers, below the tenant's blocks.
pub const MARKERS: &str = "markers";

/// Version of marks and of the list of uploaded blocks.
const VERSION: u8 = 1;

/// What a mark of a block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// The block is to be deleted after a while: [`DeletionMark`].
    Deletion,
    /// The block is not to be compacted: [`NoCompactMark`].
    NoCompact,
}

impl Mark {
    /// Name of the file in the block.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Deletion => "deletion-mark.json",
            Self::NoCompact => "no-compact-mark.json",
        }
    }

    /// Key in the block, below the tenant's blocks: `<ULID>/deletion-mark.json`.
    #[must_use]
    pub fn block_key(self, block: BlockId) -> String {
        format!("{block}/{}", self.file_name())
    }

    /// Key among the markers, below the tenant's blocks: `markers/<ULID>-deletion-mark.json`.
    #[must_use]
    pub fn global_key(self, block: BlockId) -> String {
        format!("{MARKERS}/{block}-{}", self.file_name())
    }

    /// Reads the name of a file in `markers`, with or without the directory. `None` for what is no mark of a block.
    #[must_use]
    pub fn of_global_key(key: &str) -> Option<(BlockId, Self)> {
        let name = key.strip_prefix("markers/").unwrap_or(key);
        let (block, file) = name.split_at_checked(BlockId::LEN)?;
        let file = file.strip_prefix('-')?;
        let mark = [Self::Deletion, Self::NoCompact]
            .into_iter()
            .find(|mark| mark.file_name() == file)?;
        Some((BlockId::parse(block).ok()?, mark))
    }
}

/// `deletion-mark.json`: the block is no longer needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionMark {
    /// The block.
    pub id: BlockId,
    version: u8,
    /// Why, for people.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub details: String,
    /// When it was marked, in seconds since the epoch.
    #[serde(rename = "deletion_time")]
    pub time_s: i64,
}

impl DeletionMark {
    /// A mark.
    #[must_use]
    pub fn new(id: BlockId, time_s: i64, details: impl Into<String>) -> Self {
        Self {
            id,
            version: VERSION,
            details: details.into(),
            time_s,
        }
    }

    /// Reads a mark; `file` names it in errors.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Unsupported`] for another version.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        json::check_version(bytes, file, &[i64::from(VERSION)])?;
        json::parse(bytes, file)
    }

    /// As it is written.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        json::compact(self)
    }
}

/// Reasons that a [`NoCompactMark`] has.
pub mod reasons {
    /// Someone wished so.
    pub const MANUAL: &str = "manual";
    /// The index of the result would be too large.
    pub const INDEX_SIZE: &str = "index-size-exceeding";
    /// The block is not ordered as it should be.
    pub const OUT_OF_ORDER: &str = "block-index-out-of-order-chunk";
    /// A file is damaged or missing. Upstream does not know this one, and leaves out what is marked for whatever reason.
    pub const DAMAGED: &str = "damaged";
}

/// `no-compact-mark.json`: compactors pass over the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoCompactMark {
    /// The block.
    pub id: BlockId,
    version: u8,
    /// Why, for people.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub details: String,
    /// When it was marked, in seconds since the epoch.
    #[serde(rename = "no_compact_time")]
    pub time_s: i64,
    /// Why, one of [`reasons`].
    pub reason: String,
}

impl NoCompactMark {
    /// A mark.
    #[must_use]
    pub fn new(id: BlockId, time_s: i64, reason: &str, details: impl Into<String>) -> Self {
        Self {
            id,
            version: VERSION,
            details: details.into(),
            time_s,
            reason: reason.to_owned(),
        }
    }

    /// Reads a mark; `file` names it in errors.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Unsupported`] for another version.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        json::check_version(bytes, file, &[i64::from(VERSION)])?;
        json::parse(bytes, file)
    }

    /// As it is written.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        json::compact(self)
    }
}

/// `markers/tenant-deletion-mark.json`: all blocks of the tenant are to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDeletionMark {
    /// When it was asked for, in seconds since the epoch.
    #[serde(rename = "deletion_time")]
    pub time_s: i64,
    /// When the last block was gone, in seconds since the epoch; 0 before.
    #[serde(
        rename = "finished_time",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "is_zero"
    )]
    pub finished_s: u64,
}

impl TenantDeletionMark {
    /// Key below the tenant's blocks.
    pub const KEY: &str = "markers/tenant-deletion-mark.json";

    /// Reads a mark; `file` names it in errors.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        json::parse(bytes, file)
    }

    /// As it is written.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        json::compact(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    fn id() -> BlockId {
        BlockId::parse("01M8952SNR4MW2AEEN4TTF9M9R").unwrap()
    }

    #[test]
    fn a_real_deletion_mark_comes_back_byte_for_byte() {
        let name = format!(
            "v3-compaction/bucket-after/{}",
            Mark::Deletion.global_key(id())
        );
        let bytes = testdata::file(&name);
        let mark = DeletionMark::parse(&bytes, &name).unwrap();
        assert_eq!(
            mark,
            DeletionMark::new(id(), 1_795_603_662, "source of compacted block")
        );
        assert_eq!(mark.to_json(), bytes);
    }

    #[test]
    fn marks_are_written_as_the_format_says() {
        let mark = DeletionMark::new(id(), 5, "");
        let text = r#"{"id":"01M8952SNR4MW2AEEN4TTF9M9R","version":1,"deletion_time":5}"#;
        assert_eq!(String::from_utf8(mark.to_json()).unwrap(), text);
        assert_eq!(DeletionMark::parse(text.as_bytes(), "m").unwrap(), mark);

        let mark = NoCompactMark::new(id(), 5, reasons::MANUAL, "why");
        let text = r#"{"id":"01M8952SNR4MW2AEEN4TTF9M9R","version":1,"details":"why","no_compact_time":5,"reason":"manual"}"#;
        assert_eq!(String::from_utf8(mark.to_json()).unwrap(), text);
        assert_eq!(NoCompactMark::parse(text.as_bytes(), "m").unwrap(), mark);

        let mark = TenantDeletionMark {
            time_s: 7,
            finished_s: 0,
        };
        assert_eq!(mark.to_json(), br#"{"deletion_time":7}"#);
        let text = br#"{"deletion_time":7,"finished_time":9}"#;
        let finished = TenantDeletionMark::parse(text, "m").unwrap();
        assert_eq!((finished.time_s, finished.finished_s), (7, 9));
        assert_eq!(finished.to_json(), text);
    }

    #[test]
    fn other_versions_are_not_supported() {
        for bytes in [br#"{"version":2}"#.as_slice(), b"{}"] {
            let errors = [
                DeletionMark::parse(bytes, "m").unwrap_err(),
                NoCompactMark::parse(bytes, "m").unwrap_err(),
            ];
            for error in errors {
                assert!(matches!(error, Error::Unsupported { .. }), "{error}");
            }
        }
    }

    #[test]
    fn markers_are_known_by_their_keys() {
        for mark in [Mark::Deletion, Mark::NoCompact] {
            let key = mark.global_key(id());
            assert_eq!(Mark::of_global_key(&key), Some((id(), mark)));
            let name = key.strip_prefix("markers/").unwrap();
            assert_eq!(Mark::of_global_key(name), Some((id(), mark)));
        }
        assert_eq!(
            Mark::Deletion.global_key(id()),
            "markers/01M8952SNR4MW2AEEN4TTF9M9R-deletion-mark.json"
        );
        assert_eq!(
            Mark::NoCompact.block_key(id()),
            "01M8952SNR4MW2AEEN4TTF9M9R/no-compact-mark.json"
        );
        for other in [
            "",
            TenantDeletionMark::KEY,
            "markers/01M8952SNR4MW2AEEN4TTF9M9R",
            "markers/01M8952SNR4MW2AEEN4TTF9M9R-other.json",
            "markers/01m8952snr4mw2aeen4ttf9m9r-deletion-mark.json",
            "markers/01M8952SNR4MW2AEEN4TTF9M9é-deletion-mark.json",
        ] {
            assert_eq!(Mark::of_global_key(other), None, "{other}");
        }
    }
}
