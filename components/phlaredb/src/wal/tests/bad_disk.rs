//! A disk that fails, hangs and forgets as told.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::wal::files::{Disk, Files, SegmentFile};

/// No space left on device.
pub(super) const ENOSPC: i32 = 28;
/// Input/output error.
pub(super) const EIO: i32 = 5;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Open(String),
    Cut(u64),
    Write(u64),
    Sync,
    SyncDirectory,
}

/// A kind of operation that can be made to fail or hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    /// A failing write leaves half of its bytes.
    Write,
    /// A failing sync loses what was written since the last one.
    Sync,
    SyncDirectory,
}

/// A handle to the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct BadDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Script {
    done: Vec<Done>,
    faults: VecDeque<(Kind, i32)>,
    held: Option<Kind>,
}

impl BadDisk {
    /// Fails the next `times` operations of this kind.
    pub(super) fn fail(&self, kind: Kind, errno: i32, times: usize) {
        self.0
            .script
            .lock()
            .faults
            .extend(std::iter::repeat_n((kind, errno), times));
    }

    /// Stops failing.
    pub(super) fn heal(&self) {
        self.0.script.lock().faults.clear();
    }

    /// Lets operations of this kind hang.
    pub(super) fn hold(&self, kind: Kind) {
        self.0.script.lock().held = Some(kind);
    }

    /// Lets them go on.
    pub(super) fn release(&self) {
        self.0.script.lock().held = None;
        self.0.changed.notify_all();
    }

    /// What was done since the last call, failed attempts included.
    pub(super) fn take_done(&self) -> Vec<Done> {
        std::mem::take(&mut self.0.script.lock().done)
    }

    /// Waits until the operation has begun `times` times.
    #[track_caller]
    pub(super) fn wait_for(&self, operation: &Done, times: usize) {
        let mut script = self.0.script.lock();
        while script.done.iter().filter(|done| *done == operation).count() < times {
            let waited = self
                .0
                .changed
                .wait_for(&mut script, Duration::from_secs(60));
            assert!(
                !waited.timed_out(),
                "{operation:?} did not happen: {:?}",
                script.done
            );
        }
    }

    fn begin(&self, kind: Kind, done: Done) -> io::Result<()> {
        let mut script = self.0.script.lock();
        script.done.push(done);
        self.0.changed.notify_all();
        while script.held == Some(kind) {
            self.0.changed.wait(&mut script);
        }
        match script.faults.front() {
            Some((fault, errno)) if *fault == kind => {
                let error = io::Error::from_raw_os_error(*errno);
                script.faults.pop_front();
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

impl Files for BadDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        self.begin(Kind::Open, Done::Open(name))?;
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let synced = Mutex::new(file.metadata()?.len());
        Ok(Box::new(BadFile {
            file,
            synced,
            disk: self.clone(),
        }))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.begin(Kind::SyncDirectory, Done::SyncDirectory)?;
        Disk.sync_directory(path)
    }
}

#[derive(Debug)]
struct BadFile {
    file: File,
    /// The length that a failing sync falls back to.
    synced: Mutex<u64>,
    disk: BadDisk,
}

impl SegmentFile for BadFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.0.script.lock().done.push(Done::Cut(length));
        self.file.set_length(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk
            .begin(Kind::Write, Done::Write(offset))
            .inspect_err(|_| {
                self.file
                    .write_at(&bytes[..bytes.len() / 2], offset)
                    .unwrap();
            })?;
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let mut synced = self.synced.lock();
        self.disk
            .begin(Kind::Sync, Done::Sync)
            .inspect_err(|_| self.file.set_len(*synced).unwrap())?;
        SegmentFile::sync(&self.file)?;
        *synced = self.file.length()?;
        Ok(())
    }
}
