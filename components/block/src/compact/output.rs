//! The results: their directories, rows, index and `meta.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use phlare_model::Labels;

use super::Output;
use super::error::CompactError;
use super::inputs::Source;
use super::rows::Profile;
use super::symbols::Written as Symbols;
use crate::id::BlockId;
use crate::meta::{
    Compaction, FileEntry, Meta, Parent, ParquetEntry, Shard, Stats, TsdbEntry, names,
};
use crate::profiles::{self, DOWNSAMPLED, DownsampledWriter, ProfilesWriter, Row};
use crate::tsdb::{self, SeriesEntry};

/// From this level on a block has downsampled tables.
const DOWNSAMPLED_LEVEL: u32 = 3;

/// What all results have in common.
#[derive(Debug)]
pub(super) struct Template {
    min_ms: i64,
    max_ms: i64,
    compaction: Compaction,
    labels: BTreeMap<String, String>,
    source: String,
    shards: u32,
    downsample: bool,
}

impl Template {
    /// Of blocks that are merged.
    pub(super) fn merged(
        sources: &[Source],
        shards: u32,
        downsample: bool,
    ) -> Result<Self, CompactError> {
        let metas = || sources.iter().map(|source| &source.meta);
        let min_ms = metas().map(|meta| meta.min_ms).min();
        let max_ms = metas().map(|meta| meta.max_ms).max();
        let (Some(min_ms), Some(max_ms)) = (min_ms, max_ms) else {
            return Err(CompactError::NoInput);
        };
        // Level 0 is how the first versions wrote level 1; they named no sources.
        let level = metas().map(|meta| meta.compaction.level.max(1)).max();
        let mut ancestors: BTreeSet<BlockId> = BTreeSet::new();
        let mut labels = BTreeMap::new();
        for meta in metas() {
            let own = [meta.id];
            ancestors.extend(match &*meta.compaction.sources {
                [] => &own,
                sources => sources,
            });
            labels.extend(meta.labels.clone());
        }
        labels.remove(names::HOSTNAME);
        let parents = metas().map(|meta| Parent {
            id: meta.id,
            min_ms: meta.min_ms,
            max_ms: meta.max_ms,
        });
        let compaction = Compaction {
            level: level.unwrap_or(1).saturating_add(1),
            sources: ancestors.into_iter().collect(),
            parents: parents.collect(),
            ..Compaction::default()
        };
        Ok(Self {
            min_ms,
            max_ms,
            downsample: downsample && compaction.level >= DOWNSAMPLED_LEVEL,
            compaction,
            labels,
            source: names::COMPACTOR.to_owned(),
            shards,
        })
    }

    /// Of a block that is written anew: level and ancestors stay, so it is in what the old one is in and goes into what
    /// the old one would have gone into.
    pub(super) fn rewritten(meta: &Meta) -> Self {
        let mut sources = meta.compaction.sources.clone();
        if sources.is_empty() {
            sources.push(meta.id);
        }
        let has = |&(file, _): &(&str, i64)| meta.file(file).is_some();
        Self {
            min_ms: meta.min_ms,
            max_ms: meta.max_ms,
            compaction: Compaction {
                level: meta.compaction.level.max(1),
                sources,
                parents: vec![Parent {
                    id: meta.id,
                    min_ms: meta.min_ms,
                    max_ms: meta.max_ms,
                }],
                ..Compaction::default()
            },
            labels: meta.labels.clone(),
            source: meta.source.clone(),
            // The label of its shard is there if it is one.
            shards: 1,
            downsample: DOWNSAMPLED.iter().any(has),
        }
    }

    /// The time that results are named by.
    pub(super) fn time_ms(&self) -> i64 {
        self.min_ms
    }

    fn meta(&self, id: BlockId, shard: u32, stats: Stats, mut files: Vec<FileEntry>) -> Meta {
        files.sort_by(|a, b| a.rel_path.cmp(&b.rel_path));
        let mut labels = self.labels.clone();
        if self.shards > 1
            && let Some(shard) = Shard::new(shard.into(), self.shards.into())
        {
            labels.insert(names::SHARD_ID.to_owned(), shard.to_string());
        }
        Meta {
            min_ms: self.min_ms,
            max_ms: self.max_ms,
            stats,
            files,
            compaction: self.compaction.clone(),
            labels,
            source: self.source.clone(),
            ..Meta::new(id)
        }
    }
}

/// A result that is being made.
#[derive(Debug)]
pub(super) struct Draft {
    id: BlockId,
    shard: u32,
    pub(super) directory: PathBuf,
}

/// All results. What was not [kept](Self::keep) is deleted when this is dropped.
#[derive(Debug)]
pub(super) struct Drafts {
    directory: PathBuf,
    made: Vec<PathBuf>,
    complete: Vec<Output>,
}

impl Drafts {
    pub(super) fn new(directory: &Path) -> Result<Self, CompactError> {
        fs::create_dir_all(directory).map_err(CompactError::io(directory))?;
        Ok(Self {
            directory: directory.to_owned(),
            made: Vec::new(),
            complete: Vec::new(),
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn add(&mut self, id: BlockId, shard: u32) -> Result<Draft, CompactError> {
        let directory = self.directory.join(id.to_string());
        fs::create_dir(&directory).map_err(CompactError::io(&directory))?;
        self.made.push(directory.clone());
        Ok(Draft {
            id,
            shard,
            directory,
        })
    }

    pub(super) fn complete(&self) -> &[Output] {
        &self.complete
    }

    /// Deletes what has no rows; gives the others to the caller.
    pub(super) fn keep(mut self) -> Result<Vec<Output>, CompactError> {
        let complete = std::mem::take(&mut self.complete);
        self.made
            .retain(|made| complete.iter().all(|output| output.directory != *made));
        for empty in std::mem::take(&mut self.made) {
            fs::remove_dir_all(&empty).map_err(CompactError::io(&empty))?;
        }
        sync_directory(&self.directory).map_err(CompactError::io(&self.directory))?;
        Ok(complete)
    }
}

impl Drop for Drafts {
    fn drop(&mut self) {
        for directory in &self.made {
            // There is an error already that says more.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// Writes the rows of a result, then everything that is known only behind the last of them.
pub(super) struct RowWriter {
    draft: Draft,
    symbols: Symbols,
    profiles: ProfilesWriter,
    downsampled: Option<DownsampledWriter>,
    series: Vec<SeriesEntry>,
    rank: Option<u32>,
    stacktraces: Vec<u64>,
}

impl RowWriter {
    pub(super) fn create(
        draft: Draft,
        symbols: Symbols,
        template: &Template,
        row_group_bytes: usize,
    ) -> Result<Self, CompactError> {
        let options = profiles::Options {
            row_group_bytes,
            ..profiles::Options::default()
        };
        let downsampled = match template.downsample {
            true => Some(DownsampledWriter::create(&draft.directory, &options)),
            false => None,
        };
        let path = draft.directory.join(names::PROFILES);
        let profiles = ProfilesWriter::create(path, options);
        Ok(Self {
            draft,
            symbols,
            profiles: profiles.map_err(CompactError::Output)?,
            downsampled: downsampled.transpose().map_err(CompactError::Output)?,
            series: Vec::new(),
            rank: None,
            stacktraces: Vec::new(),
        })
    }

    /// Adds a row of the series with a rank: not before the one before it.
    pub(super) fn push(
        &mut self,
        rank: u32,
        labels: &Labels,
        profile: &Profile,
    ) -> Result<(), CompactError> {
        if self.rank != Some(rank) {
            self.rank = Some(rank);
            self.series.push(SeriesEntry {
                labels: labels.clone(),
                min_ns: profile.time_ns,
                max_ns: profile.time_ns,
            });
        }
        if let Some(last) = self.series.last_mut() {
            last.max_ns = profile.time_ns;
        }
        self.stacktraces.clear();
        let merged = profile.stacktraces.iter();
        match &self.symbols.nodes {
            None => self.stacktraces.extend(merged.map(|&id| u64::from(id))),
            Some(nodes) => {
                let ranks = nodes.get(&profile.partition);
                // All that rows of this shard use is in its part of the symbols.
                let id = |&id: &u32| ranks.and_then(|ranks| ranks.get(id)).unwrap_or(0);
                self.stacktraces
                    .extend(merged.map(|merged| u64::from(id(merged))));
            }
        }
        let row = Row {
            id: profile.id,
            series: (self.series.len() - 1) as u32,
            partition: profile.partition,
            total: profile.total(),
            time_ns: profile.time_ns,
            duration_ns: profile.duration_ns,
            period: profile.period,
            default_sample_type: profile.default_sample_type,
            stacktraces: &self.stacktraces,
            values: &profile.values,
            spans: &profile.spans,
            traces: &profile.traces,
            annotations: &profile.annotations,
            doc_url: &profile.doc_url,
        };
        self.profiles.push(&row).map_err(CompactError::Output)?;
        if let Some(downsampled) = &mut self.downsampled {
            downsampled.push(&row).map_err(CompactError::Output)?;
        }
        Ok(())
    }

    /// Completes the block; if it has no rows it stays what it is, to be deleted.
    pub(super) fn finish(
        self,
        template: &Template,
        drafts: &mut Drafts,
    ) -> Result<(), CompactError> {
        let Self { draft, series, .. } = self;
        let written = self.profiles.finish().map_err(CompactError::Output)?;
        let mut files = self.symbols.files;
        files.push(table(names::PROFILES, &written));
        if let Some(downsampled) = self.downsampled {
            let tables = downsampled.finish().map_err(CompactError::Output)?;
            files.extend(tables.iter().map(|one| table(one.file, &one.written)));
        }
        if written.rows == 0 {
            return Ok(());
        }
        files.push(write_index(&series, &draft.directory)?);
        let stats = Stats {
            num_samples: written.samples,
            num_series: series.len() as u64,
            num_profiles: written.rows,
        };
        let meta = template.meta(draft.id, draft.shard, stats, files);
        write_meta(&meta, &draft.directory)?;
        drafts.complete.push(Output {
            meta,
            directory: draft.directory,
        });
        Ok(())
    }
}

fn table(file: &str, written: &profiles::Written) -> FileEntry {
    FileEntry {
        rel_path: file.to_owned(),
        size_bytes: written.size_bytes,
        parquet: Some(ParquetEntry {
            num_row_groups: written.row_groups.into(),
            num_rows: written.rows,
        }),
        tsdb: None,
    }
}

fn write_index(series: &[SeriesEntry], directory: &Path) -> Result<FileEntry, CompactError> {
    let path = directory.join(names::INDEX);
    let failed = || CompactError::io(&path);
    let mut out = BufWriter::new(File::create(&path).map_err(failed())?);
    let size_bytes = tsdb::write(series, &path.display().to_string(), &mut out);
    let size_bytes = size_bytes.map_err(CompactError::Output)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    let synced = file.and_then(|file| file.sync_all());
    synced.map_err(failed())?;
    Ok(FileEntry {
        rel_path: names::INDEX.to_owned(),
        size_bytes,
        parquet: None,
        tsdb: Some(TsdbEntry {
            num_series: series.len() as u64,
        }),
    })
}

/// Writes `meta.json`, the last file, so that a block that has it is complete.
fn write_meta(meta: &Meta, directory: &Path) -> Result<(), CompactError> {
    let temporary = directory.join("meta.json.tmp");
    let path = directory.join(names::META);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(&meta.to_json())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_directory(directory)
    };
    write().map_err(CompactError::io(&path))
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
