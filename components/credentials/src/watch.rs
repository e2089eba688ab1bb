//! Files that are looked at again and again.
//!
//! What is compared is what is in them: that also sees what changes behind a link, as secrets do that Kubernetes mounts, and no
//! file system has to tell of changes.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use phlare_model::chain;
use ring::digest::{Context, Digest, SHA256};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::Error;
use crate::figures::Figure;

/// How often files are looked at.
pub const PERIOD: Duration = Duration::from_secs(10);
/// The most that is read of a file.
const MOST: u64 = 4 << 20;

/// Something that is made of files.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    type Made: Send + Sync;

    /// In the order in which [`Source::make`] gets their contents.
    fn files(&self) -> Vec<&Path>;

    fn make(&self, contents: &[Vec<u8>]) -> Result<Self::Made, Error>;

    /// When a certificate in it expires, in seconds since the epoch.
    fn not_after(&self, contents: &[Vec<u8>]) -> Option<i64>;
}

/// Files that are looked at again.
pub trait Reload: Send + Sync {
    /// Looks at them now, and takes what changed. Blocks while it reads.
    fn reload(&self);
}

/// What was made of files when they were last of use.
pub(crate) struct Watched<S: Source> {
    source: S,
    current: ArcSwap<S::Made>,
    seen: Mutex<Seen>,
    figure: Figure,
}

struct Seen {
    /// Of what is in force.
    digest: Digest,
    /// What is wrong with what is in the files, as the log has it.
    complaint: Option<String>,
}

impl<S: Source> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.source).finish()
    }
}

impl<S: Source> Watched<S> {
    pub(crate) fn open(source: S, figure: Figure) -> Result<Self, Error> {
        let contents = read(&source)?;
        let made = source.make(&contents)?;
        figure.reload_successful.set(1);
        figure.not_after(source.not_after(&contents));
        Ok(Self {
            current: ArcSwap::from_pointee(made),
            seen: Mutex::new(Seen {
                digest: digest(&contents),
                complaint: None,
            }),
            source,
            figure,
        })
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// What is in force now.
    pub(crate) fn current(&self) -> Arc<S::Made> {
        self.current.load_full()
    }

    fn renew(&self, seen: &mut Seen) -> Result<(), Error> {
        let contents = read(&self.source)?;
        let digest = digest(&contents);
        if digest.as_ref() == seen.digest.as_ref() {
            return Ok(());
        }
        let made = self.source.make(&contents)?;
        self.current.store(Arc::new(made));
        seen.digest = digest;
        self.figure.not_after(self.source.not_after(&contents));
        let files: Vec<_> = self.source.files().into_iter().map(Path::display).collect();
        info!(
            r#use = self.figure.r#use,
            ?files,
            "new credentials are in force"
        );
        Ok(())
    }
}

impl<S: Source> Reload for Watched<S> {
    fn reload(&self) {
        let mut seen = self.seen.lock();
        let complaint = match self.renew(&mut seen) {
            Ok(()) => None,
            Err(error) => Some(chain(&error)),
        };
        self.figure
            .reload_successful
            .set(i64::from(complaint.is_none()));
        if let Some(error) = &complaint
            && seen.complaint != complaint
        {
            warn!(
                r#use = self.figure.r#use,
                error, "credentials cannot be used: those from before stay in force"
            );
        }
        seen.complaint = complaint;
    }
}

fn read<S: Source>(source: &S) -> Result<Vec<Vec<u8>>, Error> {
    source.files().into_iter().map(read_one).collect()
}

fn read_one(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    let read = file.take(MOST + 1).read_to_end(&mut content);
    if read.map_err(failed)? as u64 > MOST {
        let path = PathBuf::from(path);
        return Err(Error::TooLarge { path, limit: MOST });
    }
    Ok(content)
}

fn digest(contents: &[Vec<u8>]) -> Digest {
    let mut context = Context::new(&SHA256);
    for content in contents {
        context.update(&(content.len() as u64).to_le_bytes());
        context.update(content);
    }
    context.finish()
}

/// Looks at files every ten seconds until `shutdown`.
pub async fn run(watched: Vec<Arc<dyn Reload>>, shutdown: CancellationToken) {
    let watched = Arc::new(watched);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once, and files were just read.
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let looked = Arc::clone(&watched);
        let looking = tokio::task::spawn_blocking(move || {
            looked.iter().for_each(|files| files.reload());
        });
        if looking.await.is_err() {
            warn!("files with credentials were not looked at to the end");
        }
    }
}
