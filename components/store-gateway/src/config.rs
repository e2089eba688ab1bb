//! Settings; YAML section `store_gateway`, flags `-blocks-storage.bucket-store.*`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use phlare_model::time::duration;
use phlare_ring::StoreGatewayRing;
use serde::{Deserialize, Serialize};

/// Settings of the store-gateway.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How blocks are found.
    #[command(flatten)]
    pub bucket_store: BucketStore,

    /// Those who share the blocks.
    #[command(flatten)]
    pub sharding_ring: StoreGatewayRing,
}

/// How blocks are found and kept.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct BucketStore {
    /// Directory of `meta.json` copies, so that a restart need not read them again.
    #[arg(long = "blocks-storage.bucket-store.sync-dir", value_name = "DIR")]
    pub sync_dir: PathBuf,

    /// How often the bucket is listed.
    #[arg(long = "blocks-storage.bucket-store.sync-interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub sync_interval: Duration,

    /// Tenants whose blocks are listed at once.
    #[arg(
        long = "blocks-storage.bucket-store.tenant-sync-concurrency",
        value_name = "NUMBER"
    )]
    pub tenant_sync_concurrency: usize,

    /// `meta.json` files of a tenant that are read at once.
    #[arg(
        long = "blocks-storage.bucket-store.meta-sync-concurrency",
        value_name = "NUMBER"
    )]
    pub meta_sync_concurrency: usize,

    /// Blocks that begin later than this long ago are ignored. 0: none is, and what was just uploaded is seen at once.
    #[arg(long = "blocks-storage.bucket-store.ignore-blocks-within", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub ignore_blocks_within: Duration,

    /// How long a block that is marked for deletion is still used.
    #[arg(long = "blocks-storage.bucket-store.ignore-deletion-marks-delay", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub ignore_deletion_mark_delay: Duration,

    /// Memory for indexes, table footers and symbols of blocks, in bytes.
    #[arg(long = "blocks-storage.bucket-store.cache-bytes", value_name = "BYTES")]
    pub cache_bytes: u64,
}

impl Default for BucketStore {
    fn default() -> Self {
        Self {
            sync_dir: PathBuf::from("./data/pyroscope-sync"),
            sync_interval: Duration::from_secs(15 * 60),
            tenant_sync_concurrency: 10,
            meta_sync_concurrency: 20,
            ignore_blocks_within: Duration::ZERO,
            ignore_deletion_mark_delay: Duration::from_secs(30 * 60),
            cache_bytes: 512 << 20,
        }
    }
}
