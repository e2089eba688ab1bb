//! `blocks list`.

use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_block::Meta;
use phlare_block::marks::Mark;
use serde::Serialize;

use super::find::{Found, Marked, Places};
use crate::cli::Output;
use crate::render::{Unit, time};
use crate::ui;

/// Blocks whose `meta.json` are read at the same time.
const AT_ONCE: usize = 16;

/// A block of the list. Names and order of the fields are stable.
#[derive(Debug, Serialize)]
struct Row {
    block: String,
    location: String,
    /// Why nothing more is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    summary: Option<Summary>,
    /// Bytes of all its files.
    bytes: u64,
    marks: Vec<MarkRow>,
}

/// What `meta.json` says.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) version: u8,
    pub(super) level: u32,
    pub(super) shard: String,
    pub(super) source: String,
    pub(super) series: u64,
    pub(super) profiles: u64,
    pub(super) samples: u64,
}

/// A mark of a block.
#[derive(Debug, Serialize)]
struct MarkRow {
    mark: &'static str,
    time_s: i64,
    reason: String,
}

/// Lists blocks, the oldest first. Those that are not complete, or whose `meta.json` cannot be read, come last.
pub(super) async fn run(places: &Places, output: Output) -> anyhow::Result<()> {
    let rows = rows(places).await?;
    match output {
        Output::Json => ui::json(&rows)?,
        Output::Table => {
            ui::data(&table(&rows));
            ui::note(&sums(&rows));
        }
    }
    Ok(())
}

async fn rows(places: &Places) -> anyhow::Result<Vec<Row>> {
    let found = places.find().await?;
    let progress = ui::progress(found.len());
    let rows = stream::iter(found)
        .map(|block| async move { Row::of(&block).await })
        .buffered(AT_ONCE)
        .inspect(|_| progress.inc(1));
    let mut rows: Vec<Row> = rows.try_collect().await?;
    progress.finish_and_clear();
    rows.sort_by_key(|row| row.summary.as_ref().map_or(i64::MAX, |known| known.from_ms));
    Ok(rows)
}

impl Row {
    /// What a block is. A damaged `meta.json` is told, a bucket that fails is an error.
    async fn of(found: &Found) -> anyhow::Result<Self> {
        let (summary, error) = match found.meta().await {
            Ok(meta) => (Some(Summary::of(&meta)), None),
            Err(error) if error.is::<phlare_block::Error>() => (None, Some(format!("{error:#}"))),
            Err(error) => return Err(error),
        };
        let marks = found.marks().await?;
        Ok(Self {
            block: found.name.clone(),
            location: found.location(),
            summary,
            bytes: found.bytes(),
            marks: marks.into_iter().map(MarkRow::of).collect(),
            error,
        })
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.block.clone()];
        match &self.summary {
            Some(known) => cells.extend(known.cells()),
            None => cells.extend((0..9).map(|_| "-".to_owned())),
        }
        let marks = self.marks.iter().map(|mark| mark.mark.to_owned());
        let problem = self.error.as_ref().map(|_| "not readable".to_owned());
        cells.push(Unit::Bytes.show(self.bytes as f64));
        cells.push(marks.chain(problem).collect::<Vec<_>>().join(", "));
        cells
    }
}

impl Summary {
    pub(super) fn of(meta: &Meta) -> Self {
        Self {
            from_ms: meta.min_ms,
            to_ms: meta.max_ms,
            version: meta.version,
            level: meta.compaction.level,
            shard: meta.shard_id().to_owned(),
            source: meta.source.clone(),
            series: meta.stats.num_series,
            profiles: meta.stats.num_profiles,
            samples: meta.stats.num_samples,
        }
    }

    /// Its columns of a table.
    pub(super) fn cells(&self) -> [String; 9] {
        let or_none = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
        [
            time(self.from_ms),
            time(self.to_ms),
            self.duration(),
            self.level.to_string(),
            or_none(&self.shard),
            self.series.to_string(),
            self.profiles.to_string(),
            self.samples.to_string(),
            or_none(&self.source),
        ]
    }

    /// How long it reaches, for people.
    pub(super) fn duration(&self) -> String {
        match self.to_ms.saturating_sub(self.from_ms) {
            0 => "0 s".to_owned(),
            length_ms => Unit::Nanoseconds.show(length_ms as f64 * 1e6),
        }
    }
}

impl MarkRow {
    fn of(marked: Marked) -> Self {
        Self {
            mark: match marked.mark {
                Mark::Deletion => "deletion",
                Mark::NoCompact => "no-compact",
            },
            time_s: marked.time_s,
            reason: marked.reason,
        }
    }
}

fn table(rows: &[Row]) -> String {
    let header = [
        "block", "from", "to", "length", "level", "shard", "series", "profiles", "samples",
        "source", "size", "marks",
    ];
    let mut table = ui::table(&header, &[3, 4, 6, 7, 8, 10]);
    for row in rows {
        table.add_row(row.cells());
    }
    table.trim_fmt()
}

/// All blocks together, and why some cannot be read.
fn sums(rows: &[Row]) -> String {
    let mut lines: Vec<String> = rows.iter().filter_map(|row| row.error.clone()).collect();
    let known = || rows.iter().filter_map(|row| row.summary.as_ref());
    let (blocks, bytes) = (rows.len(), rows.iter().map(|row| row.bytes).sum::<u64>());
    let profiles: u64 = known().map(|summary| summary.profiles).sum();
    let samples: u64 = known().map(|summary| summary.samples).sum();
    let size = Unit::Bytes.show(bytes as f64);
    lines.push(format!(
        "{blocks} blocks: {profiles} profiles, {samples} samples, {size}"
    ));
    lines.join("\n")
}
