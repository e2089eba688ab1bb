//! One bucket, and what can be done with it.

mod attempt;
mod read;
mod transfer;

use std::fmt;
use std::ops::Range;
use std::path::Path as LocalPath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt, PutPayload};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Failure, Operation};
use crate::retries::Retries;
use crate::source::Source;

/// An object in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key, without the bucket's prefix.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// When it was written, in milliseconds since the epoch.
    pub modified_unix_ms: i64,
}

/// How ranges are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Ranges with at most so many bytes between them are read at once.
    pub gap: u64,
    /// Most requests of one call at a time.
    pub concurrency: usize,
}

/// One bucket: metered, with retries, below a prefix. Cheap to clone.
///
/// Keys are paths without `.`, `..`, empty segments and control characters. Every operation is
/// finished or failed when it returns; dropping its future gives it up.
#[derive(Clone, Debug)]
pub struct Bucket {
    source: Arc<Source>,
    retries: Retries,
    reads: Reads,
}

impl Bucket {
    pub(crate) fn new(source: Source, reads: Reads) -> Self {
        Self {
            source: Arc::new(source),
            retries: Retries::default(),
            reads,
        }
    }

    /// The same bucket, tried so often and so long.
    #[must_use]
    pub fn with_retries(&self, retries: Retries) -> Self {
        Self {
            retries,
            ..self.clone()
        }
    }

    /// The same bucket, its ranges read so.
    #[must_use]
    pub fn with_reads(&self, reads: Reads) -> Self {
        Self {
            reads,
            ..self.clone()
        }
    }

    /// Bucket and key, for messages: ``s3 bucket `x`, key `a/b` ``.
    #[must_use]
    pub fn location(&self, key: &str) -> String {
        self.source.place.location(key)
    }

    /// Reads a whole object into memory.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        self.metered(Operation::Get, async {
            let path = self.path(Operation::Get, key)?;
            self.tried(Operation::Get, key, |opened| {
                let path = path.clone();
                async move { self.whole(&opened, &path).await }
            })
            .await
        })
        .await
    }

    /// Reads one range of an object.
    ///
    /// # Errors
    /// As [`Self::get_ranges`].
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let read = self.get_ranges(key, std::slice::from_ref(&range)).await?;
        Ok(read.into_iter().next().unwrap_or_default())
    }

    /// Reads ranges of an object, in the order asked for. Close ones are read at once, see [`Reads`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Truncated`] if the object ends before a range does.
    pub async fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        self.metered(Operation::GetRanges, self.ranges(key, ranges))
            .await
    }

    /// Size and time of an object.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none. S3 answers the same if there is no bucket.
    pub async fn head(&self, key: &str) -> Result<Object, Error> {
        let meta = self
            .metered(Operation::Head, self.look_up(Operation::Head, key))
            .await?;
        Ok(object(key, &meta))
    }

    /// Whether there is an object. S3 says no, too, if there is no bucket.
    ///
    /// # Errors
    /// If the store does not say.
    pub async fn exists(&self, key: &str) -> Result<bool, Error> {
        let looked = self
            .metered(Operation::Exists, self.look_up(Operation::Exists, key))
            .await;
        match looked {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes an object, or replaces it. It is durable when this returns.
    ///
    /// # Errors
    /// If it may not be there; a reader sees the whole object or what was there before.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.metered(Operation::Put, self.write(Operation::Put, key, &bytes))
            .await
    }

    /// Writes a file as an object and returns its size. Large files go in parts; memory is bounded whatever their size.
    ///
    /// # Errors
    /// As [`Self::put`]; [`ErrorKind::LocalFile`] if the file cannot be read.
    pub async fn upload(&self, key: &str, local: &LocalPath) -> Result<u64, Error> {
        self.metered(Operation::Upload, self.send(key, local)).await
    }

    /// Writes an object into a file and returns its size. The file has its name only when it is complete.
    ///
    /// # Errors
    /// As [`Self::get`]; [`ErrorKind::LocalFile`] if the file cannot be written.
    pub async fn download(&self, key: &str, local: &LocalPath) -> Result<u64, Error> {
        self.metered(Operation::Download, self.fetch(key, local))
            .await
    }

    /// Deletes an object. It is fine if there is none.
    ///
    /// # Errors
    /// If it may still be there.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        self.metered(Operation::Delete, async {
            let path = self.path(Operation::Delete, key)?;
            let deleted = self
                .tried(Operation::Delete, key, |opened| {
                    let path = path.clone();
                    async move {
                        let silence = self.retries.silence;
                        self.answered(silence, opened.store.delete(&path)).await
                    }
                })
                .await;
            match deleted {
                Err(error) if error.is_not_found() => Ok(()),
                other => other,
            }
        })
        .await
    }

    /// All objects below a directory, however deep, sorted by key; with an empty prefix, all there are.
    ///
    /// # Errors
    /// If the store does not name them all.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, Error> {
        self.metered(Operation::List, async {
            let path = self.path(Operation::List, prefix)?;
            let listed = self
                .tried(Operation::List, prefix, |opened| {
                    let path = path.clone();
                    async move {
                        let mut objects = Vec::new();
                        let mut stream = opened.store.list(Some(&path));
                        let silence = self.retries.silence;
                        while let Some(meta) = self.quiet_at_most(silence, stream.next()).await? {
                            let meta = meta.map_err(|error| self.failure(&error))?;
                            let key = self.source.place.own_key(meta.location.as_ref());
                            objects.extend(key.map(|key| object(key, &meta)));
                        }
                        self.is_there(objects.is_empty())?;
                        Ok(objects)
                    }
                })
                .await;
            let mut objects = listed?;
            objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Ok(objects)
        })
        .await
    }

    /// Names of the directories directly below a directory, sorted; with an empty prefix, those at the top.
    ///
    /// # Errors
    /// If the store does not name them all.
    pub async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.metered(Operation::List, async {
            let path = self.path(Operation::List, prefix)?;
            let listed = self
                .tried(Operation::List, prefix, |opened| {
                    let path = path.clone();
                    async move {
                        let silence = self.retries.within;
                        let listing = opened.store.list_with_delimiter(Some(&path));
                        let listing = self.answered(silence, listing).await?;
                        self.is_there(listing.common_prefixes.is_empty())?;
                        Ok(listing.common_prefixes)
                    }
                })
                .await;
            let name = |path: &Path| path.filename().map(str::to_owned);
            let mut names: Vec<String> = listed?.iter().filter_map(name).collect();
            names.sort_unstable();
            names.dedup();
            Ok(names)
        })
        .await
    }

    async fn look_up(&self, operation: Operation, key: &str) -> Result<ObjectMeta, Error> {
        let path = self.path(operation, key)?;
        self.tried(operation, key, |opened| {
            let path = path.clone();
            async move {
                let silence = self.retries.silence;
                self.answered(silence, opened.store.head(&path)).await
            }
        })
        .await
    }

    async fn write(&self, operation: Operation, key: &str, bytes: &Bytes) -> Result<(), Error> {
        let path = self.path(operation, key)?;
        self.tried(operation, key, |opened| {
            let (path, payload) = (path.clone(), PutPayload::from_bytes(bytes.clone()));
            async move {
                let silence = self.retries.silence;
                self.answered(silence, opened.store.put(&path, payload))
                    .await?;
                Ok(())
            }
        })
        .await
    }

    /// Counts an operation and measures it.
    async fn metered<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let metrics = self.source.metrics.of(operation);
        metrics.operations.inc();
        let start = Instant::now();
        let outcome = work.await;
        metrics.seconds.observe(start.elapsed().as_secs_f64());
        if outcome.as_ref().is_err_and(|error| !error.is_not_found()) {
            metrics.failures.inc();
        }
        outcome
    }

    /// The path of a key, as it is: nothing is escaped on the way to the store.
    fn path(&self, operation: Operation, key: &str) -> Result<Path, Error> {
        let full = self.source.place.full_key(key);
        let wrong = |problem: String| {
            let failure = Failure::new(ErrorKind::Invalid, problem);
            Error::new(&self.source.place, operation, key, 1, failure)
        };
        let is_directory = operation == Operation::List;
        if key.starts_with('/') || (!is_directory && (key.is_empty() || key.ends_with('/'))) {
            return Err(wrong(format!(
                "{key:?} is no key: it is empty, or begins or ends with `/`"
            )));
        }
        Path::parse(&full).map_err(|error| wrong(error.to_string()))
    }

    fn failure(&self, error: &object_store::Error) -> Failure {
        let failure = Failure::of_store(&self.source.place, error);
        match failure.kind {
            ErrorKind::NotFound => self.is_there(true).err().unwrap_or(failure),
            _ => failure,
        }
    }

    /// Finding nothing means nothing if the whole directory is gone.
    fn is_there(&self, nothing: bool) -> Result<(), Failure> {
        match nothing && self.source.place.is_gone() {
            true => Err(Failure::new(
                ErrorKind::NoBucket,
                "there is no such directory",
            )),
            false => Ok(()),
        }
    }
}

/// As messages name it, with its server.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.place.fmt(f)
    }
}

fn object(key: &str, meta: &ObjectMeta) -> Object {
    Object {
        key: key.to_owned(),
        size: meta.size,
        modified_unix_ms: meta.last_modified.timestamp_millis(),
    }
}
