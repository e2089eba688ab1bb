//! Settings of the databases; YAML section `pyroscopedb`, flags `-pyroscopedb.*`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use phlare_model::flag::go_bool;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

use crate::wal;

/// When a push is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalSync {
    /// After the log is on the disk: survives a power cut.
    #[default]
    Always,
    /// After the operating system has it: survives the end of the process; on the disk every `-pyroscopedb.wal-sync-interval`.
    Interval,
    /// After the operating system has it, which writes it when it likes.
    Never,
}

/// Settings of the databases.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory of the tenants' databases.
    #[arg(long = "pyroscopedb.data-path", value_name = "DIR")]
    pub data_path: PathBuf,

    /// Length of a time slot: a block has profiles of one slot, and a head is cut when its slot is over.
    #[arg(long = "pyroscopedb.max-block-duration", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub max_block_duration: Duration,

    /// When a push is acknowledged: `always` after the log is on the disk, `interval` or `never` after the operating system has it.
    #[arg(long = "pyroscopedb.wal-sync", value_name = "POLICY")]
    pub wal_sync: WalSync,

    /// How often the log goes to the disk under `-pyroscopedb.wal-sync=interval`.
    #[arg(long = "pyroscopedb.wal-sync-interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub wal_sync_interval: Duration,

    /// Size at which a new log segment begins, in bytes.
    #[arg(long = "pyroscopedb.wal-segment-bytes", value_name = "BYTES")]
    pub wal_segment_bytes: u64,

    /// Memory at which the head of one tenant is cut into a block, in bytes; 0: it is cut by time alone.
    #[arg(long = "pyroscopedb.head-target-bytes", value_name = "BYTES")]
    pub head_target_bytes: usize,

    /// How long a block stays on the local disk after its upload.
    #[arg(long = "pyroscopedb.local-block-retention", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub local_block_retention: Duration,

    /// Uploaded blocks are deleted early, the oldest first, when less than this is free, in GiB, and less than
    /// `-pyroscopedb.retention-policy-min-disk-available-percentage`.
    #[arg(
        long = "pyroscopedb.retention-policy-min-free-disk-gb",
        value_name = "GIB"
    )]
    pub min_free_disk_gb: u64,

    /// See `-pyroscopedb.retention-policy-min-free-disk-gb`; 0.05 is 5 %.
    #[arg(
        long = "pyroscopedb.retention-policy-min-disk-available-percentage",
        value_name = "SHARE"
    )]
    pub min_disk_available_percentage: f64,

    /// How often local blocks are looked through for those that may go.
    #[arg(long = "pyroscopedb.retention-policy-enforcement-interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub enforcement_interval: Duration,

    /// Keeps local blocks however full the disk is.
    #[arg(long = "pyroscopedb.retention-policy-disable", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = clap::ArgAction::Set, value_parser = go_bool)]
    pub disable_enforcement: bool,

    /// Memory that the head of one tenant may hold, in bytes; 0 is unlimited.
    #[arg(long = "pyroscopedb.head-max-bytes-per-tenant", value_name = "BYTES")]
    pub head_max_bytes_per_tenant: usize,

    /// Memory that the heads of all tenants may hold, in bytes; 0 is unlimited.
    #[arg(long = "pyroscopedb.head-max-bytes", value_name = "BYTES")]
    pub head_max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_path: PathBuf::from("./data"),
            max_block_duration: Duration::from_secs(3600),
            wal_sync: WalSync::Always,
            wal_sync_interval: Duration::from_millis(200),
            wal_segment_bytes: 64 << 20,
            head_target_bytes: 512 << 20,
            local_block_retention: Duration::from_secs(3600),
            min_free_disk_gb: 10,
            min_disk_available_percentage: 0.05,
            enforcement_interval: Duration::from_secs(300),
            disable_enforcement: false,
            head_max_bytes_per_tenant: 2 << 30,
            head_max_bytes: 4 << 30,
        }
    }
}

impl Config {
    pub(crate) fn wal_options(&self) -> wal::Options {
        let sync = match self.wal_sync {
            WalSync::Always => wal::SyncPolicy::Always,
            WalSync::Interval => wal::SyncPolicy::Interval(self.wal_sync_interval),
            WalSync::Never => wal::SyncPolicy::Never,
        };
        wal::Options {
            sync,
            segment_bytes: self.wal_segment_bytes,
            ..wal::Options::default()
        }
    }
}
