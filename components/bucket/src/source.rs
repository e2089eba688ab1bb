//! The store behind a bucket: opened when it is first needed, and anew when its credentials or its region were wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Failure;
use crate::metrics::BucketMetrics;
use crate::place::Place;

/// Credentials that a store refuses are asked for again at most this often.
const RENEWAL: Duration = Duration::from_secs(10);

/// S3 counts parts to 10 000.
const MOST_PARTS: u64 = 9_000;

/// A store that can be asked.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Uploads in parts that can be tried one by one.
    pub(crate) parts: Option<Arc<dyn MultipartStore>>,
    /// Most parts of one object.
    pub(crate) most_parts: u64,
    /// When it must be opened anew because its credentials end.
    pub(crate) until: Option<Instant>,
    /// The region it was opened for.
    pub(crate) region: Option<String>,
}

impl Opened {
    /// A store that uploads in parts.
    pub(crate) fn with_parts<S: ObjectStore + MultipartStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            parts: Some(Arc::clone(&store) as Arc<dyn MultipartStore>),
            ..Self::new(store)
        }
    }

    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            parts: None,
            most_parts: MOST_PARTS,
            until: None,
            region: None,
        }
    }
}

/// How a store is opened.
pub(crate) trait Open: Send + Sync {
    /// Opens it; with the region in which the server says that the bucket is.
    fn open<'a>(&'a self, region: Option<&'a str>) -> BoxFuture<'a, Result<Opened, Failure>>;

    /// Whether it can be opened for another region than that of the settings.
    fn follows_region(&self) -> bool {
        false
    }
}

/// A store that is what it is.
pub(crate) struct Fixed(pub(crate) Opened);

impl Open for Fixed {
    fn open<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// The store behind a bucket.
pub(crate) struct Source {
    pub(crate) place: Place,
    pub(crate) metrics: BucketMetrics,
    current: ArcSwapOption<Opened>,
    opener: Box<dyn Open>,
    /// When it was last opened anew for want of other credentials; also keeps two from opening it at a time.
    renewed: Mutex<Option<Instant>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Source {
    pub(crate) fn new(place: Place, metrics: BucketMetrics, opener: Box<dyn Open>) -> Self {
        Self {
            place,
            metrics,
            current: ArcSwapOption::empty(),
            opener,
            renewed: Mutex::new(None),
        }
    }

    /// The store; opened if it is not, or not for much longer.
    pub(crate) async fn opened(&self) -> Result<Arc<Opened>, Failure> {
        if let Some(opened) = self.current() {
            return Ok(opened);
        }
        let _one = self.renewed.lock().await;
        if let Some(opened) = self.current() {
            return Ok(opened);
        }
        let region = self
            .current
            .load()
            .as_ref()
            .and_then(|opened| opened.region.clone());
        self.open(region.as_deref()).await
    }

    fn current(&self) -> Option<Arc<Opened>> {
        let opened = self.current.load_full()?;
        let lasts = opened.until.is_none_or(|until| Instant::now() < until);
        lasts.then_some(opened)
    }

    async fn open(&self, region: Option<&str>) -> Result<Arc<Opened>, Failure> {
        let opened = Arc::new(self.opener.open(region).await?);
        self.current.store(Some(Arc::clone(&opened)));
        Ok(opened)
    }

    /// Whether the store that refused was replaced by one that may not.
    pub(crate) async fn mend(&self, refused: &Arc<Opened>, failure: &Failure) -> bool {
        let elsewhere = failure.region.as_deref().filter(|region| {
            self.opener.follows_region() && refused.region.as_deref() != Some(region)
        });
        let stale = failure.exchange.is_none()
            && self.place.credentials.source.renewable()
            && may_be_stale(failure);
        if elsewhere.is_none() && !stale {
            return false;
        }
        let mut renewed = self.renewed.lock().await;
        if self
            .current
            .load()
            .as_ref()
            .is_none_or(|current| !Arc::ptr_eq(current, refused))
        {
            // Somebody else was faster.
            return true;
        }
        let now = Instant::now();
        if elsewhere.is_none() {
            if renewed.is_some_and(|last| now.duration_since(last) < RENEWAL) {
                return false;
            }
            *renewed = Some(now);
        }
        let region = elsewhere.or(refused.region.as_deref());
        self.open(region).await.is_ok()
    }
}

/// Whether other credentials of the same kind may be taken where these were not.
fn may_be_stale(failure: &Failure) -> bool {
    match (failure.status, failure.code.as_deref()) {
        (Some(401), _) => true,
        (_, Some(code)) => [
            "ExpiredToken",
            "InvalidToken",
            "TokenRefreshRequired",
            "InvalidAccessKeyId",
            "AuthenticationFailed",
            "InvalidAuthenticationInfo",
        ]
        .contains(&code),
        // An answer to HEAD has no body to name a reason.
        (Some(400 | 403), None) => true,
        _ => false,
    }
}
