//! A block as text.

use std::fmt::Write as _;

use super::{Inspected, Table};
use crate::render::{Unit, percent, time};
use crate::ui;

/// Sections with a table each, of at most `top` rows (0: all); columns and files are all shown.
pub(super) fn render(block: &Inspected, top: usize) -> String {
    let strong = ui::STRONG;
    let mut text = format!("{strong}{}{strong:#}  {}\n\n", block.block, block.location);
    text.push_str(&facts(block));
    section(&mut text, "files", &files(block));
    for table in &block.tables {
        let groups = table.row_groups.len();
        let title = format!(
            "{}: {} rows in {groups} row groups, written by {}",
            table.file, table.rows, table.writer
        );
        section(&mut text, &title, &columns(table));
    }
    section(&mut text, "profile types", &profile_types(block, top));
    section(&mut text, "labels", &labels(block, top));
    section(&mut text, "symbols", &symbols(block, top));
    text
}

fn section(text: &mut String, title: &str, body: &str) {
    let strong = ui::STRONG;
    let _ = write!(text, "\n{strong}{title}{strong:#}\n{body}\n");
}

fn facts(block: &Inspected) -> String {
    let summary = &block.summary;
    let shard = match summary.shard.as_str() {
        "" => String::new(),
        shard => format!(", shard {shard}"),
    };
    let source = match summary.source.as_str() {
        "" => "unknown",
        source => source,
    };
    let labels = block.labels.iter();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    let or_none = |texts: &[String]| match texts {
        [] => "none".to_owned(),
        texts => texts.join(", "),
    };
    let mut text = String::new();
    for (name, value) in [
        (
            "time",
            format!(
                "{} to {} ({})",
                time(summary.from_ms),
                time(summary.to_ms),
                summary.duration()
            ),
        ),
        (
            "holds",
            format!(
                "{} series, {} profiles, {} samples",
                summary.series, summary.profiles, summary.samples
            ),
        ),
        (
            "made by",
            format!(
                "{source}; level {}{shard}, version {}",
                summary.level, summary.version
            ),
        ),
        ("made of", or_none(&block.parents)),
        ("sources", or_none(&block.sources)),
        ("labels", or_none(&labels)),
    ] {
        let _ = writeln!(text, "{name:<9}{value}");
    }
    text
}

fn files(block: &Inspected) -> String {
    let all: u64 = block.files.iter().map(|file| file.bytes).sum();
    let mut table = ui::table(&["size", "share", "file"], &[0, 1]);
    for file in &block.files {
        let unlisted = match file.listed {
            true => "",
            false => "  (not in meta.json)",
        };
        table.add_row([
            bytes(file.bytes),
            percent(file.bytes as f64, all as f64),
            format!("{}{unlisted}", file.file),
        ]);
    }
    table.add_row([bytes(all), percent(1.0, 1.0), "all".to_owned()]);
    table.trim_fmt()
}

fn columns(of: &Table) -> String {
    let header = [
        "stored", "plain", "ratio", "values", "pages", "type", "encoding", "codec", "column",
    ];
    let mut table = ui::table(&header, &[0, 1, 2, 3, 4]);
    for column in &of.columns {
        table.add_row([
            bytes(column.stored_bytes),
            bytes(column.plain_bytes),
            match column.plain_bytes {
                0 => "-".to_owned(),
                plain => format!("{:.2}", column.stored_bytes as f64 / plain as f64),
            },
            column.values.to_string(),
            column.pages.to_string(),
            column.physical.to_owned(),
            column.encodings.join(" "),
            column.codecs.join(" "),
            column.column.clone(),
        ]);
    }
    table.trim_fmt()
}

fn profile_types(block: &Inspected, top: usize) -> String {
    let header = ["series", "profiles", "samples", "total", "profile type"];
    let mut table = ui::table(&header, &[0, 1, 2, 3]);
    for row in first(&block.profile_types, top) {
        table.add_row([
            row.series.to_string(),
            row.profiles.to_string(),
            row.samples.to_string(),
            Unit::of_profile_type(&row.profile_type).show_exact(row.total),
            row.profile_type.clone(),
        ]);
    }
    with_rest(table.trim_fmt(), block.profile_types.len(), top)
}

fn labels(block: &Inspected, top: usize) -> String {
    let mut table = ui::table(&["values", "label"], &[0]);
    for row in first(&block.label_names, top) {
        table.add_row([row.values.to_string(), row.label.clone()]);
    }
    with_rest(table.trim_fmt(), block.label_names.len(), top)
}

fn symbols(block: &Inspected, top: usize) -> String {
    let header = [
        "partition",
        "strings",
        "functions",
        "mappings",
        "locations",
        "stack traces",
        "in memory",
    ];
    let mut table = ui::table(&header, &[1, 2, 3, 4, 5, 6]);
    for row in first(&block.symbols, top) {
        table.add_row([
            row.partition.clone(),
            row.strings.to_string(),
            row.functions.to_string(),
            row.mappings.to_string(),
            row.locations.to_string(),
            row.stacktraces.to_string(),
            bytes(row.bytes as u64),
        ]);
    }
    with_rest(table.trim_fmt(), block.symbols.len(), top)
}

fn bytes(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}

fn first<T>(rows: &[T], top: usize) -> &[T] {
    match top {
        0 => rows,
        top => rows.get(..top).unwrap_or(rows),
    }
}

/// A table with what it leaves out.
fn with_rest(table: String, rows: usize, top: usize) -> String {
    match rows.checked_sub(top) {
        Some(more) if top > 0 && more > 0 => {
            let dim = ui::DIM;
            format!("{table}\n{dim}… {more} more; --top-n 0 shows all{dim:#}")
        }
        _ => table,
    }
}
