//! Files to objects and back, piece by piece.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::Bucket;
use crate::error::{Error, Failure, Operation};

/// A piece of a file, unless the file is so large that a store could not count the pieces.
const PIECE: u64 = 8 << 20;
/// Files up to this size go in one request.
const WHOLE: u64 = 2 * PIECE;
/// Pieces of one file that are on their way at the same time.
const PIECES_AT_A_TIME: usize = 4;

impl Bucket {
    /// See [`Bucket::upload`].
    pub(super) async fn send(&self, key: &str, local: &LocalPath) -> Result<u64, Error> {
        let operation = Operation::Upload;
        let path = self.path(operation, key)?;
        let open = local.to_owned();
        let opened = blocking(move || {
            let file = File::open(open)?;
            let size = file.metadata()?.len();
            Ok((Arc::new(file), size))
        });
        let (file, size) = opened
            .await
            .map_err(|error| self.local(operation, key, local, &error))?;
        let file = Pieces { file, size, local };
        if size <= WHOLE {
            let bytes = self.piece(key, &file, 0..size).await?;
            self.write(operation, key, &bytes).await?;
            return Ok(size);
        }
        let most_parts = self
            .tried(operation, key, |opened| async move {
                Ok(opened.parts.as_ref().map(|_| opened.most_parts))
            })
            .await?;
        match most_parts {
            Some(most) => {
                self.send_parts(key, &path, &file, pieces(size, most))
                    .await?
            }
            None => {
                self.send_stream(key, &path, &file, pieces(size, u64::MAX))
                    .await?
            }
        }
        Ok(size)
    }

    /// Parts in any order, each tried on its own.
    async fn send_parts(
        &self,
        key: &str,
        path: &Path,
        file: &Pieces<'_>,
        pieces: impl Iterator<Item = Range<u64>>,
    ) -> Result<(), Error> {
        let operation = Operation::Upload;
        let silence = self.retries.silence;
        let id = self
            .tried(operation, key, |opened| async move {
                let store = opened.parts.as_ref().ok_or_else(Failure::no_parts)?;
                self.answered(silence, store.create_multipart(path)).await
            })
            .await?;
        let id = &id;
        let part = |(number, range): (usize, Range<u64>)| async move {
            let bytes = self.piece(key, file, range).await?;
            self.tried(operation, key, |opened| {
                let payload = PutPayload::from_bytes(bytes.clone());
                async move {
                    let store = opened.parts.as_ref().ok_or_else(Failure::no_parts)?;
                    self.answered(silence, store.put_part(path, id, number, payload))
                        .await
                }
            })
            .await
        };
        let sent = async {
            let parts: Vec<_> = stream::iter(pieces.enumerate())
                .map(part)
                .buffered(PIECES_AT_A_TIME)
                .try_collect()
                .await?;
            self.finish(key, path, id, parts, file).await
        };
        let outcome = sent.await;
        if outcome.is_err() {
            self.abandon(path, id).await;
        }
        outcome
    }

    /// Makes an object of the parts.
    async fn finish(
        &self,
        key: &str,
        path: &Path,
        id: &String,
        parts: Vec<object_store::multipart::PartId>,
        file: &Pieces<'_>,
    ) -> Result<(), Error> {
        let operation = Operation::Upload;
        let silence = self.retries.silence;
        let finished = self
            .tried(operation, key, |opened| {
                let parts = parts.clone();
                async move {
                    let store = opened.parts.as_ref().ok_or_else(Failure::no_parts)?;
                    self.answered(silence, store.complete_multipart(path, id, parts))
                        .await
                }
            })
            .await;
        match finished {
            Ok(_) => Ok(()),
            // The first try may have succeeded without its answer reaching us.
            Err(error) if error.tries() > 1 && error.is_not_found() => {
                match self.look_up(operation, key).await {
                    Ok(meta) if meta.size == file.size => Ok(()),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Parts that nobody will ever read cost money; a store that cannot drop them now has rules that do.
    async fn abandon(&self, path: &Path, id: &String) {
        if let Ok(opened) = self.source.opened().await
            && let Some(store) = &opened.parts
        {
            let dropped = self
                .answered(self.retries.silence, store.abort_multipart(path, id))
                .await;
            if let Err(failure) = dropped {
                tracing::debug!(key = path.as_ref(), %failure, "parts of a failed upload stay");
            }
        }
    }

    /// Pieces in their order, for stores that do not take them in another.
    async fn send_stream(
        &self,
        key: &str,
        path: &Path,
        file: &Pieces<'_>,
        pieces: impl Iterator<Item = Range<u64>> + Clone,
    ) -> Result<(), Error> {
        let operation = Operation::Upload;
        self.tried(operation, key, |opened| {
            let pieces = pieces.clone();
            async move {
                let silence = self.retries.silence;
                let started = opened.store.put_multipart(path);
                let mut upload = self.answered(silence, started).await?;
                let sent = async {
                    for range in pieces {
                        let bytes = file
                            .read(range)
                            .await
                            .map_err(|e| Failure::local(file.local, &e))?;
                        self.answered(silence, upload.put_part(PutPayload::from_bytes(bytes)))
                            .await?;
                    }
                    self.answered(silence, upload.complete()).await
                };
                match sent.await {
                    Ok(_) => Ok(()),
                    Err(failure) => {
                        // The failure that led here says more than a second one.
                        let _ = self.answered(silence, upload.abort()).await;
                        Err(failure)
                    }
                }
            }
        })
        .await
    }

    async fn piece(&self, key: &str, file: &Pieces<'_>, range: Range<u64>) -> Result<Bytes, Error> {
        let read = file.read(range).await;
        read.map_err(|error| self.local(Operation::Upload, key, file.local, &error))
    }

    /// See [`Bucket::download`].
    pub(super) async fn fetch(&self, key: &str, local: &LocalPath) -> Result<u64, Error> {
        let operation = Operation::Download;
        let wrong = |error: &io::Error| self.local(operation, key, local, error);
        let path = self.path(operation, key)?;
        let meta = self.look_up(operation, key).await?;
        let (size, version) = (meta.size, &meta.e_tag);
        let partial = Partial::beside(local);
        let name = partial.0.clone();
        let file = blocking(move || Ok(Arc::new(File::create_new(name)?)));
        let file = file.await.map_err(|error| wrong(&error))?;
        let (path, file) = (&path, &file);
        let piece = |range: Range<u64>| async move {
            let bytes = self
                .tried(operation, key, |opened| {
                    let range = range.clone();
                    async move { self.range(&opened, path, &range, version.clone()).await }
                })
                .await?;
            let (file, offset) = (Arc::clone(file), range.start);
            let written = blocking(move || file.write_all_at(&bytes, offset)).await;
            written.map_err(|error| wrong(&error))
        };
        stream::iter(pieces(size, u64::MAX))
            .map(piece)
            .buffer_unordered(PIECES_AT_A_TIME)
            .try_collect::<Vec<()>>()
            .await?;
        let target = local.to_owned();
        let named = blocking(move || partial.becomes(&target)).await;
        named.map_err(|error| wrong(&error))?;
        Ok(size)
    }

    fn local(&self, operation: Operation, key: &str, path: &LocalPath, error: &io::Error) -> Error {
        let failure = Failure::local(path, error);
        Error::new(&self.source.place, operation, key, 1, failure)
    }
}

/// A file that is read in pieces.
struct Pieces<'a> {
    file: Arc<File>,
    size: u64,
    local: &'a LocalPath,
}

impl Pieces<'_> {
    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let file = Arc::clone(&self.file);
        blocking(move || {
            let length = usize::try_from(range.end.saturating_sub(range.start));
            let mut bytes = vec![0; length.map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }
}

/// A file without its name; it is removed unless it gets it.
struct Partial(PathBuf);

impl Partial {
    fn beside(local: &LocalPath) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut name = local.as_os_str().to_owned();
        name.push(format!(".partial-{}-{number}", std::process::id()));
        Self(name.into())
    }

    fn becomes(self, local: &LocalPath) -> io::Result<()> {
        std::fs::rename(&self.0, local)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It has its name, or was never there.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The pieces of so many bytes, at most so many.
fn pieces(size: u64, most: u64) -> impl Iterator<Item = Range<u64>> + Clone {
    let piece = PIECE.max(size.div_ceil(most));
    let count = size.div_ceil(piece);
    (0..count).map(move |i| {
        let start = i.saturating_mul(piece);
        start..start.saturating_add(piece).min(size)
    })
}

/// Work on files, off the threads that serve sockets.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_file_and_can_be_counted() {
        for size in [
            0,
            1,
            PIECE,
            PIECE + 1,
            3 * PIECE,
            1 << 40,
            (1 << 40) + 12_345,
        ] {
            let mut end = 0;
            let mut count = 0;
            for piece in pieces(size, 900) {
                assert_eq!(piece.start, end);
                assert!(piece.end > piece.start);
                end = piece.end;
                count += 1;
            }
            assert_eq!(end, size);
            assert!(count <= 900, "{count}");
        }
    }
}
