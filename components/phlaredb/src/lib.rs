//! The database of one tenant: a write-ahead log, the head in memory, and the queries over it.
//!
//! Knows nothing of HTTP, the ring, limits of rate or request size, or other tenants. Its callers run
//! it on threads that may compute: everything here is synchronous, except waiting for durability.

mod active;
mod append;
mod baselines;
mod block;
mod budget;
mod checkpoint;
mod chunk;
mod config;
mod cut;
mod database;
mod defined;
mod delta;
mod error;
mod flush;
mod head;
mod index;
mod local;
mod metrics;
mod query;
mod record;
mod replay;
mod series;
mod symbols;
mod tenant_blocks;
mod varint;
pub mod wal;
mod wire;

pub use block::{Block, BlockCache, BucketFiles, BytesRead, StoredBlock, UnopenedBlock};
pub use budget::MemoryBudget;
pub use config::{Config, WalSync};
pub use database::{Commit, Database, Dependencies, Recovery};
pub use error::Error;
pub use flush::FlushError;
pub use head::{Append, PartitionId, Row, Stats};
pub use metrics::Metrics;
pub use phlare_model::query::Analysis;
pub use query::{
    AnalysisPart, Counted, FoundKeys, Keys, PprofMerge, PprofParts, SeriesPart, StepPart, View,
    merge_analyses, merge_series, merge_trees,
};
pub use tenant_blocks::{BlockObjects, FoundMeta, Marks, TenantBlocks, Uploads};
pub use wire::CarriedRowError;
