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

    /// `None` if nothing was ever cut here.
    pub(crate) fn read(directory: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(directory.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let read: Self = serde_json::from_slice(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if read.version != VERSION {
            let problem = format!("{FILE} has version {}, {VERSION} is known", read.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        Ok(Some(read))
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

/// Makes names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
