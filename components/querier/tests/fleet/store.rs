//! A store that fails as it is told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use parking_lot::Mutex;
use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, MetadataQuery, ProfileStats};
use phlare_model::{ErrorKind, MergeQuery, SeriesQuery, TenantId, TimeRange};
use phlare_phlaredb::{AnalysisPart, Counted, FoundKeys, PprofParts, SeriesPart};
use phlare_querier::{EncodedTree, ListedBlock, LocalStore, Reply, Share, Store};
use phlare_ring::InstanceId;
use phlare_server::Status;
use tokio::sync::Notify;

/// What happens to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Fine,
    Fails,
    Hangs,
    /// A profile that it said it has is not counted.
    Forgets,
}

/// A store with moods: calls for lists and keys, and calls that answer from keys, each have their own.
#[derive(Debug)]
pub(crate) struct Moody {
    inner: LocalStore,
    first: Mutex<Mood>,
    second: Mutex<Mood>,
    /// Moods of the next second calls; after these it is as `second` says.
    next: Mutex<VecDeque<Mood>>,
    pub(crate) calls: AtomicUsize,
    pub(crate) dropped: Notify,
    pub(crate) hanging: Notify,
}

struct OnDrop<'a>(&'a Notify);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Moody {
    pub(crate) fn new(inner: LocalStore) -> Arc<Self> {
        Arc::new(Self {
            inner,
            first: Mutex::default(),
            second: Mutex::default(),
            next: Mutex::default(),
            calls: AtomicUsize::new(0),
            dropped: Notify::new(),
            hanging: Notify::new(),
        })
    }

    pub(crate) fn set(&self, first: Mood, second: Mood) {
        *self.first.lock() = first;
        *self.second.lock() = second;
    }

    /// The next calls of the second kind.
    pub(crate) fn then(&self, moods: impl IntoIterator<Item = Mood>) {
        self.next.lock().extend(moods);
    }

    async fn feel(&self, mood: Mood) -> Result<(), Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match mood {
            Mood::Fine | Mood::Forgets => Ok(()),
            Mood::Fails => Err(Status::new(ErrorKind::Unavailable, "told to fail")),
            Mood::Hangs => {
                let _guard = OnDrop(&self.dropped);
                self.hanging.notify_one();
                std::future::pending().await
            }
        }
    }

    fn early<'a, T: Send + 'a>(&'a self, reply: Reply<'a, T>) -> Reply<'a, T> {
        async move {
            let mood = *self.first.lock();
            self.feel(mood).await?;
            reply.await
        }
        .boxed()
    }

    fn late<'a, T: Send + 'a>(&'a self, reply: Reply<'a, Counted<T>>) -> Reply<'a, Counted<T>> {
        async move {
            let next = self.next.lock().pop_front();
            let mood = next.unwrap_or(*self.second.lock());
            self.feel(mood).await?;
            let mut counted = reply.await?;
            if mood == Mood::Forgets {
                counted.profiles = counted.profiles.saturating_sub(1);
            }
            Ok(counted)
        }
        .boxed()
    }
}

impl Store for Moody {
    fn instance(&self) -> &InstanceId {
        self.inner.instance()
    }

    fn keys<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a AnalyzeQuery,
        limit: usize,
    ) -> Reply<'a, FoundKeys> {
        self.early(self.inner.keys(share, query, limit))
    }

    fn select_tree<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MergeQuery,
    ) -> Reply<'a, Counted<Vec<EncodedTree>>> {
        self.late(self.inner.select_tree(share, query))
    }

    fn select_pprof<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MergeQuery,
    ) -> Reply<'a, Counted<PprofParts>> {
        self.late(self.inner.select_pprof(share, query))
    }

    fn select_series<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a SeriesQuery,
    ) -> Reply<'a, Counted<Vec<SeriesPart>>> {
        self.late(self.inner.select_series(share, query))
    }

    fn analyze<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a AnalyzeQuery,
    ) -> Reply<'a, Counted<AnalysisPart>> {
        self.late(self.inner.analyze(share, query))
    }

    fn label_names<'a>(
        &'a self,
        share: Share<'a>,
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<String>> {
        self.early(self.inner.label_names(share, query))
    }

    fn label_values<'a>(
        &'a self,
        share: Share<'a>,
        name: &'a str,
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<String>> {
        self.early(self.inner.label_values(share, name, query))
    }

    fn series<'a>(
        &'a self,
        share: Share<'a>,
        names: &'a [String],
        query: &'a MetadataQuery,
    ) -> Reply<'a, Vec<Labels>> {
        self.early(self.inner.series(share, names, query))
    }

    fn stats<'a>(&'a self, share: Share<'a>) -> Reply<'a, ProfileStats> {
        self.early(self.inner.stats(share))
    }

    fn blocks<'a>(
        &'a self,
        tenant: &'a TenantId,
        range: Option<TimeRange>,
    ) -> Reply<'a, Vec<ListedBlock>> {
        self.early(self.inner.blocks(tenant, range))
    }
}
