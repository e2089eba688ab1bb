//! Whoever holds profiles and answers for them: this process, or another one.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use phlare_block::{BlockId, Meta};
use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::{MergeQuery, SeriesQuery, TenantId, TimeRange};
use phlare_phlaredb::{AnalysisPart, Counted, FoundKeys, Keys, PprofParts, SeriesPart};
use phlare_ring::InstanceId;
use phlare_server::Status;

/// An answer on its way. Dropping it gives the question up.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, Status>>;

/// A symbol partition, and the bytes of its call tree.
pub type EncodedTree = (u64, Vec<u8>);

/// What a store is to answer from.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// Whose profiles.
    pub tenant: &'a TenantId,
    /// Those in these blocks; `None`: in all that the store has.
    pub blocks: Option<&'a [BlockId]>,
    /// Those with these keys, each once; `None`: all.
    pub keys: Option<&'a Arc<Keys>>,
}

impl<'a> Share<'a> {
    /// All that a store has of a tenant.
    #[must_use]
    pub fn all(tenant: &'a TenantId) -> Self {
        Self {
            tenant,
            blocks: None,
            keys: None,
        }
    }
}

/// A block of the bucket, as far as whoever plans a query has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBlock {
    /// Its id.
    pub id: BlockId,
    /// Times of its profiles.
    pub times: TimeRange,
    /// How often it was merged.
    pub level: u32,
    /// The blocks of level 1 that it was made of.
    pub sources: Vec<BlockId>,
    /// Which part of what was made of them; empty if it is the whole.
    pub shard: String,
}

impl From<&Meta> for ListedBlock {
    fn from(meta: &Meta) -> Self {
        Self {
            id: meta.id,
            times: TimeRange {
                start_ms: meta.min_ms,
                end_ms: meta.max_ms,
            },
            level: meta.compaction.level,
            sources: meta.compaction.sources.clone(),
            shard: meta.shard_id().to_owned(),
        }
    }
}

/// An instance that holds profiles of tenants. Every call fails as queries of [`crate::Querier`] do, and with
/// `Unavailable` if one of the blocks that it is about is not there.
pub trait Store: Send + Sync + fmt::Debug {
    /// Its name in its ring.
    fn instance(&self) -> &InstanceId;

    /// Which profiles it has; more than `limit` are an error.
    fn keys<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a AnalyzeQuery,
        limit: usize,
    ) -> Reply<'a, FoundKeys>;

    /// Call trees for [`phlare_phlaredb::merge_trees`].
    fn select_tree<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MergeQuery,
    ) -> Reply<'a, Counted<Vec<EncodedTree>>>;

    /// Parts for [`phlare_phlaredb::PprofMerge`].
    fn select_pprof<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MergeQuery,
    ) -> Reply<'a, Counted<PprofParts>>;

    /// Sums for [`phlare_phlaredb::merge_series`].
    fn select_series<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a SeriesQuery,
    ) -> Reply<'a, Counted<Vec<SeriesPart>>>;

    /// How much it would read, for [`phlare_phlaredb::merge_analyses`].
    fn analyze<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a AnalyzeQuery,
    ) -> Reply<'a, Counted<AnalysisPart>>;

    /// Names of labels; keys don't count here and below.
    fn label_names<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<String>>;

    /// Values of a label.
    fn label_values<'a>(
        &'a self,
        share: Share<'a>,
        name: &'a str,
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<String>>;

    /// Label sets, reduced to `names` unless that is empty.
    fn series<'a>(
        &'a self,
        share: Share<'a>,
        names: &'a [String],
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<Labels>>;

    /// Times of the oldest and the newest profile.
    fn stats<'a>(&'a self, share: Share<'a>) -> Reply<'a, ProfileStats>;

    /// The blocks of the bucket that may have profiles of a range; superseded ones are left out.
    fn blocks<'a>(
        &'a self,
        tenant: &'a TenantId,
        range: Option<TimeRange>,
    ) -> Reply<'a, Vec<ListedBlock>>;
}
