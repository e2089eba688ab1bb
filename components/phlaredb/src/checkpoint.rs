//! `checkpoint.json`: what of a tenant's directory counts. It is replaced as a whole, and that is the moment at which
//! blocks take the place of the log they were cut from.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use phlare_block::BlockId;
use serde::{Deserialize, Serialize};

use crate::wal::SegmentId;

const FILE: &str = "checkpoint.json";
const VERSION: u32 = 1;

/// Where one that makes no sense is put.
const DAMAGED: &str = "checkpoint.json.damaged";

/// What a directory has.
#[derive(Debug)]
pub(crate) enum OnDisk {
    /// Nothing was ever cut here.
    Nothing,
    /// What counts.
    Sound(Checkpoint),
    /// It makes no sense, and was put aside; what the problem was.
    Damaged(String),
}

/// The content of `checkpoint.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    version: u32,
    /// Segments of the log before this one are in blocks.
    first_segment: u64,
    /// File with the state of cumulative series where that segment begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) baselines: Option<String>,
    /// Blocks of the last cut: they count even if they still lie where they were written.
    pub(crate) blocks: Vec<BlockId>,
}

impl Checkpoint {
    pub(crate) fn new(
        first_segment: SegmentId,
        baselines: Option<String>,
        blocks: Vec<BlockId>,
    ) -> Self {
        Self {
            version: VERSION,
            first_segment: first_segment.get(),
            baselines,
            blocks,
        }
    }

    pub(crate) fn first_segment(&self) -> SegmentId {
        SegmentId::new(self.first_segment)
    }

    /// Reads it, and puts it aside if it makes no sense.
    ///
    /// # Errors
    /// Also for one that a newer program wrote, who knows what it means.
    pub(crate) fn read(directory: &Path) -> io::Result<OnDisk> {
        /// What every version says.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let path = directory.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(OnDisk::Nothing),
            Err(error) => return Err(error),
        };
        let version = serde_json::from_slice(&bytes).map(|said: Versioned| said.version);
        if let Ok(newer) = version
            && newer > VERSION
        {
            let problem = format!("{FILE} has version {newer}, {VERSION} is known");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let problem = match serde_json::from_slice::<Self>(&bytes) {
            Ok(read) if read.version == VERSION => return Ok(OnDisk::Sound(read)),
            Ok(read) => format!("version {} does not exist", read.version),
            Err(error) => error.to_string(),
        };
        fs::rename(&path, directory.join(DAMAGED))?;
        sync_directory(directory)?;
        Ok(OnDisk::Damaged(problem))
    }

    /// What counts as far as the log and the state of cumulative series tell, if the checkpoint is damaged: all segments
    /// that are there, and the newest state that is not behind the first of them. Is written, so that the next start
    /// finds it.
    ///
    /// A cut that did not end may have left a block in its place and its segments beside: those profiles are there twice
    /// until the head is cut and they are found to be the same.
    pub(crate) fn recover(
        directory: &Path,
        first_segment: Option<SegmentId>,
        baselines: impl IntoIterator<Item = SegmentId>,
    ) -> io::Result<Self> {
        let is_before = |id: &SegmentId| first_segment.is_none_or(|first| *id <= first);
        let baselines = baselines.into_iter().filter(is_before).max();
        let first = first_segment.or(baselines).unwrap_or(SegmentId::new(1));
        let checkpoint = Self::new(first, baselines.map(baselines_file), Vec::new());
        checkpoint.write(directory)?;
        Ok(checkpoint)
    }

    /// Replaces the one before, durably.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        let temporary = directory.join("checkpoint.json.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(FILE))?;
        sync_directory(directory)
    }
}

/// The file with the state of cumulative series where a segment begins.
pub(crate) fn baselines_file(segment: SegmentId) -> String {
    format!("baselines.{segment}")
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
