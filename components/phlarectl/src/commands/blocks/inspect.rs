//! `blocks inspect`.

mod report;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use phlare_block::profiles::Profiles;
use phlare_block::{Error, Files, Meta, TableOutline, meta, symdb, tsdb};
use serde::Serialize;

use super::find::{Found, Places};
use super::list::Summary;
use crate::cli::{InspectArgs, Output};
use crate::ui;

/// Label that says what the profiles of a series are.
const PROFILE_TYPE: &str = "__profile_type__";
/// Bytes of pages that are in memory at once.
const WINDOW_BYTES: usize = 8 << 20;

/// A block. Names and order of the fields are stable.
#[derive(Debug, Serialize)]
struct Inspected {
    block: String,
    location: String,
    #[serde(flatten)]
    summary: Summary,
    labels: BTreeMap<String, String>,
    sources: Vec<String>,
    parents: Vec<String>,
    files: Vec<FileRow>,
    tables: Vec<Table>,
    profile_types: Vec<TypeRow>,
    label_names: Vec<LabelRow>,
    symbols: Vec<PartitionRow>,
}

/// A file.
#[derive(Debug, Serialize)]
struct FileRow {
    file: String,
    bytes: u64,
    /// Whether `meta.json` names it.
    listed: bool,
}

/// A Parquet file.
#[derive(Debug, Serialize)]
struct Table {
    file: String,
    writer: String,
    rows: u64,
    row_groups: Vec<u64>,
    columns: Vec<Column>,
}

/// A column of a table, all row groups together.
#[derive(Debug, Serialize)]
struct Column {
    column: String,
    #[serde(rename = "type")]
    physical: &'static str,
    encodings: Vec<&'static str>,
    codecs: Vec<&'static str>,
    pages: u64,
    values: u64,
    stored_bytes: u64,
    plain_bytes: u64,
}

/// The profiles of one type.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct TypeRow {
    profile_type: String,
    series: u64,
    profiles: u64,
    samples: u64,
    total: i64,
}

/// A label and how many values it has.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct LabelRow {
    label: String,
    values: usize,
}

/// Symbols of a partition.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct PartitionRow {
    partition: String,
    strings: usize,
    functions: usize,
    mappings: usize,
    locations: usize,
    stacktraces: usize,
    /// In memory.
    bytes: usize,
}

/// Shows blocks one after the other. One that cannot be read is said so, and the others are shown.
pub(super) async fn run(places: &Places, args: &InspectArgs) -> anyhow::Result<()> {
    let found = places.find().await?;
    let progress = ui::progress(found.len());
    let (mut shown, mut first, mut failed) = (Vec::new(), None, 0);
    for block in &found {
        progress.set_message(block.name.clone());
        match inspect(block).await {
            Ok(block) => shown.push(block),
            Err(error) => {
                progress.suspend(|| ui::note(&format!("{}: {error:#}", block.name)));
                failed += 1;
                first.get_or_insert(error);
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    match args.output {
        Output::Json => ui::json(&shown)?,
        Output::Table => {
            let texts: Vec<String> = shown
                .iter()
                .map(|block| report::render(block, args.top_n))
                .collect();
            if !texts.is_empty() {
                ui::data(&texts.join("\n\n"));
            }
        }
    }
    match first {
        Some(error) => Err(error.context(format!(
            "{failed} of {} blocks cannot be shown; the first",
            found.len()
        ))),
        None => Ok(()),
    }
}

async fn inspect(found: &Found) -> anyhow::Result<Inspected> {
    let meta = found.meta().await?;
    let files = found.files();
    let parts = tokio::task::spawn_blocking({
        let meta = meta.clone();
        move || Parts::read(&meta, &files)
    });
    let parts = parts.await.context("the block was not read to its end")??;
    let mut rows: Vec<FileRow> = found
        .objects
        .iter()
        .map(|object| FileRow {
            listed: meta.file(&object.key).is_some() || object.key == meta::names::META,
            file: object.key.clone(),
            bytes: object.size,
        })
        .collect();
    rows.sort_by(|a, b| (Reverse(a.bytes), &a.file).cmp(&(Reverse(b.bytes), &b.file)));
    let parents = meta.compaction.parents.iter();
    Ok(Inspected {
        block: meta.id.to_string(),
        location: found.location(),
        summary: Summary::of(&meta),
        sources: meta
            .compaction
            .sources
            .iter()
            .map(ToString::to_string)
            .collect(),
        parents: parents.map(|parent| parent.id.to_string()).collect(),
        labels: meta.labels,
        files: rows,
        tables: parts.tables,
        profile_types: parts.profile_types,
        label_names: parts.label_names,
        symbols: parts.symbols,
    })
}

/// What the files of a block say.
struct Parts {
    tables: Vec<Table>,
    profile_types: Vec<TypeRow>,
    label_names: Vec<LabelRow>,
    symbols: Vec<PartitionRow>,
}

impl Parts {
    fn read(meta: &Meta, files: &Arc<dyn Files>) -> Result<Self, Error> {
        let tables = meta.files.iter().filter(|file| file.parquet.is_some());
        let name = meta::names::INDEX;
        let index = tsdb::Index::open(files.read_all(name)?, files.name(name))?;
        Ok(Self {
            tables: tables
                .map(|file| Table::read(&**files, &file.rel_path, file.size_bytes))
                .collect::<Result<_, _>>()?,
            profile_types: profile_types(meta, files, &index)?,
            label_names: label_names(&index)?,
            symbols: symbols(meta, files)?,
        })
    }
}

impl Table {
    fn read(files: &dyn Files, file: &str, size: u64) -> Result<Self, Error> {
        let outline = TableOutline::read(files, file, size)?;
        let column = |column: phlare_block::ColumnOutline| Column {
            column: column.path,
            physical: column.physical,
            encodings: column.encodings,
            codecs: column.codecs,
            pages: column.pages,
            values: column.values,
            stored_bytes: column.stored_bytes,
            plain_bytes: column.plain_bytes,
        };
        Ok(Self {
            file: file.to_owned(),
            writer: outline.writer,
            rows: outline.rows,
            row_groups: outline.row_groups,
            columns: outline.columns.into_iter().map(column).collect(),
        })
    }
}

/// What there is of each profile type, the one with most samples first. Reads the whole table.
fn profile_types(
    meta: &Meta,
    files: &Arc<dyn Files>,
    index: &tsdb::Index,
) -> Result<Vec<TypeRow>, Error> {
    let mut types: Vec<TypeRow> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_series = Vec::new();
    for series in 0..index.series_count() {
        let labels = index.labels(series)?;
        let name = labels.get(PROFILE_TYPE).unwrap_or_default();
        let place = *places.entry(name.to_owned()).or_insert_with(|| {
            types.push(TypeRow {
                profile_type: name.to_owned(),
                ..TypeRow::default()
            });
            types.len() - 1
        });
        if let Some(row) = types.get_mut(place) {
            row.series += 1;
        }
        by_series.push(place);
    }
    let name = meta::names::PROFILES;
    let size = match meta.size_of(name) {
        Some(size) => size,
        None => files.size(name)?,
    };
    let profiles = Profiles::open(Arc::clone(files), name, size)?;
    let mut scan = profiles.scan(0..profiles.rows(), WINDOW_BYTES);
    while let Some(profile) = scan.next()? {
        let place = by_series.get(profile.series as usize);
        if let Some(row) = place.and_then(|&place| types.get_mut(place)) {
            row.profiles += 1;
            row.samples += profile.values.len() as u64;
            row.total = row.total.wrapping_add(profile.total as i64);
        }
    }
    types.sort_by(|a, b| {
        (Reverse(a.samples), &a.profile_type).cmp(&(Reverse(b.samples), &b.profile_type))
    });
    Ok(types)
}

/// Labels, the one with most values first.
fn label_names(index: &tsdb::Index) -> Result<Vec<LabelRow>, Error> {
    let mut rows = Vec::new();
    for name in index.label_names()? {
        rows.push(LabelRow {
            values: index.label_values(name)?.len(),
            label: name.to_owned(),
        });
    }
    rows.sort_by(|a, b| (Reverse(a.values), &a.label).cmp(&(Reverse(b.values), &b.label)));
    Ok(rows)
}

/// Partitions, the largest first. Reads all symbols.
fn symbols(meta: &Meta, files: &Arc<dyn Files>) -> Result<Vec<PartitionRow>, Error> {
    let listed: Vec<_> = meta
        .files
        .iter()
        .map(|file| (file.rel_path.as_str(), file.size_bytes))
        .collect();
    let layout = symdb::Layout::detect(meta.version.into(), &listed)?;
    let reader = symdb::Reader::open(Arc::clone(files), layout)?;
    let mut rows = Vec::new();
    for &partition in reader.partitions() {
        let symbols = reader.load(partition)?;
        let stacktraces = symbols.stack_nodes.as_ref().map(Vec::len);
        rows.push(PartitionRow {
            partition: format!("{partition:016x}"),
            strings: symbols.strings.len(),
            functions: symbols.functions.len(),
            mappings: symbols.mappings.len(),
            locations: symbols.locations.len(),
            stacktraces: stacktraces.unwrap_or_else(|| symbols.stacks.len() - 1),
            bytes: symbols.size_bytes(),
        });
    }
    rows.sort_by(|a, b| (Reverse(a.bytes), &a.partition).cmp(&(Reverse(b.bytes), &b.partition)));
    Ok(rows)
}
