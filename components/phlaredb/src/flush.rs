//! From a head that has ended to blocks on disk: one for each time slot that its profiles lie in.
//!
//! Streams: besides the head itself, memory holds the symbols of one partition, a bit for each stack trace and partition,
//! the samples of one series, and the pages of one row group.

mod used;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use phlare_block::meta::{FileEntry, Meta, ParquetEntry, Stats, TsdbEntry, names};
use phlare_block::profiles::{self, ProfilesWriter, Row};
use phlare_block::{BlockId, symdb, tsdb};

use crate::checkpoint::sync_directory;
use crate::chunk::Samples;
use crate::head::Head;
use crate::series::{OwnedRow, Series};
use used::Used;

/// Why a head could not be flushed.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// A file of the block.
    #[error(transparent)]
    Block(#[from] phlare_block::Error),
    /// A directory, or `meta.json`.
    #[error("write {}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl FlushError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// What a flush has written.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    pub(crate) metas: Vec<Meta>,
    /// The most memory that it needed besides the head, in bytes.
    pub(crate) peak_bytes: usize,
}

/// Writes the profiles of `head` as blocks into `directory/<id>/`, durably. `slot_ns` is the length of a time slot.
pub(crate) fn write(
    head: &Head,
    directory: &Path,
    slot_ns: i64,
    new_id: &mut dyn FnMut() -> BlockId,
) -> Result<Flushed, FlushError> {
    let mut flushed = Flushed::default();
    let mut series: Vec<Arc<Series>> = head.index.read().series().to_vec();
    series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    let mut slots = BTreeSet::new();
    for series in &series {
        series.for_each(|row, _| {
            slots.insert(row.time_ns.div_euclid(slot_ns));
        });
    }
    for slot in slots {
        let id = new_id();
        let block = Block {
            head,
            series: &series,
            slot_ns,
            slot,
        };
        let (meta, peak_bytes) = block.write(id, &directory.join(id.to_string()))?;
        flushed.metas.push(meta);
        flushed.peak_bytes = flushed.peak_bytes.max(peak_bytes);
    }
    sync_directory(directory).map_err(FlushError::io(directory))?;
    Ok(flushed)
}

/// The profiles of one time slot.
struct Block<'a> {
    head: &'a Head,
    /// Sorted by labels.
    series: &'a [Arc<Series>],
    slot_ns: i64,
    slot: i64,
}

impl Block<'_> {
    fn has(&self, time_ns: i64) -> bool {
        time_ns.div_euclid(self.slot_ns) == self.slot
    }

    fn write(&self, id: BlockId, directory: &Path) -> Result<(Meta, usize), FlushError> {
        fs::create_dir_all(directory).map_err(FlushError::io(directory))?;
        let mut used = self.used();
        let symbol_files = self.write_symbols(&mut used, directory)?;
        fail::fail_point!("flush.symbols");
        let (entries, written) = self.write_profiles(&used, directory)?;
        fail::fail_point!("flush.profiles");
        let index_bytes = write_index(&entries, directory)?;
        fail::fail_point!("flush.index");

        let mut meta = Meta::new(id);
        let ms = |ns: i64| ns.div_euclid(1_000_000);
        meta.min_ms = entries
            .iter()
            .map(|entry| ms(entry.min_ns))
            .min()
            .unwrap_or_default();
        meta.max_ms = entries
            .iter()
            .map(|entry| ms(entry.max_ns))
            .max()
            .unwrap_or_default();
        meta.stats = Stats {
            num_samples: written.samples,
            num_series: entries.len() as u64,
            num_profiles: written.rows,
        };
        meta.files = symbol_files;
        meta.files.push(FileEntry {
            rel_path: names::INDEX.to_owned(),
            size_bytes: index_bytes,
            tsdb: Some(TsdbEntry {
                num_series: entries.len() as u64,
            }),
            ..FileEntry::default()
        });
        meta.files.push(FileEntry {
            rel_path: names::PROFILES.to_owned(),
            size_bytes: written.size_bytes,
            parquet: Some(ParquetEntry {
                num_row_groups: u64::from(written.row_groups),
                num_rows: written.rows,
            }),
            ..FileEntry::default()
        });
        meta.files.sort_by(|a, b| a.rel_path.cmp(&b.rel_path));
        write_meta(&meta, directory)?;
        let bits: usize = used.values().map(Used::size_bytes).sum();
        Ok((meta, bits + written.peak_memory))
    }

    /// The stack traces that profiles of the slot use, by partition.
    fn used(&self) -> BTreeMap<u64, Used> {
        let stacks = self.head.symbols.read().stacks.len();
        let mut used: BTreeMap<u64, Used> = BTreeMap::new();
        for series in self.series {
            series.for_each(|row, encoded| {
                if !self.has(row.time_ns) {
                    return;
                }
                let used = used
                    .entry(row.partition)
                    .or_insert_with(|| Used::new(stacks));
                if let Some(samples) = Samples::decode(encoded) {
                    samples.for_each(|stacktrace, _| used.add(stacktrace));
                }
            });
        }
        used
    }

    fn write_symbols(
        &self,
        used: &mut BTreeMap<u64, Used>,
        directory: &Path,
    ) -> Result<Vec<FileEntry>, FlushError> {
        let mut writer = symdb::Writer::new(directory)?;
        let symbols = self.head.symbols.read();
        for (&partition, used) in used {
            used.close(&symbols);
            writer.partition(partition, &used.symbols(&symbols)?)?;
        }
        drop(symbols);
        Ok(writer.finish()?)
    }

    /// Writes the table; returns the series of the index in order.
    fn write_profiles(
        &self,
        used: &BTreeMap<u64, Used>,
        directory: &Path,
    ) -> Result<(Vec<tsdb::SeriesEntry>, profiles::Written), FlushError> {
        let path = directory.join(names::PROFILES);
        let mut writer = ProfilesWriter::create(path, profiles::Options::default())?;
        let mut entries: Vec<tsdb::SeriesEntry> = Vec::new();
        let mut columns = Columns::default();
        for series in self.series {
            let mut rows = series.rows(|time_ns| self.has(time_ns));
            rows.sort_by_key(|row| (row.time_ns, row.id));
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
                continue;
            };
            let rank = entries.len() as u32;
            entries.push(tsdb::SeriesEntry {
                labels: series.labels.clone(),
                min_ns: first.time_ns,
                max_ns: last.time_ns,
            });
            for row in &rows {
                self.write_row(&mut writer, rank, row, used, &mut columns)?;
            }
        }
        Ok((entries, writer.finish()?))
    }

    fn write_row(
        &self,
        writer: &mut ProfilesWriter,
        series: u32,
        row: &OwnedRow,
        used: &BTreeMap<u64, Used>,
        columns: &mut Columns,
    ) -> Result<(), FlushError> {
        let (Some(samples), Some(used)) = (Samples::decode(&row.encoded), used.get(&row.partition))
        else {
            return Ok(());
        };
        let header = samples.header;
        columns.fill(samples, used);
        let symbols = self.head.symbols.read();
        writer.push(&Row {
            id: row.id.into_bytes(),
            series,
            partition: row.partition,
            total: row.total,
            time_ns: row.time_ns,
            duration_ns: header.duration_ns,
            period: header.period,
            stacktraces: &columns.stacktraces,
            values: &columns.values,
            spans: &columns.spans,
            traces: &columns.traces,
            doc_url: symbols.strings.text(header.doc_url),
            ..Row::default()
        })?;
        Ok(())
    }
}

/// Samples of one profile.
#[derive(Default)]
struct Columns {
    stacktraces: Vec<u64>,
    values: Vec<i64>,
    spans: Vec<u64>,
    traces: Vec<[u8; 16]>,
}

impl Columns {
    fn fill(&mut self, samples: Samples<'_>, used: &Used) {
        let Self {
            stacktraces,
            values,
            spans,
            traces,
        } = self;
        stacktraces.clear();
        values.clear();
        spans.clear();
        traces.clear();
        let has_ids = samples.has_spans() || samples.has_traces();
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        if !has_ids {
            samples.for_each(|stacktrace, value| {
                stacktraces.push(u64::from(used.rank(stacktrace)));
                values.push(signed(value));
            });
            return;
        }
        for sample in samples.to_vec().into_iter().flatten() {
            stacktraces.push(u64::from(used.rank(sample.stacktrace)));
            values.push(signed(sample.value));
            if samples.has_spans() {
                spans.push(sample.span_id);
            }
            if samples.has_traces() {
                traces.push(sample.trace_id);
            }
        }
    }
}

/// Writes `index.tsdb` durably; returns its size.
pub(crate) fn write_index(
    entries: &[tsdb::SeriesEntry],
    directory: &Path,
) -> Result<u64, FlushError> {
    let path = directory.join(names::INDEX);
    let file = fs::File::create(&path).map_err(FlushError::io(&path))?;
    let mut out = BufWriter::with_capacity(256 << 10, file);
    tsdb::write(entries, &path.display().to_string(), &mut out)?;
    let file = out
        .into_inner()
        .map_err(|error| FlushError::io(&path)(error.into_error()))?;
    file.sync_all().map_err(FlushError::io(&path))?;
    Ok(file.metadata().map_err(FlushError::io(&path))?.len())
}

/// Writes `meta.json`, the last file of a block, and makes the whole durable.
pub(crate) fn write_meta(meta: &Meta, directory: &Path) -> Result<(), FlushError> {
    let temporary = directory.join("meta.json.tmp");
    let path = directory.join(names::META);
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&meta.to_json())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_directory(directory)
    };
    write().map_err(FlushError::io(&path))
}
