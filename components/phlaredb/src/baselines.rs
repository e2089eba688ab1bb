//! What cumulative profiles have counted so far, carried from one head to the next, and over a restart.
//!
//! A difference needs the profile before it. When a head is cut, the next one goes on from the same values; since the
//! log of the old head is deleted, they are kept in a file as well: records as in the log, each framed by its length
//! and checksum.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crc_fast::CrcAlgorithm::Crc32Iscsi;
use rustc_hash::FxHashMap;
use tracing::warn;

use crate::chunk;
use crate::defined::Defined;
use crate::head::Head;
use crate::record;
use crate::replay::Replay;
use crate::series::{Series, SeriesIndex};
use crate::symbols::Full;

/// A series without a profile for this long begins anew.
const KEEP_NS: i64 = 2 * 3600 * 1_000_000_000;

/// Encodes the state of series, each record defining what earlier ones have not.
struct Encoder<'a> {
    head: &'a Head,
    defined: Defined,
    record: record::Writer,
    oldest_ns: i64,
}

impl<'a> Encoder<'a> {
    fn new(head: &'a Head) -> Self {
        let mut defined = Defined::default();
        defined.begin_epoch();
        let newest_ns = head.times_ns().map_or(i64::MIN, |(_, newest)| newest);
        Self {
            head,
            defined,
            record: record::Writer::default(),
            oldest_ns: newest_ns.saturating_sub(KEEP_NS),
        }
    }

    /// The record of one series, if it has a state worth keeping.
    fn encode(&mut self, index: SeriesIndex, series: &Series) -> Option<&[u8]> {
        let (latest_ns, samples) = series
            .cumulative(|state| (state.latest_ns(), state.samples()))
            .and_then(|(latest_ns, samples)| Some((latest_ns, samples?)))?;
        if latest_ns < self.oldest_ns {
            return None;
        }
        self.record.clear();
        let symbols = self.head.symbols.read();
        for sample in &samples {
            self.defined
                .stacktrace(&mut self.record, &symbols, sample.stacktrace);
        }
        drop(symbols);
        self.defined.series(&mut self.record, index, &series.labels);
        let mut encoded = Vec::new();
        chunk::encode(&chunk::Header::default(), &samples, &mut encoded);
        self.record.baseline(index, latest_ns, &encoded);
        Some(self.record.bytes())
    }
}

fn all_series(head: &Head) -> Vec<(SeriesIndex, Arc<Series>)> {
    let index = head.index.read();
    let series = index.series().iter().map(Arc::clone);
    (0..).zip(series).collect()
}

/// Carries states to the next head while the old one still takes profiles.
pub(crate) struct Carry<'a> {
    encoder: Encoder<'a>,
    next: Replay<'a>,
    /// What has been carried, in which version.
    versions: FxHashMap<SeriesIndex, u64>,
}

impl<'a> Carry<'a> {
    pub(crate) fn new(old: &'a Head, next: &'a Head) -> Self {
        Self {
            encoder: Encoder::new(old),
            next: Replay::new(next),
            versions: FxHashMap::default(),
        }
    }

    /// Carries all that has changed since the last call: everything at first, then little.
    pub(crate) fn changes(&mut self) -> Result<(), Full> {
        for (index, series) in all_series(self.encoder.head) {
            let Some(version) = series.cumulative(|state| state.version()) else {
                continue;
            };
            if self.versions.insert(index, version) == Some(version) {
                continue;
            }
            if let Some(record) = self.encoder.encode(index, &series) {
                self.next.record(record)?;
            }
        }
        Ok(())
    }
}

/// Writes the states of a head that has ended; false if there are none, and then there is no file. The caller syncs
/// the directory.
pub(crate) fn write(head: &Head, path: &Path) -> io::Result<bool> {
    let mut encoder = Encoder::new(head);
    let mut file = None;
    for (index, series) in all_series(head) {
        let Some(record) = encoder.encode(index, &series) else {
            continue;
        };
        let out = match &mut file {
            Some(out) => out,
            None => file.insert(io::BufWriter::new(File::create(path)?)),
        };
        let len = u32::try_from(record.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        out.write_all(&len.to_be_bytes())?;
        out.write_all(&checksum(record).to_be_bytes())?;
        out.write_all(record)?;
    }
    match file {
        Some(out) => out.into_inner()?.sync_all().map(|()| true),
        None => Ok(false),
    }
}

/// Reads such a file into a head. Damage costs the states behind it: their series begin anew.
pub(crate) fn read(path: &Path, replay: &mut Replay<'_>) -> io::Result<Result<(), Full>> {
    let bytes = fs::read(path)?;
    let mut rest = bytes.as_slice();
    replay.begin_segment();
    while !rest.is_empty() {
        let Some((record, behind)) = frame(rest) else {
            let offset = bytes.len() - rest.len();
            warn!(path = %path.display(), offset, "damaged: cumulative series behind it begin anew");
            break;
        };
        if let Err(full) = replay.record(record) {
            return Ok(Err(full));
        }
        rest = behind;
    }
    Ok(Ok(()))
}

fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (record, behind) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    (checksum(record) == u32::from_be_bytes(*sum)).then_some((record, behind))
}

fn checksum(bytes: &[u8]) -> u32 {
    // A CRC-32 in 64 bits.
    crc_fast::checksum(Crc32Iscsi, bytes) as u32
}
