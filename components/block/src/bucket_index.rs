//! `bucket-index.json.gz`: the blocks of a tenant, so that nobody has to list the bucket.
//!
//! Format: blocks.md 1.5.

use std::io::{self, Read as _, Write as _};

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id::BlockId;
use crate::json::{self, or_default, seconds};
use crate::meta::Meta;

/// Name of the file, below the tenant's blocks.
pub const FILE: &str = "bucket-index.json.gz";

/// The version that is written. In version 1 no block has a shard, before 3 none has a level: an older one is to be made anew.
pub const VERSION: u8 = 3;

/// Name of the file inside of the gzip.
const MEMBER: &str = "bucket-index.json";

/// A block of JSON takes 100 bytes at least and ids do not compress below 10 bytes.
const MAX_RATIO: u64 = 100;

/// The blocks of a tenant at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketIndex {
    /// 1 to [`VERSION`].
    pub version: u8,
    /// All blocks with a `meta.json`, marked or not.
    #[serde(default, deserialize_with = "or_default")]
    pub blocks: Vec<Block>,
    /// Marks of blocks that are to be deleted.
    #[serde(default, deserialize_with = "or_default")]
    pub block_deletion_marks: Vec<BlockDeletionMark>,
    /// When the bucket was last looked through, in seconds since the epoch.
    #[serde(rename = "updated_at", default, deserialize_with = "or_default")]
    pub updated_at_s: i64,
}

/// A block of a [`BucketIndex`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The block.
    #[serde(rename = "block_id")]
    pub id: BlockId,
    /// As [`Meta::min_ms`].
    #[serde(rename = "min_time", default, with = "seconds")]
    pub min_ms: i64,
    /// As [`Meta::max_ms`].
    #[serde(rename = "max_time", default, with = "seconds")]
    pub max_ms: i64,
    /// When its `meta.json` was last written, in seconds since the epoch.
    #[serde(rename = "uploaded_at", default, deserialize_with = "or_default")]
    pub uploaded_at_s: i64,
    /// As [`Meta::shard_id`].
    #[serde(
        rename = "compactor_shard_id",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub shard_id: String,
    /// As [`crate::meta::Compaction::level`].
    #[serde(
        rename = "compaction_level",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "is_zero"
    )]
    pub level: u32,
}

/// Which block is to be deleted, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDeletionMark {
    /// The block.
    #[serde(rename = "block_id")]
    pub id: BlockId,
    /// When it was marked, in seconds since the epoch.
    #[serde(rename = "deletion_time", default, deserialize_with = "or_default")]
    pub time_s: i64,
}

impl Block {
    /// What an index says of a block.
    #[must_use]
    pub fn of(meta: &Meta, uploaded_at_s: i64) -> Self {
        Self {
            id: meta.id,
            min_ms: meta.min_ms,
            max_ms: meta.max_ms,
            uploaded_at_s,
            shard_id: meta.shard_id().to_owned(),
            level: meta.compaction.level,
        }
    }
}

impl BucketIndex {
    /// An index without blocks.
    #[must_use]
    pub fn new(updated_at_s: i64) -> Self {
        Self {
            version: VERSION,
            blocks: Vec::new(),
            block_deletion_marks: Vec::new(),
            updated_at_s,
        }
    }

    /// Whether all is said that the current version says.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.version == VERSION
    }

    /// Reads what [`Self::to_bytes`] wrote; `file` names it in errors. Unknown keys are ignored.
    ///
    /// # Errors
    /// [`Error::Corrupt`], with an offset in the JSON if the gzip is whole; [`Error::Unsupported`] for a newer version.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        let json = inflate(bytes, file)?;
        json::check_version(&json, file, &[1, 2, i64::from(VERSION)])?;
        json::parse(&json, file)
    }

    /// As it is written: JSON without blanks in a gzip.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut gzip = GzBuilder::new()
            .filename(MEMBER)
            .write(Vec::new(), Compression::default());
        let written = gzip.write_all(&json::compact(self));
        written
            .and_then(|()| gzip.finish())
            .expect("memory does not refuse")
    }
}

fn inflate(bytes: &[u8], file: &str) -> Result<Vec<u8>, Error> {
    let limit = (bytes.len() as u64).saturating_mul(MAX_RATIO);
    let mut json = Vec::new();
    let mut gzip = MultiGzDecoder::new(bytes);
    let read = gzip.by_ref().take(limit).read_to_end(&mut json);
    let more = read.and_then(|_| gzip.read(&mut [0]));
    let offset = (bytes.len() - gzip.get_ref().len()) as u64;
    let problem = match more {
        Ok(0) => return Ok(json),
        Ok(_) => format!("the gzip holds more than {MAX_RATIO} times its size"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the gzip ends here".to_owned()
        }
        Err(error) => format!("not a gzip: {error}"),
    };
    Err(Error::corrupt(file, offset, problem))
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testdata;

    const GOLDEN: &str = "v3-golden/bucket-index-by-compactor.json.gz";
    const COMPACTED: &str = "v3-compaction/bucket-after/bucket-index.json.gz";

    #[test]
    fn real_indexes_come_back() {
        for (name, blocks, marks) in [(GOLDEN, 1, 0), (COMPACTED, 6, 4)] {
            let bytes = testdata::file(name);
            let index = BucketIndex::parse(&bytes, name).unwrap();
            assert_eq!(index.blocks.len(), blocks);
            assert_eq!(index.block_deletion_marks.len(), marks);
            assert!(index.is_current());
            let json = inflate(&bytes, name).unwrap();
            assert_eq!(
                String::from_utf8_lossy(&json::compact(&index)),
                String::from_utf8_lossy(&json)
            );
            let written = index.to_bytes();
            // Magic, method, flags, time, system, and the name up to its end.
            let header = 10 + MEMBER.len() + 1;
            assert_eq!(written[..header], bytes[..header]);
            assert_eq!(inflate(&written, name).unwrap(), json);
        }
    }

    #[test]
    fn an_index_says_what_meta_says() {
        let id = "01M88WD8G0QM8RF1TXFGG0ADCJ";
        let name = format!("v3-compaction/output/anonymous/phlaredb/{id}/meta.json");
        let meta = Meta::parse(&testdata::file(&name), &name).unwrap();
        let index = BucketIndex::parse(&testdata::file(COMPACTED), COMPACTED).unwrap();
        assert!(index.blocks.contains(&Block::of(&meta, 1_795_603_662)));
    }

    #[test]
    fn older_versions_are_read_and_newer_ones_are_not_supported() {
        let with = |version: &str| {
            let json = format!(
                r#"{{{version}"blocks":null,"more":{{}},"block_deletion_marks":[],"updated_at":5}}"#
            );
            let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
            gzip.write_all(json.as_bytes()).unwrap();
            BucketIndex::parse(&gzip.finish().unwrap(), "index")
        };
        for version in 1..=3 {
            let index = with(&format!("\"version\":{version},")).unwrap();
            assert_eq!((index.version, index.updated_at_s), (version, 5));
            assert_eq!(index.is_current(), version == 3);
        }
        for version in ["", "\"version\":0,", "\"version\":4,"] {
            let error = with(version).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        }
    }

    #[test]
    fn any_damage_is_noticed() {
        let whole = testdata::file(GOLDEN);
        let index = BucketIndex::parse(&whole, GOLDEN).unwrap();
        for length in 0..whole.len() {
            let error = BucketIndex::parse(&whole[..length], "cut").unwrap_err();
            let Error::Corrupt { offset, .. } = error else {
                panic!("{error}");
            };
            assert!(offset <= length as u64);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            // The header holds a time, a system and a name that nobody reads.
            let read = BucketIndex::parse(&bytes, "flipped");
            assert!(read.is_err() || at < 28 && read.unwrap() == index, "{at}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&vec![b' '; 1 << 20]).unwrap();
        let error = BucketIndex::parse(&gzip.finish().unwrap(), "bomb").unwrap_err();
        assert!(error.to_string().contains("100 times"), "{error}");
    }

    #[test]
    fn hostile_bucket_index_is_read_or_refused() {
        bolero::check!(name = "bucket_index")
            .with_iterations(20_000)
            .for_each(|bytes: &[u8]| {
                let _ = BucketIndex::parse(bytes, "index");
                // The same as JSON, which chance does not find through a checksum.
                let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
                gzip.write_all(bytes).unwrap();
                let _ = BucketIndex::parse(&gzip.finish().unwrap(), "index");
            });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            blocks in prop::collection::vec(
                (any::<[u8; 16]>(), -(1_i64 << 50)..1 << 50, any::<(i64, u32)>(), "|[1-9]_of_9"),
                0..20,
            ),
            marks in prop::collection::vec(any::<([u8; 16], i64)>(), 0..5),
            updated_at_s: i64,
        ) {
            let block = |(id, min_ms, (uploaded_at_s, level), shard_id)| Block {
                id: BlockId::from_bytes(id),
                min_ms,
                max_ms: min_ms + 1,
                uploaded_at_s,
                shard_id,
                level,
            };
            let mark = |(id, time_s)| BlockDeletionMark { id: BlockId::from_bytes(id), time_s };
            let index = BucketIndex {
                blocks: blocks.into_iter().map(block).collect(),
                block_deletion_marks: marks.into_iter().map(mark).collect(),
                ..BucketIndex::new(updated_at_s)
            };
            prop_assert_eq!(BucketIndex::parse(&index.to_bytes(), "index").unwrap(), index);
        }
    }
}
